"""Explanation of a run's network: some test-set examples, and a ranking of codes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sequela.datasets.catalog import Modality
from sequela.errors import RunError, SettingError, UnknownNameError, unknown_name
from sequela.evaluation.attribution import (
    NUMBER_OF_EVENT,
    Attribution,
    Importance,
    contrast,
    contrast_of_event,
    number_of,
)
from sequela.evaluation.predictions import Predictions
from sequela.models.inputs import kind_of
from sequela.runs.data import load_again
from sequela.runs.find import named_runs
from sequela.runs.folder import RunFolder, work_beside
from sequela.runs.model import open_network
from sequela.runs.records import VisitInputs
from sequela.runs.released import smallest_shown
from sequela.runs.signals import SignalInputs
from sequela.sequences.flat import CodeAt

_BINARY = 2  # classes, whose log-odds are one number
Attribute = Callable[[int, Tensor], Attribution]


@dataclass(frozen=True)
class Explained:
    """One example, the reason for its choice, its part of the split, and its true class.

    ``chances`` are the predicted probabilities of the classes, ``numbers`` the attributions by the
    name of a number of the model, for example ``logit of seizure``: values (n_chans, n_times) of a
    segment, (code,) of a record. A segment has a signal, float32 (n_chans, n_times) in µV, and its
    samples per second in Hz; a record has codes, measurements and features in the values' order.
    """

    example_id: str
    why: str
    part: str
    label: str
    chances: Mapping[str, float]
    numbers: Mapping[str, Attribution]
    signal: NDArray[np.float32] | None = None
    sfreq: float | None = None
    codes: tuple[CodeAt, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The explanation of predictions of a run; importance is known for records only."""

    run: RunFolder
    origin: str
    examples: tuple[Explained, ...]
    importance: Importance | None


def explain(
    path: Path,
    *,
    examples: Sequence[str] = (),
    classes: Sequence[str] = (),
    root: Path | None = None,
    steps: int | None = None,
    hide_below: int | None = None,
    trust_code: bool = False,
) -> Explanation:
    """Explain predictions of a run's network by integrated gradients; its data are read again.

    ``examples`` are ids as in ``predictions.parquet`` (default: informative ones of the test set),
    and ``classes`` those whose logits are explained (default: for two classes the log-odds of the
    second, for more classes the predicted and the true one). The data are at ``root`` (default: on
    the usual search path). The integral has so many ``steps`` (default: until the completeness
    error is small). For ``hide_below`` see :func:`sequela.runs.released.smallest_shown`; with
    ``trust_code``, the run's model may be a class of a file or module.

    A SequelaError is raised if an example or class does not exist, if the model is a baseline model
    or reads features of a signal, if the run is damaged or not finished or has folds, if the data
    differ, or without captum.
    """
    torch.set_num_threads(1)  # sums on several threads would depend on their number
    (run,) = named_runs([path])
    folder = run.first
    if folder.path != path:
        raise RunError(f"{path}: each fold has its own model: name one, for example {folder.path}")
    network = open_network(folder, "an explanation", trust_code=trust_code)
    model, header = network.module(), network.header
    if network.reads != ("signal",) and kind_of(network.reads[0]) is Modality.EEG:
        raise SettingError(
            f"{path}: the model reads {' and '.join(network.reads)}, but only models that read "
            "the signal alone can be explained"
        )
    for name in classes:
        if name not in header["classes"]:
            raise unknown_name("class", name, header["classes"])
    predictions = folder.predictions  # of all sets: any example can be named
    place = {name: row for row, name in enumerate(predictions.example_id.tolist())}
    if unknown := [name for name in examples if name not in place]:
        raise UnknownNameError(
            f"no example '{unknown[0]}' in this run: its predictions.parquet lists the ids"
        )
    reasons = {place[name]: "named with --example" for name in examples} or informative(predictions)
    with work_beside(path) as work:  # records of patients are deleted afterwards
        data = load_again(folder, root, work, header)
        inputs = data.inputs(network.reads, network.state)
        assert isinstance(inputs, SignalInputs | VisitInputs)  # noqa: S101 - there are no others

        def attribute(row: int, weights: Tensor) -> Attribution:
            return inputs.attribution(model, row, weights, steps)

        explained = []
        for row, why in reasons.items():
            facts = _explained(predictions, row, why, classes, attribute)
            explained.append(Explained(**facts, **inputs.describe_example(row)))
        ranking = inputs.importance(model, smallest_shown(folder.data, hide_below))
        return Explanation(folder, data.origin, tuple(explained), ranking)


def informative(predictions: Predictions) -> dict[int, str]:
    """Choose informative rows of the test set, each with the reason for its choice."""
    names = predictions.classes
    inside = predictions.split == "held_out"  # the only examples that the model did not learn from
    label = predictions.label  # (example,)
    chance = predictions.probabilities  # (example, class)
    if predictions.horizons:
        risk, ours = predictions.risk[:, -1], predictions.outcomes  # by the last horizon
        had_event = inside & (label > 0) & (ours.event == 1)
        without = inside & (ours.time > predictions.horizons[-1])
        criteria: list[tuple[NDArray[np.bool_], NDArray[np.floating], str]] = [
            (had_event, risk, "highest predicted risk among those with the event"),
            (
                without,
                risk,
                "highest predicted risk among those without the event by the last horizon",
            ),
            (had_event, -risk, "lowest predicted risk among those with the event"),
        ]
    elif len(names) == _BINARY:
        had_event, not_so = inside & (label == 1), inside & (label == 0)
        criteria = [
            (had_event, chance[:, 1], f"highest predicted probability of {names[1]} in this class"),
            (not_so, chance[:, 1], f"highest predicted probability of {names[1]} in {names[0]}"),
            (had_event, -chance[:, 1], f"lowest predicted probability of {names[1]} in this class"),
        ]
    else:
        right = predictions.predicted == label
        criteria = [
            (inside & right, chance.max(1), "most confident correct prediction"),
            (inside & ~right, chance.max(1), "most confident wrong prediction"),
        ]
    reasons: dict[int, str] = {}
    for among, by, why in criteria:
        if among.any():
            reasons.setdefault(int(np.where(among, by, -np.inf).argmax()), why)  # one reason a row
    return reasons


def _explained(
    predictions: Predictions, row: int, why: str, classes: Sequence[str], attribute: Attribute
) -> dict[str, Any]:
    names = predictions.classes
    label = names[predictions.label[row]]
    numbers: dict[str, Attribution] = {}
    if predictions.horizons:
        day, event = predictions.outcomes.time[row], predictions.outcomes.event[row]
        end = ("followed without an event", "the event came", "a competing event came")[event]
        label = f"{end}, day {day:.0f}"
        weights = contrast_of_event(len(predictions.horizons), len(names))
        numbers = {} if classes else {NUMBER_OF_EVENT: attribute(row, weights)}
    usual = (names[predictions.predicted[row]], label) if len(names) > _BINARY else names[1:]
    return {
        "example_id": str(predictions.example_id[row]),
        "why": why,
        "part": str(predictions.split[row]),
        "label": label,
        "chances": dict(zip(names, predictions.probabilities[row].tolist(), strict=True)),
        "numbers": numbers
        | {
            number_of(names, name): attribute(row, contrast(len(names), names.index(name)))
            for name in dict.fromkeys(() if numbers else classes or usual)
        },
    }
