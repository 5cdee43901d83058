"""The report's claims, judged on the runs: holds, does not hold, or inconclusive, and why.

Differences between two models are paired: both are judged on the same held-out examples, and the
bootstrap draws whole recordings or subjects. A claim of a direction holds where the 95 % interval
of the difference lies on its side of zero, and is inconclusive where the interval includes zero.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.intervals import Interval, interval
from sequela.evaluation.metrics import example_loss, named, statistic_of
from sequela.evaluation.number import number
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.resampling import class_strata
from sequela.evaluation.statistic import Statistic, ratio
from sequela.runs.find import Run
from sequela.studies.claims import Claim

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "inconclusive"
SIMILAR = 0.03
"""Accuracies whose difference surely lies within three points are called similar."""
_HALF = 0.5

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


def judge(claim: Claim, runs: Mapping[str, Run]) -> Verdict:
    """Judge a claim on runs by model name, all of the same split that does not leak."""
    missing = [name for name in claim.models if name not in runs]
    if missing:
        return Verdict(claim, UNKNOWN, f"There is no run of {' and '.join(missing)} here.")
    chosen = [runs[name] for name in claim.models]
    verdict, why = _JUDGES[claim.key](claim, *chosen)
    return Verdict(claim, verdict, why)


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many hold, in words."""
    counts = Counter(v.verdict for v in verdicts)
    return f"{counts[HOLDS]} hold, {counts[FAILS]} do not hold, {counts[UNKNOWN]} are inconclusive"


def _held_out(run: Run) -> Predictions:
    return run.predictions.part("held_out")


def _rng(run: Run) -> np.random.Generator:
    return np.random.default_rng(run.settings.seed)


def _strata(run: Run, predictions: Predictions) -> NDArray[np.int64] | None:
    """Recordings are drawn within their class: how many there are of each was chosen."""
    if not run.data["classes_fixed"]:
        return None
    return class_strata(predictions.label, predictions.group_index)


def _correct(predictions: Predictions) -> Values:
    hit: Values = (predictions.predicted == predictions.label).astype(np.float64)
    return hit


def _difference(
    before: Run,
    after: Run,
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
    found = interval(paired, _rng(before), stratum=_strata(before, first))
    return float(a.sum() / weight.sum()), float(b.sum() / weight.sum()), found


def _direction(found: Interval, *, up: bool) -> str:
    """The verdict on a claim that a difference is above (or below) zero."""
    if found.low <= 0 <= found.high:
        return UNKNOWN
    return HOLDS if (found.low > 0) == up else FAILS


def _points(found: Interval) -> str:
    low, high = 100 * found.low, 100 * found.high
    return f"95 % interval of the difference {low:+z.1f} to {high:+z.1f} points"


def _accuracy_rises(_: Claim, before: Run, after: Run) -> tuple[str, str]:
    a, b, found = _difference(before, after, _correct)
    return _direction(found, up=True), f"From {a:.1%} to {b:.1%}; {_points(found)}."


def _loss_falls(_: Claim, before: Run, after: Run) -> tuple[str, str]:
    a, b, found = _difference(before, after, example_loss)
    return _direction(found, up=False), (
        f"From {a:.2f} to {b:.2f}; 95 % interval of the difference "
        f"{found.low:+z.2f} to {found.high:+z.2f}."
    )


def _number(run: Run, name: str) -> tuple[float, float, float]:
    """A held-out number and its interval: as it was written, or of the predictions."""
    metric = named(name)
    if f"{metric.key}_ci" in run.test:
        low, high = run.test[f"{metric.key}_ci"]
        return run.test[metric.key], low, high
    predictions = _held_out(run)
    resampled = statistic_of(name, predictions)
    found = interval(resampled, _rng(run), stratum=_strata(run, predictions))
    return metric.value(predictions), found.low, found.high


def _level(claim: Claim, run: Run) -> tuple[str, str]:
    """A claim that a number is a value, or lies below or above it."""
    numbers = _number(run, claim.number)
    below, above = numbers[2] < claim.value, numbers[1] > claim.value
    if claim.relation == "about":
        verdict = FAILS if below or above else HOLDS
    elif below or above:
        verdict = HOLDS if below == (claim.relation == "below") else FAILS
    else:
        verdict = UNKNOWN
    form = named(claim.number).form
    mean, low, high = (number(value, form) for value in numbers)
    return verdict, f"Measured: {mean}, 95 % interval {low} to {high}."


def _recalls(run: Run) -> list[tuple[str, float, float, float]]:
    """Class, share found at 0.5, and its interval: of class 1, then of class 0."""
    point = run.test["operating_points"][0]
    names = reversed(run.metrics["data"]["classes"])
    return [
        (name, point[number], *point[f"{number}_ci"])
        for name, number in zip(names, ("sensitivity", "specificity"), strict=True)
    ]


def _in_words(recalls: Sequence[tuple[str, float, float, float]]) -> str:
    return "; ".join(
        f"recall of “{name}” is {value:.1%} ({low:.1%} to {high:.1%})"
        for name, value, low, high in recalls
    )


def _blind(_: Claim, run: Run) -> tuple[str, str]:
    """Blind to class 1: most of it is surely missed, while the other class is found."""
    recalls = _recalls(run)
    _name, _value, low, high = recalls[0]
    verdict = HOLDS if high < _HALF else FAILS if low > _HALF else UNKNOWN
    return verdict, f"At 0.5, {_in_words(recalls)}."


def _both_classes(claim: Claim, run: Run) -> tuple[str, str]:
    recalls = _recalls(run)
    if all(low > claim.value for _, _, low, _ in recalls):
        verdict = HOLDS
    else:
        verdict = FAILS if any(high < claim.value for *_, high in recalls) else UNKNOWN
    chosen = run.test["operating_points"][1]
    return verdict, (
        f"At 0.5, {_in_words(recalls)}. At the threshold chosen on the tuning part "
        f"({chosen['threshold']:.2f}): {chosen['sensitivity']:.1%} and {chosen['specificity']:.1%}."
    )


def _underfits(_: Claim, small: Run, large: Run) -> tuple[str, str]:
    """A model under-fits if a larger one does better on unseen data than it on its own."""
    own = small.metrics["parts"]["train"]["accuracy"]
    low, high = large.metrics["parts"]["held_out"]["accuracy_ci"]
    verdict = HOLDS if own < low else FAILS if own > high else UNKNOWN
    return verdict, (
        f"On its training {small.data['example']}s its accuracy is {own:.1%}; the improved model "
        f"has {low:.1%} to {high:.1%} on held-out ones."
    )


def _similar_best(_: Claim, before: Run, after: Run) -> tuple[str, str]:
    a, b, found = _difference(before, after, _correct)
    losses = _difference(before, after, example_loss)
    if found.low > -SIMILAR and found.high < SIMILAR:
        verdict = HOLDS
    else:
        verdict = FAILS if found.low > SIMILAR or found.high < -SIMILAR else UNKNOWN
    return verdict, (
        f"Accuracy {a:.1%} and {b:.1%}, {_points(found)}; loss {losses[0]:.2f} and "
        f"{losses[1]:.2f}. Similar means: the 95 % interval of the difference lies within "
        f"{100 * SIMILAR:.0f} points."
    )


def _less_overfitting(_: Claim, before: Run, after: Run) -> tuple[str, str]:
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
    stratum = class_strata(both[0].label * 2 + train.astype(np.int64), group)
    found = interval(gap, _rng(before), stratum=stratum)
    gaps = [
        r.metrics["parts"]["train"]["accuracy"] - r.metrics["parts"]["held_out"]["accuracy"]
        for r in (before, after)
    ]
    return _direction(found, up=False), (
        f"Training minus held-out accuracy: {100 * gaps[0]:z.1f} points for the baseline, "
        f"{100 * gaps[1]:z.1f} for the improved; {_points(found)}."
    )


def _diagonal_rises(_: Claim, before: Run, after: Run) -> tuple[str, str]:
    found = _difference(before, after, _correct)[2]
    recalls = [r.metrics["parts"]["held_out"]["per_class_recall"] for r in (before, after)]
    up = sum(b > a for a, b in zip(*recalls, strict=True))
    verdict = _direction(found, up=True)
    if verdict == HOLDS and up < len(recalls[0]):
        verdict = UNKNOWN
    return verdict, (
        f"{up} of {len(recalls[0])} classes have a higher recall; mean recall "
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


def _more_symmetric(_: Claim, before: Run, after: Run) -> tuple[str, str]:
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
    found = interval(change, _rng(before), stratum=_strata(before, _held_out(before)))
    a, b = (float(asymmetry(t.sum(0))) for t in tables)
    return _direction(found, up=False), (
        f"Share of errors not balanced by the opposite error: {a:.0%} for the baseline, {b:.0%} "
        f"for the improved; {_points(found)}."
    )


def _classes_better(claim: Claim, before: Run, after: Run) -> tuple[str, str]:
    def among(predictions: Predictions) -> Values:
        wanted = [predictions.classes.index(name) for name in claim.classes]
        return np.isin(predictions.label, wanted).astype(np.float64)

    a, b, found = _difference(before, after, _correct, among)
    return _direction(found, up=True), (
        f"Recall of these classes together: {a:.1%} and {b:.1%}; {_points(found)}."
    )


_JUDGES: dict[str, Callable[..., tuple[str, str]]] = {
    "accuracy-rises": _accuracy_rises,
    "blind": _blind,
    "both-classes": _both_classes,
    "classes-better": _classes_better,
    "diagonal-rises": _diagonal_rises,
    "less-overfitting": _less_overfitting,
    "level": _level,
    "loss-falls": _loss_falls,
    "more-symmetric": _more_symmetric,
    "similar-best": _similar_best,
    "underfits": _underfits,
}
