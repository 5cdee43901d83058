"""The section of one study on a page: the values of its template."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from sequela.cohort.flow import Flow
from sequela.cost.derivation import render_mathml
from sequela.cost.ledger import Account
from sequela.disclosure import Hidden
from sequela.figures.flow import SplitSet, cohort_flow
from sequela.figures.matrices import confusion_matrix
from sequela.figures.traces import traces
from sequela.report import sentences
from sequela.report.commands import commands
from sequela.report.entry import Entry, measures, panel
from sequela.report.picture import Picture, picture
from sequela.report.sections import probabilities, survival, training_size
from sequela.report.sections.comparison import Standing
from sequela.report.sections.group import Group
from sequela.report.sections.leak import leaks
from sequela.report.sections.table_one import table_one
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.runs.recipe import variance_in_words
from sequela.studies.registry import question_of
from sequela.studies.results import cohorts_of
from sequela.studies.study import Study
from sequela.studies.verdicts import (
    ANSWERS,
    UNTESTABLE,
    default_model,
    improvements,
    judge_study,
    tally,
)


def content(
    study: Study, runs: Sequence[Run], hide_below: int | None, aside: Sequence[Run] = ()
) -> dict[str, Any]:
    """Return the values of the template, from runs of one study."""
    cohorts = cohorts_of(study, runs)
    groups = [Group.of(study, key, of_cohort, hide_below) for key, of_cohort in cohorts.items()]
    main = groups[0]
    judged = judge_study(study, list(cohorts.values()))
    judged.sort(key=lambda row: ANSWERS.index(row.verdict))
    again = commands(runs)
    panels = _panels(main)
    notes = [note for family in panels for row in family["panels"] for note in row["notes"]]
    return {
        "study": study,
        "main": main,
        "best": main.best,
        "data": main.data,
        "split": main.split,
        "groups": groups,
        "standing": Standing.of(main.plain, main.best),
        "holds": sentences.data_in_words(main.data),
        "folds": sentences.folds_in_words(main.split) if main.split.folds else "",
        "variance": variance_in_words(main.best.test, main.best.metric),
        "periods": sentences.periods_in_words(main.split) if main.split.times else "",
        "measures": measures([*main.plain, *main.weighted]),
        "main_number": sentences.main_number(main.best),
        "listed": list({e.name: e for group in groups for e in group.plain}.values()),
        "steps": main.data.sequences and sentences.steps_in_words(main.data.sequences),
        "looked_for": sentences.looked_for(main.plain[0]),
        "judged": judged,
        "untestable": UNTESTABLE,
        "tally": tally(judged),
        "as_reported": _as_reported(groups),
        "improvements": improvements(study, next(iter(cohorts.values()))),
        "default_model": default_model(study, next(iter(cohorts.values()))),
        "imbalance": [_imbalance(entry) for entry in (*main.networks, *main.weighted)],
        "panels": panels,
        "panel_notes": list(dict.fromkeys(notes)),
        "leaks": [row for group in groups for row in leaks(group.plain, group.leaking)],
        "flow": _flow(main),
        "table_one": table_one(main.best),
        "traces": _traces(main),
        "training_size": training_size.other_sizes(main, aside),
        "probabilities": (survival if main.best.timed else probabilities).content(
            main.plain, main.best, f"{study.name}-"
        ),
        "hides": sentences.hides(main.plain[0]),
        "seconds": sum(e.run.facts.train_seconds for group in groups for e in group.entries),
        "commands": again,
        "chosen": _chosen(main, again[0]),
        "tripod": checklist(main.best),
        "derivations": [
            (e, _derivation(e.run.account, study)) for e in main.plain if e.run.account
        ],
        "sources": list({group.data.name: group.data for group in groups}.values()),
    }


def _chosen(main: Group, command: str) -> str:
    """Return how the settings were chosen, on the data that they were chosen on: those shipped."""
    ours = command.startswith(("sequela reproduce", "sequela study")) and not main.quick
    shipped = main.data.recordings is not None or main.data.open
    return main.study.notes.get("training", "") if ours and shipped else ""


def _derivation(account: Account, study: Study) -> Markup:
    shown = account if study.claims else replace(account, report=None)
    return Markup(render_mathml(shown))  # noqa: S704 - written here, its text escaped


def _as_reported(groups: Sequence[Group]) -> Group | None:
    """Return the runs of the report's own question, if it was run next to the main one."""
    groups_as_reported = (
        g for g in groups[1:] if question_of(g.first) == g.study.reported_question
    )
    return next(groups_as_reported, None)


def _imbalance(entry: Entry) -> dict[str, Any]:
    """Draw confusion matrices of a network at 0.5 and at the chosen threshold."""
    points = []
    for number, point in enumerate(entry.test.operating_points):
        matrix = None
        if not isinstance(point.confusion, Hidden):
            figure = confusion_matrix(point.confusion, entry.data.classes)
            matrix = picture(figure, f"{entry.key}-matrix-{number}")
        points.append({**point, "matrix": matrix})
    return {"entry": entry, "points": points}


def _panels(main: Group) -> list[dict[str, Any]]:
    """Draw the models of each family, then all others, as far as they have pictures."""
    families = [
        (f"{title}: baseline and improved", {baseline, improved})
        for title, baseline, improved in main.study.families
    ]
    paired = {name for _, names in families for name in names}
    unpaired = {entry.name for entry in main.plain} - paired
    title_of_rest = "Other and baseline models" if main.study.training else "Models"
    shown = []
    for number, (title, names) in enumerate([*families, (title_of_rest, unpaired)]):
        panels = [panel(entry) for entry in main.plain if entry.name in names]
        panels = [drawn_model for drawn_model in panels if drawn_model["pictures"]]
        if panels:
            key = f"{main.study.name}-family-{number}"
            shown.append({"id": key, "title": title, "panels": panels})
    return shown


def _traces(main: Group) -> Picture | None:
    """Draw an example of each class, where the data are signals that may be shown."""
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
    timed = (
        f"{data.outcome.one} by day {data.horizons[-1]:g}" if data.horizons and data.outcome else ""
    )
    event = timed or data.classes[1]
    figure = cohort_flow(Flow.from_dict(data.flow), parts, event=event)
    return Markup(figure.html())  # noqa: S704 - escaped as it was drawn
