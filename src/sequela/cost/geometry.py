"""The geometry of windows: the facts of convolutions and poolings, from their tensors' shapes."""

from collections.abc import Iterable
from math import prod

from torch import Tensor

from sequela.cost.layers.convolution import Convolution, TransposedConvolution, taps_inside
from sequela.cost.layers.pooling import Pooling, Reduction


def convolution_facts(out: Tensor, weight: Tensor, *, bias: bool, kind: str) -> Convolution:
    """The facts of a convolution with weight ``(C_out, C_in of a group, *kernel)``."""
    kernel = tuple(weight.shape[2:])
    positions = tuple(out.shape[-len(kernel) :])
    rows = out.numel() // (prod(positions) * weight.shape[0])
    return Convolution(rows, weight.shape[1], weight.shape[0], kernel, positions, bias, kind)


def transposed_facts(
    x: Tensor,
    out: Tensor,
    weight: Tensor,
    *,
    steps: tuple[Iterable[int], Iterable[int], Iterable[int]],
    groups: int,
    bias: bool,
    kind: str,
) -> TransposedConvolution:
    """The facts of a transposed convolution with weight ``(C, C_out of a group, *kernel)``.

    Args:
        x: The input.
        out: The output.
        weight: The weight.
        steps: Stride, padding and dilation by dimension.
        groups: Groups of channels.
        bias: Whether a bias is added.
        kind: What the layer is called.
    """
    kernel = tuple(weight.shape[2:])
    sizes, outs = x.shape[-len(kernel) :], out.shape[-len(kernel) :]
    dimensions = list(zip(sizes, outs, kernel, *map(tuple, steps), strict=True))
    pairs = prod(sum(taps_inside(o, n, k, s, p, d)) for n, o, k, s, p, d in dimensions)
    reached = prod(
        len({i * s - p + tap * d for i in range(n) for tap in range(k)} & set(range(o)))
        for n, o, k, s, p, d in dimensions
    )
    c_in, c_out = weight.shape[0] // groups, weight.shape[1] * groups
    rows = x.numel() // (prod(sizes) * weight.shape[0])
    return TransposedConvolution(rows, c_in, c_out, kernel, pairs, reached, bias, kind)


def pooling_facts(
    x: Tensor, out: Tensor, windows: list[tuple[int, int, int, int]], kind: str, p: float = 2
) -> Pooling:
    """The facts of a pooling.

    Args:
        x: The input.
        out: The output.
        windows: Kernel, stride, padding and dilation by dimension.
        kind: What the layer is called; it tells what a window is reduced to.
        p: The norm's power.
    """
    sizes, outs = x.shape[-len(windows) :], out.shape[-len(windows) :]
    taps = prod(
        sum(taps_inside(size, o, k, s, padding, d))
        for size, o, (k, s, padding, d) in zip(sizes, outs, windows, strict=True)
    )
    return windows_facts(out, taps, len(windows), kind, p)


def windows_facts(out: Tensor, taps: int, dimensions: int, kind: str, p: float = 2) -> Pooling:
    """The facts of a pooling of ``taps`` taps in all, over the last ``dimensions`` dimensions."""
    windows = prod(out.shape[-dimensions:])
    lower = kind.lower()
    reduction: Reduction = "max" if "max" in lower else "avg" if "avg" in lower else "norm"
    return Pooling(out.numel() // windows, taps, windows, reduction, p, kind)


def adaptive_facts(x: Tensor, out: Tensor, dimensions: int, kind: str) -> Pooling:
    """The facts of an adaptive pooling over the last ``dimensions`` dimensions."""
    sizes, outs = x.shape[-dimensions:], out.shape[-dimensions:]
    taps = prod(
        sum(-(-(i + 1) * size // o) - i * size // o for i in range(o))
        for size, o in zip(sizes, outs, strict=True)
    )
    return windows_facts(out, taps, dimensions, kind)


def per_dimension(size: int | Iterable[int], dimensions: int) -> tuple[int, ...]:
    """One size for all dimensions, or one for each."""
    return (size,) * dimensions if isinstance(size, int) else tuple(size)
