"""Accuracy against operations: what a model's work buys."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from sequela.figures.figure import FIRST, INK, Figure


def front(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Models that no other beats in accuracy with as few operations, cheapest first.

    Example:
        >>> front([{"model": "a", "operations": 1, "accuracy": 0.5},
        ...        {"model": "b", "operations": 2, "accuracy": 0.4},
        ...        {"model": "c", "operations": 3, "accuracy": 0.6}])
        ['a', 'c']
    """
    best, names = float("-inf"), []
    for row in sorted(rows, key=lambda r: (r["operations"], -r["accuracy"])):
        if row["accuracy"] > best:
            best = row["accuracy"]
            names.append(row["model"])
    return names


def accuracy_against_operations(
    rows: Sequence[dict[str, Any]], *, number: str = "accuracy", example: str = "segment"
) -> Figure:
    """Held-out accuracy with its 95 % interval against operations a segment, logarithmic.

    Args:
        rows: Each with ``model``, ``operations``, ``accuracy``, ``low``, ``high``.
        number: What stands under ``accuracy``: ``accuracy``, a share, or for example ``AUROC``.
        example: What the operations are for.
    """
    share = "accuracy" in number
    names = front(rows)
    ranked = sorted(rows, key=lambda row: row["operations"])
    last = len(ranked) - 1
    data = [
        {**r, "front": r["model"] in names, "right": i % 2 == 0 or i == last}
        for i, r in enumerate(ranked)
    ]
    x = alt.X(
        "operations:Q",
        title=f"operations for one {example} (logarithmic)",
        scale=alt.Scale(type="log", nice=True),
        axis=alt.Axis(format="~s", tickCount=4),
    )
    y_axis = alt.Axis(format=".0%" if share else ".2f", tickCount=6)
    base = alt.Chart(alt.Data(values=data)).encode(x=x)
    bars = base.mark_rule(color=FIRST, strokeWidth=1.5).encode(
        y=alt.Y(
            "low:Q",
            title=f"held-out {number}",
            axis=y_axis,
            scale=alt.Scale(zero=False, padding=12),
        ),
        y2="high:Q",
    )
    line = (
        base.transform_filter("datum.front")
        .mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1)
        .encode(y="accuracy:Q")
    )
    points = base.mark_point(color=FIRST, size=70, opacity=1).encode(
        y="accuracy:Q",
        fill=alt.condition("datum.front", alt.value(FIRST), alt.value("transparent")),
    )
    # Neighbours are named on different sides, so that the names of models alike stay readable.
    named = base.encode(y="accuracy:Q", text="model:N")
    right = named.transform_filter("datum.right").mark_text(
        color=INK, align="left", dx=8, dy=-8, fontSize=11
    )
    left = named.transform_filter("!datum.right").mark_text(
        color=INK, align="right", dx=-8, dy=-8, fontSize=11
    )
    form = ".1%" if share else ".3f"
    described = "; ".join(
        f"{r['model']} {r['accuracy']:{form}} with {r['operations']:,} operations" for r in data
    )
    return Figure(
        chart=alt.LayerChart(layer=[bars, line, points, left, right]).properties(
            width=420, height=260
        ),
        alt=f"Held-out {number} against operations. {described}. On the front: {', '.join(names)}.",
        rows=data,
    )
