"""Examples of a signal, one of each class, each in its own lane."""

from collections.abc import Mapping, Sequence

import altair as alt

from sequela.figures.figure import FAINT, FIRST, INK, Figure, Row, chart_of

_WIDTH = 240  # width of the picture in pixels
_LANE = 40  # height of the lane of one class, in pixels
_FULL = 0.42  # distance of the largest sample from the middle of its lane, as a share of the lane


def traces(signals: Mapping[str, Sequence[float]], sfreq: float) -> Figure:
    """Draw one example of each class, in µV, each scaled to the height of its lane.

    The amplitude is written below the name of a lane. With one scale for all classes, seizures
    would make the other lanes flat. ``sfreq`` is in Hz.
    """
    most = {name: max(map(abs, samples)) for name, samples in signals.items()}
    rows: list[Row] = []
    for name, samples in signals.items():
        rows += [
            {"class": name, "seconds": round(place / sfreq, 4), "microvolt": value}
            for place, value in enumerate(samples)
        ]
    lanes = {name: lane for lane, name in enumerate(signals)}
    # Lanes are at whole numbers from the top, so a positive voltage goes up by a subtraction.
    points = [
        {**row, "at": lanes[row["class"]] - _FULL * row["microvolt"] / (most[row["class"]] or 1)}
        for row in rows
    ]
    names = [{"at": lane, "text": [name, f"±{most[name]:.0f} µV"]} for name, lane in lanes.items()]
    y = alt.Y("at:Q", axis=None, scale=alt.Scale(domain=[-0.5, len(lanes) - 0.5], reverse=True))
    x = alt.X("seconds:Q", title="seconds", axis=alt.Axis(tickCount=5), scale=alt.Scale(nice=False))
    middle = chart_of([{"at": lane} for lane in lanes.values()])
    lines = (
        chart_of(points)
        .mark_line(color=FIRST, strokeWidth=1.25, strokeJoin="round")
        .encode(x=x, y=y, detail=alt.Detail("class:N"), order=alt.Order("seconds:Q"))
    )
    words = (
        chart_of(names)
        .mark_text(align="right", dx=-6, dy=-7, fontSize=11, lineHeight=13, color=INK)
        .encode(x=alt.XValue(0), y=y, text=alt.Text("text:N"))
    )
    layers = [middle.mark_rule(color=FAINT).encode(y=y), lines, words]
    amplitudes = "; ".join(f"{name}: up to {most[name]:.0f} µV" for name in signals)
    text = f"An example of each class over time. {amplitudes}."
    return Figure.of(layers, (_WIDTH, _LANE * len(lanes)), text, rows)
