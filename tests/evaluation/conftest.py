"""Predictions made from a seed."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from sequela.evaluation.predictions import Predictions


def two_classes(
    score: NDArray[np.floating],
    label: ArrayLike,
    group: ArrayLike | None = None,
    *,
    split: str = "held_out",
    classes: tuple[str, str] = ("no", "yes"),
) -> Predictions:
    """Predictions by the probability of the second class; a group is a subject."""
    index = np.arange(len(score))
    subject = np.char.mod("s%03d", index if group is None else np.asarray(group))
    return Predictions(
        example_id=np.char.mod("e%04d", index),
        group_id=subject,
        subject_id=subject,
        split=np.full(len(score), split),
        label=np.asarray(label).astype(np.int64),
        probabilities=np.stack([1 - score, score], axis=1),
        classes=classes,
    )


def _make(
    *,
    groups: int = 30,
    per_group: int = 7,
    classes: int = 2,
    seed: int = 0,
    one_class_per_group: bool = False,
    decimals: int = 6,
) -> Predictions:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), per_group)
    label = group % classes if one_class_per_group else rng.integers(classes, size=len(group))
    logits = rng.normal(size=(groups, classes))[group] + rng.normal(size=(len(group), classes))
    logits[np.arange(len(group)), label] += 1
    odds = np.exp(logits).round(decimals) + 10.0**-decimals
    return Predictions(
        example_id=np.char.mod("e%d", np.arange(len(group))),
        group_id=np.char.mod("g%03d", group),
        subject_id=np.char.mod("s%d", group // 2),
        split=np.full(len(group), "held_out"),
        label=label,
        probabilities=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        classes=tuple(f"class {index}" for index in range(classes)),
    )


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    """A factory; few ``decimals`` make ties."""
    return _make
