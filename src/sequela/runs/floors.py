"""The floors that any reader asks for: class shares, a linear model, boosted trees."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Tensor

from sequela.config import RunSettings
from sequela.models.registry import Reads
from sequela.runs.data import RunData
from sequela.runs.records import VisitData
from sequela.sequences.tables import bag_of_codes, summaries


@dataclass(frozen=True)
class Floor:
    """A floor.

    Attributes:
        title: What a table or figure calls it.
        reads: What it can be fitted on.
    """

    title: str
    reads: tuple[Reads, ...]


FLOORS = {
    "majority-class": Floor("Most frequent class", ("signal",)),
    "prevalence": Floor("Prevalence", ("visits",)),
    "logistic-regression": Floor("Logistic regression", ("signal", "visits")),
    "boosting": Floor("Boosting", ("visits",)),
}


def reading(holds: Reads) -> dict[str, str]:
    """The floors that can be fitted on signals or on visits, with their titles."""
    return {name: floor.title for name, floor in FLOORS.items() if holds in floor.reads}


INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Of the logistic regression on codes, which are more than there are patients."""
LEAST_IN_LEAF = 20
"""Examples in a leaf; a code that fewer training examples have can split none."""
MOST_CODES = 1000
"""Codes that are columns, the most frequent ones: of large data, more cost time and memory."""


@dataclass(frozen=True)
class Trained:
    """A trained model, as far as a run folder is concerned.

    Attributes:
        tensors: For ``model.safetensors``.
        probabilities: float32 (example, class), of all parts.
        facts: Parameters, seconds and epochs, for ``metrics.json``.
    """

    tensors: dict[str, Tensor]
    probabilities: NDArray[np.float32]
    facts: dict[str, Any]


Fitted = tuple[dict[str, NDArray[Any]], NDArray[np.floating[Any]]]
"""Arrays of the model, and its probabilities (example, class)."""


def train(settings: RunSettings, data: RunData) -> Trained:
    """Fit a floor on the training part; what is chosen is chosen on the tuning part."""
    started = time.perf_counter()
    arrays, probabilities = _FITS[settings.model](data, settings.seed)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    return Trained(
        tensors=tensors,
        probabilities=probabilities.astype(np.float32),
        facts={
            "parameters": sum(t.numel() for t in tensors.values()),
            "operations": None,
            "macs": None,
            "train_seconds": time.perf_counter() - started,
            "epochs": 0,
            "best_epoch": 0,
        },
    )


def _class_shares(data: RunData, _: int) -> Fitted:
    rows = data.rows("train")
    share = np.bincount(data.labels[rows], minlength=len(data.classes)) / len(rows)
    return {"share": share.astype(np.float32)}, np.tile(share, (len(data.labels), 1))


def _logistic_regression(data: RunData, _: int) -> Fitted:
    """One on the samples of a signal; of several on codes, the one with the least tuning loss."""
    features = data.features()
    rows, tuning = data.rows("train"), data.rows("tuning")
    penalties = (1.0,) if data.classes_fixed else INVERSE_PENALTIES

    def tuning_loss(model: LogisticRegression) -> float:
        said = model.predict_proba(features[tuning])
        return float(log_loss(data.labels[tuning], said, labels=range(len(data.classes))))

    models = [
        LogisticRegression(C=penalty, max_iter=1000).fit(features[rows], data.labels[rows])
        for penalty in penalties
    ]
    best = min(models, key=tuning_loss)
    arrays = {
        "weight": best.coef_.astype(np.float32),
        "bias": best.intercept_.astype(np.float32),
    }
    return arrays, best.predict_proba(features)


def _boosting(data: RunData, seed: int) -> Fitted:
    """Boosted trees on bags of codes, and on what was measured where the sequences hold values.

    Trees are added until the tuning loss has not fallen for 20 rounds.
    """
    if not isinstance(data, VisitData):
        raise TypeError("boosting reads visits")
    common = _common(data)
    table = _table(data, common)
    rows, tuning = data.rows("train"), data.rows("tuning")
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=500,
        max_leaf_nodes=8,
        min_samples_leaf=LEAST_IN_LEAF,
        l2_regularization=1.0,
        early_stopping=True,
        n_iter_no_change=20,
        random_state=seed,
    )
    model.fit(table[rows], data.labels[rows], X_val=table[tuning], y_val=data.labels[tuning])
    nodes = [tree[0].nodes for tree in model._predictors]  # noqa: SLF001 - never a pickle
    arrays = {
        f"nodes.{name}": np.concatenate([tree[name] for tree in nodes])
        for name in ("feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "value")
    }
    arrays["nodes.offsets"] = np.cumsum([0, *(len(tree) for tree in nodes)])
    arrays["columns.codes"] = common
    arrays["bias"] = np.asarray(model._baseline_prediction, np.float64).reshape(-1)  # noqa: SLF001
    return {k: _storable(v) for k, v in arrays.items()}, model.predict_proba(table)


def _common(data: VisitData) -> NDArray[np.int64]:
    """int64 (column,), rising: the codes that enough training examples have to split a tree."""
    in_training = bag_of_codes(data.sequences, data.rows("train")).count_nonzero(axis=0)
    often = np.argsort(-in_training, kind="stable")[:MOST_CODES]
    common: NDArray[np.int64] = np.sort(often[in_training[often] >= LEAST_IN_LEAF])
    return common


def _table(data: VisitData, common: NDArray[np.int64]) -> NDArray[np.float32]:
    """How many codes, counts of the common ones, and age and measurements where they are in.

    Returns:
        float32 (example, column); what was not measured is NaN.
    """
    everyone = np.arange(len(data.labels))
    bag = bag_of_codes(data.sequences, everyone)
    columns = [np.asarray(bag.sum(axis=1)).reshape(-1, 1), bag[:, common].toarray()]
    settings = data.sequences.header["settings"]
    if settings["demographics"]:
        columns.append(data.sequences.age[:, None])
    if settings["bins"]:
        columns.append(summaries(data.sequences, everyone))
    return np.hstack(columns).astype(np.float32)


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    """Safetensors has no unsigned integers of more than 8 bits that torch knows."""
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


_FITS: dict[str, Callable[[RunData, int], Fitted]] = {
    "majority-class": _class_shares,
    "prevalence": _class_shares,
    "logistic-regression": _logistic_regression,
    "boosting": _boosting,
}
