"""Inflation of the score by leakage: the same models with a leak minus without it."""

from collections.abc import Sequence

import altair as alt

from sequela.evaluation.metrics import named
from sequela.figures.figure import INK, SECOND, THIRD, Figure, Row, chart_of

_WIDTH = 330  # width of the picture in pixels, as on a phone
_LEAST_WIDTH = 120  # least width of the plot in pixels
_ROW = 20  # height of a model with one leak, in pixels
_SECOND_LEAK = 6  # height that another leak adds to each model, in pixels
_LETTER = 6.6  # width of a letter, in pixels, at most
_COLOURS = (THIRD, SECOND)
_SHAPES = ("square", "diamond")


def leak(rows: Sequence[Row], *, metric: str = "accuracy") -> Figure:
    """Draw the paired difference of each model with one or two leaks, with 95 % intervals.

    Args:
        rows: Each with ``model``, ``leak``, ``difference`` (with the leak minus without), ``low``
            and ``high``; models in the order of the picture.
        metric: Name of the metric.
    """
    how = named(metric)
    data = [{**r, "hover": _hover(r, metric)} for r in rows]
    order = list(dict.fromkeys(r["model"] for r in data))
    names = list(dict.fromkeys(r["leak"] for r in data))
    # Fonts differ: a name must not begin left of the picture.
    names_width = _LETTER * max(map(len, order))
    axis = alt.Axis(minExtent=names_width)
    legend = alt.Legend(orient="top", direction="vertical")
    colours = alt.Scale(domain=names, range=_COLOURS[-len(names) :])
    shapes = alt.Scale(domain=names, range=_SHAPES[-len(names) :])
    base = chart_of(data).encode(
        y=alt.Y("model:N", sort=order, title=None, axis=axis),
        yOffset=alt.YOffset("leak:N", sort=names),
        color=alt.Color("leak:N", sort=names, title=None, scale=colours, legend=legend),
    )
    unit = ", percentage points" if how.points else ""
    factor = 100 if how.points else 1
    x = alt.X(
        "from:Q",
        title=f"added {how.title}{unit}",
        axis=alt.Axis(format="+~f" if how.points else "+.2f", tickCount=6),
    )
    ends = {"from": f"{factor} * datum.low", "to": f"{factor} * datum.high"}
    base = base.transform_calculate(**ends, at=f"{factor} * datum.difference")
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("to:Q"))
    points = base.mark_point(filled=True, size=60, opacity=1, aria=True).encode(
        x=alt.X("at:Q"),
        description=alt.Description("hover:N"),
        shape=alt.Shape("leak:N", sort=names, scale=shapes),
    )
    # Without an effect of the leak, the differences would be about this line.
    zero = chart_of([{"x": 0}]).mark_rule(color=INK, strokeDash=[2, 3])
    height = (_ROW + _SECOND_LEAK * (len(names) - 1)) * len(order)
    text = (
        f"{how.heading} with the leak minus without, on the same examples, with 95 % "
        f"intervals. {'; '.join(r['hover'] for r in data)}."
    )
    return Figure.of(
        [zero.encode(x=alt.X("x:Q")), bars, points],
        (max(_WIDTH - names_width, _LEAST_WIDTH), height),
        text,
        list(rows),
    )


def _hover(row: Row, metric: str) -> str:
    how = named(metric)
    value, low, high = (how.apart(row[name]) for name in ("difference", "low", "high"))
    return f"{row['model']}, {row['leak']}: {value} ({low} to {high})"
