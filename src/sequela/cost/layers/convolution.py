"""Windows that slide over an input: convolutions of any number of dimensions, and poolings."""

from dataclasses import replace
from math import prod

from torch import Tensor

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.calls import OperatorCall
from sequela.cost.work import NONE, Cost, Layer, Omission, Part, Work, dot, samples


def convolution(op: OperatorCall) -> list[Layer] | None:
    """Count a convolution: each output is a dot product of one kernel with the window below it.

    The zeros of the padding are multiplied like any other input: they belong to the definition. The
    report of 2019 counts one input channel, and no bias.
    """
    if op["transposed"]:
        return None
    (c_out, c_in, *kernel), bias = op["weight"].shape, op["bias"] is not None
    positions = op.output.shape[-len(kernel) :]
    weighted = op.weighted("input", "weight")
    out = Symbol("C_out", c_out, "output channels")
    inner = Symbol("C_in", c_in, "input channels of a group")
    k = Symbol("K", prod(kernel), f"taps of the kernel ({'x'.join(map(str, kernel))})")
    o = Symbol("O", prod(positions), f"output positions ({'x'.join(map(str, positions))})")
    outputs = samples(op.output.numel() // (prod(positions) * c_out)) * out * o
    missing = (inner - 1) * k
    omissions = []
    if bias:
        omissions.append(Omission("", "no bias", out, outputs))
    if c_in > 1:
        reason = f"1 input channel counted instead of {c_in}"
        omissions.append(Omission("", reason, out * missing, outputs * 2 * missing))
    reported = Work.single("dot product", dot(k, bias=False), outputs, unit="output")
    product = dot(inner * k, bias=bias, weighted=weighted)
    layer = Layer(
        "convolution",
        Work.single("dot product", product, outputs, unit="output"),
        out * (inner * k + int(bias)),
        Layer("convolution", reported, out * k, omissions=tuple(omissions)),
    )
    return [layer]


def pooling(op: OperatorCall) -> list[Layer] | None:
    """Count a pooling with windows of one size."""
    dimensions = int(op.name[op.name.index("d") - 1])
    stride, dilation = op["stride"] or op["kernel_size"], op.arguments.get("dilation", 1)
    windows = [
        _per_dimension(sizes, dimensions)
        for sizes in (op["kernel_size"], stride, op["padding"], dilation)
    ]
    taps = [
        sum(taps_inside(size, out, *window))
        for size, out, *window in zip(
            op["self"].shape[-dimensions:], op.output.shape[-dimensions:], *windows, strict=True
        )
    ]
    return [_pooled(op.output, prod(taps), dimensions, op.name)]


def adaptive_pooling(op: OperatorCall) -> list[Layer] | None:
    """Count a pooling with windows cut to fit."""
    dimensions = int(op.name[op.name.index("d", op.name.index("pool")) - 1])
    # Window i of o begins at floor(i·size / o) and ends before ceil((i + 1)·size / o): they overlap
    # where o does not divide the size.
    taps = prod(
        sum(-(-(i + 1) * size // o) - i * size // o for i in range(o))
        for size, o in zip(
            op["self"].shape[-dimensions:], op.output.shape[-dimensions:], strict=True
        )
    )
    return [_pooled(op.output, taps, dimensions, op.name.strip("_"))]


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


def _per_dimension(size: int | list[int], dimensions: int) -> list[int]:
    """Expand one size, alone or in a list, to all dimensions, or keep one for each."""
    sizes = [size] if isinstance(size, int) else list(size)
    return sizes * dimensions if len(sizes) == 1 else sizes


def _pooled(out: Tensor, taps: int, dimensions: int, kind: str) -> Layer:
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
        parts, times, unit = _reduced(k, Number(1), kind), channels * o, "window"
    else:
        v = Symbol("V", taps, "taps inside the input, all windows of a channel")
        parts, times, unit = _reduced(v, o, kind), channels, "channel"
    work = Work(parts, times, unit)
    if not largest:
        return Layer(kind, work)
    reported = Work.single("one comparison", Cost.of(1), channels * o, unit="window")
    report = Layer(kind, reported)
    if taps != 2 * windows:
        missing = work.operations - channels * o
        omission = Omission("", "1 comparison counted for each window", NONE, missing)
        report = replace(report, omissions=(omission,))
    return Layer(kind, work, report=report)


def _reduced(taps: Formula, windows: Formula, kind: str) -> tuple[Part, ...]:
    """Count the reduction of so many taps in so many windows to the largest or the mean."""
    if "max" in kind:
        return (Part("comparisons", Cost(taps - windows)),)
    return Part("additions", Cost(taps - windows)), Part("division", Cost(windows))
