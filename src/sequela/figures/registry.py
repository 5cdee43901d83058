"""The pictures that are drawn of each run: on the page, one after the other, and in Python."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequela.errors import check_new_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sequela.figures.figure import Figure

_TWO = 2


@dataclass(frozen=True)
class RunFigure:
    """One picture of a run.

    Attributes:
        name: Part of its id on the page.
        title: What stands under it; empty where the picture says it.
        draw: From a finished run (:class:`sequela.runs.folder.RunFolder`, or folds) without what
            must not be shown (:class:`sequela.runs.released.Released`); ``None`` where there is
            nothing to draw.
        note: How to read it, said once under the pictures of all models.
    """

    name: str
    title: str
    draw: "Callable[[Any], Figure | None]"
    note: str = ""


RUN_FIGURES: dict[str, RunFigure] = {}
"""By name, in the order of the page."""


def register(figure: RunFigure) -> None:
    """Add a picture of runs.

    Raises:
        SettingError: If the name is taken, or cannot be part of an id.
    """
    check_new_name("figure", figure.name, RUN_FIGURES)
    RUN_FIGURES[figure.name] = figure


def _learning_curve(run: Any, number: str) -> "Figure | None":
    from sequela.figures.curves import learning_curve

    history = run.history
    keep = run.first.settings.training.keep
    known = history and (number == "loss" or number in history[0].metrics)
    return learning_curve(history, number, keep) if known else None


def _confusion_matrix(run: Any) -> "Figure | None":
    """Of several classes; two are confused at a threshold, which has a section of its own."""
    from sequela.evaluation.disclosure import Hidden
    from sequela.figures.matrices import confusion_matrix

    classes, counts = run.data["classes"], run.test["confusion"]
    drawn = len(classes) > _TWO and not isinstance(counts, Hidden)
    return confusion_matrix(counts, classes) if drawn else None


_CURVES = (
    "Learning curves: training dashed (measured while the weights move, with dropout on), tuning "
    "full; the dotted line marks the epoch that was kept. Of folds, they show the first."
)
for _figure in (
    RunFigure("loss", "", lambda run: _learning_curve(run, "loss"), _CURVES),
    RunFigure("accuracy", "", lambda run: _learning_curve(run, "accuracy"), _CURVES),
    RunFigure(
        "matrix",
        "",
        _confusion_matrix,
        "Confusion matrices: shares of each true class, held-out part.",
    ),
):
    register(_figure)
