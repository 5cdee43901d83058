"""The pictures that are drawn of each run, on the page and in Python."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sequela.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from sequela.figures.figure import Figure
    from sequela.runs.released import Released

_BINARY = 2  # classes of a model whose matrix is in its own section


@dataclass(frozen=True)
class RunFigure:
    """One picture of a run.

    Attributes:
        name: Part of its id on the page.
        title: The caption; empty where the picture needs none.
        draw: Draws a finished run or folds, as :class:`sequela.runs.released.Released` shows it;
            returns ``None`` where there is nothing to draw.
        note: An explanation, placed once under the pictures of all models.
    """

    name: str
    title: str
    draw: "Callable[[Released], Figure | None]"
    note: str = ""


RUN_FIGURES = Registry("figure", RunFigure)  # the pictures by name, in the order of the page


def _learning_curve(run: "Released", number: str) -> "Figure | None":
    from sequela.figures.curves import learning_curve

    history = run.history
    keep = run.settings.training.keep
    recorded = history and (number == "loss" or number in history[0].metrics)
    return learning_curve(history, number, keep) if recorded else None


def _confusion_matrix(run: "Released") -> "Figure | None":
    """Draw three or more classes; two classes have their own section with thresholds."""
    from sequela.disclosure import Hidden
    from sequela.figures.matrices import confusion_matrix

    classes, counts = run.data.classes, run.test.confusion
    if len(classes) <= _BINARY or not counts or isinstance(counts, Hidden):
        return None
    return confusion_matrix(counts, classes)


_CURVES = (
    "Learning curves: the dashed line is the training set (measured during training, with dropout "
    "on), the full line the validation set. The dotted vertical line marks the epoch that was "
    "kept. With several folds or seeds, the curves are those of the first."
)
for _figure in (
    RunFigure("loss", "", lambda run: _learning_curve(run, "loss"), _CURVES),
    RunFigure("accuracy", "", lambda run: _learning_curve(run, "accuracy"), _CURVES),
    RunFigure(
        "matrix",
        "",
        _confusion_matrix,
        "The confusion matrices show shares of each true class in the test set.",
    ),
):
    RUN_FIGURES.add(_figure)
