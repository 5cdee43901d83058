"""One run on a page: its title, its numbers, its cost, and its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sequela.config import SMALLEST_CELL
from sequela.cost.ledger import Account
from sequela.evaluation.disclosure import Hidden
from sequela.evaluation.metrics import Metric, headline, reported
from sequela.figures.registry import RUN_FIGURES
from sequela.report.discussion import discuss
from sequela.report.picture import picture
from sequela.runs.ensemble import Member, members_of, title
from sequela.runs.find import Run
from sequela.runs.leaks import each_once
from sequela.runs.released import Released, of_people, released_findings
from sequela.studies.registry import planned_leak
from sequela.studies.study import Study


@dataclass(frozen=True)
class Entry:
    """One run on a page.

    Attributes:
        run: The run, or the folds.
        study: What ids begin with, and what the report says of the model; none on a page of its
            own.
        smallest: The smallest count of people that is shown.
        called: The name of its folder where another run on the page is of the same model.
        number: Its place on the page, where that is so.
    """

    run: Run
    study: Study | None = None
    smallest: int = SMALLEST_CELL
    called: str = ""
    number: int = 0

    @cached_property
    def released(self) -> Released:
        """What may be shown of the run."""
        return Released(self.run, self.smallest)

    @property
    def cell(self) -> int:
        """The smallest count that its pictures show: any, where nobody is counted."""
        return self.smallest if of_people(self.run.data) else 1

    @property
    def points_shown(self) -> bool:
        """Whether what happens at the thresholds may be shown."""
        points = self.test.get("operating_points", ())
        return not any(isinstance(point["confusion"], Hidden) for point in points)

    @property
    def name(self) -> str:
        """The model's registry name."""
        return self.run.settings.model

    @property
    def title(self) -> str:
        """The model's name for people."""
        weighted = ", weighted" * self.run.settings.training.class_weights
        return title(self.run.settings) + weighted + f" ({self.called})" * bool(self.called)

    @property
    def members(self) -> list[Member]:
        """The models of an ensemble; none of any other run."""
        return members_of(self.run.settings)

    @property
    def key(self) -> str:
        """What ids on the page begin with: unique among the runs of a cohort that do not leak."""
        study = f"{self.study.name}-" if self.study else ""
        members = "".join(f"-{each.settings['model']}" for each in self.members)
        weighted = "-weighted" * self.run.settings.training.class_weights
        return study + self.name + members + weighted + f"-{self.number}" * bool(self.called)

    @property
    def account(self) -> Account | None:
        """What it costs, where it is a network."""
        return self.run.account

    @property
    def reported(self) -> dict[str, Any]:
        """The report's own numbers."""
        return dict(self.study.reported.get(self.name, {})) if self.study else {}

    @property
    def test(self) -> dict[str, Any]:
        """Its held-out numbers."""
        return self.released.test

    @property
    def facts(self) -> dict[str, Any]:
        """Its cost and training."""
        return self.run.facts

    @property
    def metrics(self) -> dict[str, Any]:
        """All numbers of the run, or of the first fold."""
        return self.released.metrics

    @property
    def data(self) -> dict[str, Any]:
        """What it says of its data."""
        return self.released.data

    @property
    def two(self) -> bool:
        """Whether there are two classes: then examples are ranked, and an alarm has a threshold."""
        return "outcome" in self.data

    @property
    def metric(self) -> Metric:
        """The one that decides which model is best."""
        return headline(self.data["classes"], self.run.test)

    @property
    def value(self) -> float:
        """Its held-out number that decides; it may be one that is not shown."""
        return self.run.test.get(self.metric.key) or 0.0

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What makes its numbers too good, leaks first; of all folds, each said once."""
        runs = self.run.runs
        found = [f for kind in ("leaks", "suspicions") for r in runs for f in r.metrics[kind]]
        return each_once(released_findings(found, self.run.data, self.smallest))

    @property
    def leak(self) -> str:
        """``row`` or ``hindsight`` where it leaks to show what that is worth, else nothing."""
        return planned_leak(self.run)


def measures(entries: Sequence[Entry]) -> list[Metric]:
    """The metrics that any of some runs reports: the one that judges first, then the others."""
    held = {key for entry in entries for key in entry.test}
    return sorted(reported(held), key=lambda metric: metric is not entries[0].metric)


def panel(entry: Entry) -> dict[str, Any]:
    """The registered pictures of one run, and sentences on its classes."""
    drawn = [
        (each, figure) for each in RUN_FIGURES.values() if (figure := each.draw(entry.released))
    ]
    alone = len(entry.run.runs) == 1
    seen = not isinstance(entry.test["confusion"], Hidden)
    return {
        "entry": entry,
        "pictures": [
            picture(figure, f"{entry.key}-{each.name}", each.title) for each, figure in drawn
        ],
        "notes": [each.note for each, _ in drawn if each.note],
        "sentences": discuss(entry.run.first) if alone and not entry.two and seen else [],
    }
