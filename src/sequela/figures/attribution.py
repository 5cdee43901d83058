"""Attributions of predictions: along a segment over time, and of codes by importance."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError
from sequela.evaluation.attribution import Attribution
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.number import number
from sequela.figures.figure import FIRST, INK, SECOND, Figure, Row, chart_of
from sequela.figures.forest import ForestLine, ForestScale, forest

_WIDTH = 400  # width of the charts in pixels, as are the heights
_SIGNAL = 100  # height of the signal of a channel
_BARS = 75  # height of the bars of one number
_STRONGEST = 3  # the samples that the text of a picture lists


def signal_attribution(
    signal: NDArray[np.floating], sfreq: float, attributions: Mapping[str, Attribution]
) -> Figure:
    """Draw a segment, and below it the contribution of each of its samples to some numbers.

    Args:
        signal: Samples (n_chans, n_times) in µV.
        sfreq: Samples per second, in Hz.
        attributions: Values (n_chans, n_times) by the name of the number that they explain, for
            example ``logit of seizure``.
    """
    for name, attribution in attributions.items():
        if attribution.values.shape != signal.shape:
            raise SettingError(
                f"the attributions of the {name} have shape {attribution.values.shape}, and the "
                f"signal has {signal.shape}: they belong to different segments"
            )
    largest = [float(np.abs(attribution.values).max()) for attribution in attributions.values()]
    most = max(largest, default=0.0) or 1.0
    charts, rows = [], []
    for channel, samples in enumerate(signal):
        of_channel = {name: a.values[channel] for name, a in attributions.items()}
        channel_rows = [
            {"channel": channel, "seconds": place / sfreq, "signal": float(value)}
            | {name: float(values[place]) for name, values in of_channel.items()}
            for place, value in enumerate(samples)
        ]
        where = f", channel {channel + 1}" if len(signal) > 1 else ""
        charts.append(_signal(channel_rows, f"Signal in µV{where}"))
        charts += [
            _bars(channel_rows, name, f"Contribution to the {name}{where}", most)
            for name in of_channel
        ]
        rows += channel_rows
    return Figure(
        alt.VConcatChart(vconcat=charts, spacing=12), _described(signal, sfreq, attributions), rows
    )


def code_importance(codes: Sequence[Row], *, what: str) -> Figure:
    """Draw the importance of codes for a number, the most important first.

    Args:
        codes: ``code``, ``mean_absolute`` (over all examples), ``mean`` (over those that have the
            code) and ``subjects`` of each.
        what: The number, for example ``log-odds of died``.
    """
    if not codes:
        raise SettingError("there is no code to draw")
    lines = [
        ForestLine(
            f"{row['code']} ({number(row['mean'], '+.2g')} where present)",
            Estimate(row["mean_absolute"], None),
        )
        for row in codes
    ]
    title = f"Mean absolute attribution to the {what}"
    described = "; ".join(f"{row['code']}: {row['mean_absolute']:.2g}" for row in codes)
    scale = ForestScale([title], "~g", 0.0, (0.0, float("inf")))
    return forest(lines, scale, text=f"{title}. {described}.", rows=[dict(row) for row in codes])


def _time(*, labels: bool) -> alt.X:
    axis = alt.Axis(title="seconds" if labels else None, labels=labels, tickCount=6)
    return alt.X("seconds:Q", axis=axis, scale=alt.Scale(nice=False))


def _signal(rows: list[Row], title: str) -> alt.Chart:
    y = alt.Y("signal:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    chart = chart_of(rows, title=title, width=_WIDTH, height=_SIGNAL)
    line: alt.Chart = chart.mark_line(color=INK, strokeWidth=1.25)
    return line.encode(x=_time(labels=False), y=y)


def _bars(rows: list[Row], name: str, title: str, most: float) -> alt.Chart:
    slim = [{"seconds": row["seconds"], "moves": row[name]} for row in rows]
    scale, axis = alt.Scale(domain=[-most, most]), alt.Axis(tickCount=3, format="+~g")
    chart = chart_of(slim, title=title, width=_WIDTH, height=_BARS)
    bars: alt.Chart = chart.mark_rule(strokeWidth=max(1.0, 0.7 * _WIDTH / max(1, len(slim))))
    return bars.encode(
        x=_time(labels=True),
        y=alt.Y("moves:Q", title=None, scale=scale, axis=axis),
        y2=alt.Y2Datum(0),
        color=alt.ColorValue(FIRST, condition={"test": "datum.moves >= 0", "value": SECOND}),
    )


def _described(
    signal: NDArray[np.floating], sfreq: float, attributions: Mapping[str, Attribution]
) -> str:
    sentences = [
        f"A segment of {signal.shape[1] / sfreq:.2f} s, {signal.min():.0f} to {signal.max():.0f} µV"
    ]
    for name, attribution in attributions.items():
        summed = attribution.values.sum(axis=0)
        strongest = np.argsort(-np.abs(summed), kind="stable")[:_STRONGEST]
        places = ", ".join(
            f"{number(float(summed[place]), '+.2g')} at {place / sfreq:.2f} s"
            for place in sorted(strongest.tolist())
        )
        sentences.append(
            f"its samples change the {name} by {number(attribution.difference, '+.2f')} in all, "
            f"with the largest contributions {places}"
        )
    return "; ".join(sentences) + "."
