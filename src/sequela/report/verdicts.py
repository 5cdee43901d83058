"""The report's claims, judged on the runs: holds, does not hold, or cannot be told, and why.

Differences between two models are paired: both are judged on the same held-out segments, and the
bootstrap draws whole recordings. A claim of a direction holds where the 95 % interval of the
difference lies on its side of zero, and cannot be told where the interval includes zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.intervals import Interval, interval
from sequela.evaluation.metrics import example_loss
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import Statistic, ratio
from sequela.studies.folder import RunFolder
from sequela.studies.seizure import Claim

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"
SIMILAR = 0.03
"""Accuracies whose difference surely lies within three points are called similar."""
AREAS = ("tumour area", "healthy area")

Values = NDArray[np.float64]
PerExample = Callable[[Predictions], Values]


@dataclass(frozen=True)
class Verdict:
    """A judged claim.

    Attributes:
        claim: What the report says.
        verdict: ``HOLDS``, ``FAILS`` or ``UNKNOWN``.
        why: The numbers that decide.
    """

    claim: Claim
    verdict: str
    why: str


def judge(claim: Claim, runs: Mapping[str, RunFolder]) -> Verdict:
    """Judge a claim on runs by model name, all of the same split that does not leak."""
    missing = [name for name in claim.models if name not in runs]
    if missing:
        return Verdict(claim, UNKNOWN, f"There is no run of {' and '.join(missing)} by recording.")
    chosen = [runs[name] for name in claim.models]
    if claim.key == "level":
        verdict, why = _level(claim, *chosen)
    else:
        verdict, why = _JUDGES[claim.key](*chosen)
    return Verdict(claim, verdict, why)


def _held_out(run: RunFolder) -> Predictions:
    return run.predictions.part("held_out")


def _correct(predictions: Predictions) -> Values:
    hit: Values = (predictions.predicted == predictions.label).astype(np.float64)
    return hit


def _difference(
    before: RunFolder,
    after: RunFolder,
    value: PerExample,
    among: Callable[[Predictions], Values] = lambda p: np.ones(p.n_examples),
) -> tuple[float, float, Interval]:
    """Means of both runs on the same held-out examples, and the interval of after - before."""
    first, second = _held_out(before), _held_out(after)
    if not np.array_equal(first.example_id, second.example_id):
        raise ValueError("the runs were judged on different examples")
    weight = among(first)
    a, b = value(first) * weight, value(second) * weight
    paired = ratio(b - a, weight, first.group_index)
    found = interval(paired, np.random.default_rng(before.settings.seed))
    return float(a.sum() / weight.sum()), float(b.sum() / weight.sum()), found


def _direction(found: Interval, *, up: bool) -> str:
    """The verdict on a claim that a difference is above (or below) zero."""
    if found.low <= 0 <= found.high:
        return UNKNOWN
    return HOLDS if (found.low > 0) == up else FAILS


def _points(found: Interval) -> str:
    return (
        f"95 % interval of the difference {100 * found.low:+.1f} to {100 * found.high:+.1f} points"
    )


def _accuracy_rises(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    a, b, found = _difference(before, after, _correct)
    return _direction(found, up=True), f"From {a:.1%} to {b:.1%}; {_points(found)}."


def _loss_falls(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    a, b, found = _difference(before, after, example_loss)
    return _direction(found, up=False), (
        f"From {a:.2f} to {b:.2f}; 95 % interval of the difference "
        f"{found.low:+.2f} to {found.high:+.2f}."
    )


def _level(claim: Claim, run: RunFolder) -> tuple[str, str]:
    """A claim that an accuracy or loss is a number, or lies below or above it."""
    predictions = _held_out(run)
    values = _correct(predictions) if claim.number == "accuracy" else example_loss(predictions)
    found = interval(
        ratio(values, np.ones(len(values)), predictions.group_index),
        np.random.default_rng(run.settings.seed),
    )
    below, above = found.high < claim.value, found.low > claim.value
    if claim.relation == "about":
        verdict = FAILS if below or above else HOLDS
    elif below or above:
        verdict = HOLDS if below == (claim.relation == "below") else FAILS
    else:
        verdict = UNKNOWN
    form = "{:.1%}" if claim.number == "accuracy" else "{:.2f}"
    mean, low, high = (form.format(v) for v in (values.mean(), found.low, found.high))
    return verdict, f"It is {mean} here, 95 % interval {low} to {high}."


def _underfits(small: RunFolder, large: RunFolder) -> tuple[str, str]:
    """A model under-fits if a larger one does better on unseen data than it on its own."""
    own = small.metrics["parts"]["train"]["accuracy"]
    low, high = large.metrics["parts"]["held_out"]["accuracy_ci"]
    verdict = HOLDS if own < low else FAILS if own > high else UNKNOWN
    return verdict, (
        f"On its own training segments it reaches {own:.1%}; the improved MLP reaches "
        f"{low:.1%} to {high:.1%} on unseen ones."
    )


def _similar_best(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    a, b, found = _difference(before, after, _correct)
    losses = _difference(before, after, example_loss)
    if found.low > -SIMILAR and found.high < SIMILAR:
        verdict = HOLDS
    else:
        verdict = FAILS if found.low > SIMILAR or found.high < -SIMILAR else UNKNOWN
    return verdict, (
        f"Accuracy {a:.1%} and {b:.1%}, {_points(found)}; loss {losses[0]:.2f} and "
        f"{losses[1]:.2f}. Similar means here: surely within {100 * SIMILAR:.0f} points."
    )


def _less_overfitting(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    """The gap between training and held-out accuracy, and how it differs between two runs."""
    both = [run.predictions.where(run.predictions.split != "tuning") for run in (before, after)]
    group = both[0].group_index
    train = (both[0].split == "train").astype(np.float64)
    change = _correct(both[1]) - _correct(both[0])
    on_train = ratio(change * train, train, group)
    on_held_out = ratio(change * (1 - train), 1 - train, group)
    gap = Statistic(
        value=lambda w: on_train.value(w) - on_held_out.value(w), n_groups=on_train.n_groups
    )
    stratum = np.zeros(gap.n_groups, dtype=np.int64)
    stratum[group] = train.astype(np.int64)
    found = interval(gap, np.random.default_rng(before.settings.seed), stratum=stratum)
    gaps = [
        r.metrics["parts"]["train"]["accuracy"] - r.metrics["parts"]["held_out"]["accuracy"]
        for r in (before, after)
    ]
    return _direction(found, up=False), (
        f"Training minus held-out accuracy: {100 * gaps[0]:.1f} points for the baseline, "
        f"{100 * gaps[1]:.1f} for the improved; {_points(found)}."
    )


def _diagonal_rises(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    _, _, found = _difference(before, after, _correct)
    recalls = [r.metrics["parts"]["held_out"]["per_class_recall"] for r in (before, after)]
    up = sum(b > a for a, b in zip(*recalls, strict=True))
    verdict = _direction(found, up=True)
    if verdict == HOLDS and up < len(recalls[0]):
        verdict = UNKNOWN
    return verdict, (
        f"{up} of {len(recalls[0])} classes are found more often; mean recall "
        f"{np.mean(recalls[0]):.1%} and {np.mean(recalls[1]):.1%}, {_points(found)}."
    )


def asymmetry(confusion: Values) -> Values:
    """Share of the errors that their mirror images do not balance: 0 symmetric, 1 one-sided.

    Args:
        confusion: (..., class, class) counts or weights.

    Returns:
        (...).
    """
    errors = confusion * (1 - np.eye(confusion.shape[-1]))
    unbalanced = np.abs(errors - np.swapaxes(errors, -1, -2)).sum((-1, -2)) / 2
    share: Values = unbalanced / np.maximum(errors.sum((-1, -2)), 1e-12)
    return share


def _more_symmetric(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    tables = []
    for predictions in (_held_out(before), _held_out(after)):
        n, k = len(np.unique(predictions.group_id)), len(predictions.classes)
        table = np.zeros((n, k, k))
        np.add.at(table, (predictions.group_index, predictions.label, predictions.predicted), 1)
        tables.append(table)
    change = Statistic(
        value=lambda w: (
            asymmetry(np.tensordot(w, tables[1], 1)) - asymmetry(np.tensordot(w, tables[0], 1))
        ),
        n_groups=len(tables[0]),
    )
    found = interval(change, np.random.default_rng(before.settings.seed))
    a, b = (float(asymmetry(t.sum(0))) for t in tables)
    return _direction(found, up=False), (
        f"Errors that no opposite error balances: {a:.0%} for the baseline, {b:.0%} for the "
        f"improved; {_points(found)}."
    )


def _areas_better(before: RunFolder, after: RunFolder) -> tuple[str, str]:
    def among(predictions: Predictions) -> Values:
        wanted = [predictions.classes.index(name) for name in AREAS]
        return np.isin(predictions.label, wanted).astype(np.float64)

    a, b, found = _difference(before, after, _correct, among)
    return _direction(found, up=True), (
        f"Of the segments of these two classes {a:.1%} and {b:.1%} are found; {_points(found)}."
    )


_JUDGES: dict[str, Callable[..., tuple[str, str]]] = {
    "accuracy-rises": _accuracy_rises,
    "areas-better": _areas_better,
    "diagonal-rises": _diagonal_rises,
    "less-overfitting": _less_overfitting,
    "loss-falls": _loss_falls,
    "more-symmetric": _more_symmetric,
    "similar-best": _similar_best,
    "underfits": _underfits,
}
