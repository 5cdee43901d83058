"""The part of a page on one study: the values of its sections."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from markupsafe import Markup

from sequela.cohort.flow import Flow
from sequela.cost.derivation import derivation
from sequela.evaluation.intervals import Estimate, Interval
from sequela.evaluation.metrics import Metric
from sequela.evaluation.number import number
from sequela.figures.flow import SplitSet, cohort_flow
from sequela.figures.forest import ForestLine, ForestScale, forest
from sequela.figures.stability import instability
from sequela.report.commands import commands
from sequela.report.entry import Entry, measures, panel
from sequela.report.picture import Picture, picture
from sequela.report.sections import probabilities, risk
from sequela.report.sections.group import Group
from sequela.report.sections.inflation import Leak, leaks
from sequela.report.sections.standing import Row, Standing
from sequela.report.sections.table_one import TableOne, table_one
from sequela.report.tripod import Checklist, checklist
from sequela.runs.find import SIMPLE, Run
from sequela.runs.recipe import variance_in_words
from sequela.runs.record import DataRecord
from sequela.studies.registry import question_of
from sequela.studies.results import cohorts_of
from sequela.studies.study import Study
from sequela.studies.verdicts import (
    ANSWERS,
    UNTESTABLE,
    Verdict,
    by_chance,
    default_model,
    improvements,
    judge_study,
    tally,
)

_REFITS = "Refits on resampled data: median and middle 95 %."


@dataclass(frozen=True)
class StudyPart:
    """The runs of one study, and what a page shows of them.

    Of its groups, the first is the ``main`` one, and others are further questions or cohorts.
    """

    study: Study
    runs: Sequence[Run]
    groups: tuple[Group, ...]
    main: Group
    best: Entry
    standing: Standing
    measures: list[Metric]
    variance: str  # the components of the variance of the deciding metric, in words
    judged: list[Verdict]  # the verdicts on the claims, those that hold first
    testable: bool  # whether a claim can be tested on these runs; else none is shown
    tally: str
    by_chance: str  # the number of wrong answers among uncorrected claims, in a sentence
    as_reported: Group | None  # the report's own question, if it was run next to the main one
    improvements: list[str]
    default_model: dict[str, object] | None  # compared with the others
    trained: int  # the number of models of the main group, without the simple one of a run
    concluded: Row | None  # the default model, or else the best
    entry: Entry  # the same model, also where its number is hidden
    network: Row | None  # the best network of the report, or of all
    baseline: Row | None  # the best baseline model
    leaks: list[Leak]  # run on purpose
    risk: Mapping[str, object] | None  # of times to an event
    probabilities: Mapping[str, object] | None  # of classes
    models: list[Entry]  # a run of each model of any question
    table_one: TableOne | None
    flow: Markup | None
    panels: list[dict[str, object]]
    derivations: list[tuple[Entry, str]]
    checklist: Checklist
    sources: list[DataRecord]
    seconds: float
    commands: list[str]
    choice: str  # how the settings were chosen, in words

    @property
    def stability(self) -> Picture | None:
        """The picture of the refits of the concluded model, if there are any."""
        bins = next((stability.bins for stability in self.entry.stability if stability.bins), None)
        return picture(instability(bins), f"{self.study.name}-stability", _REFITS) if bins else None

    @classmethod
    def of(
        cls,
        study: Study,
        runs: Sequence[Run],
        hide_below: int | None,
        awaited: Collection[str] = (),
    ) -> "StudyPart":
        """Compute the values from runs of one study, while those of other models are awaited."""
        cohorts = cohorts_of(study, runs)
        groups = [Group.of(study, key, of_key, hide_below) for key, of_key in cohorts.items()]
        main, first = groups[0], next(iter(cohorts.values()))
        best, plain = main.best, main.plain
        standing, default = Standing.of(plain, best), default_model(study, first)
        concluded = [row for row in standing.rows if default and row.entry.name == default["model"]]
        families = [names for _, *names in study.families]
        networks = [r for r in standing.rows if any(r.entry.name in names for names in families)]
        networks = networks or [row for row in standing.rows if row.entry.is_network]
        baselines = [row for row in standing.rows if not row.entry.is_network]
        trained = [entry for entry in plain if entry.run.path.name != SIMPLE]
        if len(trained) == 1:  # a run, and the simple model in its folder
            concluded = [row for row in standing.rows if row.entry is trained[0]]
        entry = concluded[0].entry if concluded else best
        judged = (
            judge_study(study, [*cohorts.values()], awaited=awaited) if len(trained) > 1 else []
        )
        testable = any(verdict.verdict != UNTESTABLE for verdict in judged)
        models: dict[str, Entry] = {}
        leaks_of_groups: list[Leak] = []
        for group in groups:
            models |= {entry.name: entry for entry in group.plain}
            leaks_of_groups += leaks(group.plain, group.leaking)
        again = commands(runs)
        prefix = f"{study.name}-"
        return cls(
            study=study,
            runs=runs,
            groups=tuple(groups),
            main=main,
            best=best,
            standing=standing,
            measures=measures([*plain, *main.weighted]),
            variance=variance_in_words(best.test, best.metric),
            judged=sorted(judged if testable else [], key=lambda v: ANSWERS.index(v.verdict)),
            testable=testable,
            tally=tally(judged),
            by_chance=by_chance(judged),
            as_reported=_as_reported(groups),
            improvements=improvements(study, first),
            default_model=default,
            trained=len(trained),
            concluded=next(iter(concluded), standing.best),
            entry=entry,
            network=next(iter(networks), None),
            baseline=next(iter(baselines), None),
            leaks=leaks_of_groups,
            risk=risk.content(plain, entry, prefix) if best.timed else None,
            probabilities=None if best.timed else probabilities.content(plain, entry, prefix),
            models=list(models.values()),
            table_one=table_one(best),
            flow=_flow(main),
            panels=[of_model for of_model in map(panel, plain) if of_model["pictures"]],
            derivations=list(_derivations(main)),
            checklist=checklist(best),
            sources=list({group.data.name: group.data for group in groups}.values()),
            seconds=sum(sum(e.run.facts.train_seconds for e in g.entries) for g in groups),
            commands=again,
            choice=_choice(main, again[0]),
        )

    @property
    def void(self) -> str:
        """The reason why the numbers are not results; nothing where they are."""
        main = self.main
        if main.quick:
            return "Quick run: networks had few epochs, so the numbers are not results."
        return f"{_capital(main.too_few)}: {main.rarest}." if main.too_few else ""

    @property
    def checks(self) -> list[tuple[bool, str]]:
        """Reasons to trust the numbers (``True``), and to be careful."""
        main = self.main
        checks = [
            (False, f"{finding['severity']}: {finding['check']}") for finding in main.findings
        ]
        if not main.leak:
            checks.append((True, "no leak found"))
        if self.default_model:
            checks.append((True, "model fixed beforehand"))
        elif self.trained > 1:
            checks.append((False, f"best of {self.trained}, chosen on the test set"))
        if self.choice:
            checks.append((False, "settings tuned on these data"))
        if main.few_tested:
            checks.append((False, f"{main.tested}: intervals are unreliable"))
        elif main.rarer < self.study.few and not main.too_few:
            checks.append((False, f"{main.rarest}: intervals are wide"))
        row = self.concluded
        if row and row.interval and row.interval[0] <= (row.entry.metric.chance or 0):
            checks.append((False, "may be no better than chance"))
        if main.recurrent:
            checks.append((False, "most sequences have one step, where nothing recurs"))
        checks += [(False, sentence.removesuffix(".")) for sentence in main.opened.damage]
        is_new_site = main.split.unit == "site"
        checks.append((is_new_site, f"{'' if is_new_site else 'not '}tested elsewhere"))
        return checks

    @property
    def units(self) -> str:
        """The units that are in one set each, in the plural; empty if a leak was found."""
        people = {"subject": "patients" if self.main.data.outcome else "people"}
        unit = self.main.split.whole
        return "" if self.main.leak else people.get(unit, f"{unit}s")

    @property
    def many(self) -> bool:
        """``True`` if there are models to compare."""
        return len(self.main.plain) > 1

    @property
    def cheapest(self) -> str:
        """The operations of the network and of the simple model, in a sentence."""
        rows = [row for row in (self.baseline, self.network) if row]
        costs = sorted((row.entry.run.facts.operations or 0, row.entry.title) for row in rows)
        if len(costs) < 2 or not costs[0][0]:  # noqa: PLR2004
            return ""
        (few, cheap), (more, dear) = costs
        return f"{dear} needs {number(more / few, ',.2g')} times the operations of {cheap}."

    @property
    def learning(self) -> Picture | None:
        """The picture of the learning curve, if it was computed."""
        plan = self.entry.plan
        if plan is None or plan.curve is None:
            return None
        lines = []
        for point in plan.curve.points:
            interval = Interval(point.low, point.high, 0.95, "", 0, 0)
            words = f"{point.events:,.0f} {plan.people} {plan.event}"
            lines.append(ForestLine(words, Estimate(point.value, interval)))
        scale = ForestScale([plan.curve.metric], ".2f")
        rows = [asdict(point) for point in plan.curve.points]
        figure = forest(lines, scale, text=plan.sentences[-1], rows=rows)
        caption = "Parts of the training set; validation set."
        return picture(figure, f"{self.study.name}-learning", caption)

    @property
    def bars(self) -> Standing:
        """The models of the picture at the top: that of the page, a simple one, and a network."""
        simple = None if self.network else self.standing.simplest
        candidates = (self.concluded, self.baseline, self.network, simple)
        rows = tuple(row for row in self.standing.rows if any(row is model for model in candidates))
        return replace(self.standing, rows=rows)

    def role(self, row: Row) -> str:
        """Return why a model is in the picture at the top."""
        if row is self.concluded and (self.default_model or self.trained > 1):
            return "default" if self.default_model else f"best of {self.trained}"
        if self.testable and row is self.network:
            return self.study.report.removeprefix("the ")
        return "" if row.entry.is_network else "simple"


def _choice(main: Group, command: str) -> str:
    """Return how the settings were chosen, on the data that they were chosen on: those shipped."""
    ours = command.startswith(("sequela reproduce", "sequela study")) and not main.quick
    shipped = main.data.recordings is not None or main.data.open
    return main.study.notes.get("training", "") if ours and shipped else ""


def _derivations(main: Group) -> Iterator[tuple[Entry, str]]:
    for entry in main.plain:
        if account := entry.run.account:
            shown_account = account if main.study.claims else replace(account, report=None)
            yield entry, derivation(shown_account)


def _as_reported(groups: Sequence[Group]) -> Group | None:
    groups_as_reported = (
        g for g in groups[1:] if question_of(g.first) == g.study.reported_question
    )
    return next(groups_as_reported, None)


def _flow(main: Group) -> Markup | None:
    data = main.data
    if not data.flow:
        return None
    parts = [SplitSet(name, **counts) for name, counts in data.parts.items()]
    event = data.classes[1]
    if data.horizons and data.outcome:
        event = f"{data.outcome.one} by day {data.horizons[-1]:g}"
    figure = cohort_flow(Flow.from_dict(data.flow), parts, event=event)
    return Markup(figure.html())  # noqa: S704 - escaped as it was drawn


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
