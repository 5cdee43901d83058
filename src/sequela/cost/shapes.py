"""Shapes of the commonest results, computed without torch's own shape functions.

Those load torch's compiler at their first call, which takes longer than a whole account. Where a
function here does not apply it returns None, and torch's function is used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sequela.cost.layers.elementwise import FUNCTIONS

# The results of these differ from their arguments in shape or type.
OTHER_RESULTS = frozenset(
    ("glu", "log_sigmoid_forward", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf")
)


def elementwise(args: Sequence[Any]) -> Tensor | None:
    """Return the shape of a function of each value of one or two floating tensors of one type."""
    tensors = [value for value in args if isinstance(value, Tensor)]
    if not tensors:
        return None
    first = tensors[0]
    if not all(t.is_meta and t.is_floating_point() and t.dtype == first.dtype for t in tensors):
        return None
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    like = next((tensor for tensor in tensors if tensor.shape == shape), None)
    return first.new_empty(shape) if like is None else torch.empty_like(like)


def product_and_bias(args: Sequence[Any]) -> Tensor | None:
    """Return the shape of ``addmm``: (m,) + (rows, n) (n, m)."""
    bias, left, right = args[:3]
    if not (bias.is_meta and left.is_meta and right.is_meta) or bias.shape[-1] != right.shape[-1]:
        return None
    result: Tensor = torch.mm(left, right)
    return result


def joined(args: Sequence[Any]) -> Tensor | None:
    """Return the shape of ``cat`` along the first dimension."""
    tensors, dim = args[0], args[1] if len(args) > 1 else 0
    first = tensors[0]
    same = all(
        t.is_meta and t.dtype == first.dtype and t.shape[1:] == first.shape[1:] for t in tensors
    )
    if dim != 0 or first.dim() == 0 or not same:
        return None
    result: Tensor = first.new_empty((sum(t.shape[0] for t in tensors), *first.shape[1:]))
    return result


def stacked(args: Sequence[Any]) -> Tensor | None:
    """Return the shape of ``stack`` along a new first dimension."""
    tensors, dim = args[0], args[1] if len(args) > 1 else 0
    first = tensors[0]
    same = all(t.is_meta and t.dtype == first.dtype and t.shape == first.shape for t in tensors)
    if dim != 0 or not same:
        return None
    result: Tensor = first.new_empty((len(tensors), *first.shape))
    return result


KNOWN: dict[str, Callable[[Sequence[Any]], Tensor | None]] = {
    **{name: elementwise for name in FUNCTIONS if name not in OTHER_RESULTS},
    "addmm": product_and_bias,
    "cat": joined,
    "stack": stacked,
}
