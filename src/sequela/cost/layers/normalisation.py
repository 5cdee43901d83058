"""Normalisation: with stored statistics (batch norm) or with statistics of the input."""

from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Part, Work, samples
from sequela.cost.primitives import NONE, Cost, each, mean


@dataclass(frozen=True, slots=True)
class StoredNorm:
    """(x - mean) / sqrt(variance + eps) · gamma + beta with stored statistics of each channel.

    Attributes:
        channels: Channels that have their own statistics.
        values: Values of each channel, all samples together.
        affine: Whether gamma and beta are there.
        kind: Name of the layer.
        weighted: Whether the scales are weights, or computed from the data.
    """

    channels: int
    values: int
    affine: bool
    kind: str = "BatchNorm"
    weighted: bool = True

    def parameters(self) -> Formula:
        """Count gamma and beta of each channel."""
        return 2 * int(self.affine) * Symbol("C", self.channels, "channels")

    def work(self) -> Work:
        """Count a root per channel, and subtract, divide, multiply and add per value."""
        n = Symbol("n", self.values, "values of a channel")
        parts = (
            Part("sqrt(variance + eps): add, root", each(2)),
            Part("subtract, divide", each(2).times(n)),
            *_affine(n, self.weighted, scale=self.affine, shift=self.affine),
        )
        return Work(parts, Symbol("C", self.channels, "channels"), "channel")


@dataclass(frozen=True, slots=True)
class OwnNorm:
    """(x - mean) / sqrt(variance + eps) · gamma + beta with the statistics of each group of values.

    Attributes:
        groups: Groups that are normalised alone (rows of a layer norm; samples times groups).
        values: Values of a group.
        gammas: Scales, 0 for none.
        betas: Shifts, 0 for none.
        kind: Name of the layer.
        weighted: Whether the scales are weights, or computed from the data.
    """

    groups: int
    values: int
    gammas: int
    betas: int
    kind: str = "LayerNorm"
    weighted: bool = True

    def parameters(self) -> Formula:
        """Count scales and shifts."""
        return _scales(self.gammas, self.betas)

    def work(self) -> Work:
        """Count mean, variance, root, division, scale and shift."""
        n = Symbol("n", self.values, "values of a group")
        parts = (
            Part("mean", mean(n)),
            Part("differences from it", Cost(n)),
            Part("variance: squares and their mean", Cost(n) + mean(n)),
            Part("sqrt(variance + eps): add, root", each(2)),
            Part("divide", Cost(n)),
            *_affine(n, self.weighted, scale=self.gammas > 0, shift=self.betas > 0),
        )
        return Work(parts, samples(self.groups), "group")


@dataclass(frozen=True, slots=True)
class RootMeanSquareNorm:
    """x / sqrt(mean of x squared + eps) · gamma.

    Attributes:
        groups: Rows.
        values: Values of a row.
        gammas: Scales, 0 for none.
        weighted: Whether the scales are weights, or computed from the data.
    """

    groups: int
    values: int
    gammas: int
    kind: str = "RMSNorm"
    weighted: bool = True

    def parameters(self) -> Formula:
        """Count scales."""
        return _scales(self.gammas, 0)

    def work(self) -> Work:
        """Count squares, their mean, root, division and scale."""
        n = Symbol("n", self.values, "values of a row")
        parts = (
            Part("squares", Cost(n)),
            Part("their mean", mean(n)),
            Part("sqrt(mean + eps): add, root", each(2)),
            Part("divide", Cost(n)),
            *_affine(n, self.weighted, scale=self.gammas > 0, shift=False),
        )
        return Work(parts, samples(self.groups), "row")


def _scales(gammas: int, betas: int) -> Formula:
    scales = Symbol("G", gammas, "scales") if gammas else Number(0)
    return scales + (Symbol("B", betas, "shifts") if betas else Number(0))


def _affine(n: Formula, weighted: bool, *, scale: bool, shift: bool) -> tuple[Part, ...]:  # noqa: FBT001
    """Count gamma · x (usually a multiplication by a weight) and + beta, for each value."""
    parts = []
    if scale:
        parts.append(Part("times gamma", Cost(n, n if weighted else NONE)))
    if shift:
        parts.append(Part("plus beta", Cost(n)))
    return tuple(parts)
