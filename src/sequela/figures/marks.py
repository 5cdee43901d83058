"""Marks that pictures share: texts, reference lines, and curves with different looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.intervals import Estimate
from sequela.evaluation.number import number, within
from sequela.figures.figure import FIRST, INK, PAPER, SECOND, THIRD, Channels, Row, chart_of

# Colour, dash and shape all differ, for prints in grey and colour-blind readers.
_COLOURS = (FIRST, SECOND, THIRD, INK)
_DASHES = ([1, 0], [6, 3], [2, 2], [9, 2, 2, 2], [12, 4])
_LABEL = 32  # letters of a label that is written in one line
_SHAPES = ("circle", "diamond", "square", "triangle-up", "cross")


def haloed(rows: list[Row], encoding: Channels, **style: Any) -> alt.LayerChart:
    """Draw texts (column ``text``) that stay readable where they cross lines."""
    # A broad stroke in the colour of the paper below each text covers the lines that cross it.
    base = chart_of(rows).encode(**encoding, text=alt.Text("text:N"))
    ground = base.mark_text(fontSize=11, color=PAPER, stroke=PAPER, strokeWidth=4, **style)
    return alt.LayerChart(layer=[ground, base.mark_text(fontSize=11, color=INK, **style)])


def named_line(
    start: tuple[float, float],
    end: tuple[float, float],
    name: str,
    at: tuple[float, float],
    **style: Any,
) -> alt.LayerChart:
    """Draw a dotted reference line, and its name at a place."""
    axes = {"x": alt.X("x:Q"), "y": alt.Y("y:Q")}
    ends = [{"x": x, "y": y} for x, y in (start, end)]
    line = chart_of(ends).mark_line(color=INK, strokeWidth=1, strokeDash=[2, 3])
    text = haloed([{"x": at[0], "y": at[1], "text": name}], axes, **style)
    return alt.LayerChart(layer=[line.encode(**axes), text])


def as_row(estimate: Estimate, name: str) -> dict[str, float | None]:
    """Return the columns of a number with a name, and of its bounds."""
    interval, value = estimate.interval, estimate.value
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {name: None if np.isnan(value) else value, "low": low, "high": high}


def with_interval(estimate: Estimate, form: str = ".2f") -> str:
    """Write a number with its interval in words.

    Example:
        >>> with_interval(Estimate(0.8123, None))
        '0.81'
    """
    if estimate.interval is None:
        return number(estimate.value, form)
    interval = estimate.interval
    return f"{number(estimate.value, form)} {within(interval.low, interval.high, form)}"


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

    def bands(self, rows: Sequence[Row], axes: Channels, *, clip: bool = False) -> list[alt.Chart]:
        """Draw areas between ``low``, the y of the axes, and ``high``, for rows with bounds."""
        bounded = [row for row in rows if "low" in row]  # none is a gap of the area
        return [
            chart_of([row for row in bounded if row[self.field] == name])
            .mark_area(color=self.colour_of(name), opacity=0.16, clip=clip)
            .encode(**axes, y2=alt.Y2("high:Q"))
            for name in self.names
        ]

    def lines(
        self,
        rows: Sequence[Row],
        axes: Channels,
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

    def _by_name(self, looks: Sequence[Any], *, legend: bool) -> Channels:
        look = alt.Legend(
            orient="top",
            direction="vertical",
            title=self.title,
            symbolType="stroke",
            symbolSize=500,
            symbolStrokeWidth=2,
            # A phone has no room for a name and its number in one line.
            labelExpr=f"length(datum.label) > {_LABEL} ? split(datum.label, ': ') : datum.label",
        )
        return {
            "shorthand": f"{self.field}:N",
            "scale": alt.Scale(domain=list(self.names), range=list(looks)),
            "sort": list(self.names),
            "legend": look if legend else None,
        }


def thinned(x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Choose points so that all others are within ``tolerance`` of the remaining line.

    The method of Douglas & Peucker (1973): between two chosen points, the one furthest from their
    line is chosen too, if it is further than the tolerance. Both coordinates (point,) and the
    tolerance have one unit. The indices ascend, and include the first and the last.

    Example:
        >>> thinned(np.array([0.0, 1, 2, 3]), np.array([0.0, 0, 0, 5]), 0.1).tolist()
        [0, 2, 3]
    """
    if not len(x):
        return np.zeros(0, dtype=np.int64)
    in_line = np.zeros(len(x), dtype=bool)
    in_line[[0, -1]] = True
    # Parts of the line whose points between the ends are not yet judged: a stack, not a recursion,
    # as a curve of thousands of points may be split as often.
    open_parts = [(0, len(x) - 1)]
    while open_parts:
        start, end = open_parts.pop()
        inside = slice(start + 1, end)
        away = _distance(x[inside] - x[start], y[inside] - y[start], x[end] - x[start],
                         y[end] - y[start])  # fmt: skip
        if len(away) and away.max() > tolerance:
            furthest = start + 1 + int(away.argmax())
            in_line[furthest] = True
            open_parts += [(start, furthest), (furthest, end)]
    return np.flatnonzero(in_line)


def _distance(
    x: NDArray[np.float64], y: NDArray[np.float64], along: float, up: float
) -> NDArray[np.float64]:
    length = float(np.hypot(along, up))
    if length == 0:
        return np.hypot(x, y)
    # The foot of the perpendicular, kept within the piece of the line.
    share = np.clip((x * along + y * up) / length**2, 0, 1)
    return np.hypot(x - share * along, y - share * up)
