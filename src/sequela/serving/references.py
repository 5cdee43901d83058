"""Baseline models in torch, from a table of features to probabilities."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from sequela.models import reference
from sequela.sequences.intervals import Intervals

Arrays = Mapping[str, NDArray[Any]]


def translated(entry: reference.ReferenceModel, arrays: Arrays, table: Tensor) -> Tensor:
    """Return the probabilities (example, class) of a baseline model in torch."""
    of = TRANSLATIONS[entry.predict]
    if "intervals" not in arrays:
        return of(arrays, table)
    size, causes = arrays["intervals"].tolist()
    hazards = [
        of(arrays, torch.cat([table, each.expand(table.shape[0], -1)], 1)).double()
        for each in torch.eye(size)
    ]
    intervals = Intervals(tuple(range(1, size + 1)), causes)
    found: Tensor = intervals.from_hazards(torch.stack(hazards, 1)).float()
    return found


def _cox(arrays: Arrays, table: Tensor) -> Tensor:
    mean, deviation = (torch.from_numpy(arrays[name]) for name in ("mean", "deviation"))
    scaled = torch.where(table.isnan(), 0.0, (table - mean) / deviation).double()
    weight, hazard = (torch.from_numpy(arrays[name]) for name in ("weight", "hazard"))
    hazards = (scaled @ weight.T).exp()[:, :, None] * hazard  # (example, cause, time)
    together = hazards.sum(1)
    before = (together - together.cumsum(1)).exp()
    share = torch.where(together[:, None] > 0, hazards / together[:, None], 0.0)
    by_then = (share * (before * (1 - (-together).exp()))[:, None]).cumsum(2)
    place = torch.from_numpy(np.searchsorted(arrays["at"], arrays["horizons"], side="right"))
    by_then = torch.cat([torch.zeros_like(by_then[:, :, :1]), by_then], 2)[:, :, place]
    first = torch.zeros_like(by_then[:, :, :1])
    events = (by_then - torch.cat([first, by_then[:, :, :-1]], 2)).flatten(1)
    return torch.cat([(1 - events.sum(1, keepdim=True)).clamp(min=0), events], 1).float()


def _shares(arrays: Arrays, table: Tensor) -> Tensor:
    return torch.tensor(arrays["share"], dtype=torch.float32).expand(table.shape[0], -1)


def _linear(arrays: Arrays, table: Tensor) -> Tensor:
    weight, bias = (torch.tensor(arrays[name], dtype=torch.float64) for name in ("weight", "bias"))
    return _answer(table.double() @ weight.T + bias)


def _answer(logits: Tensor) -> Tensor:
    """Compute probabilities (batch, class) of one logit for two classes or one for each class."""
    if logits.shape[1] > 1:
        return logits.softmax(1).float()
    return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], 1).float()


def _standardised(arrays: Arrays, table: Tensor) -> Tensor:
    mean, deviation = (torch.from_numpy(arrays[name]) for name in ("mean", "deviation"))
    return _linear(arrays, torch.where(table.isnan(), 0.0, (table - mean) / deviation))


def _boosting(arrays: Arrays, table: Tensor) -> Tensor:
    model = reference.loaded(arrays["skops"].tobytes())
    baseline = torch.tensor(model._baseline_prediction).reshape(1, -1)  # noqa: SLF001 - sklearn has no other way
    return _answer(_Trees.apply(table, model).double() + baseline)  # type: ignore[no-untyped-call]


class _Trees(torch.autograd.Function):
    """The sums of boosted trees, as one operation of ONNX."""

    @staticmethod
    def forward(_: Any, table: Tensor, model: HistGradientBoostingClassifier) -> Tensor:
        """Compute sums (batch, class) of a table."""
        sums = model._raw_predict(table.numpy()) - model._baseline_prediction  # noqa: SLF001
        return torch.from_numpy(sums).float()

    @staticmethod
    def symbolic(g: Any, table: Any, model: HistGradientBoostingClassifier) -> Any:
        """Add the operation to a graph of torch's exporter."""
        n = model.n_trees_per_iteration_
        sums = g.op("ai.onnx.ml::TreeEnsembleRegressor", table, n_targets_i=n, **_trees(model))
        sums.setType(table.type().with_sizes([None, n]))
        return sums


def _trees(model: HistGradientBoostingClassifier) -> dict[str, list[Any]]:
    """Return the attributes of all trees.

    A sample goes left if it is at most the threshold. Samples have single precision, so thresholds
    are rounded down to single precision, which keeps the path of each sample.
    """
    trees = [(k, tree.nodes) for step in model._predictors for k, tree in enumerate(step)]  # noqa: SLF001
    sizes = [len(nodes) for _, nodes in trees]
    nodes = np.concatenate([nodes for _, nodes in trees])
    number, classes = (
        np.repeat(each, sizes) for each in (range(len(trees)), [k for k, _ in trees])
    )
    place, leaf = np.concatenate([*map(np.arange, sizes)]), nodes["is_leaf"].astype(np.bool_)
    near = nodes["num_threshold"].astype(np.float32)
    above = near.astype(np.float64) > nodes["num_threshold"]  # compared in double precision
    below = np.where(above, np.nextafter(near, np.float32(-np.inf)), near)
    found = {
        "nodes_treeids_i": number,
        "nodes_nodeids_i": place,
        "nodes_featureids_i": nodes["feature_idx"],
        "nodes_values_f": np.where(leaf, 0, below),
        "nodes_truenodeids_i": nodes["left"],
        "nodes_falsenodeids_i": nodes["right"],
        "nodes_modes_s": np.where(leaf, "LEAF", "BRANCH_LEQ"),
        "nodes_missing_value_tracks_true_i": nodes["missing_go_to_left"],
        "target_treeids_i": number[leaf],
        "target_nodeids_i": place[leaf],
        "target_ids_i": classes[leaf],
        "target_weights_f": nodes["value"][leaf],
    }
    return {name: array.tolist() for name, array in found.items()}


TRANSLATIONS: dict[Callable[..., Any], Callable[[Arrays, Tensor], Tensor]] = {
    reference._predict_shares: _shares,  # noqa: SLF001 - their twins
    reference._predict_linear: _linear,  # noqa: SLF001
    reference._predict_standardised: _standardised,  # noqa: SLF001
    reference._predict_boosting: _boosting,  # noqa: SLF001
    reference._predict_cox: _cox,  # noqa: SLF001
}
"""The translation of each prediction function; custom models have none."""
