"""Baseline models to compare networks with: class shares, a linear model, boosted trees.

Each is fitted on a table of features and stored as arrays, so that it can be applied to other data.
"""

import copy
import io
import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.catalog import Modality
from sequela.errors import DataError, RunError, SettingError, extra
from sequela.models.inputs import kind_of
from sequela.plugins import Registry
from sequela.sequences.featurisers import LEAST_EXAMPLES, SCORES, Standardised, State, Table

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from sequela.sequences.intervals import Intervals

Arrays = State
Probabilities = NDArray[np.floating]

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""The penalties of logistic regression on codes, which outnumber patients."""
SPECTRAL_PENALTIES = (1e-2, 1e-1, 1.0)  # the penalties of logistic regression on spectra and scores
MINIROCKET_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
"""The penalties on 9,996 columns, which outnumber the examples of most data."""
COX_PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # the penalties of Cox regression
_AT_ONCE = 512  # examples whose hazards at all times are in memory
MOST_LEAVES = 8  # the leaves of a boosted tree, at most
NUMBERS_OF_A_TREE = 2 * (MOST_LEAVES - 1) + MOST_LEAVES
"""The numbers of a tree: feature and threshold of each fork, 22 leaf values at most."""


@dataclass(frozen=True, eq=False)
class Times:
    """The days to what ended first and what it was, both (example,), and the task's intervals."""

    time: NDArray[np.float64]
    event: NDArray[np.int64]
    intervals: "Intervals"

    @property
    def possible(self) -> NDArray[np.float32]:
        """The share of each class that each example may be in: float32 (example, class)."""
        return self.intervals.possible(self.time, self.event)


@dataclass(frozen=True)
class Examples:
    """The data that a baseline model is fitted on.

    Features are float32 (example, column), dense or sparse. ``tuning`` are the validation examples,
    for a penalty or early stopping. Examples may have a ``weight``, and ``times`` to an event.
    Boosting takes at most so many ``rounds``.
    """

    features: Table
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    tuning: NDArray[np.int64]
    n_classes: int
    weight: NDArray[np.float64] | None = None
    times: Times | None = None
    rounds: int = 500

    def weights(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the weights of some examples, if they have any."""
        return None if self.weight is None else self.weight[rows]


@dataclass(frozen=True)
class ReferenceModel:
    """A baseline model to compare networks with.

    Attributes:
        title: Name in tables and figures.
        reads: The inputs it can be fitted on, one of them at a time: ``features:NAME``, or
            ``signal`` or ``codes`` for a model that ignores the examples and gets a table without
            columns.
        fit: The arrays of the model, from the examples and a seed.
        predict: Probabilities (example, class) from the arrays and the table of any examples.
        parameters: Number of learnt numbers.
        of_times: Whether it reads times to an event itself and predicts the probabilities of their
            classes. Else it is fitted on whether the event comes in each interval (logistic
            regression by interval: Cox 1972; its likelihood is that of the times).
    """

    title: str
    reads: tuple[str, ...]
    fit: Callable[[Examples, int], Arrays]
    predict: Callable[[Arrays, Table], Probabilities]
    parameters: Callable[[Arrays], int]
    of_times: bool = False

    def reads_of(self, kind: Modality) -> tuple[str, ...] | None:
        """Return its inputs for such data; ``None`` if it cannot be fitted on them."""
        return next(((read,) for read in self.reads if kind_of(read) == kind), None)


def check_fit(entry: ReferenceModel, *, timed: bool) -> None:
    """Raise an error for a model of times without these, or without its library."""
    if entry.fit is not _cox:
        return
    with extra("survival", "the model cox", "sksurv"):
        import sksurv  # noqa: F401
    if not timed:
        raise SettingError(
            "cox predicts the time to an event: name the days to predict for with --horizons, "
            "such as --horizons 365 1826, or choose another model"
        )


def fitted(entry: ReferenceModel, examples: Examples, seed: int) -> Arrays:
    """Fit a baseline model; of times to an event, on each interval with its number as a column."""
    times = examples.times
    check_fit(entry, timed=times is not None)
    if times is None or entry.of_times:
        return entry.fit(examples, seed)
    # A row for each interval that an example began without an event: with them, any classifier
    # has the likelihood of the times.
    example, interval, ends, weight = times.intervals.at_risk(times.time, times.event)
    size, causes = len(times.intervals.horizons), times.intervals.causes
    train = np.flatnonzero(np.isin(example, examples.train))
    tuning = np.flatnonzero(np.isin(example, examples.tuning))
    if lacks := set(range(1, causes + 1)) - {*ends[train].tolist()}:
        event = "event" if min(lacks) == 1 else "competing event"
        raise DataError(
            f"the training set has no example with the {event} by the last horizon: expected "
            "some; give it more examples, or later horizons"
        )
    table = _beside_interval(examples.features[example], interval, size)
    by_interval = Examples(table, ends, train, tuning, 1 + causes, weight, rounds=examples.rounds)
    return {**entry.fit(by_interval, seed), "intervals": np.array([size, causes])}


def cross_fitted(
    entry: ReferenceModel, examples: Examples, groups: NDArray[np.str_], seed: int, parts: int = 5
) -> NDArray[np.float32] | None:
    """Predict each training example with a model fitted on other groups: (example, class).

    Groups are divided into parts, each with its share of those of each class. The part that is
    predicted decides when to stop. Other examples get 0. Returns ``None`` if a class has fewer than
    two groups, so that a model would lack it.
    """
    rows, times = examples.train, examples.times
    ends = examples.labels[rows]
    if times is not None:  # an event after the last horizon is not seen
        ends = np.where(times.time > times.intervals.horizons[-1], 0, times.event)[rows]
    names, group = np.unique(groups[rows], return_inverse=True)
    end = np.zeros(len(names), np.int64)
    np.maximum.at(end, group, ends)  # the last class that a group has
    n_ends = examples.n_classes if times is None else 1 + times.intervals.causes
    counts = np.bincount(end, minlength=n_ends)
    if counts[times is not None :].min() < 2:  # noqa: PLR2004 # nobody need stay without an event
        return None
    part = dealt(end, parts, seed)
    probabilities = np.zeros((len(examples.labels), examples.n_classes), np.float32)
    for index in range(parts):
        inside, outside = rows[part[group] == index], rows[part[group] != index]
        if len(inside):
            arrays = fitted(entry, replace(examples, train=outside, tuning=inside), seed)
            probabilities[inside] = predicted(entry, arrays, examples.features[inside])
    return probabilities


def dealt(end: NDArray[np.int64], parts: int, seed: int) -> NDArray[np.int64]:
    """Return the part of each group, for the class of each: each part gets some of each class."""
    # Groups in random order within their class are dealt in turn.
    order = np.lexsort((np.random.default_rng(seed).permutation(len(end)), end))
    part = np.empty(len(end), np.int64)
    part[order] = np.arange(len(end)) % parts
    return part


def predicted(entry: ReferenceModel, arrays: Arrays, features: Table) -> Probabilities:
    """Predict with a baseline model: probabilities (example, class)."""
    if "intervals" not in arrays:
        return entry.predict(arrays, features)
    from sequela.sequences.intervals import Intervals

    size, causes = arrays["intervals"].tolist()
    count = features.shape[0]
    table = features[np.arange(count)]
    hazards = [
        entry.predict(arrays, _beside_interval(table, np.full(count, interval), size))
        for interval in range(size)
    ]
    intervals = Intervals(tuple(range(1, size + 1)), causes)
    probabilities: Probabilities = intervals.from_hazards(np.stack(hazards, 1).astype(np.float64))
    return probabilities


def _beside_interval(table: Any, interval: NDArray[np.int64], size: int) -> Any:
    """Add a column for each interval, 1 for that of the row."""
    columns = np.eye(size, dtype=np.float32)[interval]  # (row, interval)
    if isinstance(table, np.ndarray):
        return np.concatenate([table, columns], axis=1)
    from scipy.sparse import csr_array, hstack

    return hstack([table, csr_array(columns)], format="csr")


def _shares(examples: Examples, _: int) -> Arrays:
    """Compute the share of each class; of times to an event, by the life table of their intervals.

    This is the estimator of Kaplan and Meier, and with competing events of Aalen and Johansen, for
    times in intervals.
    """
    if (times := examples.times) is not None:
        rows, intervals = examples.train, times.intervals
        at, ends, weight = intervals.at_risk(times.time[rows], times.event[rows])[1:]
        counts = np.zeros((len(intervals.horizons), 1 + intervals.causes))
        np.add.at(counts, (at, ends), weight)
        counts[counts.sum(axis=1) == 0, 0] = 1  # nobody was followed so long
        hazards = counts / counts.sum(axis=1, keepdims=True)  # (interval, 1 + cause)
        return {"share": intervals.from_hazards(hazards[None])[0].astype(np.float32)}
    labels = examples.labels[examples.train]
    shares = np.bincount(labels, minlength=examples.n_classes) / len(labels)
    return {"share": shares.astype(np.float32)}


def _predict_shares(arrays: Arrays, features: Table) -> Probabilities:
    return np.tile(arrays["share"], (features.shape[0], 1))


def _logistic_regression(
    examples: Examples, penalties: tuple[float, ...], features: Table
) -> Arrays:
    """Fit one regression a penalty, and return the one with the least validation loss."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    labels, rows, tuning = examples.labels, examples.train, examples.tuning
    weigh = examples.weights

    def tuning_loss(model: LogisticRegression) -> float:
        chances, classes = model.predict_proba(features[tuning]), range(examples.n_classes)
        weight = weigh(tuning)
        return float(log_loss(labels[tuning], chances, labels=classes, sample_weight=weight))

    models = [
        LogisticRegression(C=penalty, max_iter=1000).fit(features[rows], labels[rows], weigh(rows))
        for penalty in penalties
    ]
    best = min(models, key=tuning_loss) if len(models) > 1 else models[0]
    return {"weight": best.coef_, "bias": best.intercept_}


def _linear(examples: Examples, _: int) -> Arrays:
    """Fit on the samples of a signal with one penalty; on codes the penalty is chosen."""
    dense = isinstance(examples.features, np.ndarray)
    penalties = (1.0,) if dense else INVERSE_PENALTIES
    return _logistic_regression(examples, penalties, examples.features)


def _predict_linear(arrays: Arrays, features: Table) -> Probabilities:
    from sklearn.linear_model import LogisticRegression

    weight = arrays["weight"]
    model = LogisticRegression()
    model.coef_, model.intercept_ = weight, arrays["bias"]
    model.classes_ = np.arange(max(len(weight), 2))
    probabilities: Probabilities = model.predict_proba(features)
    return probabilities


def _standardised_linear(
    examples: Examples, _: int, penalties: tuple[float, ...] = SPECTRAL_PENALTIES
) -> Arrays:
    """Fit on columns of different units, each standardised by the training set."""
    assert isinstance(examples.features, np.ndarray)  # noqa: S101 - no sparse featuriser comes here
    learnt = Standardised.learn(examples.features, examples.train)
    scaled = np.nan_to_num((examples.features - learnt["mean"]) / learnt["deviation"])
    return {**_logistic_regression(examples, penalties, scaled), **learnt}


def _predict_standardised(arrays: Arrays, features: Table) -> Probabilities:
    scaled = ((features - arrays["mean"]) / arrays["deviation"]).astype(np.float32)
    scaled = np.nan_to_num(scaled)  # the mean, where a number is missing
    return _predict_linear(arrays, scaled)


def _linear_parameters(arrays: Arrays) -> int:
    return arrays["weight"].size + arrays["bias"].size


def _boosted(
    examples: Examples, seed: int, max_features: float = 1.0
) -> "HistGradientBoostingClassifier":
    """Add trees until the validation loss has not fallen for 20 rounds."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table, labels = examples.features, examples.labels
    rows, tuning = examples.train, examples.tuning
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,  # small steps, as early stopping decides on their number
        max_iter=examples.rounds,
        max_leaf_nodes=MOST_LEAVES,
        min_samples_leaf=LEAST_EXAMPLES,
        l2_regularization=1.0,  # leaves of few examples predict near the mean
        max_features=max_features,
        early_stopping=True,
        n_iter_no_change=20,
        random_state=seed,
    )
    inputs: Any = table[rows]
    # A column without numbers, such as the age of records without one, would have no bins.
    empty = np.isnan(inputs).all(axis=0)
    inputs = np.where(empty, 0, inputs) if empty.any() else inputs
    model.fit(
        inputs,
        labels[rows],
        examples.weights(rows),
        X_val=table[tuning],
        y_val=labels[tuning],
        sample_weight_val=examples.weights(tuning),
    )
    return model


def _boosting(examples: Examples, seed: int) -> Arrays:
    model = _boosted(examples, seed)
    trees = model.n_iter_ * model.n_trees_per_iteration_
    return {"skops": np.frombuffer(dumped(model), np.uint8), "trees": np.array([trees])}


def _predict_boosting(arrays: Arrays, features: Table) -> Probabilities:
    model = loaded(arrays["skops"].tobytes())
    probabilities: Probabilities = model.predict_proba(features)
    return probabilities


def shifted(arrays: Arrays, intercept: float) -> Arrays:
    """Add a number to the log odds that boosted trees of two classes predict."""
    model = copy.copy(loaded(arrays["skops"].tobytes()))
    model._baseline_prediction = model._baseline_prediction + intercept  # noqa: SLF001
    return {**arrays, "skops": np.frombuffer(dumped(model), np.uint8)}


def _cox(examples: Examples, _: int) -> Arrays:
    """Fit a proportional hazards model of each kind of event, with the others as censored.

    The penalty is chosen by the validation loss over the classes. Baseline hazards are Breslow's.
    """
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    times = examples.times
    assert times is not None  # noqa: S101 - checked before a fit
    features = examples.features
    assert isinstance(features, np.ndarray)  # noqa: S101 - no sparse featuriser comes here
    learnt = Standardised.learn(features, examples.train)
    scaled = np.nan_to_num((features - learnt["mean"]) / learnt["deviation"]).astype(np.float64)
    rows, tuning = examples.train, examples.tuning
    possible = times.possible[tuning]

    def fit(penalty: float) -> Arrays:
        models = []
        for cause in range(1, times.intervals.causes + 1):
            ends = np.empty(len(rows), [("event", bool), ("time", np.float64)])
            ends["event"], ends["time"] = times.event[rows] == cause, times.time[rows]
            # Cause-specific hazards (Prentice et al. 1978): other events end the follow-up of this
            # one.
            models.append(CoxPHSurvivalAnalysis(alpha=penalty).fit(scaled[rows], ends))
        steps = [model.cum_baseline_hazard_ for model in models]
        return {
            **learnt,
            "weight": np.stack([model.coef_ for model in models]),
            "at": steps[0].x,
            "hazard": np.stack([np.diff(step.y, prepend=0) for step in steps]),  # (cause, time)
            "horizons": np.array(times.intervals.horizons),
        }

    def loss(arrays: Arrays) -> float:
        chances = (_predict_cox(arrays, features[tuning]) * possible).sum(axis=1)
        return float(-np.log(np.maximum(chances, np.finfo(np.float32).eps)).mean())

    return min(map(fit, COX_PENALTIES), key=loss)


def _predict_cox(arrays: Arrays, features: Table) -> Probabilities:
    table = features[np.arange(features.shape[0])]
    scaled = np.nan_to_num((table - arrays["mean"]) / arrays["deviation"])
    rates = np.exp(scaled @ arrays["weight"].T)  # (example, cause)
    place = np.searchsorted(arrays["at"], arrays["horizons"], side="right")
    probabilities = np.ones((len(table), 1 + arrays["weight"].shape[0] * len(place)))
    for first in range(0, len(table), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        hazards = rates[rows, :, None] * arrays["hazard"]  # (example, cause, time)
        together = hazards.sum(axis=1)
        # (example, time): the share without any event just before each time.
        before = np.exp(together - np.cumsum(together, axis=1))
        share = np.divide(hazards, together[:, None], np.zeros_like(hazards), where=hazards > 0)
        # Events come to those who had none before, and are divided by the hazards of the causes.
        by_then = np.cumsum(share * (before * -np.expm1(-together))[:, None], axis=2)
        by_then = np.concatenate([np.zeros_like(by_then[:, :, :1]), by_then], axis=2)[:, :, place]
        of_intervals = np.diff(by_then, axis=2, prepend=0)  # (example, cause, interval)
        probabilities[rows, 1:] = of_intervals.reshape(len(by_then), -1)
    probabilities[:, 0] = (1 - probabilities[:, 1:].sum(axis=1)).clip(0)
    return probabilities


TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
"""The one type of boosting that skops does not trust by default."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can have


def _skops_io() -> ModuleType:
    """Import skops, but not torch: skops imports each package of scikit-learn, one with torch."""
    with_torch = "sklearn.externals.array_api_compat.torch"
    sys.modules.setdefault(with_torch, None)  # type: ignore[arg-type]  # None: as if not there
    skops_io = import_module("skops.io")
    if sys.modules[with_torch] is None:
        del sys.modules[with_torch]
    return skops_io


def dumped(model: "HistGradientBoostingClassifier") -> bytes:
    """Return the model as a skops file: the same model gives the same bytes.

    skops names objects by their addresses in memory and dates its files. Here they are numbered in
    the order in which they appear, and the dates are fixed.
    """
    with zipfile.ZipFile(io.BytesIO(_skops_io().dumps(model))) as archive:
        schema = json.loads(archive.read("schema.json"))
        numbers: dict[str, int] = {}
        files: dict[str, str] = {}
        numbered = _numbered(schema, numbers, files)
        contents = {"schema.json": json.dumps(numbered).encode()}
        contents |= {new: archive.read(old) for old, new in files.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _numbered(node: object, numbers: dict[str, int], files: dict[str, str]) -> object:
    """Rename the objects of a schema by their first appearance, and likewise its files."""
    if isinstance(node, list):
        return [_numbered(item, numbers, files) for item in node]
    if not isinstance(node, dict):
        return node
    renamed: dict[str, object] = {}
    for key, value in node.items():
        if key == "__id__":
            renamed[key] = numbers.setdefault(str(value), len(numbers))
        elif key == "file":
            suffix = value.rpartition(".")[2]
            renamed[key] = files.setdefault(value, f"{len(files)}.{suffix}")
        else:
            renamed[key] = _numbered(value, numbers, files)
    return renamed


@lru_cache(maxsize=4)  # one prediction after the other reads it once
def loaded(content: bytes) -> "HistGradientBoostingClassifier":
    """Load the model of a skops file; no code of the file is run, and no other type is made."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    try:
        # Pickle would run code of the file; skops makes only objects of trusted types.
        model = _skops_io().loads(content, trusted=TRUSTED)
    except (TypeError, zipfile.BadZipFile, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RunError(f"the stored boosting cannot be read ({text}): train it again") from error
    if not isinstance(model, HistGradientBoostingClassifier):
        raise RunError(
            f"the stored boosting is a {type(model).__name__}, expected a "
            "HistGradientBoostingClassifier: train it again"
        )
    return model


_CLASS_SHARES = (_shares, _predict_shares, lambda arrays: arrays["share"].size, True)
_LINEAR = (_linear, _predict_linear, _linear_parameters)
# An upper limit: trees may have fewer leaves than they are allowed.
_TREES = (_boosting, _predict_boosting, lambda arrays: int(arrays["trees"][0]) * NUMBERS_OF_A_TREE)
_COX = (_cox, _predict_cox, lambda arrays: arrays["weight"].size + arrays["hazard"].size, True)
_SPECTRAL, _WIDE, _SUMMARIES = (
    (partial(_standardised_linear, penalties=penalties), _predict_standardised, _linear_parameters)
    for penalties in (SPECTRAL_PENALTIES, MINIROCKET_PENALTIES, INVERSE_PENALTIES)
)

REFERENCE_MODELS = Registry("reference model", ReferenceModel)
REFERENCE_MODELS |= {
    "majority-class": ReferenceModel("Most frequent class", ("signal",), *_CLASS_SHARES),
    "prevalence": ReferenceModel("Prevalence", ("codes",), *_CLASS_SHARES),
    "logistic-regression": ReferenceModel(
        "Logistic regression", ("features:samples", "features:presence"), *_LINEAR
    ),
    "boosting": ReferenceModel("Boosting", ("features:counts",), *_TREES),
    "spectral-logistic-regression": ReferenceModel(
        "Spectral logistic regression", ("features:spectrum",), *_SPECTRAL
    ),
    "minirocket": ReferenceModel("MiniRocket", ("features:minirocket",), *_WIDE),
    "spectral-boosting": ReferenceModel("Spectral boosting", ("features:spectrum",), *_TREES),
    "summaries-logistic-regression": ReferenceModel(
        "Logistic regression on summaries", ("features:summaries",), *_SUMMARIES
    ),
    "summaries-boosting": ReferenceModel("Boosting on summaries", ("features:summaries",), *_TREES),
    "cox": ReferenceModel("Cox regression", ("features:summaries",), *_COX),
    **{
        name: ReferenceModel(score.title, (f"features:{name}",), *_SPECTRAL)
        for name, score in SCORES.items()
    },
}
"""The baseline models, in table order."""
TEACHER = replace(
    REFERENCE_MODELS["summaries-boosting"],
    fit=lambda examples, seed: {"model": np.array(_boosted(examples, seed, 0.2), object)},
    predict=lambda arrays, features: arrays["model"].item().predict_proba(features),
)
"""Boosting whose forks choose from a fifth of the columns: as good, in a quarter of the time.

It is never stored.
"""
