"""Rules for modules: facts to count about a call of a ``torch.nn`` layer.

Each rule takes the module, the arguments and the result of one call, and returns one ``Seen`` for
each row of the account; the inside of such a module is not traced. A module needs a rule only where
its operators (``operators.py``) would be miscounted or mixed up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.cost.layers import attention, dense
from sequela.cost.layers.recurrent import Cell, recurrence
from sequela.cost.layers.rows import root_mean_square_norm
from sequela.cost.layers.windows import per_dimension, pooling, sliding_pooling
from sequela.cost.layers.work import Layer
from sequela.errors import ModelError
from sequela.models.visits import MultiHotLinear


@dataclass(frozen=True, slots=True)
class Seen:
    """One row that a call adds to the account, with a suffix where there are several."""

    layer: Layer
    parameters: tuple[nn.Parameter, ...]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module, with the rows of a padded batch of multi-hot visits, if any."""

    module: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    padded_rows: int | None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument, passed by position or by name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    @property
    def input(self) -> Any:
        """The first argument."""
        return self.args[0] if self.args else next(iter(self.kwargs.values()))

    @property
    def output(self) -> Tensor:
        """The result, or the first of several."""
        result: Tensor = self.result[0] if isinstance(self.result, tuple) else self.result
        return result

    def whole(self, layer: Layer) -> list[Seen]:
        """Return the single row of a module."""
        return [Seen(layer, tuple(self.module.parameters()))]


def bilinear(call: Call) -> list[Seen]:
    """Read a Bilinear: (rows, n_1), (rows, n_2) -> (rows, m)."""
    layer = call.module
    rows = call.output.numel() // layer.out_features
    sizes = (layer.in1_features, layer.in2_features, layer.out_features)
    return call.whole(dense.bilinear(rows, *sizes, bias=layer.bias is not None))


def multi_hot_linear(call: Call) -> list[Seen]:
    """Read a Linear on the codes of all visits -> (visit, m)."""
    layer, offsets = call.module, values(call.argument(1, "offsets"))
    counts = [end - begin for begin, end in pairwise(offsets)]
    rows, filled = len(counts), sum(count > 0 for count in counts)
    slots = rows if call.padded_rows is None else call.padded_rows
    facts = dense.multi_hot(rows, layer.n_codes, layer.out_features, sum(counts), filled, slots)
    return call.whole(facts)


def norm_pooling(call: Call) -> list[Seen]:
    """Read a norm pooling ``(..., *size) -> (..., *windows)``; torch computes more than that."""
    layer, name = call.module, type(call.module).__name__
    kernel = per_dimension(layer.kernel_size, int(name[-2]))
    stride = per_dimension(layer.stride or kernel, int(name[-2]))
    windows = [(size, step, 0, 1) for size, step in zip(kernel, stride, strict=True)]
    return call.whole(sliding_pooling(call.input, call.output, windows, name, layer.norm_type))


def fractional_pooling(call: Call) -> list[Seen]:
    """Read a pooling ``(..., *size) -> (..., *windows)`` with whole windows at random places."""
    name = type(call.module).__name__
    dimensions = int(name[-2])
    kernel = prod(per_dimension(call.module.kernel_size, dimensions))
    taps = kernel * prod(call.output.shape[-dimensions:])
    return call.whole(pooling(call.output, taps, dimensions, name))


def recurrent(call: Call) -> list[Seen]:
    """Read (steps of all sequences, W) through each layer; a row for each of several layers."""
    rnn = call.module
    data = call.input.data if isinstance(call.input, PackedSequence) else call.input
    steps = data.numel() // rnn.input_size
    directions = 2 if rnn.bidirectional else 1
    state = rnn.proj_size or rnn.hidden_size
    seen = []
    for index in range(rnn.num_layers):
        layer = recurrence(
            cell_of(rnn),
            directions * state if index else rnn.input_size,
            rnn.hidden_size,
            steps,
            directions,
            bias=rnn.bias,
            projected=rnn.proj_size,
        )
        endings = (f"_l{index}", f"_l{index}_reverse")
        own = tuple(p for name, p in rnn.named_parameters() if name.endswith(endings))
        seen.append(Seen(layer, own, f".l{index}" if rnn.num_layers > 1 else ""))
    return seen


def recurrent_cell(call: Call) -> list[Seen]:
    """Read one step of a cell: (rows, W), (rows, H) -> (rows, H)."""
    cell = call.module
    rows = call.input.numel() // cell.input_size
    layer = recurrence(cell_of(cell), cell.input_size, cell.hidden_size, rows, bias=cell.bias)
    return call.whole(layer)


def cell_of(module: nn.Module) -> Cell:
    """Return the kind of recurrence of a module."""
    if isinstance(module, nn.GRU | nn.GRUCell):
        return "GRU"
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return "LSTM"
    return "RNN (ReLU)" if getattr(module, "nonlinearity", "tanh") == "relu" else "RNN (tanh)"


def multihead_attention(call: Call) -> list[Seen]:
    """Read queries (L, N, E), keys and values (S, N, ...), or batch first, or without N."""
    layer = call.module
    query, key = call.input, call.argument(1, "key")
    step = 1 if layer.batch_first and query.dim() == 3 else 0  # noqa: PLR2004
    rows = query.numel() // (query.shape[step] * layer.embed_dim)
    masks = (call.argument(3, "key_padding_mask"), call.argument(5, "attn_mask"))
    needed = call.argument(4, "need_weights", default=True)
    facts = attention.multihead_attention(
        rows=rows,
        queries=query.shape[step],
        keys=key.shape[step],
        added=int(layer.bias_k is not None) + int(layer.add_zero_attn),
        bias_kv=layer.bias_k is not None,
        e=layer.embed_dim,
        e_k=layer.kdim,
        e_v=layer.vdim,
        heads=layer.num_heads,
        bias=layer.in_proj_bias is not None,
        masks=sum(mask is not None and mask.is_floating_point() for mask in masks),
        averaged=needed and call.argument(6, "average_attn_weights", default=True),
    )
    return call.whole(facts)


def bag_sizes(
    indices: Tensor, offsets: Tensor | None, *, last: bool, padding: int | None
) -> list[int]:
    """Count the rows in each bag of (bag, item), or of (items of all bags,) with offsets.

    With ``last``, the offsets hold the end of the last bag too; ``padding`` is an index left out.
    """
    if offsets is None and padding is None:
        return [indices.shape[1]] * indices.shape[0]
    items = values(indices.flatten())
    if offsets is None:
        bounds = list(range(0, len(items) + 1, indices.shape[1]))
    else:
        bounds = values(offsets) if last else [*values(offsets), len(items)]
    return [sum(item != padding for item in items[begin:end]) for begin, end in pairwise(bounds)]


def values(indices: Tensor) -> list[int]:
    """Return the numbers in a tensor of indices; refuse one that has only a shape."""
    if indices.is_meta:
        raise ModelError(
            "how many rows a bag adds up depends on the values of its offsets, which are unknown:"
            " give the real ones as an integer tensor"
        )
    numbers: list[int] = indices.tolist()
    return numbers


def rms_norm(call: Call) -> list[Seen]:
    """Read a norm of (rows, n)."""
    n = prod(call.module.normalized_shape)
    scales = n if call.module.weight is not None else 0
    return call.whole(root_mean_square_norm(call.input.numel() // n, n, scales))


Rule = Callable[[Call], list[Seen]]


RULES: dict[type, Rule] = {
    nn.Bilinear: bilinear,
    MultiHotLinear: multi_hot_linear,
    **dict.fromkeys((nn.LPPool1d, nn.LPPool2d, nn.LPPool3d), norm_pooling),
    **dict.fromkeys((nn.FractionalMaxPool2d, nn.FractionalMaxPool3d), fractional_pooling),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), recurrent_cell),
    nn.MultiheadAttention: multihead_attention,
    nn.RMSNorm: rms_norm,
}


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module, or for the ``torch.nn`` class whose computation it inherits.

    A subclass with another computation, and a module whose weights are computed at each call
    (parametrised, or a rescaled table), has no rule: its operators are counted one by one.
    """
    if "forward" in vars(module) or torch.nn.utils.parametrize.is_parametrized(module):
        return None
    if getattr(module, "max_norm", None) is not None:
        return None
    for base in type(module).__mro__:
        if base in RULES and type(module).forward is getattr(base, "forward", None):
            return RULES[base]
    return None
