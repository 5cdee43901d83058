"""Judge the claims of a study; compare its default and improved models, and leaks.

Each claim is one number that is about, below or above a value. The 90 % interval of the training
procedure on new groups (:mod:`sequela.evaluation.recipe`) supports it, contradicts it, or neither;
either is wrong in at most 5 % of studies (two one-sided tests, Schuirmann 1987). Primary claims, or
all where none is primary, hold or do not hold after Holm's correction for their number.
The default model was fixed before any training (:mod:`sequela.models.defaults`).
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import chain

import numpy as np
from scipy.stats import norm

from sequela.analysis.compare import Compared, compare_opened, over_models
from sequela.errors import DataError
from sequela.evaluation.comparison import Difference, holm, paired_difference
from sequela.evaluation.intervals import Estimate, Interval, difference
from sequela.evaluation.metrics import Metric, headline, named
from sequela.evaluation.number import number, plural
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.recipe import RecipeNumber
from sequela.evaluation.statistic import Statistic
from sequela.evaluation.summary import as_written
from sequela.models.defaults import default_for
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import title_of
from sequela.runs.find import Run
from sequela.runs.recipe import bootstrap_of, judged, over_runs
from sequela.studies.claims import Claim, Condition
from sequela.studies.registry import STUDIES, planned_leak, question_of
from sequela.studies.statistics import number_of
from sequela.studies.study import Study
from sequela.version import __version__

HOLDS = "holds"
FAILS = "does not hold"
SUPPORTED = "supported"
CONTRADICTED = "contradicted"
UNDECIDABLE = "cannot be decided"
DEPENDS = "depends on prevalence"
UNSTABLE = "unstable"
OPEN = "open"
NOT_YET = "not yet tested"  # while its runs are awaited
UNTESTABLE = "not testable here"
CORRECTED = {SUPPORTED: HOLDS, CONTRADICTED: FAILS}  # the answer of an interval, and of a test
WITH_ANSWER = (HOLDS, FAILS, SUPPORTED, CONTRADICTED)
ANSWERS = (*WITH_ANSWER, UNDECIDABLE, DEPENDS, UNSTABLE, OPEN, NOT_YET, UNTESTABLE)
LEVEL = 0.05  # the highest probability of a wrong answer, for one claim or corrected for several
LEAST_POWER = 0.5  # below it, a claim without an answer cannot be decided
LEAST_AGREEMENT = 0.8  # the lowest share of reruns with the same answer for it to be shown
RERUNS = "reruns.json"
SAME_DATA = ("name", "examples", "counts")
"""The facts about data that must be equal for verdicts to be comparable."""
_REASONS = {SUPPORTED: "supports it", CONTRADICTED: "contradicts it", OPEN: "includes both answers"}


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, one of ``ANSWERS``; ``docs/reproduce.md`` has the meaning and order.

    ``interval_verdict`` is from the 90 % interval alone: ``supported``, ``contradicted``, ``open``.
    ``label`` is the verdict with its circumstances. The number with its interval and the number as
    claimed are empty where there is none.

    The verdict is on the study's own question and split. ``by_row`` is that on a split by row,
    which leaks, and ``as_reported`` that on the report's own question. ``reruns`` are the number of
    reruns with other seeds and the same answer, and their total; ``None`` if not measured.
    """

    claim: Claim
    verdict: str
    reason: str
    interval_verdict: str = UNTESTABLE
    measured: str = ""
    claimed: str = ""
    label: str = ""
    by_row: "Verdict | None" = None
    as_reported: "Verdict | None" = None
    reruns: tuple[int, int] | None = None

    @property
    def why(self) -> str:
        """The numbers behind the verdict, or the reason why there are none."""
        if not self.measured:
            return self.reason
        return f"{self.measured}. Claimed: {self.claimed}. {self.reason}"

    def to_dict(self) -> dict[str, object]:
        """Return the verdicts for ``results.json``."""
        record: dict[str, object] = {
            "id": self.claim.id,
            "claim": self.claim.claim,
            "primary": self.claim.primary,
            "verdict": self.verdict,
            "interval_verdict": self.interval_verdict,
            "why": self.why,
            "by_row": self.by_row and self.by_row.verdict,
        }
        if self.as_reported:
            record["as_reported"] = self.as_reported.verdict
        if self.reruns:
            record["same_in_reruns"] = list(self.reruns)
        return record


@dataclass(frozen=True)
class _Tested:
    """The number of a claim on some runs, at each prevalence of the report if it is weighted."""

    claim: Claim
    numbers: tuple[tuple[RecipeNumber, float | None], ...]

    @classmethod
    def on(cls, claim: Claim, runs: Sequence[Run]) -> "_Tested":
        """Measure the number; at both ends of the report's prevalence if the data's differs."""
        # Without a stated prevalence the range is 0 to 1, which every data set is within.
        counts, (low, high) = runs[0].data.counts, claim.prevalence
        shares = (None,) if low <= counts[1] / sum(counts) <= high else (low, high)
        form, folds = number_of(claim), list(zip(*(run.runs for run in runs), strict=True))

        def measure(share: float | None) -> RecipeNumber:
            def of(fold: int, part: str) -> Statistic:
                return form.make(claim, folds[fold], part, share)

            level = 1 - 2 * LEVEL  # LEVEL on each side
            (measured,) = over_runs(runs[0].runs, of, paired=form.paired, level=level)
            return measured

        return cls(claim, tuple((measure(share), share) for share in shares))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that is as claimed."""
        low, high = self.claim.value - self.claim.margin, self.claim.value + self.claim.margin
        return (
            -np.inf if self.claim.relation == "below" else low,
            np.inf if self.claim.relation == "above" else high,
        )

    @property
    def answer(self) -> str:
        """The verdict of the intervals, if all are as claimed, or are beyond the same bound."""
        sides = {self._side(measured.interval) for measured, _ in self.numbers}
        side = sides.pop() if len(sides) == 1 else OPEN
        return side if side in (SUPPORTED, OPEN) else CONTRADICTED

    def _side(self, interval: Interval | None) -> str:
        least, most = self.bounds
        if interval is None:
            return OPEN
        # The whole interval must be within the bounds. An interval that only includes the claimed
        # value does not support it: few data would support every claim.
        if least < interval.low and interval.high < most:
            return SUPPORTED
        return "below" if interval.high < least else "above" if most < interval.low else OPEN

    @property
    def p_value(self) -> float:
        """The one-sided p-value against the nearer bound; 1 where the claim is open.

        A number is within two bounds if both one-sided tests reject, so the larger p-value counts.
        """
        if self.answer == OPEN:
            return 1.0
        bounds = [bound for bound in self.bounds if np.isfinite(bound)]
        return max(max(map(measured.p_value, bounds)) for measured, _ in self.numbers) / 2

    @property
    def power(self) -> float:
        """The probability that the interval supports a claim whose value is exactly right."""
        interval, margin, z = self.numbers[0][0].interval, self.claim.margin, norm.isf(LEVEL)
        if interval is None:
            return 0.0
        error = (interval.high - interval.low) / (2 * z)
        # Without a margin, a claim names no value beyond the bound that the power could be of.
        if not margin or not error:
            return 1.0
        missed = float(norm.sf(margin / error - z))  # at one bound
        return max(0.0, 1 - missed * (2 if self.claim.relation == "about" else 1))

    def in_words(self) -> str:
        """Format the number with its interval, at each prevalence that it was weighted to."""
        scale, words = number_of(self.claim).scale(self.claim), []
        for measured, prevalence in self.numbers:
            text, interval = scale.of(measured.value), measured.interval
            if interval:
                text += f" (90 % interval {scale.of(interval.low, interval.high)})"
            if prevalence is not None:
                text += f" at a prevalence of {100 * prevalence:.0f} %"
            words.append(text)
        return " and ".join(words)


def judge_study(
    study: Study,
    cohorts: Sequence[Sequence[Run]],
    *,
    with_reruns: bool = True,
    awaited: Collection[str] = (),
) -> list[Verdict]:
    """Judge the claims of a study, none where all models leak; compare with stored reruns.

    Runs of the ``awaited`` models are not finished.
    """
    main, *further = cohorts
    honest = _by_model(main)
    if not study.claims or not honest:
        return []
    as_asked = [run for run in chain(*further) if question_of(run) == study.reported_question]
    # A report may have primary claims in several studies, which are corrected together.
    of_report = {s.claims for s in STUDIES.values() if s.citation == study.citation != ""}
    family = sum(claim.primary for claim in chain(*{study.claims} | of_report))
    # The report's question may leak by its split, as the report did; hindsight is our own control.
    reported = [run for run in as_asked if planned_leak(run) != "hindsight"]
    by_row, as_reported = (
        {v.claim.id: v for v in judge(study.claims, runs, family, awaited)} if runs else {}
        for runs in (_by_model(main, "row"), _by_model(reported, *map(planned_leak, reported)))
    )
    # Quick runs were not trained as the study's reruns were.
    as_rerun = with_reruns and all(
        study.training.get(name) in (None, run.settings.training) for name, run in honest.items()
    )
    data = next(iter(honest.values())).data
    reruns = measured_reruns(study.name, data) if as_rerun else {}
    return [
        replace(
            _among_reruns(verdict, reruns.get(verdict.claim.id, [])),
            by_row=by_row.get(verdict.claim.id),
            as_reported=as_reported.get(verdict.claim.id),
        )
        for verdict in judge(study.claims, honest, family, awaited)
    ]


def _among_reruns(verdict: Verdict, reruns: Sequence[str]) -> Verdict:
    """Compare a verdict with those of reruns: without enough agreement it is unstable."""
    if not reruns or verdict.verdict == NOT_YET:
        return verdict
    # Reasons for having no answer may change with the seed; that there is none counts as the same.
    same = [answer_of(rerun) for rerun in reruns].count(answer_of(verdict.verdict))
    verdict = replace(verdict, reruns=(same, len(reruns)))
    if verdict.verdict == UNTESTABLE or same >= LEAST_AGREEMENT * len(reruns):
        return verdict
    reason = f"{verdict.reason} {same} of {len(reruns)} reruns with other seeds agree."
    return replace(verdict, verdict=UNSTABLE, label="", reason=reason)


def answer_of(verdict: str) -> str:
    """Return a verdict that is an answer; otherwise nothing."""
    return verdict if verdict in WITH_ANSWER else ""


def _by_model(runs: Iterable[Run], *leaks: str) -> dict[str, Run]:
    """Return runs by model, with one of the planned leaks or none, and unweighted classes."""
    return {
        run.settings.model: run
        for run in runs
        if planned_leak(run) in (leaks or ("",)) and not run.settings.training.class_weights
    }


def measured_reruns(study: str, data: Mapping[str, object]) -> dict[str, list[str]]:
    """Return what ``benchmarks/verdicts.py`` stored of these data by this version, by claim."""
    path = files("sequela.studies") / "declared" / RERUNS
    measured = json.loads(path.read_text(encoding="utf-8"))
    record = measured["studies"].get(study, {})
    alike = all(record.get(name) == data[name] for name in SAME_DATA)
    # Another version may judge otherwise.
    return record["verdicts"] if alike and measured["version"] == __version__ else {}


def judge(
    claims: Sequence[Claim],
    runs: Mapping[str, Run],
    family: int = 0,
    awaited: Collection[str] = (),
) -> list[Verdict]:
    """Judge all claims of a study, on runs by model name, all on the same split.

    ``family`` is the number of primary claims of the report, of which other studies may have some.
    """
    reasons = {claim.id: _why_untestable(claim, runs) for claim in claims}
    tested = [
        _Tested.on(claim, [runs[name] for name in claim.models])
        for claim in claims
        if not reasons[claim.id]
    ]
    # Where no claim is primary, all that can be tested are corrected together.
    no_primary = not any(claim.primary for claim in claims)
    primary = [t for t in tested if t.claim.primary or no_primary]
    missing = {claim.id for claim in claims if ({*claim.models} - runs.keys()) & {*awaited}}
    family = max(family, len(primary) + len(missing))  # an answer stays when others are tested
    p_values = holm([t.p_value for t in primary], family).tolist()
    corrected = dict(zip((t.claim.id for t in primary), p_values, strict=True))
    settled = {t.claim.id: _verdict(t, runs, corrected.get(t.claim.id)) for t in tested}
    return [
        settled.get(claim.id)
        or Verdict(claim, NOT_YET if claim.id in missing else UNTESTABLE, reasons[claim.id])
        for claim in claims
    ]


def tally(verdicts: Sequence[Verdict]) -> str:
    """Count the answers, in words, and the claims without one."""
    counted = (*WITH_ANSWER, NOT_YET, UNTESTABLE)
    counts = Counter(v.verdict if v.verdict in counted else "" for v in verdicts)
    words = {
        HOLDS: ("holds", "hold"),
        FAILS: ("does not hold", "do not hold"),
        SUPPORTED: ("is supported", "are supported"),
        CONTRADICTED: ("is contradicted", "are contradicted"),
        "": ("has no answer", "have no answer"),
        NOT_YET: ("is not yet tested", "are not yet tested"),
        UNTESTABLE: ("cannot be tested here", "cannot be tested here"),
    }
    return ", ".join(plural(counts[name], *words[name]) for name in words if counts[name])


def by_chance(verdicts: Sequence[Verdict]) -> str:
    """Return a sentence on the number of wrong answers by chance among uncorrected claims."""
    tested = [v.claim.primary for v in verdicts if v.verdict not in (NOT_YET, UNTESTABLE)]
    if not any(verdict.claim.primary for verdict in verdicts) or all(tested):
        return ""
    claims = plural(tested.count(False), "claim was", "claims were")
    expected = number(LEVEL * tested.count(False), ".3g")
    return f"{claims} not corrected: at most {expected} wrong answers are expected by chance."


def _verdict(tested: _Tested, runs: Mapping[str, Run], corrected: float | None) -> Verdict:
    """Judge a tested claim, with its corrected p-value if it is one of several."""
    claim, answer, verdict, label = tested.claim, tested.answer, OPEN, ""
    data, interval = runs[claim.models[0]].data, tested.numbers[0][0].interval
    reason = f"The interval {_REASONS[answer]}" if interval else "There is no interval"
    is_significant = corrected is None or corrected < LEVEL
    if answer != OPEN and corrected is not None:
        but = "" if is_significant else ", but not after the correction"
        reason += f"{but} (p {_p_value(corrected)})"
    if answer != OPEN and is_significant:
        verdict = answer if corrected is None else CORRECTED[answer]
        label = f"{answer} (uncorrected)" if corrected is None else ""
    elif len(tested.numbers) > 1:
        event = data.outcome.many if data.outcome else f"“{data.classes[1]}”"
        verdict, label = DEPENDS, f"depends on the share of {event}"
        reason = "The intervals at the two prevalences do not give one answer"
    elif tested.power < LEAST_POWER:
        many = plural(interval.n_groups, data.unit) if interval else f"so few {data.unit}s"
        verdict, label = UNDECIDABLE, f"{UNDECIDABLE} with {many}"
        chance = number(100 * tested.power, ".0f")
        reason += f"; if the claimed value were exact, {chance} % of studies would support it"
    scale = number_of(claim).scale(claim)
    claimed = f"{claim.relation} {scale.claimed(claim.value) if claim.value else 0}"
    if claim.margin:
        unit = " points" if scale.unit == " %" else scale.unit
        claimed += f", within {scale.claimed(claim.margin, unit)}"
    return Verdict(claim, verdict, f"{reason}.", answer, tested.in_words(), claimed, label)


def _p_value(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004


def _why_untestable(claim: Claim, runs: Mapping[str, Run]) -> str:
    missing = [name for name in claim.models if name not in runs]
    if missing:
        return f"There is no run of {' and '.join(missing)} here."
    runs_of_claim = [runs[name] for name in claim.models]
    counts = runs_of_claim[0].data.counts
    if min(counts) < claim.fewest:
        return f"The rarer class has {min(counts)} examples; fewer than {claim.fewest} are too few."
    reasons = (_CONDITIONS[name](claim, runs_of_claim) for name in claim.untestable)
    return next(filter(None, reasons), "")


def _no_recurrence(_: Claim, runs: Sequence[Run]) -> str:
    steps = runs[0].data.sequences and runs[0].data.sequences.steps_distribution
    # Without a second step a recurrent network is a plain one.
    if not steps or (single := steps.share_of_one) <= 0.5:  # noqa: PLR2004
        return ""
    return f"{100 * single:.0f} % of the sequences have one step, so no recurrent model is tested."


def _one_class_predicted(_: Claim, runs: Sequence[Run]) -> str:
    for run in runs:
        # Such models have the same accuracy, the share of the class, and no difference to test.
        held_out = [fold.predictions.part("held_out") for fold in run.runs]
        if len(np.unique(np.concatenate([predictions.predicted for predictions in held_out]))) > 1:
            return ""
    name = runs[0].data.classes[int(runs[0].runs[0].predictions.predicted[0])]
    return f"The models predict “{name}” for every example, so they cannot be compared."


_CONDITIONS: Mapping[Condition, Callable[[Claim, Sequence[Run]], str]] = {
    "no recurrence": _no_recurrence,
    "one class predicted": _one_class_predicted,
}


@dataclass(frozen=True)
class Rival:
    """A model that another one is compared with: the best of a kind, or its baseline.

    The difference is the other model's value minus its own, with a 95 % interval; the p-value is
    two-sided and corrected for the number of rivals (Holm). The other model is significantly
    ``better`` or worse, ``None`` if neither. ``operations_ratio`` is the rival's operations divided
    by those of the other model; ``None`` where they are not counted.
    """

    model: str
    kind: str
    difference: float
    ci: tuple[float, float]
    p_value: float
    better: bool | None
    operations_ratio: float | None

    def in_words(self, metric: Metric) -> str:
        """Return the end of a sentence: better or worse than the rival, and at which cost."""
        answer = {
            True: "significantly better than",
            False: "significantly worse than",
            None: "not significantly different from",
        }[self.better]
        unit = " points" if metric.points else ""
        low, high = map(metric.apart, self.ci)
        words = (
            f"{answer} {title_of(self.model)}, {self.kind}: {metric.apart(self.difference)}{unit} "
            f"({low} to {high}; p {_p_value(self.p_value)})"
        )
        ratio = self.operations_ratio
        if ratio is None:
            return words
        times = number(ratio, ".1f"), number(1 / ratio, ".1f")
        if "1.0" in times:  # 0.95 to 1.05 times, after rounding
            return f"{words}, with about as many operations"
        if ratio > 1:
            return f"{words}, with 1/{number(ratio, '.2g')} of its operations"
        return f"{words}, with {times[1]} times its operations"


def compared_with(run: Run, rivals: Mapping[str, Run]) -> tuple[Compared, list[Rival], Metric]:
    """Compare a run with others on the same test examples, by their kind, in a family of tests."""
    comparison = compare_opened([run, *rivals.values()])
    metric, (first, *rows) = named(comparison.metric), comparison.runs
    compared = []
    for (kind, rival_run), row in zip(rivals.items(), rows, strict=True):
        if row.difference is None or row.corrected_p is None:
            continue
        # The comparison is of the rival minus the first run; a Rival states the opposite direction.
        gap, p_value = row.difference, row.corrected_p
        theirs, ours = rival_run.facts.operations, run.facts.operations
        compared.append(
            Rival(
                model=row.model,
                kind=kind,
                difference=-gap.value,
                ci=(-gap.interval.high, -gap.interval.low),
                p_value=p_value,
                better=gap.value < 0 if p_value < LEVEL else None,
                operations_ratio=theirs / ours if theirs and ours else None,
            )
        )
    return first, compared, metric


def improvements(study: Study, runs: Sequence[Run]) -> list[str]:
    """Compare each improved model of a study with its baseline, in a sentence."""
    plain, sentences = _by_model(runs), []
    for _, baseline, improved in study.families:
        if {baseline, improved} <= plain.keys():
            rivals = {"its baseline": plain[baseline]}
            _, compared, metric = compared_with(plain[improved], rivals)
            # Empty where so few groups were tested that no difference has an interval.
            title = title_of(improved)
            sentences += [f"{title} is {rival.in_words(metric)}." for rival in compared]
    return sentences


def default_model(study: Study, runs: Sequence[Run]) -> dict[str, object] | None:
    """Compare the default model with a study's own models, from evaluated runs on one question.

    The record is that of ``results.json``, with the best of the networks and of the baseline models
    ``beside`` it, and a ``sentence``. It is ``None`` where the study has no run of the default
    model, or no model to compare with.
    """
    plain = _by_model(runs)
    if not (study.default and plain):
        return None
    name = default_for(next(iter(plain.values())).data).model
    default = plain.pop(name, None)  # it must not be its own rival
    qualifier = "other " if name in study.training else ""
    kinds = {
        f"the best of the {qualifier}models of {study.report}": study.training,
        "the best baseline model": REFERENCE_MODELS,
    }
    rivals = {
        kind: max((plain[model] for model in plain if model in models), key=_value)
        for kind, models in kinds.items()
        if not plain.keys().isdisjoint(models)
    }
    if default is None or not rivals:
        return None
    first, compared, metric = compared_with(default, rivals)
    answers = " ".join(f"It is {rival.in_words(metric)}." for rival in compared)
    models = f" (mean of {len(default.runs)} models)" if len(default.runs) > 1 else ""
    corrected = f", corrected for {len(compared)} comparisons" if len(compared) > 1 else ""
    return {
        "model": name,
        metric.name: first.value,
        "beside": [asdict(rival) for rival in compared],
        "sentence": f"{title_of(name)}, the default model for these data, has {metric.title} "
        f"{number(first.value, metric.form).replace('%', ' %')}{models}. {answers} “Significantly” "
        f"means p below {LEVEL}{corrected}.",
    }


def _value(run: Run) -> float:
    return float(run.test.get(headline(run.data.classes, run.test).key) or 0.0)


@dataclass(frozen=True)
class Inflation:
    """The score of a model with a leak minus its score without, with a 95 % interval.

    Both are on the same examples if ``paired``; the test sets of two single splits differ.
    """

    value: float
    interval: tuple[float, float]
    paired: bool = True


@lru_cache(maxsize=128)
def inflation(honest: Run, leaking: Run) -> Inflation | None:
    """Compare two runs of one model on the same examples, as far as their test sets share them.

    Folds are compared by folds. The one test set of a leaking run is compared with the predictions
    of the honest run's folds for it. Single splits have other test sets: their intervals are
    combined as those of independent numbers (Zou and Donner 2008). It is ``None`` where the score
    is undefined, such as on a test set of one group or one class.
    """
    metric, paired = headline(leaking.data.classes, leaking.test), True
    try:
        if honest.of_many and leaking.of_many and honest.settings.split == leaking.settings.split:
            apart: Difference | Estimate = _over_folds(honest, leaking, metric.name)
        else:
            test, honest_test = (
                joined([fold.predictions.part("held_out") for fold in run.once])
                for run in (leaking, honest)
            )
            # Folds predict every example once, so the leaking test set is among them.
            honest_test = honest_test.where(np.isin(honest_test.example_id, test.example_id))
            paired = honest_test.n_examples == test.n_examples
            # The interval of different examples is wider, as nothing cancels between the two runs.
            if paired:
                rng = np.random.default_rng(leaking.settings.seed)
                how = bootstrap_of(leaking.first)
                apart = paired_difference(metric.name, test, honest_test, rng, how)
            else:
                apart = difference(*(as_written(run.test, metric.key) for run in (leaking, honest)))
    except DataError:
        return None
    if apart.interval is None:
        return None
    return Inflation(apart.value, (apart.interval.low, apart.interval.high), paired)


def _over_folds(honest: Run, leaking: Run, metric: str) -> Difference:
    # Both have the same folds and seeds, so each model is paired with the one of its fold: the
    # variation of training is part of the interval, that of the split is not.
    theirs = {fold.place: fold for fold in judged(honest.runs)}
    ours = []
    for fold in judged(leaking.runs):
        same = theirs[fold.place]
        tuning = fold.tuning and same.tuning and _renamed(fold.tuning, same.tuning)
        held_out = _renamed(fold.held_out, same.held_out)
        ours.append(replace(fold, held_out=held_out, tuning=tuning))
    return over_models(ours, list(theirs.values()), metric, leaking)


def _renamed(ours: Predictions, theirs: Predictions) -> Predictions:
    if ours.n_examples != theirs.n_examples:
        return ours
    # Ids include the time of prediction, which hindsight moves to the end of the stay. The order of
    # stays is that of the cohort in both runs, so group and label confirm that the rows belong
    # together.
    same = (ours.group_id == theirs.group_id) & (ours.label == theirs.label)
    return replace(ours, example_id=theirs.example_id) if same.all() else ours
