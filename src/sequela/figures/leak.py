"""What the leak is worth: the same models judged by recording and by row."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from sequela.figures.figure import FIRST, SECOND, Figure

HONEST, LEAKING = "by recording", "by row (leaks)"


def leak(rows: Sequence[dict[str, Any]]) -> Figure:
    """Held-out accuracy of each model under both splits, with 95 % intervals.

    Args:
        rows: Each with ``model``, ``split`` (``HONEST`` or ``LEAKING``), ``accuracy``, ``low``,
            ``high``; models in the order of the picture.
    """
    data = list(rows)
    order = list(dict.fromkeys(r["model"] for r in data))
    splits = [HONEST, LEAKING]
    base = alt.Chart(alt.Data(values=data)).encode(
        y=alt.Y("model:N", sort=order, title=None),
        yOffset=alt.YOffset("split:N", sort=splits),
        color=alt.Color(
            "split:N",
            sort=splits,
            title=None,
            scale=alt.Scale(domain=splits, range=[FIRST, SECOND]),
            legend=alt.Legend(orient="top"),
        ),
    )
    axis = alt.Axis(format=".0%", tickCount=6)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="held-out accuracy", axis=axis), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="accuracy:Q",
        shape=alt.Shape(
            "split:N", sort=splits, scale=alt.Scale(domain=splits, range=["circle", "diamond"])
        ),
    )
    told = "; ".join(
        f"{r['model']} {r['split']} {r['accuracy']:.1%} ({r['low']:.1%} to {r['high']:.1%})"
        for r in data
    )
    return Figure(
        chart=(bars + points).properties(width=300, height=34 * len(order)),
        alt=f"Held-out accuracy with 95 % intervals. {told}.",
        rows=data,
    )
