"""A figure: a Vega-Lite chart with its text alternative and its data."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import pyarrow as pa
import vl_convert

from sequela.figures.chart import table

INK, FAINT, PAPER = "#1b1b1f", "#b9bac4", "#ffffff"
FIRST, SECOND, THIRD = "#1f5fbf", "#b3450a", "#1f8a68"
"""Colours of text and lines, grid, background and data; a page may change them by variables.

``THIRD`` has a contrast of 3 : 1 on white and on black, so a page needs no variable for it.
"""
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: f"var(--third, {THIRD})",
}
_FONT = "system-ui, sans-serif"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-\d+)?")
_DESCRIBED = re.compile(r'<(path|line|rect)([^>]*?) aria-label="([^"]*)"([^>]*?)/>')
_HALOED = re.compile(
    rf'<text ([^>]*) fill="{PAPER}" stroke="{PAPER}" stroke-width="(\d+)">([^<]*)</text></g>'
    rf'<g[^>]*><text \1 fill="{INK}">\3</text>'
)
_GEOMETRY = re.compile(r' (?:d|transform|x|y|width|height|x1|x2|y1|y2)="[^"]*"')

Layers = Sequence[alt.Chart | alt.LayerChart]


@dataclass(frozen=True)
class Figure:
    """A picture that holds its data.

    Attributes:
        chart: The Vega-Lite chart.
        alt: The picture described in words.
        rows: The data of the picture, as a table.
    """

    chart: alt.LayerChart | alt.VConcatChart
    alt: str
    rows: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        layers: Layers,
        size: tuple[float, float],
        text: str,
        rows: list[dict[str, Any]],
        **properties: Any,
    ) -> "Figure":
        """Draw layers on each other, in pixels of width and height, with the text alternative."""
        width, height = size
        chart = alt.LayerChart(layer=list(layers), width=width, height=height, **properties)
        return cls(chart, text, rows)

    def frame(self) -> pa.Table:
        """Return the data of the picture."""
        return table.as_table(self.rows)

    def to_pandas(self) -> Any:
        """Return :meth:`frame` as a pandas frame."""
        return self.frame().to_pandas()

    def vega_lite(self) -> dict[str, Any]:
        """Return a Vega-Lite specification with its data, for any viewer of Vega-Lite."""
        return {**_themed(self.chart, PAPER), "description": self.alt}

    def png(self, scale: float = 2) -> bytes:
        """Return the picture on white as PNG, with ``scale`` pixels for each pixel of the SVG."""
        drawn: bytes = vl_convert.vegalite_to_png(self.vega_lite(), scale=scale)
        return drawn

    def svg(self, name: str) -> str:
        """Return an ``<svg>`` element for a page, its colours as variables of the page.

        The page must define ``--ink``, ``--faint``, ``--paper``, ``--first`` and ``--second``, and
        may define ``--third``. Ids of the picture begin with the name, which is unique on the page.
        """
        drawn = _drawn(self.chart, "transparent", name, self.alt)
        for colour, variable in _VARIABLES.items():
            drawn = drawn.replace(f'"{colour}"', f'"{variable}"')
        return drawn

    def save(self, path: Path | str) -> Path:
        """Write the picture or its data: .svg, .png, .json (Vega-Lite), .csv or .parquet."""
        forms = {".svg": lambda: self._standalone().encode(), ".png": self.png, ".json": self._json}
        return table.write(Path(path), forms, self.rows)

    def _json(self) -> bytes:
        return f"{json.dumps(self.vega_lite(), ensure_ascii=False)}\n".encode()

    def _standalone(self) -> str:
        """Return the picture as SVG with a white background and fixed colours."""
        name = hashlib.sha256(self.alt.encode()).hexdigest()[:8]
        return _drawn(self.chart, PAPER, f"figure-{name}", self.alt)

    def _repr_html_(self) -> str:
        return f"<figure>{self._standalone()}</figure>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {
            "text/plain": self.alt,
            "text/html": self._repr_html_(),
            "image/png": base64.b64encode(self.png()).decode(),
        }


def chart_of(rows: Iterable[dict[str, Any]], **properties: Any) -> alt.Chart:
    """Return a chart of rows, in a tuple: altair copies a list with each layer, row by row."""
    return alt.Chart({"values": tuple(rows)}, **properties)


def _drawn(chart: alt.TopLevelMixin, background: str, name: str, text: str) -> str:
    """Return an ``<svg>`` element with unique ids and one text for the whole picture."""
    drawn: str = vl_convert.vegalite_to_svg(_themed(chart, background))
    drawn = _renamed(drawn, name)
    # A text and the ground behind it are one: it is read, found and copied once.
    drawn = _HALOED.sub(
        rf'<text \1 fill="{INK}" stroke="{PAPER}" stroke-width="\2" paint-order="stroke">\3</text>',
        drawn,
    )
    # Its parts are not announced one by one; a hover describes each.
    drawn = _DESCRIBED.sub(r"<\1\2\4><title>\3</title></\1>", drawn)
    drawn = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", drawn)
    drawn = _GEOMETRY.sub(lambda found: _LONG_NUMBER.sub(_hundredths, found[0]), drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{html.escape(text)}" ', 1)


def _renamed(drawn: str, name: str) -> str:
    """Rename ids to begin with ``name``; the given ids count on from picture to picture."""
    given = re.findall(r' id="(\w+)"', drawn)
    new = {old: f"{name}-{place}" for place, old in enumerate(given)}
    drawn = re.sub(r' id="(\w+)"', lambda found: f' id="{new[found[1]]}"', drawn)
    return re.sub(r"url\(#(\w+)\)", lambda found: f"url(#{new[found[1]]})", drawn)


def _hundredths(number: re.Match[str]) -> str:
    """Round a length to a hundredth of a pixel."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _themed(chart: alt.TopLevelMixin, background: str) -> dict[str, Any]:
    """Return the chart's specification in the package's colours and font.

    The theme is added to the finished specification, because each ``configure`` of a chart copies
    its data. Validation is off, because checking each row of the data is slower than drawing it.
    """
    words = {
        "labelColor": INK,
        "labelLimit": 0,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    grid = {"domainColor": FAINT, "gridColor": FAINT, "gridOpacity": 0.4, "tickColor": FAINT}
    legend = {"columnPadding": 16, "labelFontSize": 12, "symbolStrokeColor": INK, "titleLimit": 0}
    specification: dict[str, Any] = chart.to_dict(validate=False)
    rows = json.dumps(specification.get("datasets", {}), default=_plain)
    specification["datasets"] = json.loads(rows)
    config = specification["config"]
    specification["config"] = {
        **config,
        "background": background,
        "font": _FONT,
        "mark": {"aria": False},
        "axis": {**grid, "labelFlush": False, "labelFontSize": 11, **words},
        "view": {**config["view"], "stroke": None},
        "title": {"anchor": "start", "color": INK, "fontSize": 12, "fontWeight": "normal"},
        "legend": {**legend, **words},
        "text": {"color": INK, "font": _FONT},
    }
    return specification


def _plain(value: Any) -> Any:
    """Return a scalar of numpy as one of Python, and a date as a text."""
    return value.item() if hasattr(value, "item") else str(value)
