"""Examples of a signal, one of each class, each in its own lane."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from sequela.figures.chart.figure import FAINT, FIRST, INK, Figure, chart_of

_LANE = 40  # pixels
_FULL = 0.42  # of a lane: how far the largest sample is from its middle


def traces(signals: Mapping[str, Sequence[float]], sfreq: float, width: int = 240) -> Figure:
    """Draw one example of each class, in µV, each scaled to the height of its lane.

    The amplitude is written below the name of a lane. With one scale for all classes, seizures
    would make the other lanes flat. ``sfreq`` is in Hz, ``width`` in pixels.
    """
    most = {name: max(map(abs, samples)) for name, samples in signals.items()}
    rows: list[dict[str, Any]] = [
        {"class": name, "seconds": round(place / sfreq, 4), "microvolt": value}
        for name, samples in signals.items()
        for place, value in enumerate(samples)
    ]
    lanes = {name: lane for lane, name in enumerate(signals)}
    drawn = [
        {**row, "at": lanes[row["class"]] - _FULL * row["microvolt"] / (most[row["class"]] or 1)}
        for row in rows
    ]
    names = [{"at": lane, "text": [name, f"±{most[name]:.0f} µV"]} for name, lane in lanes.items()]
    y = alt.Y("at:Q", axis=None, scale=alt.Scale(domain=[-0.5, len(lanes) - 0.5], reverse=True))
    x = alt.X("seconds:Q", title="seconds", axis=alt.Axis(tickCount=5), scale=alt.Scale(nice=False))
    middle = chart_of([{"at": lane} for lane in lanes.values()])
    lines = (
        chart_of(drawn)
        .mark_line(color=FIRST, strokeWidth=1.25, strokeJoin="round")
        .encode(x=x, y=y, detail=alt.Detail("class:N"), order=alt.Order("seconds:Q"))
    )
    words = (
        chart_of(names)
        .mark_text(align="right", dx=-6, dy=-7, fontSize=11, lineHeight=13, color=INK)
        .encode(x=alt.XValue(0), y=y, text=alt.Text("text:N"))
    )
    layers: list[Any] = [middle.mark_rule(color=FAINT).encode(y=y), lines, words]
    said = "; ".join(f"{name}: up to {most[name]:.0f} µV" for name in signals)
    text = f"An example of each class over time. {said}."
    return Figure.of(layers, (width, _LANE * len(lanes)), text, rows)
