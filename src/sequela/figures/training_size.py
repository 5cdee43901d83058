"""Learning curve over the training size: a test-set number by the size of the training set."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from sequela.errors import SettingError
from sequela.evaluation.metrics import named
from sequela.evaluation.number import number, within
from sequela.figures.chart.figure import Figure, chart_of
from sequela.figures.chart.series import Series

_WIDTH, _HEIGHT = 300, 220  # pixels


def training_size(rows: Sequence[dict[str, Any]], *, metric: str, unit: str) -> Figure:
    """Draw a test-set number of each model over the size of its training set.

    Args:
        rows: Each with ``model``, the unit in the plural (``recordings``), the metric, ``low`` and
            ``high``.
        metric: Name of the metric, and key of its number in the rows.
        unit: The unit that is counted, in the plural.
    """
    if not rows:
        raise SettingError("no training size to draw: name runs of one model and several sizes")
    how = named(metric)
    ordered = sorted(rows, key=lambda row: float(row[unit]))
    drawn = [{**row, "hover": _hover(row, metric, unit)} for row in ordered]
    series = Series(list(dict.fromkeys(row["model"] for row in rows)), "model")
    sizes = alt.Axis(values=sorted({row[unit] for row in rows}), format=",d")
    scale = alt.Scale(zero=False)
    padded = alt.Scale(zero=False, padding=12)
    ticks = alt.Axis(format=how.axis, tickCount=5)
    axes = {
        "x": alt.X(f"{unit}:Q", title=f"{unit} in training", scale=padded, axis=sizes),
        "y": alt.Y(f"{metric}:Q", title=f"test-set {how.title}", scale=scale, axis=ticks),
    }
    layers: list[Any] = [series.lines(drawn, axes)]
    for name in series.names:
        own = chart_of([row for row in drawn if row["model"] == name])
        colour = series.colour_of(name)
        ends = {"y": alt.Y("low:Q"), "y2": alt.Y2("high:Q")}
        layers.append(own.mark_rule(color=colour, strokeWidth=1.5).encode(x=axes["x"], **ends))
        points = own.mark_point(
            filled=True, aria=True, size=55, opacity=1, color=colour, shape=series.shape_of(name)
        )
        layers.append(points.encode(**axes, description=alt.Description("hover:N")))
    said = "; ".join(row["hover"] for row in drawn)
    text = f"Test-set {how.title} by size of the training set, with 95 % intervals. {said}."
    return Figure.of(layers, (_WIDTH, _HEIGHT), text, [dict(row) for row in ordered])


def _hover(row: dict[str, Any], metric: str, unit: str) -> str:
    form = named(metric).form
    value = f"{number(row[metric], form)} {within(row['low'], row['high'], form)}"
    return f"{row['model']}, {row[unit]:,} {unit}: {value}"
