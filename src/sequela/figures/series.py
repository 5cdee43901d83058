"""Several curves in one picture, told apart by colour and by dash or shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import altair as alt

from sequela.evaluation.intervals import Estimate
from sequela.figures.figure import FIRST, INK, PAPER, SECOND, THIRD

_Channel = TypeVar("_Channel")
_Look = TypeVar("_Look")
_COLOURS = (FIRST, SECOND, THIRD, INK)
_DASHES = ([1, 0], [6, 3], [2, 2], [9, 2, 2, 2], [12, 4])
_SHAPES = ("circle", "diamond", "square", "triangle-up", "cross")


@dataclass(frozen=True)
class Series:
    """The names of what is drawn, in their order, each with its own look.

    Attributes:
        names: As the legend says them, no two alike.
        field: The column that holds them.
        title: Of the legend.
    """

    names: Sequence[str]
    field: str
    title: str | None = None

    def colour_of(self, name: str) -> str:
        """The colour of one of them."""
        return _COLOURS[list(self.names).index(name) % len(_COLOURS)]

    def colour(self, *, legend: bool = True) -> alt.Color:
        """Colour by name."""
        colours = [self.colour_of(name) for name in self.names]
        return self._channel(alt.Color, colours, legend=legend)

    def dash(self, *, legend: bool = True) -> alt.StrokeDash:
        """Dash by name."""
        return self._channel(alt.StrokeDash, _cycled(_DASHES, len(self.names)), legend=legend)

    def shape(self, *, legend: bool = True) -> alt.Shape:
        """Shape of points by name."""
        return self._channel(alt.Shape, _cycled(_SHAPES, len(self.names)), legend=legend)

    def _channel(
        self, channel: type, range_: Sequence[object], *, legend: bool
    ) -> _Channel:
        scale = alt.Scale(domain=list(self.names), range=list(range_))
        shown = alt.Legend(
            orient="top",
            direction="vertical",
            title=self.title,
            symbolType="stroke",
            symbolSize=500,
            symbolStrokeWidth=2,
        )
        return channel(
            f"{self.field}:N", scale=scale, sort=list(self.names), legend=shown if legend else None
        )


def _cycled(looks: Sequence[_Look], count: int) -> list[_Look]:
    return [looks[index % len(looks)] for index in range(count)]


def haloed(
    values: list[dict[str, object]], encoding: dict[str, object], **style: object
) -> alt.LayerChart:
    """Texts (column ``text``) that stay readable where they cross lines."""
    base = alt.Chart(alt.Data(values=values)).encode(**encoding, text="text:N")
    ground = base.mark_text(fontSize=11, color=PAPER, stroke=PAPER, strokeWidth=4, **style)
    return ground + base.mark_text(fontSize=11, color=INK, **style)


def told(estimate: Estimate, form: str = ".2f") -> str:
    """A number with its interval in words.

    Example:
        >>> told(Estimate(0.8123, None))
        '0.81'
    """
    if estimate.interval is None:
        return format(estimate.value, form)
    low, high = (format(bound, form) for bound in (estimate.interval.low, estimate.interval.high))
    return f"{estimate.value:{form}} ({low} to {high})"
