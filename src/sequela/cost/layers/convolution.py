"""Convolutions of any number of dimensions, plain and transposed."""

from dataclasses import dataclass
from math import prod

from sequela.cost.formula import Formula, Symbol
from sequela.cost.layers.work import Part, Work, samples, single
from sequela.cost.primitives import NONE, Cost, dot

Sizes = tuple[int, ...]


def by_dimension(sizes: Sizes) -> str:
    """Format sizes for readers: ``28x28``."""
    return "x".join(map(str, sizes))


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution: each output is a dot product of one kernel with the window below it.

    The zeros of the padding are multiplied like any other input: they belong to the definition.

    Attributes:
        rows: Samples.
        c_in: Input channels of one group.
        c_out: Output channels of all groups.
        kernel: Kernel size by dimension.
        positions: Output size by dimension.
        bias: Whether a bias is added.
        kind: Name of the layer.
        weighted: Whether the kernel holds weights, or values computed from the data.
    """

    rows: int
    c_in: int
    c_out: int
    kernel: Sizes
    positions: Sizes
    bias: bool
    kind: str = "Convolution"
    weighted: bool = True

    def channels(self) -> tuple[Symbol, Symbol, Symbol]:
        """Return output channels, input channels of a group, and taps of the kernel."""
        return (
            Symbol("C_out", self.c_out, "output channels"),
            Symbol("C_in", self.c_in, "input channels of a group"),
            Symbol("K", prod(self.kernel), f"taps of the kernel ({by_dimension(self.kernel)})"),
        )

    def outputs(self) -> Formula:
        """Return the outputs of all samples and channels."""
        o = Symbol("O", prod(self.positions), f"output positions ({by_dimension(self.positions)})")
        return samples(self.rows) * self.channels()[0] * o

    def parameters(self) -> Formula:
        """Count a weight per output channel, input channel and tap, a bias per output channel."""
        c_out, c_in, k = self.channels()
        return c_out * (c_in * k + int(self.bias))

    def work(self) -> Work:
        """Count a dot product over the input channels and taps for each output."""
        _, c_in, k = self.channels()
        product = dot(c_in * k, bias=self.bias, weighted=self.weighted)
        return single("dot product", product, self.outputs(), unit="output")


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """A transposed convolution: each input times a kernel is added into the outputs below it.

    Products that fall into the cropped border are not computed.

    Attributes:
        rows: Samples.
        c_in: Input channels of one group.
        c_out: Output channels of all groups.
        kernel: Kernel size by dimension.
        pairs: Pairs of an input position and a tap that fall on an output position.
        reached: Output positions that at least one pair falls on.
        bias: Whether a bias is added; an output that no product reaches is the bias alone.
        kind: Name of the layer.
        weighted: Whether the kernel holds weights, or values computed from the data.
    """

    rows: int
    c_in: int
    c_out: int
    kernel: Sizes
    pairs: int
    reached: int
    bias: bool
    kind: str = "TransposedConvolution"
    weighted: bool = True

    def parameters(self) -> Formula:
        """Count a weight per output channel, input channel and tap, a bias per output channel."""
        return Convolution(
            self.rows, self.c_in, self.c_out, self.kernel, (), self.bias
        ).parameters()

    def work(self) -> Work:
        """Count a product per pair and pair of channels, and the additions of these products."""
        c_out = Symbol("C_out", self.c_out, "output channels")
        c_in = Symbol("C_in", self.c_in, "input channels of a group")
        v = Symbol("V", self.pairs, "pairs of an input position and a tap inside the output")
        o = Symbol("O", self.reached, "output positions that a product reaches")
        products = c_in * v
        additions = products if self.bias else products - o
        parts = (
            Part("multiplications", Cost(products, products if self.weighted else NONE)),
            Part("additions", Cost(additions)),
        )
        return Work(parts, samples(self.rows) * c_out, "output channel")


def taps_inside(
    size: int, out: int, kernel: int, stride: int, padding: int, dilation: int
) -> list[int]:
    """Count the taps inside ``size`` for each of ``out`` windows along one dimension.

    Example:
        >>> taps_inside(5, 3, kernel=3, stride=2, padding=1, dilation=1)
        [2, 3, 2]
    """
    return [
        sum(0 <= start + tap * dilation < size for tap in range(kernel))
        for start in range(-padding, out * stride - padding, stride)
    ]
