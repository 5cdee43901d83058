"""The risks of refits against the risk of the model."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from sequela.figures.figure import FIRST, Channels, Figure, chart_of
from sequela.figures.marks import named_line

_SIDE = 220  # width and height of the picture in pixels


def instability(bins: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the refits' median (``middle``) and middle 95 % (``low``, ``high``) over the ``risk``.

    The picture is that of Riley and Collins (2023), with a bin of people for each person.
    """
    rows = [dict(row) for row in bins]
    end = float(np.ceil(10 * max(max(row.values()) for row in rows) - 1e-9)) / 10
    scale, axis = alt.Scale(domain=[0, end], nice=False), alt.Axis(format=".0%", tickCount=5)
    look: Channels = {"scale": scale, "axis": axis}
    base = chart_of(rows).encode(x=alt.X("risk:Q", title="risk: model", **look))
    low, middle = (alt.Y(f"{name}:Q", title="risk: refits", **look) for name in ("low", "middle"))
    layers = [
        named_line((0, 0), (end, end), "no change", (0.8 * end, 0.8 * end), angle=315, dy=12),
        base.mark_rule(color=FIRST, strokeWidth=2).encode(y=low, y2=alt.Y2("high:Q")),
        base.mark_point(color=FIRST, filled=True, size=30, opacity=1).encode(y=middle),
    ]
    words = "{risk:.1%} by the model, {middle:.1%} ({low:.1%} to {high:.1%}) by refits"
    text = (
        f"Risk, with the middle 95 % of refits: {'; '.join(words.format(**row) for row in rows)}."
    )
    return Figure.of(layers, (_SIDE, _SIDE), text, rows)
