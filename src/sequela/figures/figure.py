"""A figure: a Vega-Lite chart with its text alternative, drawn as SVG for a page."""

import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

INK, FAINT, FIRST, SECOND = "#1b1b1f", "#b9bac4", "#1f5fbf", "#b3450a"
"""Text and lines, grid, and the two colours of data; a page may restyle them by their variables."""
_VARIABLES = {INK: "--ink", FAINT: "--faint", FIRST: "--first", SECOND: "--second"}
_FONT = "system-ui, sans-serif"


@dataclass(frozen=True)
class Figure:
    """A picture that holds its data.

    Attributes:
        chart: The Vega-Lite chart.
        alt: What the picture shows, in words, for those who do not see it.
        rows: The data that are drawn, as a table.
    """

    chart: alt.LayerChart
    alt: str
    rows: list[dict[str, Any]]

    def svg(self, name: str) -> str:
        """The picture as an ``<svg>`` element for a page, its colours as variables of the page.

        Args:
            name: Unique on the page; it keeps the ids of several pictures apart.
        """
        drawn: str = vl_convert.vegalite_to_svg(_themed(self.chart))
        for colour, variable in _VARIABLES.items():
            drawn = drawn.replace(f'"{colour}"', f'"var({variable})"')
        drawn = re.sub(r'id="(\w+)"', rf'id="{name}-\1"', drawn)
        drawn = re.sub(r"url\(#(\w+)\)", rf"url(#{name}-\1)", drawn)
        # One picture with one text: its parts are not announced one by one.
        drawn = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", drawn)
        text = self.alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        return drawn.replace("<svg ", f'<svg role="img" aria-label="{text}" ', 1)


def _themed(chart: alt.LayerChart) -> dict[str, Any]:
    """The chart's specification in the colours and font of the house."""
    axis = {
        "gridColor": FAINT,
        "gridOpacity": 0.4,
        "domainColor": FAINT,
        "tickColor": FAINT,
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "labelLimit": 0,
        "titleFontSize": 12,
    }
    styled = chart.configure(background="transparent", font=_FONT)
    styled = styled.configure_axis(**axis).configure_view(stroke=None)
    styled = styled.configure_title(color=INK, fontSize=12, fontWeight="normal", anchor="start")
    styled = styled.configure_legend(labelColor=INK, titleColor=INK, symbolStrokeColor=INK)
    specification: dict[str, Any] = styled.to_dict()
    return specification
