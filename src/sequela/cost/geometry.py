"""Windows of poolings, from the shapes of their tensors."""

from collections.abc import Iterable
from math import prod

from torch import Tensor

from sequela.cost.layers.convolution import taps_inside
from sequela.cost.layers.pooling import Pooling, Reduction


def pooling_facts(
    x: Tensor, out: Tensor, windows: list[tuple[int, int, int, int]], kind: str, p: float = 2
) -> Pooling:
    """Describe a pooling whose windows have a kernel, stride, padding and dilation a dimension."""
    sizes, outs = x.shape[-len(windows) :], out.shape[-len(windows) :]
    taps = prod(
        sum(taps_inside(size, o, k, s, padding, d))
        for size, o, (k, s, padding, d) in zip(sizes, outs, windows, strict=True)
    )
    return windows_facts(out, taps, len(windows), kind, p)


def windows_facts(out: Tensor, taps: int, dimensions: int, kind: str, p: float = 2) -> Pooling:
    """Describe a pooling of ``taps`` taps in all, over the last ``dimensions`` dimensions."""
    windows = prod(out.shape[-dimensions:])
    lower = kind.lower()
    reduction: Reduction = "max" if "max" in lower else "avg" if "avg" in lower else "norm"
    return Pooling(out.numel() // windows, taps, windows, reduction, p, kind)


def per_dimension(size: int | Iterable[int], dimensions: int) -> tuple[int, ...]:
    """Expand one size to all dimensions, or keep one for each."""
    return (size,) * dimensions if isinstance(size, int) else tuple(size)
