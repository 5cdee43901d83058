"""A long recording and the events in it: an overview, and an enlarged piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
from numpy.typing import NDArray

from sequela.figures.figure import FIRST, INK, SECOND, THIRD, Figure, Row, chart_of

Span = tuple[float, float]  # onset and end in seconds
TimeAxis = Callable[..., alt.X]
_WIDTH = 940  # width of the picture in pixels
_BINS = 620  # number of spans of time in the picture of a whole recording
_COLUMNS = 470
"""Number of spans of time of an enlarged signal: the lowest and highest value is drawn."""
_HOUR = 3600  # seconds of an hour
_MINUTE = 60  # seconds of a minute
_MOST_EVENTS = 12  # number of events that the text of a picture lists


@dataclass(frozen=True)
class ScoredRecording:
    """The prediction of a model for a recording over time, all arrays (window,).

    Times are in seconds, probabilities NaN for windows that were not scored, the range is from
    lowest to highest value in µV. Detected and known events have onset and end in seconds; without
    a reference none is known.
    """

    times: NDArray[np.float64]
    probability: NDArray[np.float32]
    range: NDArray[np.float32]
    threshold: float
    event: str
    detected: Sequence[Span]
    reference: Sequence[Span] | None = None


def whole(scored: ScoredRecording, seconds: float) -> Figure:
    """Draw the range of a recording, the probability of the event, and the events.

    A bin of time shows its highest probability, so that no event is too short to be seen.
    """
    units = ("hours", _HOUR), ("minutes", _MINUTE), ("seconds", 1)
    unit, size = next((u, size) for u, size in units if seconds > 2 * size or size == 1)
    bins = np.minimum(scored.times / seconds * _BINS, _BINS - 1).astype(int)
    rows: list[Row] = []
    for place in np.unique(bins).tolist():
        inside = bins == place
        chances, ranges = scored.probability[inside], scored.range[inside]
        chances, ranges = chances[~np.isnan(chances)], ranges[~np.isnan(ranges)]
        rows.append(
            {
                "time": round((place + 0.5) * seconds / _BINS / size, 4),
                "probability": round(float(chances.max()), 4) if len(chances) else None,
                "low": round(float(ranges.min()), 1) if len(ranges) else None,
                "high": round(float(ranges.max()), 1) if len(ranges) else None,
            }
        )
    x = _time(0, seconds / size, unit)
    ends = [{**rows[0], "time": 0.0}, *rows, {**rows[-1], "time": seconds / size}]
    amplitude = (
        chart_of(ends, title="Range of a window in µV", width=_WIDTH, height=60)
        .mark_area(color=INK, opacity=0.75, interpolate="step")
        .encode(x=x(), y=alt.Y("high:Q", title=None, axis=alt.Axis(tickCount=3)))
    )
    charts = [amplitude, _chances(rows, scored, x), _spans(scored, x, size)]
    return Figure(
        alt.VConcatChart(vconcat=charts, spacing=8), _whole_in_words(scored, seconds), rows
    )


def near(
    scored: ScoredRecording, signal: NDArray[np.floating], names: Sequence[str], span: Span
) -> Figure:
    """Draw a piece of a recording: its channels, the probability of the event, and the events.

    ``signal`` has the samples (channel, time) of the piece in µV, ``span`` its beginning and end in
    seconds.
    """
    first, last = span
    rows = _traces(signal, names, span)
    inside = (scored.times >= first) & (scored.times < last)
    chances: list[Row] = [
        {"time": round(time, 2), "probability": None if np.isnan(chance) else round(chance, 4)}
        for time, chance in zip(
            scored.times[inside].tolist(), scored.probability[inside].tolist(), strict=True
        )
    ]
    x = _time(first, last, "seconds")
    # One scale for all channels, so that their amplitudes can be compared.
    # Percentiles, as one artefact of some millivolts would flatten all channels.
    low, high = np.nanpercentile(signal, [1, 99], axis=1)
    scale = max(float(np.median(high - low)), 1.0)  # µV, into which most of the signal fits
    places = {name: -place for place, name in enumerate(names)}
    points: list[Row] = []
    for row in rows:
        for value in (row["low"], row["high"]):
            y = None if value is None else places[row["channel"]] + value / scale
            points.append({"time": row["time"], "y": y, "of": row["channel"]})
    labels = " : ".join(f"datum.value == {-place} ? {name!r}" for place, name in enumerate(names))
    lanes = alt.Scale(domain=[-len(names), 1], nice=False)
    axis = alt.Axis(values=[*places.values()], labelExpr=f"{labels} : ''", grid=False)
    title = f"Signal; the distance between channels is {scale:.0f} µV"
    height = max(90, 26 * len(names))
    traces = chart_of(points, title=title, width=_WIDTH, height=height)
    traces = traces.mark_line(color=INK, strokeWidth=0.7, clip=True).encode(
        x=x(), y=alt.Y("y:Q", title=None, scale=lanes, axis=axis), detail=alt.Detail("of:N")
    )
    charts = [traces, _chances(chances, scored, x), _spans(scored, x, 1, span)]
    text = (
        f"The recording from {clock(first)} to {clock(last)}, {len(names)} channel"
        f"{'s' if len(names) > 1 else ''}: {_events(scored)}."
    )
    return Figure(alt.VConcatChart(vconcat=charts, spacing=8), text, rows)


def clock(seconds: float) -> str:
    """Write a time from the start of a recording.

    Example:
        >>> clock(3725.4)
        '1:02:05'
    """
    minutes, rest = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _traces(signal: NDArray[np.floating], names: Sequence[str], span: Span) -> list[Row]:
    """Return the lowest and highest value of each span and channel, minus its median.

    They are ``None`` in gaps.
    """
    size = signal.shape[1]
    # A column of pixels shows lowest and highest value, so that no spike is thinned out.
    edges = np.unique(np.linspace(0, size, min(_COLUMNS, size) + 1).astype(int))[:-1]
    middles = span[0] + (edges + 0.5) * (span[1] - span[0]) / size
    centred = signal - np.nanmedian(signal, axis=1, keepdims=True)
    low, high = (cut.reduceat(centred, edges, axis=1) for cut in (np.fmin, np.fmax))

    def rounded(value: float) -> float | None:
        return None if np.isnan(value) else round(float(value), 1)

    rows = []
    for channel, name in enumerate(names):
        for place, time in enumerate(middles):
            rows.append(
                {
                    "channel": name,
                    "time": round(float(time), 2),
                    "low": rounded(low[channel, place]),
                    "high": rounded(high[channel, place]),
                }
            )
    return rows


def _time(first: float, last: float, unit: str) -> TimeAxis:
    def x(*, title: bool = False) -> alt.X:
        axis = alt.Axis(title=f"{unit} from the start" if title else None, tickCount=10)
        return alt.X("time:Q", axis=axis, scale=alt.Scale(domain=[first, last], nice=False))

    return x


def _chances(rows: list[Row], scored: ScoredRecording, x: TimeAxis) -> alt.LayerChart:
    percent = alt.Axis(tickCount=2, format=".0%")
    y = alt.Y("probability:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=percent)
    line = chart_of(rows).encode(x=x(), y=y)
    line = line.mark_line(color=FIRST, strokeWidth=1.5, interpolate="step", clip=True)
    rule = chart_of([{"at": scored.threshold}]).encode(y=alt.Y("at:Q"))
    rule = rule.mark_rule(color=SECOND, strokeDash=[5, 3])
    title = f"Probability of {scored.event}; dashed: the threshold"
    return alt.LayerChart(layer=[line, rule], title=title, width=_WIDTH, height=80)


def _spans(
    scored: ScoredRecording, x: TimeAxis, size: float, within: Span | None = None
) -> alt.Chart:
    strips = _strips(scored)
    first, last = within or (0.0, float("inf"))
    rows: list[Row] = []
    for name, spans in strips:
        rows += [
            {"which": name, "time": max(onset, first) / size, "end": min(end, last) / size}
            for onset, end in spans
            if end > first and onset < last
        ]
    names = [name for name, _ in strips]
    scale = alt.Scale(domain=names, range=[SECOND, THIRD][: len(names)])
    chart: alt.Chart = (
        chart_of(rows, width=_WIDTH, height=18 * len(names), title="Events")
        .mark_bar(strokeWidth=1.5, clip=True, height=11)
        .encode(
            x=x(title=True),
            x2=alt.X2("end:Q"),
            y=alt.Y("which:N", title=None, scale=alt.Scale(domain=names), sort=names),
            color=alt.Color("which:N", scale=scale, legend=None),
            stroke=alt.Stroke("which:N", scale=scale, legend=None),
        )
    )
    return chart


def _whole_in_words(scored: ScoredRecording, seconds: float) -> str:
    chances = scored.probability[~np.isnan(scored.probability)]
    most = f"at most {chances.max():.1%}" if len(chances) else "unknown everywhere"
    return (
        f"A recording of {clock(seconds)}: the probability of {scored.event} is {most}; the "
        f"threshold is {scored.threshold:.1%}; {_events(scored)}."
    )


def _events(scored: ScoredRecording) -> str:
    parts = []
    for kind, spans in _strips(scored):
        times = ", ".join(f"{clock(a)} to {clock(b)}" for a, b in spans[:_MOST_EVENTS])
        more = f" and {len(spans) - _MOST_EVENTS} more" if len(spans) > _MOST_EVENTS else ""
        parts.append(f"events {kind}: {times or 'none'}{more}")
    return "; ".join(parts)


def _strips(scored: ScoredRecording) -> list[tuple[str, Sequence[Span]]]:
    strips = [("found", scored.detected)]
    if scored.reference is not None:
        strips.append(("known", scored.reference))
    return strips
