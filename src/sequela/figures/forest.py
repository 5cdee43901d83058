"""Forest plots: numbers with their intervals, each with its text above the bar, to fit phones."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from sequela.evaluation.intervals import Estimate
from sequela.figures.figure import FIRST, INK, Figure, Row, chart_of
from sequela.figures.marks import haloed

_WIDTH = 340  # least width of a picture in pixels, as are the other lengths
_HEADING = 28  # height of a heading
_WORDS = 20  # height of words without a bar
_BAR = 38  # height of words with a bar below
_LETTER = 5.7  # mean width of a letter: a picture is as wide as its longest text


@dataclass(frozen=True)
class ForestLine:
    """One line of the plot: words above the bar of a number, or alone, as a heading or not."""

    words: str
    estimate: Estimate | None = None
    heading: bool = False

    @property
    def height(self) -> int:
        """The height in pixels."""
        if self.heading:
            return _HEADING
        return _WORDS if self.estimate is None else _BAR


@dataclass(frozen=True)
class ForestScale:
    """The axis of the number: lines of title, d3 format, place of a reference line, limits."""

    title: Sequence[str]
    form: str
    reference: float | None = None
    bounds: tuple[float, float] | None = None


def forest(
    lines: Sequence[ForestLine], scale: ForestScale, *, text: str, rows: list[Row]
) -> Figure:
    """Draw the lines from top to bottom, with the text alternative and the table of the figure."""
    # Rows are at pixels from the top, not at categories, because their heights differ.
    data, bottom = [], 0
    for line in lines:
        bottom += line.height
        data.append(_row(line, bottom))
    x = _x(data, scale)
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[bottom + 8, 0], nice=False))
    measured = chart_of([r for r in data if r["value"] is not None]).encode(y=y)
    colour = alt.ColorValue(FIRST)
    points = measured.mark_point(size=70, opacity=1, strokeWidth=2, aria=True).encode(
        x=alt.X("value:Q"),
        description=alt.Description("text:N"),
        color=colour,
        fill=alt.FillValue(FIRST),
    )
    layers = [
        *_reference(data, scale, y),
        *_words(data, y),
        measured.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high:Q"), color=colour),
        points,
    ]
    width = max([_WIDTH, *(_LETTER * len(line.words) for line in lines)])
    return Figure.of(layers, (width, bottom + 8), text, rows)


def _row(line: ForestLine, bottom: int) -> Row:
    estimate = line.estimate
    interval = estimate.interval if estimate else None
    value = estimate.value if estimate else None
    return {
        "y": bottom - (8 if estimate else 6),
        "words": bottom - (24 if estimate else 6),
        "text": line.words,
        "value": value,
        "low": interval.low if interval else value,
        "high": interval.high if interval else value,
        "heading": line.heading,
    }


def _x(data: Sequence[Row], scale: ForestScale) -> alt.X:
    numbers = [r["low"] for r in data if r["low"] is not None]
    numbers += [r["high"] for r in data if r["high"] is not None]
    if scale.reference is not None:
        numbers.append(scale.reference)
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    room = 0.04 * ((high - low) or 1.0)
    least, most = scale.bounds or (float("-inf"), float("inf"))
    domain = [max(low - room, least), min(high + room, most)]
    return alt.X(
        "low:Q",
        title=list(scale.title),
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(format=scale.form, tickCount=5),
    )


def _words(data: Sequence[Row], y: alt.Y) -> list[alt.LayerChart]:
    layers = []
    for heading, weight in ((True, "bold"), (False, "normal")):
        texts = [{"y": r["words"], "text": r["text"]} for r in data if r["heading"] == heading]
        encoding = {"x": alt.XValue(0), "y": y}
        layers.append(haloed(texts, encoding, align="left", fontWeight=weight))
    return layers


def _reference(data: Sequence[Row], scale: ForestScale, y: alt.Y) -> list[alt.Chart]:
    if scale.reference is None:
        return []
    places = [r["y"] for r in data if r["value"] is not None]
    pieces = [{"x": scale.reference, "y": y_ - 10, "y2": y_ + 8} for y_ in places]
    base = chart_of(pieces).encode(x=alt.X("x:Q"), y=y, y2=alt.Y2("y2:Q"))
    return [base.mark_rule(color=INK, strokeWidth=1.25)]
