"""The risks of refits against the risk of the model."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from sequela.figures.figure import FIRST, Channels, Figure, chart_of
from sequela.figures.marks import named_line

_SIDE = 220  # width and height of the picture in pixels


def instability(bins: Sequence[Mapping[str, float]], risk: str) -> Figure:
    """Draw the median and the middle 95 % of the refits' risks (Riley and Collins 2023).

    Args:
        bins: Means over people with like risks: ``risk`` of the model, and ``low``, ``middle`` and
            ``high`` of the refits.
        risk: The risk in words.
    """
    rows = [dict(row) for row in bins]
    end = float(np.ceil(10 * max(max(row.values()) for row in rows) - 1e-9)) / 10
    words = "{risk:.1%} by the model, {middle:.1%} ({low:.1%} to {high:.1%}) by refits"
    lines = [words.format(**row) for row in rows]

    def axis(column: str, title: str) -> Channels:
        scale, ticks = alt.Scale(domain=[0, end], nice=False), alt.Axis(format=".0%", tickCount=5)
        return {"shorthand": f"{column}:Q", "title": title, "scale": scale, "axis": ticks}

    base = chart_of({**row, "hover": line} for row, line in zip(rows, lines, strict=True)).encode(
        x=alt.X(**axis("risk", f"{risk}: model")), description=alt.Description("hover:N")
    )
    low, middle = (alt.Y(**axis(name, f"{risk}: refits")) for name in ("low", "middle"))
    layers = [
        named_line((0, 0), (end, end), "no change", (0.8 * end, 0.8 * end), angle=315, dy=12),
        base.mark_rule(color=FIRST, strokeWidth=2).encode(y=low, y2=alt.Y2("high:Q")),
        base.mark_point(color=FIRST, filled=True, aria=True, size=30, opacity=1).encode(y=middle),
    ]
    text = f"{risk.capitalize()}, with the middle 95 % of the refits: {'; '.join(lines)}."
    return Figure.of(layers, (_SIDE, _SIDE), text, rows)
