"""A figure: a Vega-Lite chart with its text alternative and its data."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import altair as alt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import vl_convert

from sequela.errors import SettingError
from sequela.files import whole

# A page may change these colours by variables. ``THIRD`` has a contrast of 3 : 1 on white and on
# black, so a page needs no variable for it.
INK = "#1b1b1f"  # text and lines
FAINT = "#b9bac4"  # grids
PAPER = "#ffffff"  # background
FIRST = "#1f5fbf"  # data, as the next two
SECOND = "#b3450a"
THIRD = "#6b6c76"
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: f"var(--third, {THIRD})",
}
_FONT = "system-ui, sans-serif"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e-\d+)?")
_DESCRIBED = re.compile(r'<(path|line|rect)([^>]*?) aria-label="([^"]*)"([^>]*?)/>')
_HALOED = re.compile(
    rf'<text ([^>]*) fill="{PAPER}" stroke="{PAPER}" stroke-width="(\d+)">([^<]*)</text></g>'
    rf'<g[^>]*><text \1 fill="{INK}">\3</text>'
)
# Vega writes the defaults of SVG, frames of no size, and names of its own parts.
_WASTE = re.compile(
    r' pointer-events="none"| opacity="1"| stroke-width="1"| class="[a-z][a-z -]*"'
    r'|<path class="(?:back|fore)ground" d="(?:M0,0h0v0h0Z)?"[^>]*/>| font-family="[^"]*"'
)
_GEOMETRY = re.compile(r' (?:d|transform|x|y|width|height|x1|x2|y1|y2)="[^"]*"')

Specification = dict[str, Any]  # a chart in JSON, as Vega-Lite defines it
Layers = Sequence[alt.Chart | alt.LayerChart]
Row = dict[str, Any]  # the data of one point, bar or text of a picture, by column
Channels = dict[str, Any]
"""The arguments of altair's ``encode``, by channel: axes, colours, texts."""


@dataclass(frozen=True)
class Figure:
    """A picture that holds its data.

    Attributes:
        chart: The Vega-Lite chart.
        alt: The picture described in words.
        rows: The data of the picture, as a table.
    """

    chart: alt.LayerChart | alt.HConcatChart | alt.VConcatChart
    alt: str
    rows: list[Row]

    @classmethod
    def of(
        cls,
        layers: Layers,
        size: tuple[float, float],
        text: str,
        rows: list[Row],
        title: str = "",
    ) -> "Figure":
        """Draw layers on each other, in pixels of width and height, with the text alternative."""
        width, height = size
        chart = alt.LayerChart(
            layer=list(layers), width=width, height=height, title=title or alt.Undefined
        )
        return cls(chart, text, rows)

    def frame(self) -> pa.Table:
        """Return the data of the picture: a column for each key, null where a row lacks it."""
        # Columns are in the order of their first appearance in any row.
        names = list(dict.fromkeys(chain.from_iterable(self.rows)))
        return pa.table({name: [row.get(name) for row in self.rows] for name in names})

    def vega_lite(self) -> Specification:
        """Return a Vega-Lite specification with its data, for any viewer of Vega-Lite."""
        return {**_themed(self.chart, PAPER), "description": self.alt}

    def png(self, scale: float = 2) -> bytes:
        """Return the picture on white as PNG, with ``scale`` pixels for each pixel of the SVG."""
        image: bytes = vl_convert.vegalite_to_png(self.vega_lite(), scale=scale)
        return image

    def svg(self, name: str) -> str:
        """Return an ``<svg>`` element for a page, its colours as variables of the page.

        The page must define ``--ink``, ``--faint``, ``--paper``, ``--first`` and ``--second``, and
        may define ``--third``. Ids of the picture begin with the name, which is unique on the page.
        """
        svg = _as_svg(self.chart, "transparent", name, self.alt)
        # A page sets these variables by light or dark mode, which a fixed colour could not follow.
        for colour, variable in _VARIABLES.items():
            svg = svg.replace(f'"{colour}"', f'"{variable}"')
        return svg

    def save(self, path: Path | str) -> Path:
        """Write the picture or its data: .svg, .png, .json (Vega-Lite), .csv or .parquet.

        The file appears whole or not at all.
        """
        path = Path(path)
        forms: dict[str, Callable[[Path], object]] = {
            ".svg": lambda file: file.write_text(self._standalone(), "utf-8"),
            ".png": lambda file: file.write_bytes(self.png()),
            ".json": lambda file: file.write_text(self._json(), "utf-8"),
            ".csv": lambda file: pa_csv.write_csv(self.frame(), file),
            ".parquet": lambda file: pq.write_table(self.frame(), file),
        }
        suffix = path.suffix.lower()
        if suffix not in forms:
            wrong = f"'{suffix}'" if suffix else "no suffix"
            raise SettingError(
                f"a figure cannot be saved as '{path.name}': it has {wrong}, expected one of "
                f"{', '.join(forms)}"
            )
        with whole(path) as partial:
            forms[suffix](partial)
        return path

    def _json(self) -> str:
        return f"{json.dumps(self.vega_lite(), ensure_ascii=False)}\n"

    def _standalone(self) -> str:
        # Ids differ between figures, and are the same each time.
        name = hashlib.sha256(self.alt.encode()).hexdigest()[:8]
        return _as_svg(self.chart, PAPER, f"figure-{name}", self.alt)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {
            "text/plain": self.alt,
            "text/html": f"<figure>{self._standalone()}</figure>",
            "image/png": base64.b64encode(self.png()).decode(),
        }


def chart_of(rows: Iterable[Row], **properties: Any) -> alt.Chart:
    """Return a chart of rows, in a tuple: altair copies a list with each layer, row by row."""
    return alt.Chart({"values": tuple(rows)}, **properties)


def _as_svg(chart: alt.TopLevelMixin, background: str, name: str, text: str) -> str:
    """Return an ``<svg>`` element with unique ids and one text for the whole picture."""
    svg: str = vl_convert.vegalite_to_svg(_themed(chart, background))
    svg = _renamed(svg, name)
    # A text and the ground behind it become one text, which is read, found and copied once.
    svg = _HALOED.sub(
        rf'<text \1 fill="{INK}" stroke="{PAPER}" stroke-width="\2" paint-order="stroke">\3</text>',
        svg,
    )
    # A screen reader does not announce the parts one by one; a hover describes each.
    svg = _DESCRIBED.sub(r"<\1\2\4><title>\3</title></\1>", svg)
    svg = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", svg)
    # More digits than a screen shows double the size of a page, and differ between machines.
    svg = _WASTE.sub("", svg)
    svg = _GEOMETRY.sub(lambda match: _LONG_NUMBER.sub(_tenths, match[0]), svg)
    attributes = f'role="img" aria-label="{html.escape(text)}" font-family="{_FONT}"'
    return svg.replace("<svg ", f"<svg {attributes} ", 1)


def _renamed(svg: str, name: str) -> str:
    """Rename ids to begin with ``name``; vl-convert's ids count on from picture to picture."""
    ids = re.findall(r' id="(\w+)"', svg)
    new = {old: f"{name}-{place}" for place, old in enumerate(ids)}
    svg = re.sub(r' id="(\w+)"', lambda match: f' id="{new[match[1]]}"', svg)
    return re.sub(r"url\(#(\w+)\)", lambda match: f"url(#{new[match[1]]})", svg)


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _themed(chart: alt.TopLevelMixin, background: str) -> Specification:
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
    specification: Specification = chart.to_dict(validate=False)
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


def _plain(value: Any) -> object:
    return value.item() if hasattr(value, "item") else str(value)
