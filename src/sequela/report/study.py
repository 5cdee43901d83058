"""A study's part of the page: everything that its template places, of any study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from sequela.cohort.flow import Flow
from sequela.cost.mathml import render_mathml
from sequela.evaluation.disclosure import Hidden, shown
from sequela.figures.flow import Part, cohort_flow
from sequela.figures.matrices import confusion_matrix
from sequela.figures.pareto import accuracy_against_operations
from sequela.report import probabilities, sentences
from sequela.report.commands import commands
from sequela.report.entry import Entry, measures, panel, svg
from sequela.report.improvement import improvements
from sequela.report.leak import leaks
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.runs.openings import Openings, openings
from sequela.runs.recipe import variance_in_words
from sequela.runs.released import of_people
from sequela.studies.beside import default_beside
from sequela.studies.judged import judge_study
from sequela.studies.registry import question_of
from sequela.studies.results import cohorts_of
from sequela.studies.study import Study
from sequela.studies.verdicts import ANSWERS, tally

TOO_FEW = "too few subjects to conclude"


@dataclass(frozen=True)
class Group:
    """The runs of one question: one cohort, or one data set.

    Attributes:
        study: Its study.
        key: Its name in ``results.json``.
        plain: Its models and reference models, as they should be.
        weighted: Its networks trained with weighted classes.
        leaking: Its models run with a leak, to show what that is worth.
    """

    study: Study
    key: str
    plain: tuple[Entry, ...]
    weighted: tuple[Entry, ...]
    leaking: tuple[Entry, ...]

    @classmethod
    def of(cls, study: Study, key: str, runs: Sequence[Run], smallest: int) -> "Group":
        """The runs of one question, each kind apart; where there are no plain ones, others are."""
        kinds: dict[str, list[Entry]] = {"plain": [], "weighted": [], "leaking": []}
        for entry in (Entry(run, study, smallest) for run in runs):
            weighted = entry.run.settings.training.class_weights
            kinds["leaking" if entry.leak else "weighted" if weighted else "plain"].append(entry)
        for instead in ("weighted", "leaking"):
            if not kinds["plain"]:
                kinds["plain"], kinds[instead] = kinds[instead], []
        return cls(study, key, **{kind: tuple(some) for kind, some in kinds.items()})

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return (*self.plain, *self.weighted, *self.leaking)

    @property
    def first(self) -> Run:
        """A run that tells what all share."""
        return self.plain[0].run

    @property
    def data(self) -> dict[str, Any]:
        """The runs' description of their data."""
        return self.plain[0].data

    @cached_property
    def split(self) -> dict[str, Any]:
        """The split, or the folds."""
        return self.first.describe_split()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What makes the numbers too good: the same for all models."""
        return self.plain[0].findings

    @cached_property
    def rarer(self) -> int:
        """Examples of the rarer class, which may be too few to be shown."""
        counts: list[int] = self.plain[0].run.data["counts"]
        return min(counts)

    @property
    def rarer_shown(self) -> Any:
        """The same, as it may be shown."""
        smallest = self.plain[0].smallest if of_people(self.data) else 1
        return shown(self.rarer, smallest)

    @property
    def too_few(self) -> str:
        """The sentence where nothing can be concluded, else nothing."""
        return TOO_FEW if self.rarer < self.study.very_few else ""

    @property
    def one_step(self) -> str:
        """The warning where recurrent models read one step in most examples, else nothing."""
        return sentences.one_step(self.plain)

    @property
    def codes(self) -> str:
        """To what level codes are cut, if they are."""
        return sentences.codes_in_words(self.data)

    @property
    def best(self) -> Entry:
        """The one with the best held-out number."""
        return max(self.plain, key=lambda entry: entry.value)

    @property
    def chosen(self) -> str:
        """Of how many models the best one is, where there are several."""
        part = "these folds" if self.first.folds else "this held-out part"
        return f"best of {len(self.plain)}, chosen on {part}" if len(self.plain) > 1 else ""

    @cached_property
    def opened(self) -> Openings:
        """How often the held-out part was opened."""
        return openings(self.first)

    @property
    def networks(self) -> tuple[Entry, ...]:
        """Those that are no reference models."""
        return tuple(entry for entry in self.plain if entry.account)

    @property
    def reference_models(self) -> str:
        """The titles of the others."""
        return ", ".join(entry.title for entry in self.plain if not entry.account)


def content(study: Study, runs: Sequence[Run], smallest: int) -> dict[str, Any]:
    """What the template places, from runs of one study.

    Args:
        study: Theirs.
        runs: The runs.
        smallest: The smallest count of people that is shown.
    """
    cohorts = cohorts_of(study, runs)
    groups = [Group.of(study, key, some, smallest) for key, some in cohorts.items()]
    main = groups[0]
    judged = judge_study(study, list(cohorts.values()))
    again = commands(runs)
    has_steps = "sequences" in main.data
    panels = _panels(main)
    notes = [note for family in panels for each in family["panels"] for note in each["notes"]]
    return {
        "study": study,
        "main": main,
        "best": main.best,
        "data": main.data,
        "split": main.split,
        "groups": groups,
        "holds": sentences.data_in_words(main.data),
        "folds": sentences.folds_in_words(main.split) if main.split["folds"] else "",
        "variance": variance_in_words(main.best.test, main.best.metric),
        "periods": sentences.periods_in_words(main.split) if "times" in main.split else "",
        "measures": measures([*main.plain, *main.weighted]),
        "main_number": sentences.main_number(main.best),
        "steps": sentences.steps_in_words(main.data["sequences"]) if has_steps else "",
        "looked_for": sentences.looked_for(main.plain[0]),
        "judged": sorted(judged, key=lambda each: ANSWERS.index(each.main.verdict)),
        "tally": tally([each.main for each in judged]),
        "as_reported": _as_reported(groups),
        "improvements": improvements({s.name: s for s in main.plain}, study.families),
        "beside": default_beside(study, next(iter(cohorts.values()))),
        "imbalance": [_imbalance(entry) for entry in (*main.networks, *main.weighted)],
        "panels": panels,
        "panel_notes": list(dict.fromkeys(notes)),
        "leaks": [each for group in groups for each in leaks(group.plain, group.leaking)],
        "flow": _flow(main),
        "pareto": _pareto(main),
        "probabilities": probabilities.content(main.plain, main.best, f"{study.name}-"),
        "hides": sentences.hides(main.plain[0]),
        "quick": main.first.settings.training.epochs <= study.quick_epochs,
        "seconds": sum(e.facts["train_seconds"] for group in groups for e in group.entries),
        "commands": again,
        "own": again[0].startswith("sequela reproduce"),
        "tripod": checklist(main.best),
        "derivations": [(s, Markup(render_mathml(s.account))) for s in main.plain if s.account],  # noqa: S704
        "sources": list({group.data["name"]: group.data for group in groups}.values()),
    }


def summary(content: Mapping[str, Any]) -> list[str]:
    """The cells of the list at a glance: data, best model, claims, cost and limitations."""
    main: Group = content["main"]
    best, data = main.best, main.data
    chosen = f" ({main.chosen})" if main.chosen else ""
    wrong = [finding["check"] for finding in main.findings]
    if data["subjects"] is None:
        split = f"a split by {data['unit']} is not a split by patient"
        wrong.append(f"patients are not identified: {split}")
    if main.too_few:
        wrong.append(main.too_few)
    elif main.rarer < main.study.few:
        wrong.append(f"only {main.rarer_shown} examples of the rarer class")
    return [
        content["holds"],
        f"{best.title}{chosen}: {content['main_number']}, {len(data['classes'])} classes",
        content["tally"] if content["judged"] else "not judged",
        sentences.cost_in_words(best),
        "; ".join(wrong) or "none was found",
    ]


def _as_reported(groups: Sequence[Group]) -> Group | None:
    """The report's own question, where that was run beside the main one."""
    asked = (g for g in groups[1:] if question_of(g.first) == g.study.reported_question)
    return next(asked, None)


def _imbalance(entry: Entry) -> dict[str, Any]:
    """Confusion matrices of a network at 0.5 and at the chosen threshold."""
    points = [
        point
        | {
            "matrix": svg(
                confusion_matrix(point["confusion"], entry.data["classes"]),
                f"{entry.key}-matrix-{number}",
            )
            if not isinstance(point["confusion"], Hidden)
            else None
        }
        for number, point in enumerate(entry.test.get("operating_points", ()))
    ]
    return {"entry": entry, "points": points}


def _panels(main: Group) -> list[dict[str, Any]]:
    """The models of each family side by side, then all others, as far as they have pictures."""
    families = [
        (f"{title}: baseline and improved", {baseline, improved})
        for title, baseline, improved in main.study.families
    ]
    paired = {name for _, names in families for name in names}
    others = {entry.name for entry in main.plain} - paired
    found = []
    for number, (title, names) in enumerate([*families, ("Other and reference models", others)]):
        panels = [panel(entry) for entry in main.plain if entry.name in names]
        panels = [each for each in panels if each["curves"] or each["figures"]]
        if panels:
            key = f"{main.study.name}-family-{number}"
            found.append({"id": key, "title": title, "panels": panels})
    return found


def _flow(main: Group) -> Markup | None:
    """Who is in the cohort and why, down to the parts of the (first) split."""
    data = main.data
    if "flow" not in data:
        return None
    parts = [Part(name, **counts) for name, counts in data["parts"].items()]
    drawn = cohort_flow(Flow.from_dict(data["flow"]), parts, event=data["classes"][1])
    return Markup(drawn.html())  # noqa: S704 - escaped as it was drawn


def _pareto(main: Group) -> Markup | None:
    rows = [
        {
            "model": entry.title,
            "operations": entry.facts["operations"],
            "accuracy": entry.test["accuracy"],
            "low": entry.test["accuracy_ci"][0],
            "high": entry.test["accuracy_ci"][1],
        }
        for entry in main.plain
        if entry.facts["operations"]
        and entry.metric.name == "accuracy"
        and not isinstance(entry.test["accuracy"], Hidden)
    ]
    name = f"{main.study.name}-pareto"
    return svg(accuracy_against_operations(rows), name) if len(rows) > 1 else None
