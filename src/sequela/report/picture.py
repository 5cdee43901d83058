"""A figure as a page places it: drawn for one width or two, with its caption and its data."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from sequela.evaluation.disclosure import as_json
from sequela.figures.figure import Figure

WIDE, HALF, NARROW = 1090, 510, 290
"""Pixels of a picture as wide as a page, half as wide, and on a phone, without its axis."""
_DIGITS = 4


@dataclass(frozen=True)
class Picture:
    """What the template places of a figure.

    Attributes:
        drawn: ``<svg>``.
        caption: What is seen.
        name: Of the file of its data, and what its ids begin with.
        data: The data as a link that holds them.
        narrow: The same drawn for a phone, if it is another drawing.
    """

    drawn: Markup
    caption: str
    name: str
    data: str
    narrow: Markup | None = None


def picture(figure: Figure, name: str, caption: str = "") -> Picture:
    """A figure for the page.

    Args:
        figure: Drawn.
        name: Unique on the page.
        caption: What is seen; its text stands under it.
    """
    return Picture(svg(figure, name), caption, name, as_link(figure.rows))


def in_two_widths(
    draw: Callable[[int], Figure], name: str, caption: str, width: int = WIDE
) -> Picture:
    """A figure as wide as the page, and another drawing of it for a phone.

    Args:
        draw: Draws it in a width, in pixels.
        name: Unique on the page.
        caption: What is seen.
        width: Of the wide one.
    """
    wide = draw(width)
    narrow = svg(draw(NARROW), f"{name}-narrow")
    return Picture(svg(wide, name), caption, name, as_link(wide.rows), narrow)


def svg(figure: Figure, name: str) -> Markup:
    """A figure as it stands within a page."""
    return Markup(figure.svg(name.replace(".", "-")))  # noqa: S704 - drawn here, its text escaped


def as_link(rows: list[dict[str, Any]]) -> str:
    """Rows as csv in a link: what is hidden is empty, numbers have four digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(names)
    table.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return "data:text/csv;charset=utf-8," + quote(written.getvalue(), safe=" ,:;()/.+")


def _cell(value: Any) -> Any:
    value = as_json(value)
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else value
