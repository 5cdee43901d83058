"""A figure on a page, with its caption and its data."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from urllib.parse import quote

from markupsafe import Markup

from sequela.disclosure import as_json
from sequela.figures.figure import Figure

_DIGITS = 4  # more than a reader can see in the picture


@dataclass(frozen=True)
class Picture:
    """A figure as the template places it."""

    drawing: Markup
    caption: str
    name: str
    data: str


def picture(figure: Figure, name: str, caption: str = "") -> Picture:
    """Prepare a figure for the page, with a name that is unique on it."""
    return Picture(svg(figure, name), caption, name, as_link(figure.rows))


def svg(figure: Figure, name: str) -> Markup:
    """Return a figure as an ``<svg>`` element for a page."""
    return Markup(figure.svg(name.replace(".", "-")))  # noqa: S704 - drawn here, its text escaped


def as_link(rows: Sequence[Mapping[str, object]]) -> str:
    """Return a link that holds rows as csv: hidden values are empty, numbers have four digits."""
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(names)
    table.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return "data:text/csv;charset=utf-8," + quote(written.getvalue(), safe=" ,:;()/.+")


def _cell(value: object) -> object:
    value = as_json(value)
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else value
