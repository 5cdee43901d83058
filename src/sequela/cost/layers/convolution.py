"""Windows that slide over an input: convolutions of any number of dimensions, and poolings."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod

from torch import Tensor

from sequela.cost.rules.formula import Formula, Number, Symbol
from sequela.cost.work import NONE, Cost, Layer, Omission, Part, Work, dot, samples

Sizes = tuple[int, ...]


def convolution(
    rows: int, c_in: int, c_out: int, kernel: Sizes, positions: Sizes, *, bias: bool, weighted: bool
) -> Layer:
    """Count a convolution: each output is a dot product of one kernel with the window below it.

    ``c_in`` are the channels of one group, ``c_out`` those of all. The zeros of the padding are
    multiplied like any other input: they belong to the definition. The report of 2019 counts one
    input channel, and no bias.
    """
    out = Symbol("C_out", c_out, "output channels")
    inner = Symbol("C_in", c_in, "input channels of a group")
    k = Symbol("K", prod(kernel), f"taps of the kernel ({'x'.join(map(str, kernel))})")
    o = Symbol("O", prod(positions), f"output positions ({'x'.join(map(str, positions))})")
    outputs, missing = samples(rows) * out * o, (inner - 1) * k
    omissions = []
    if bias:
        omissions.append(Omission("", "no bias", out, outputs))
    if c_in > 1:
        reason = f"1 input channel counted instead of {c_in}"
        omissions.append(Omission("", reason, out * missing, outputs * 2 * missing))
    reported = Work.single("dot product", dot(k, bias=False), outputs, unit="output")
    return Layer(
        "convolution",
        Work.single(
            "dot product", dot(inner * k, bias=bias, weighted=weighted), outputs, unit="output"
        ),
        out * (inner * k + int(bias)),
        Layer("convolution", reported, out * k, omissions=tuple(omissions)),
    )


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


def per_dimension(size: int | Iterable[int], dimensions: int) -> Sizes:
    """Expand one size, alone or in a list, to all dimensions, or keep one for each."""
    sizes = (size,) if isinstance(size, int) else tuple(size)
    return sizes * dimensions if len(sizes) == 1 else sizes


def sliding_pooling(x: Tensor, out: Tensor, windows: Sequence[Sizes], kind: str) -> Layer:
    """Count a pooling whose windows have a kernel, stride, padding and dilation a dimension."""
    sizes, outs = x.shape[-len(windows) :], out.shape[-len(windows) :]
    taps = prod(
        sum(taps_inside(size, o, k, s, padding, d))
        for size, o, (k, s, padding, d) in zip(sizes, outs, windows, strict=True)
    )
    return pooling(out, taps, len(windows), kind)


def pooling(out: Tensor, taps: int, dimensions: int, kind: str) -> Layer:
    """Count windows over the last dimensions, reduced to their largest value or their mean.

    ``taps`` are those inside the input, over all windows of one channel; others are neither read
    nor counted. The report of 2019 counts one operation for each window of a max-pooling.
    """
    # Padding is neither read nor counted. Where it cuts windows differently, their taps are only
    # known together: the formula is then of all windows of a channel.
    windows = prod(out.shape[-dimensions:])
    rows, largest = out.numel() // windows, "max" in kind
    channels = Number(1) if rows == 1 else Symbol("C", rows, "channels of all samples")
    o = Symbol("O", windows, "windows of a channel")
    if taps % windows == 0:
        k = Symbol("k", taps // windows, "taps of a window")
        parts, times, unit = _reduced(k, Number(1), largest), channels * o, "window"
    else:
        v = Symbol("V", taps, "taps inside the input, all windows of a channel")
        parts, times, unit = _reduced(v, o, largest), channels, "channel"
    work, report = Work(parts, times, unit), None
    if largest:
        missing = work.operations - channels * o
        reported = Work.single("one comparison", Cost.of(1), channels * o, unit="window")
        report = Layer(kind, reported)
        if taps != 2 * windows:
            omission = Omission("", "1 comparison counted for each window", NONE, missing)
            report = replace(report, omissions=(omission,))
    return Layer(kind, work, report=report)


def _reduced(taps: Formula, windows: Formula, largest: bool) -> tuple[Part, ...]:  # noqa: FBT001
    """Count the reduction of so many taps in so many windows to the largest or the mean."""
    if largest:
        return (Part("comparisons", Cost(taps - windows)),)
    return Part("additions", Cost(taps - windows)), Part("division", Cost(windows))
