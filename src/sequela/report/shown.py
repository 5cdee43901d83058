"""One run as the page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sequela.cost import record
from sequela.cost.ledger import Account
from sequela.evaluation.metrics import Metric, headline, reported
from sequela.figures.curves import learning_curve
from sequela.figures.figure import Figure
from sequela.figures.matrices import confusion_matrix
from sequela.models.registry import title_of
from sequela.report.discussion import discuss
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder


@dataclass(frozen=True)
class Shown:
    """One run as the page shows it.

    Attributes:
        run: The run, or the folds.
        title: The model's name for people.
        account: What it costs, where it is a network.
        reported: The 2019 report's own numbers.
    """

    run: Run
    title: str
    account: Account | None
    reported: dict[str, Any]

    @classmethod
    def of(cls, run: Run, reported: dict[str, dict[str, Any]]) -> "Shown":
        """A run, with what the report says of its model."""
        name = run.settings.model
        single = run if isinstance(run, RunFolder) else run.runs[0]
        cost = single.path / "cost.json"
        return cls(
            run=run,
            title=title_of(name) + ", weighted" * run.settings.training.class_weights,
            account=record.load(cost) if cost.exists() else None,
            reported=reported.get(name, {}),
        )

    @property
    def name(self) -> str:
        """The model's registry name."""
        return self.run.settings.model

    @property
    def key(self) -> str:
        """What ids on the page begin with: unique among the runs of one split or cohort."""
        return self.name + "-weighted" * self.run.settings.training.class_weights

    @property
    def test(self) -> dict[str, Any]:
        """Its held-out numbers."""
        return self.run.test

    @property
    def facts(self) -> dict[str, Any]:
        """Its cost and training."""
        return self.run.facts

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What makes its numbers too good, leaks first; of all folds, each said once."""
        runs = [self.run] if isinstance(self.run, RunFolder) else self.run.runs
        found = [f for kind in ("leaks", "suspicions") for r in runs for f in r.metrics[kind]]
        return list({(f["check"], f["what"], f["where"]): f for f in found}.values())

    @property
    def metrics(self) -> dict[str, Any]:
        """All numbers of the run, or of the first fold."""
        return self.run.metrics


def measures(shown: Sequence[Shown]) -> list[Metric]:
    """The metrics that any of some runs reports: the one that judges first, then the others."""
    first = headline(shown[0].metrics["data"]["classes"])
    held = {key for each in shown for key in each.test}
    return sorted(reported(held), key=lambda metric: metric is not first)


def svg(figure: Figure, name: str) -> Markup:
    """A figure for the page."""
    return Markup(figure.svg(name.replace(".", "-")))  # noqa: S704 - drawn here, its text escaped


def curves(shown: Shown) -> list[Markup]:
    """Loss and accuracy over the epochs, of the first fold where there are folds."""
    run = shown.run if isinstance(shown.run, RunFolder) else shown.run.runs[0]
    return [
        svg(learning_curve(run.history, number), f"{shown.key}-{number}")
        for number in ("loss", "accuracy")
        if run.history
    ]


def panel(shown: Shown) -> dict[str, Any]:
    """Curves, matrix and sentences of one run."""
    matrix = confusion_matrix(shown.test["confusion"], shown.metrics["data"]["classes"])
    return {
        "shown": shown,
        "curves": curves(shown),
        "matrix": svg(matrix, f"{shown.key}-matrix"),
        "sentences": discuss(shown.run) if isinstance(shown.run, RunFolder) else [],
    }
