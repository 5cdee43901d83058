"""The verdicts on a report's claims, from runs.

Each claim is one number that is about, below or above a value. Its interval is for the training
procedure on new groups (:mod:`sequela.evaluation.recipe`). The interval alone gives *supported*,
*contradicted* or *open*. A claim is also *settled* if it stays so after Holm's correction for all
claims of the study that can be tested, at 0.05: then it holds or does not hold, else it is
inconclusive. A claim about a value is settled by two one-sided tests (Schuirmann 1987).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sequela.evaluation.comparison import holm
from sequela.evaluation.metrics import named
from sequela.evaluation.number import number
from sequela.evaluation.recipe import RecipeNumber
from sequela.runs.find import Run
from sequela.runs.recipe import over_runs
from sequela.studies.claims import Claim, Condition
from sequela.studies.statistics import number_of

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "inconclusive"
UNTESTABLE = "not testable here"
ANSWERS = (HOLDS, FAILS, UNKNOWN, UNTESTABLE)
SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "open"
LEVEL = 0.05
"""The p-value, corrected for the number of claims, below which a claim is settled."""
_SETTLED = {SUPPORTED: HOLDS, CONTRADICTED: FAILS}
_REASONS = {
    SUPPORTED: "The interval supports it",
    CONTRADICTED: "The interval contradicts it",
    OPEN: "The interval includes both answers.",
}


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, one of ``ANSWERS``.

    The reason is what the interval and the p-value show, or why the claim cannot be tested. From
    the 95 % interval alone it is ``supported``, ``contradicted`` or ``open``, or ``not testable
    here``. The number with its interval and the number as claimed are empty where there is none.
    """

    claim: Claim
    verdict: str
    reason: str
    interval_verdict: str = UNTESTABLE
    measured: str = ""
    asked: str = ""

    @property
    def why(self) -> str:
        """The numbers behind the verdict, or the reason why there are none."""
        if not self.measured:
            return self.reason
        return f"{self.measured}. Claimed: {self.asked}. {self.reason}"


@dataclass(frozen=True)
class _Measured:
    """The number of a claim on some runs, and the prevalence if it was weighted to one."""

    number: RecipeNumber
    prevalence: float | None = None

    def answer(self, claim: Claim) -> str:
        """Return the verdict of the interval: all of it, or none of it, is as claimed."""
        if self.number.interval is None:
            return OPEN
        low, high = self.number.interval.low, self.number.interval.high
        least, most = _bounds(claim)
        if least < low and high < most:
            return SUPPORTED
        return CONTRADICTED if high < least or most < low else OPEN

    def p_value(self, claim: Claim) -> float:
        """Return the larger p-value against the claim's bounds.

        It is two-sided for one bound. For two bounds it is one-sided: a number is within both if it
        is above the lower and below the upper one, and outside if it is beyond the nearer.
        """
        bounds = [bound for bound in _bounds(claim) if np.isfinite(bound)]
        p_values = [self.number.p_value(bound) for bound in bounds]
        if len(bounds) == 1:
            return p_values[0]
        low, high = bounds
        if low < self.number.value < high:
            return max(p_values) / 2
        return p_values[int(self.number.value >= high)] / 2

    def in_words(self, claim: Claim) -> str:
        """Format the number with its interval, and the prevalence if it was weighted."""
        scale, interval = number_of(claim).scale(claim), self.number.interval
        said = scale.of(self.number.value)
        if interval:
            said += f" (95 % interval {scale.of(interval.low, interval.high)})"
        if self.prevalence is not None:
            said += f" at a prevalence of {100 * self.prevalence:.0f} %"
        if claim.relation == "about" and self.answer(claim) == OPEN and interval:
            outside = not interval.low <= claim.value <= interval.high
            said += " (the claimed value is outside)" * outside
        return said


def judge(claims: Sequence[Claim], runs: Mapping[str, Run]) -> list[Verdict]:
    """Judge all claims of a study, on runs by model name, all on the same split."""
    reasons = [_why_untestable(claim, runs) for claim in claims]
    measured = [
        [] if reason else _measured(claim, [runs[name] for name in claim.models])
        for claim, reason in zip(claims, reasons, strict=True)
    ]
    tested = [(c, some) for c, some in zip(claims, measured, strict=True) if some]
    corrected = iter(holm([_p_value(c, some) for c, some in tested]).tolist())
    return [
        _verdict(claim, runs, some, next(corrected)) if some else Verdict(claim, UNTESTABLE, reason)
        for claim, reason, some in zip(claims, reasons, measured, strict=True)
    ]


def tally(verdicts: Sequence[Verdict]) -> str:
    """Count the answers, in words."""
    counts = Counter(v.verdict for v in verdicts)
    words = {
        HOLDS: ("holds", "hold"),
        FAILS: ("does not hold", "do not hold"),
        UNKNOWN: ("is inconclusive", "are inconclusive"),
        UNTESTABLE: ("cannot be tested here", "cannot be tested here"),
    }
    return ", ".join(
        f"{counts[answer]} {one if counts[answer] == 1 else many}"
        for answer, (one, many) in words.items()
        if answer != UNTESTABLE or counts[answer]
    )


def _measured(claim: Claim, runs: Sequence[Run]) -> list[_Measured]:
    """Measure the number of a claim; at both ends of the report's prevalence if it differs."""
    counts, (low, high) = runs[0].data.counts, claim.prevalence
    shares = (None,) if low <= counts[1] / sum(counts) <= high else (low, high)
    return [_Measured(_number(claim, runs, share), share) for share in shares]


def _number(claim: Claim, runs: Sequence[Run], share: float | None) -> RecipeNumber:
    form, folds = number_of(claim), list(zip(*(run.runs for run in runs), strict=True))
    (found,) = over_runs(
        runs[0].runs, lambda n, part: form.of(claim, folds[n], part, share), paired=form.paired
    )
    return found


def _bounds(claim: Claim) -> tuple[float, float]:
    low, high = claim.value - claim.margin, claim.value + claim.margin
    return (
        -np.inf if claim.relation == "below" else low,
        np.inf if claim.relation == "above" else high,
    )


def _answer(claim: Claim, measured: Sequence[_Measured]) -> str:
    """Return the intervals' verdict, if they agree."""
    answers = {each.answer(claim) for each in measured}
    return answers.pop() if len(answers) == 1 else OPEN


def _p_value(claim: Claim, measured: Sequence[_Measured]) -> float:
    """Return the larger p-value; 1 where the claim is open."""
    if _answer(claim, measured) == OPEN:
        return 1.0
    return max(each.p_value(claim) for each in measured)


def _verdict(
    claim: Claim, runs: Mapping[str, Run], measured: Sequence[_Measured], p_value: float
) -> Verdict:
    answer = _answer(claim, measured)
    verdict = _SETTLED.get(answer, UNKNOWN) if p_value < LEVEL else UNKNOWN
    said = " and ".join(each.in_words(claim) for each in measured)
    if claim.statistic == "change":
        before, after = (_level(runs[name], claim.metric) for name in claim.models)
        said = f"From {before} to {after}: {said}"
    scale = number_of(claim).scale(claim)
    asked = f"{claim.relation} {scale.claimed(claim.value) if claim.value else 0}"
    if claim.margin:
        unit = " points" if scale.unit == " %" else scale.unit
        asked += f", within {scale.claimed(claim.margin, unit)}"
    reason = _REASONS[answer]
    if answer != OPEN:
        chance = "below 0.001" if p_value < 0.001 else f"{p_value:.3f}"  # noqa: PLR2004
        settled = verdict != UNKNOWN
        reason += f" (p {chance})." if settled else f", but not after the correction (p {chance})."
    return Verdict(claim, verdict, reason, answer, said, asked)


def _level(run: Run, name: str) -> str:
    metric = named(name)
    each = [metric.value(fold.predictions.part("held_out")) for fold in run.runs]
    return number(float(np.mean(each)), metric.form).replace("%", " %")


def _why_untestable(claim: Claim, runs: Mapping[str, Run]) -> str:
    missing = [name for name in claim.models if name not in runs]
    if missing:
        return f"There is no run of {' and '.join(missing)} here."
    chosen = [runs[name] for name in claim.models]
    counts = chosen[0].data.counts
    if min(counts) < claim.fewest:
        return f"The rarer class has {min(counts)} examples; fewer than {claim.fewest} are too few."
    reasons = (_CONDITIONS[name](claim, chosen) for name in claim.untestable)
    return next(filter(None, reasons), "")


def _no_recurrence(_: Claim, runs: Sequence[Run]) -> str:
    steps = runs[0].data.sequences and runs[0].data.sequences.steps_distribution
    if not steps or (single := steps.share_of_one) <= 0.5:  # noqa: PLR2004
        return ""
    return (
        f"{100 * single:.0f} % of the sequences have one step: nothing recurs, so no recurrent "
        "model is tested."
    )


def _one_class_predicted(_: Claim, runs: Sequence[Run]) -> str:
    for run in runs:
        held_out = [fold.predictions.part("held_out") for fold in run.runs]
        if len({int(one) for each in held_out for one in np.unique(each.predicted)}) > 1:
            return ""
    name = runs[0].data.classes[int(runs[0].runs[0].predictions.predicted[0])]
    return f"The models predict “{name}” for every example, so they cannot be compared."


_CONDITIONS: Mapping[Condition, Callable[[Claim, Sequence[Run]], str]] = {
    "no recurrence": _no_recurrence,
    "one class predicted": _one_class_predicted,
}
