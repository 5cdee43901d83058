"""Several curves in one picture, distinguished by colour and by dash or shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from sequela.figures.chart.figure import FIRST, INK, SECOND, THIRD, chart_of

Rows = Sequence[dict[str, Any]]

_COLOURS = (FIRST, SECOND, THIRD, INK)
_DASHES = ([1, 0], [6, 3], [2, 2], [9, 2, 2, 2], [12, 4])
_SHAPES = ("circle", "diamond", "square", "triangle-up", "cross")


@dataclass(frozen=True)
class Series:
    """The names of the curves in order, all distinct, each with its own look, and their column."""

    names: Sequence[str]
    field: str
    title: str | Sequence[str] | None = None

    def colour_of(self, name: str) -> str:
        """Return the colour of a curve."""
        return _COLOURS[list(self.names).index(name) % len(_COLOURS)]

    def shape_of(self, name: str) -> str:
        """Return the shape of the points of a curve."""
        return _SHAPES[list(self.names).index(name) % len(_SHAPES)]

    def bands(self, rows: Rows, axes: Mapping[str, Any], *, clip: bool = False) -> list[alt.Chart]:
        """Draw areas between ``low``, the y of the axes, and ``high``, for rows that have both."""
        bounded = [row for row in rows if row.get("low") is not None]
        return [
            chart_of([row for row in bounded if row[self.field] == name])
            .mark_area(color=self.colour_of(name), opacity=0.16, clip=clip)
            .encode(**axes, y2=alt.Y2("high:Q"))
            for name in self.names
        ]

    def lines(
        self,
        rows: Rows,
        axes: Mapping[str, Any],
        *,
        width: float = 2,
        legend: bool = True,
        clip: bool = False,
    ) -> alt.Chart:
        """Draw lines through the rows in their order, with the legend."""
        colours = [self.colour_of(name) for name in self.names]
        dashes = [_DASHES[index % len(_DASHES)] for index in range(len(self.names))]
        lines: alt.Chart = (
            chart_of(rows)
            .mark_line(strokeWidth=width, strokeJoin="round", clip=clip)
            .encode(
                **axes,
                color=alt.Color(**self._by_name(colours, legend=legend)),
                strokeDash=alt.StrokeDash(**self._by_name(dashes, legend=legend)),
                order=alt.Order("place:Q"),
            )
            .transform_window(place="row_number()")
        )
        return lines

    def _by_name(self, looks: Sequence[Any], *, legend: bool) -> dict[str, Any]:
        shown = alt.Legend(
            orient="top",
            direction="vertical",
            title=self.title,
            symbolType="stroke",
            symbolSize=500,
            symbolStrokeWidth=2,
        )
        return {
            "shorthand": f"{self.field}:N",
            "scale": alt.Scale(domain=list(self.names), range=list(looks)),
            "sort": list(self.names),
            "legend": shown if legend else None,
        }
