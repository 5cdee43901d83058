"""Graphs of baseline models, from a table of features."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from sequela.models import reference
from sequela.models.reference import ReferenceModel
from sequela.serving.graph import TREES, Graph

Arrays = Mapping[str, NDArray[Any]]


def _shares(g: Graph, arrays: Arrays, table: str) -> str:
    """Add the same probabilities for each example."""
    size = g.op("Concat", g.op("Shape", table, start=0, end=1), g.constant([1]), axis=0)
    return g.op("Expand", g.constant(arrays["share"][None], np.float32), size)


def _linear(g: Graph, arrays: Arrays, table: str) -> str:
    weight, bias = (arrays[name].astype(np.float64) for name in ("weight", "bias"))
    product = g.op("MatMul", g.cast(table, np.float64), g.constant(weight.T))
    return _answer(g, g.op("Add", product, g.constant(bias)), len(weight))


def _answer(g: Graph, logits: str, n: int) -> str:
    """Add probabilities (batch, class) from one logit for two classes or one for each class."""
    if n > 1:
        return g.cast(g.op("Softmax", logits, axis=-1), np.float32)
    second = g.op("Sigmoid", logits)
    first = g.op("Sigmoid", g.op("Neg", logits))
    return g.cast(g.op("Concat", first, second, axis=1), np.float32)


def _standardised(g: Graph, arrays: Arrays, table: str) -> str:
    centred = g.op("Sub", table, g.constant(arrays["mean"], np.float32))
    scaled = g.op("Div", centred, g.constant(arrays["deviation"], np.float32))
    known = g.op("Where", g.op("IsNaN", table), g.constant(0, np.float32), scaled)
    return _linear(g, arrays, known)


def _boosting(g: Graph, arrays: Arrays, table: str) -> str:
    model = reference.loaded(arrays["skops"].tobytes())
    n = model.n_trees_per_iteration_
    sums = g.op("TreeEnsembleRegressor", table, domain=TREES[0], n_targets=n, **_trees(model))
    baseline = model._baseline_prediction.reshape(1, n)  # noqa: SLF001 - sklearn has no other way
    logits = g.op("Add", g.cast(sums, np.float64), g.constant(baseline, np.float64))
    return _answer(g, logits, n)


def _trees(model: HistGradientBoostingClassifier) -> dict[str, list[Any]]:
    """Return the attributes of all trees.

    A sample goes left if it is at most the threshold. Samples have single precision, so thresholds
    are rounded down to single precision, which keeps the path of each sample.
    """
    names = (
        "treeids nodeids featureids values truenodeids falsenodeids modes missing_value_tracks_true"
    )
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names.split()}
    leaves: dict[str, list[Any]] = {
        f"target_{n}": [] for n in ["treeids", "nodeids", "ids", "weights"]
    }
    trees = [(k, tree) for step in model._predictors for k, tree in enumerate(step)]  # noqa: SLF001
    for number, (k, tree) in enumerate(trees):
        for place, node in enumerate(tree.nodes):
            leaf = bool(node["is_leaf"])
            threshold = 0.0 if leaf else _rounded_down(float(node["num_threshold"]))
            row = (
                number,
                place,
                int(node["feature_idx"]),
                threshold,
                int(node["left"]),
                int(node["right"]),
                "LEAF" if leaf else "BRANCH_LEQ",
                int(node["missing_go_to_left"]),
            )
            for name, value in zip(nodes, row, strict=True):
                nodes[name].append(value)
            if leaf:
                for name, value in zip(
                    leaves, (number, place, k, float(node["value"])), strict=True
                ):
                    leaves[name].append(value)
    return {**nodes, **leaves}


def _rounded_down(threshold: float) -> float:
    """Return the largest number of single precision that is at most the threshold."""
    near = np.float32(threshold)
    below = float(near) <= threshold  # compared in double precision
    return float(near if below else np.nextafter(near, np.float32(-np.inf)))


TRANSLATIONS: dict[Callable[..., Any], Callable[[Graph, Arrays, str], str]] = {
    reference._predict_shares: _shares,  # noqa: SLF001 - their twins
    reference._predict_linear: _linear,  # noqa: SLF001
    reference._predict_standardised: _standardised,  # noqa: SLF001
    reference._predict_boosting: _boosting,  # noqa: SLF001
}
"""The translation of each prediction function."""


def translation(entry: ReferenceModel) -> Callable[[Graph, Arrays, str], str] | None:
    """Return the translation of a baseline model; ``None`` for a custom model."""
    return TRANSLATIONS.get(entry.predict)
