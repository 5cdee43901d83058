"""The display of objects in notebooks: named facts as text and HTML, and axes of plots."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from sequela.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def as_text(title: str, facts: Mapping[str, str]) -> str:
    """Format the facts one below the other.

    Example:
        >>> print(as_text("bonn", {"segments": "9,200", "licence": "CC BY 4.0"}))
        bonn
          segments  9,200
          licence   CC BY 4.0
    """
    width = max(map(len, facts))
    return "\n".join([title, *(f"  {name:{width}}  {fact}" for name, fact in facts.items())])


def as_html(title: str, facts: Mapping[str, str], *, below: Sequence[str] = ()) -> str:
    """Format the facts as an HTML table."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(fact)}</td></tr>'
        for name, fact in facts.items()
    )
    caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
    return f"<table>{caption}<tbody>{rows}</tbody></table>{''.join(below)}"


def axes(ax: "Axes | None", x: str, y: str, *, diagonal: bool = True) -> "Axes":
    """Return axes with these titles, new ones if there are none, and a line of equal numbers."""
    from sequela.figures.chart.figure import FAINT

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
