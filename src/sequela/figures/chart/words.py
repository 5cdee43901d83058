"""Numbers and names in pictures and in their text alternatives."""

from typing import Any

import altair as alt

from sequela.evaluation.intervals import Estimate
from sequela.evaluation.number import number, within
from sequela.figures.chart.figure import INK, PAPER, chart_of

__all__ = ["as_row", "haloed", "named_line", "number", "with_interval"]


def haloed(values: list[dict[str, Any]], encoding: dict[str, Any], **style: Any) -> alt.LayerChart:
    """Draw texts (column ``text``) that stay readable where they cross lines."""
    base = chart_of(values).encode(**encoding, text=alt.Text("text:N"))
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
    interval = estimate.interval
    bounds = (interval.low, interval.high) if interval else (None, None)
    return {name: estimate.value, **dict(zip(("low", "high"), bounds, strict=True))}


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
