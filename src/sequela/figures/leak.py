"""Inflation of the score by leakage: the same models without and with a leak."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from sequela.evaluation.metrics import named
from sequela.evaluation.number import number, within
from sequela.figures.figure import FIRST, INK, SECOND, THIRD, Figure

_ROW, _MORE = 24, 8  # pixels, of two settings and of each other
_LETTER = 6.6  # pixels, at the most
HONEST, LEAKING = "by session", "by row (leaks)"
_COLOURS, _SHAPES = (FIRST, THIRD, SECOND), ("circle", "square", "diamond")


def leak(
    rows: Sequence[dict[str, Any]],
    *,
    metric: str = "accuracy",
    setting: str = "split",
    width: int = 300,
) -> Figure:
    """Draw the test-set numbers of each model in two or three settings, with 95 % intervals.

    Args:
        rows: Each with ``model``, the setting, the metric, ``low`` and ``high``; models in the
            order of the picture, the honest setting before those that leak.
        metric: Name of the metric, and key of its number in the rows: ``accuracy``, ``auroc``...
        setting: Key of the setting in the rows: ``HONEST``, ``LEAKING`` or other names to show.
        width: Width of the picture without its axis, in pixels.
    """
    how = named(metric)
    data = [{**r, "hover": _hover(r, setting, metric)} for r in rows]
    order = list(dict.fromkeys(r["model"] for r in data))
    names = list(dict.fromkeys(r[setting] for r in data))
    # Fonts differ: a name must not begin left of the picture.
    axis = alt.Axis(minExtent=_LETTER * max(map(len, order)))
    base = alt.Chart(alt.Data(values=data)).encode(
        y=alt.Y("model:N", sort=order, title=None, axis=axis),
        yOffset=alt.YOffset(f"{setting}:N", sort=names),
        color=alt.Color(
            f"{setting}:N",
            sort=names,
            title=None,
            scale=alt.Scale(domain=names, range=[FIRST, *_COLOURS[1 - len(names) :]]),
            legend=alt.Legend(orient="top", direction="vertical"),
        ),
    )
    chance = how.chance
    lowest = 0.0 if chance is None else min(chance, *(r["low"] for r in data))
    x = alt.X(
        "low:Q",
        title=f"{how.title} on the test set",
        axis=alt.Axis(format=how.axis, tickCount=6),
        scale=alt.Scale(domainMin=lowest),
    )
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=60, opacity=1, aria=True).encode(
        x=f"{metric}:Q",
        description="hover:N",
        shape=alt.Shape(
            f"{setting}:N",
            sort=names,
            scale=alt.Scale(domain=names, range=["circle", *_SHAPES[1 - len(names) :]]),
        ),
    )
    described = "; ".join(r["hover"] for r in data)
    layers = [*_chance_line(chance), bars, points]
    return Figure(
        chart=alt.LayerChart(layer=layers).properties(
            width=width, height=(_ROW + _MORE * (len(names) - 2)) * len(order)
        ),
        alt=f"{how.heading} on the test set with 95 % intervals. {described}.",
        rows=list(rows),
    )


def _hover(row: dict[str, Any], setting: str, metric: str) -> str:
    """Describe a point in words."""
    form = named(metric).form
    value = f"{number(row[metric], form)} {within(row['low'], row['high'], form)}"
    return f"{row['model']} {row[setting]} {value}"


def _chance_line(chance: float | None) -> list[alt.Chart]:
    """Draw a line at the chance level, if the metric has one."""
    if chance is None:
        return []
    at = alt.Chart(alt.Data(values=[{"x": chance}]))
    return [at.mark_rule(color=INK, strokeWidth=1, strokeDash=[2, 3]).encode(x="x:Q")]
