"""A report's claims, judged on runs: holds, does not hold, inconclusive, or not testable here.

Each claim is one number that is about, below or above a value. Its interval is that of the recipe
on new groups (:mod:`sequela.evaluation.recipe`). A claim is decided where the number lies surely on
one side of every bound that the claim sets, surely meaning a p-value below 0.005 (Benjamin et al.
2018, Nature Human Behaviour 2, 6) after Holm's correction for all claims of the study that can be
tested.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sequela.evaluation.comparison import holm
from sequela.evaluation.metrics import named
from sequela.evaluation.number import number
from sequela.evaluation.recipe import Design, RecipeNumber, across_folds
from sequela.runs.find import Run
from sequela.runs.recipe import bootstrap_of, judged
from sequela.studies.claims import Claim, Condition
from sequela.studies.statistics import number_of

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "inconclusive"
UNTESTABLE = "not testable here"
ANSWERS = (HOLDS, FAILS, UNKNOWN, UNTESTABLE)
SURE = 0.005
"""p-value, corrected for the number of claims, below which a claim is decided."""


@dataclass(frozen=True)
class Verdict:
    """A judged claim.

    Attributes:
        claim: What the report says.
        verdict: One of ``ANSWERS``.
        why: The numbers that decide, or the reason why none can.
    """

    claim: Claim
    verdict: str
    why: str


def judge(claims: Sequence[Claim], runs: Mapping[str, Run]) -> list[Verdict]:
    """Judge all claims of a study, on runs by model name, all of the same split.

    Raises:
        UnknownNameError: If a claim is about a number or metric that does not exist.
        SettingError: If it names another number of models.
    """
    reasons = [_why_untestable(claim, runs) for claim in claims]
    measured = [
        None if reason else _measured(claim, [runs[name] for name in claim.models])
        for claim, reason in zip(claims, reasons, strict=True)
    ]
    corrected = iter(holm([p for _, p in filter(None, measured)]).tolist())
    return [
        Verdict(claim, UNTESTABLE, reason)
        if found is None
        else _verdict(claim, runs, found[0], next(corrected))
        for claim, reason, found in zip(claims, reasons, measured, strict=True)
    ]


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many hold, in words."""
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


def _measured(claim: Claim, runs: Sequence[Run]) -> tuple[RecipeNumber, float]:
    """The number of a claim, and the two-sided p-value against its nearest bound."""
    form, first = number_of(claim), runs[0]
    folds = list(zip(*(run.runs for run in runs), strict=True))
    how = bootstrap_of(first.runs[0])
    design = Design.of(judged(first.runs), classes_fixed=how.classes_fixed)
    held_out = [form.of(claim, fold, "held_out") for fold in folds]
    tuning = [form.of(claim, fold, "tuning") for fold in folds] if design.tuning else []
    rng = np.random.default_rng(first.settings.seed)
    (found,) = across_folds(held_out, rng, how, design, tuning)
    if found.interval is None:
        return found, 1.0
    return found, max(found.p_value(bound) for bound in _bounds(claim))


def _bounds(claim: Claim) -> tuple[float, ...]:
    """The values that part a number for which the claim holds from one for which it does not."""
    if claim.relation == "about":
        return claim.value - claim.margin, claim.value + claim.margin
    return (claim.value,)


def _true_of(claim: Claim, value: float) -> bool:
    """Whether the claim is true of a number."""
    if claim.relation == "about":
        return abs(value - claim.value) < claim.margin
    return value < claim.value if claim.relation == "below" else value > claim.value


def _verdict(claim: Claim, runs: Mapping[str, Run], found: RecipeNumber, p_value: float) -> Verdict:
    answer = UNKNOWN
    if p_value < SURE:
        answer = HOLDS if _true_of(claim, found.value) else FAILS
    scale = number_of(claim).scale(claim)
    measured = scale.of(found.value)
    if found.interval:
        measured += f" (95 % interval {scale.of(found.interval.low, found.interval.high)})"
    if claim.statistic == "change":
        before, after = (_level(runs[name], claim.metric) for name in claim.models)
        measured = f"From {before} to {after}: {measured}"
    asked = f"{claim.relation} {scale.of(claim.value) if claim.value else 0}"
    if claim.margin:
        asked += f", within {scale.without_sign(claim.margin)}"
    chance = "below 0.001" if p_value < 0.001 else f"{p_value:.3f}"  # noqa: PLR2004
    return Verdict(claim, answer, f"{measured}. Claimed: {asked}; p {chance}.")


def _level(run: Run, name: str) -> str:
    metric = named(name)
    each = [metric.value(fold.predictions.part("held_out")) for fold in run.runs]
    return number(float(np.mean(each)), metric.form).replace("%", " %")


def _why_untestable(claim: Claim, runs: Mapping[str, Run]) -> str:
    """The reason why a claim cannot be judged on these runs, or nothing."""
    missing = [name for name in claim.models if name not in runs]
    if missing:
        return f"There is no run of {' and '.join(missing)} here."
    chosen = [runs[name] for name in claim.models]
    counts = chosen[0].data["counts"]
    if min(counts) < claim.fewest:
        return (
            f"The rarer class has {min(counts)} examples; fewer than {claim.fewest} tell nothing."
        )
    reasons = (_CONDITIONS[name](claim, chosen) for name in claim.untestable)
    return next(filter(None, reasons), "")


def _other_prevalence(claim: Claim, runs: Sequence[Run]) -> str:
    counts = runs[0].data["counts"]
    rarer, (low, high) = min(counts) / sum(counts), claim.prevalence
    if low <= rarer <= high:
        return ""
    return (
        f"The rarer class has {100 * rarer:.0f} % of the examples here. The number depends on "
        f"that share, which is taken to be {100 * low:.0f} to {100 * high:.0f} % in the report."
    )


def _no_recurrence(_: Claim, runs: Sequence[Run]) -> str:
    single = runs[0].data["sequences"]["steps_distribution"]["share_of_one"]
    if single <= 0.5:  # noqa: PLR2004
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
    name = runs[0].data["classes"][int(runs[0].runs[0].predictions.predicted[0])]
    return f"The models predict “{name}” for every example, so that they are alike in nothing else."


_CONDITIONS: Mapping[Condition, Callable[[Claim, Sequence[Run]], str]] = {
    "other prevalence": _other_prevalence,
    "no recurrence": _no_recurrence,
    "one class predicted": _one_class_predicted,
}
