"""Axes for plots with matplotlib."""

from typing import TYPE_CHECKING

from sequela.errors import MissingExtraError
from sequela.figures.chart.figure import FAINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes(ax: "Axes | None", x: str, y: str, *, diagonal: bool = True) -> "Axes":
    """Return axes with these titles, new ones if there are none, and a line of equal numbers."""
    if ax is None:
        try:
            from matplotlib import pyplot as plt
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "plots need matplotlib: run `pip install matplotlib`"
            ) from error
        ax = plt.subplots()[1]
    ax.set(xlabel=x, ylabel=y)
    if diagonal:
        ax.plot([0, 1], [0, 1], color=FAINT, linestyle=":")
    return ax
