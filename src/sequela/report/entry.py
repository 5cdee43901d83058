"""One run on a page: its title, its numbers, its cost and its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sequela.analysis import stability
from sequela.analysis.stability import Stability
from sequela.disclosure import Hidden
from sequela.evaluation.metrics import Metric, headline, reported
from sequela.figures.registry import RUN_FIGURES
from sequela.report.picture import picture
from sequela.runs.audit import findings_of
from sequela.runs.model import Member, has_network, members_of, title
from sequela.runs.recipe import update_in_words
from sequela.runs.released import Released, of_people
from sequela.studies.registry import planned_leak
from sequela.studies.study import Study

KEPT = {"best": "the epoch with the lowest validation loss", "last": "the last epoch"}
"""The epoch whose weights a run has, by its setting ``keep``."""


@dataclass(frozen=True)
class Entry(Released):
    """One run on a page, as far as it may be shown; on its own page it has no study.

    Where another run on the page has the same model, it is ``called`` by the name of its folder,
    and has a number, its place on the page.
    """

    study: Study | None = None
    called: str = ""
    number: int = 0

    @property
    def points_shown(self) -> bool:
        """``True`` if the confusion matrices at the thresholds may be shown."""
        return not any(isinstance(point.confusion, Hidden) for point in self.test.operating_points)

    @property
    def name(self) -> str:
        """The model's registry name."""
        return self.run.settings.model

    @property
    def title(self) -> str:
        """The model's name for people."""
        words = title(self.run.settings)
        if self.run.settings.training.class_weights:
            words += ", weighted"
        return f"{words} ({self.called})" if self.called else words

    @property
    def members(self) -> list[Member]:
        """The models of an ensemble; empty for any other run."""
        return members_of(self.run.settings)

    @property
    def update_in_words(self) -> str:
        """The change of an updated model, its parent and the local patients; empty for others."""
        return update_in_words(self.run, self.metrics.update) if self.metrics.update else ""

    @property
    def key(self) -> str:
        """The start of its ids on the page: unique among the runs of a cohort that do not leak."""
        study = f"{self.study.name}-" if self.study else ""
        members = "".join(f"-{member.settings['model']}" for member in self.members)
        key = f"{study}{self.name}{members}"
        if self.run.settings.training.class_weights:
            key += "-weighted"
        return f"{key}-{self.number}" if self.called else key

    @property
    def is_network(self) -> bool:
        """``True`` for a network, and for an ensemble with one."""
        return self.run.facts.epochs > 0 or (bool(self.members) and has_network(self.run.settings))

    @property
    def reported(self) -> Mapping[str, float | str]:
        """The report's own numbers."""
        return self.study.reported.get(self.name, {}) if self.study else {}

    @property
    def two(self) -> bool:
        """``True`` if there are two classes: examples are ranked, and an alarm has a threshold."""
        return self.data.outcome is not None and not self.timed

    @property
    def timed(self) -> bool:
        """``True`` for times to an event."""
        return bool(self.data.horizons)

    @property
    def metric(self) -> Metric:
        """The metric that decides which model is best."""
        return headline(self.data.classes, self.run.test)

    @property
    def value(self) -> float:
        """Its value of that metric on the test set, which may be hidden on the page."""
        # The order of models must not depend on which numbers are hidden on this page.
        return self.run.test.get(self.metric.key) or 0.0

    @property
    def of_people(self) -> bool:
        """``True`` if the data count people."""
        return of_people(self.data)

    @property
    def findings(self) -> list[dict[str, str]]:
        """The leaks and suspicions of all folds, leaks first, each listed once."""
        return findings_of(self.run, self.smallest)

    @cached_property
    def stability(self) -> list[Stability]:
        """The change of a risk between models that could have been trained."""
        return stability.of_run(self.run, self.smallest)

    @property
    def leak(self) -> str:
        """``row`` or ``hindsight`` if it leaks on purpose to show the inflation, else nothing."""
        return planned_leak(self.run)


def measures(entries: Sequence[Entry]) -> list[Metric]:
    """Return the metrics that any of the runs reports, the deciding metric first."""
    keys: set[str] = set().union(*(entry.test for entry in entries))
    return sorted(reported(keys), key=lambda metric: metric is not entries[0].metric)


def panel(entry: Entry) -> dict[str, object]:
    """Return the registered pictures of one run."""
    pictures, notes = [], []
    for run_figure in RUN_FIGURES.values():
        if figure := run_figure.draw(entry):
            name = f"{entry.key}-{run_figure.name}"
            pictures.append(picture(figure, name, run_figure.title))
            notes.append(run_figure.note)
    return {"entry": entry, "pictures": pictures, "notes": notes}
