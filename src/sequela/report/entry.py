"""One run on a page: its title, its numbers, its cost and its pictures."""

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
from sequela.runs.ensemble import Member, has_network, members_of, title
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
        study: The start of its ids and the report's numbers on the model; none on its own page.
        smallest: The smallest count of people that is shown.
        called: The name of its folder where another run on the page has the same model.
        number: Its place on the page, in that case.
    """

    run: Run
    study: Study | None = None
    smallest: int = SMALLEST_CELL
    called: str = ""
    number: int = 0

    @cached_property
    def released(self) -> Released:
        """The numbers of the run that may be shown."""
        return Released(self.run, self.smallest)

    @property
    def cell(self) -> int:
        """The smallest count that its pictures show: any count, where nobody is counted."""
        return self.smallest if of_people(self.run.data) else 1

    @property
    def points_shown(self) -> bool:
        """``True`` if the confusion matrices at the thresholds may be shown."""
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
        """The models of an ensemble; empty for any other run."""
        return members_of(self.run.settings)

    @property
    def key(self) -> str:
        """The start of its ids on the page: unique among the runs of a cohort that do not leak."""
        study = f"{self.study.name}-" if self.study else ""
        members = "".join(f"-{each.settings['model']}" for each in self.members)
        weighted = "-weighted" * self.run.settings.training.class_weights
        return study + self.name + members + weighted + f"-{self.number}" * bool(self.called)

    @property
    def account(self) -> Account | None:
        """The cost account of the model; ``None`` if it is not counted."""
        return self.run.account

    @property
    def is_network(self) -> bool:
        """Whether it is a network, or an ensemble with one."""
        return self.facts["epochs"] > 0 or (bool(self.members) and has_network(self.run.settings))

    @property
    def reported(self) -> dict[str, Any]:
        """The report's own numbers."""
        return dict(self.study.reported.get(self.name, {})) if self.study else {}

    @property
    def test(self) -> dict[str, Any]:
        """Its numbers on the test set."""
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
        """Its description of the data."""
        return self.released.data

    @property
    def two(self) -> bool:
        """``True`` if there are two classes: examples are ranked, and an alarm has a threshold."""
        return "outcome" in self.data

    @property
    def metric(self) -> Metric:
        """The metric that decides which model is best."""
        return headline(self.data["classes"], self.run.test)

    @property
    def value(self) -> float:
        """Its value of that metric on the test set, which may be hidden on the page."""
        return self.run.test.get(self.metric.key) or 0.0

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The leaks and suspicions of all folds, leaks first, each listed once."""
        runs = self.run.runs
        found = [f for kind in ("leaks", "suspicions") for r in runs for f in r.metrics[kind]]
        return each_once(released_findings(found, self.run.data, self.smallest))

    @property
    def leak(self) -> str:
        """``row`` or ``hindsight`` if it leaks on purpose to show the inflation, else nothing."""
        return planned_leak(self.run)


def measures(entries: Sequence[Entry]) -> list[Metric]:
    """Return the metrics that any of the runs reports, the deciding metric first."""
    held = {key for entry in entries for key in entry.test}
    return sorted(reported(held), key=lambda metric: metric is not entries[0].metric)


def panel(entry: Entry) -> dict[str, Any]:
    """Return the registered pictures of one run, and sentences on its classes."""
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
