"""The part of a page on one study: the values of its sections."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from sequela.cohort.flow import Flow
from sequela.cost.derivation import render_mathml
from sequela.disclosure import Hidden
from sequela.evaluation.metrics import Metric
from sequela.evaluation.number import plural
from sequela.figures.flow import SplitSet, cohort_flow
from sequela.figures.matrices import confusion_matrix
from sequela.figures.traces import traces
from sequela.report.commands import commands
from sequela.report.entry import Entry, measures, panel
from sequela.report.picture import Picture, picture
from sequela.report.sections import probabilities, risk
from sequela.report.sections.group import Group
from sequela.report.sections.inflation import Leak, leaks
from sequela.report.sections.standing import Row, Standing
from sequela.report.sections.table_one import TableOne, table_one
from sequela.report.tripod import Checklist, checklist
from sequela.runs.find import Run
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
    testable: bool  # whether a claim can be tested on these runs
    tally: str
    by_chance: str  # the number of wrong answers among uncorrected claims, in a sentence
    as_reported: Group | None  # the report's own question, if it was run next to the main one
    improvements: list[str]
    default_model: dict[str, object] | None  # compared with the others
    concluded: Row | None  # the default model, or else the best
    network: Row | None  # the best network of the report
    baseline: Row | None  # the best baseline model
    leaks: list[Leak]  # run on purpose
    risk: Mapping[str, object] | None  # of times to an event
    probabilities: Mapping[str, object] | None  # of classes
    models: list[Entry]  # a run of each model of any question
    table_one: TableOne | None
    flow: Markup | None
    panels: list[dict[str, object]]
    imbalance: list[dict[str, object]]
    derivations: list[tuple[Entry, Markup]]
    traces: Picture | None
    checklist: Checklist
    sources: list[DataRecord]
    seconds: float
    commands: list[str]
    choice: str  # how the settings were chosen, in words

    @classmethod
    def of(cls, study: Study, runs: Sequence[Run], hide_below: int | None) -> "StudyPart":
        """Compute the values from runs of one study."""
        cohorts = cohorts_of(study, runs)
        groups = [Group.of(study, key, of_key, hide_below) for key, of_key in cohorts.items()]
        main, first = groups[0], next(iter(cohorts.values()))
        best, plain = main.best, main.plain
        standing, default = Standing.of(plain, best), default_model(study, first)
        concluded = [row for row in standing.rows if default and row.entry.name == default["model"]]
        families = [names for _, *names in study.families]
        networks = [r for r in standing.rows if any(r.entry.name in names for names in families)]
        baselines = [row for row in standing.rows if not row.entry.is_network]
        judged = judge_study(study, list(cohorts.values()))
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
            judged=sorted(judged, key=lambda verdict: ANSWERS.index(verdict.verdict)),
            testable=any(verdict.verdict != UNTESTABLE for verdict in judged),
            tally=tally(judged),
            by_chance=by_chance(judged),
            as_reported=_as_reported(groups),
            improvements=improvements(study, first),
            default_model=default,
            concluded=next(iter(concluded), standing.best),
            network=next(iter(networks), None),
            baseline=next(iter(baselines), None),
            leaks=leaks_of_groups,
            risk=risk.content(plain, best, prefix) if best.timed else None,
            probabilities=None if best.timed else probabilities.content(plain, best, prefix),
            models=list(models.values()),
            table_one=table_one(best),
            flow=_flow(main),
            panels=_panels(main),
            imbalance=[_imbalance(entry) for entry in (*main.networks, *main.weighted)],
            derivations=list(_derivations(main)),
            traces=_traces(main),
            checklist=checklist(best),
            sources=list({group.data.name: group.data for group in groups}.values()),
            seconds=sum(sum(e.run.facts.train_seconds for e in g.entries) for g in groups),
            commands=again,
            choice=_choice(main, again[0]),
        )

    @property
    def limitations(self) -> list[tuple[str, str]]:
        """The title and explanation of each limitation, the worst first."""
        main, study, unbeaten = self.main, self.study, self.standing.unbeaten
        listed = []
        if leak := next((f for f in main.findings if f["severity"] == "leak"), None):
            listed.append((leak["check"], f"{_capital(leak['what'])}."))
        if main.quick:
            listed.append(("Quick run", "Networks had few epochs, so the numbers are not results."))
        if main.few_tested:
            listed.append((main.tested, "Intervals of so few are unreliable."))
        if main.too_few:
            listed.append((main.too_few, f"{main.rarest}."))
        # A network that a simpler model equals is not evidence for networks.
        if unbeaten:
            why = f"It is a baseline model with {plural(unbeaten.parameters, 'parameter')}."
            listed.append((f"No network is clearly better than {unbeaten.entry.title}", why))
        # Without ids the split is by file or stay, so one patient may be trained on and tested.
        if main.data.subjects is None:
            why = f"A split by {main.first.settings.split} can put one patient into several sets."
            listed.append(("Patients are not identified", why))
        # The caveat of the study is about the data themselves, so it limits every other statement.
        for worst in study.caveats[:1]:
            title, rest = listed.pop(0) if listed else (worst.removesuffix("."), "")
            listed.insert(0, (title, f"{rest} {worst}" if rest else ""))
        if not main.too_few and main.rarer < study.few:
            listed.append((main.rarest, "Intervals are wide."))
        if self.choice:
            listed.append(("Settings were chosen on other splits of these data", ""))
        suspicions = [f for f in main.findings if f["severity"] != "leak"]
        listed += [(f["what"], f"Suspicious: {f['check']}.") for f in suspicions]
        return [(_capital(title), why) for title, why in listed]


def _choice(main: Group, command: str) -> str:
    """Return how the settings were chosen, on the data that they were chosen on: those shipped."""
    ours = command.startswith(("sequela reproduce", "sequela study")) and not main.quick
    shipped = main.data.recordings is not None or main.data.open
    return main.study.notes.get("training", "") if ours and shipped else ""


def _derivations(main: Group) -> Iterator[tuple[Entry, Markup]]:
    for entry in main.plain:
        if account := entry.run.account:
            shown_account = account if main.study.claims else replace(account, report=None)
            yield entry, Markup(render_mathml(shown_account))  # noqa: S704 - its text escaped


def _as_reported(groups: Sequence[Group]) -> Group | None:
    groups_as_reported = (
        g for g in groups[1:] if question_of(g.first) == g.study.reported_question
    )
    return next(groups_as_reported, None)


def _imbalance(entry: Entry) -> dict[str, object]:
    points = []
    for number, point in enumerate(entry.test.operating_points):
        matrix = None
        if not isinstance(point.confusion, Hidden):
            figure = confusion_matrix(point.confusion, entry.data.classes)
            matrix = picture(figure, f"{entry.key}-matrix-{number}")
        points.append({**point, "matrix": matrix})
    return {"entry": entry, "points": points}


def _panels(main: Group) -> list[dict[str, object]]:
    families = [
        (f"{title}: baseline and improved", {baseline, improved})
        for title, baseline, improved in main.study.families
    ]
    # A family is drawn together, as its question is the difference between two models.
    paired: set[str] = set().union(*(names for _, names in families))
    title_of_rest = "Other and baseline models" if main.study.training else "Models"
    families.append((title_of_rest, {entry.name for entry in main.plain} - paired))
    shown_families: list[dict[str, object]] = []
    for number, (title, names) in enumerate(families):
        of_models = [panel(entry) for entry in main.plain if entry.name in names]
        panels = [of_model for of_model in of_models if of_model["pictures"]]
        if panels:
            key = f"{main.study.name}-family-{number}"
            shown_families.append({"id": key, "title": title, "panels": panels})
    return shown_families


def _traces(main: Group) -> Picture | None:
    examples = main.best.traces
    if not examples.classes:
        return None
    figure = traces(examples.classes, examples.sfreq)
    caption = "The segment of median amplitude of each class. Each segment has its own scale."
    return picture(figure, f"{main.study.name}-traces", caption)


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
