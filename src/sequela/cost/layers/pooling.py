"""Poolings of every kind, which reduce a window to one number."""

from dataclasses import dataclass
from typing import Literal

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.elementwise import powers
from sequela.cost.layers.work import Part, Work
from sequela.cost.primitives import Cost

Reduction = Literal["max", "avg", "norm"]


@dataclass(frozen=True, slots=True)
class Pooling:
    """Windows reduced to their largest value, mean, or p-norm.

    A window's taps outside the input are neither read nor counted.

    Attributes:
        rows: Samples times channels.
        taps: Taps inside the input, over all windows of one channel.
        windows: Windows of one channel.
        reduction: The reduction of a window.
        p: The norm's power.
        kind: Name of the layer.
    """

    rows: int
    taps: int
    windows: int
    reduction: Reduction
    p: float = 2
    kind: str = "Pooling"

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def channels(self) -> Formula:
        """Return the channels of all samples."""
        return Number(1) if self.rows == 1 else Symbol("C", self.rows, "channels of all samples")

    def channel_windows(self) -> Symbol:
        """Return the windows of one channel."""
        return Symbol("O", self.windows, "windows of a channel")

    def all_windows(self) -> Formula:
        """Return the windows of all channels."""
        return self.channels() * self.channel_windows()

    def work(self) -> Work:
        """Count the reduction of a window's taps but one, and the division or root."""
        o = self.channel_windows()
        if self.taps % self.windows == 0:
            k = Symbol("k", self.taps // self.windows, "taps of a window")
            return Work(self._parts(k, Number(1)), self.all_windows(), "window")
        v = Symbol("V", self.taps, "taps inside the input, all windows of a channel")
        return Work(self._parts(v, o), self.channels(), "channel")

    def _parts(self, taps: Formula, windows: Formula) -> tuple[Part, ...]:
        """Count the reduction of so many taps in so many windows."""
        if self.reduction == "max":
            return (Part("comparisons", Cost(taps - windows)),)
        additions = Part("additions", Cost(taps - windows))
        if self.reduction == "avg":
            return (additions, Part("division", Cost(windows)))
        power, root = powers(self.p), powers(1 / self.p)
        if power is None or root is None:
            return (additions,)
        return (
            Part(f"powers: {power.how}", power.cost.times(taps)),
            additions,
            Part(f"root: {root.how}", root.cost.times(windows)),
        )
