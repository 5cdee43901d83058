"""Rules for modules: the rows that a call of a ``torch.nn`` layer adds to an account.

The inside of such a module is not traced. A module needs a rule only where its operators
(``operators.py``) would be miscounted or mixed up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.cost.layers import products
from sequela.cost.layers.elementwise import root_mean_square_norm
from sequela.cost.layers.recurrent import Cell, recurrence
from sequela.cost.work import Layer
from sequela.errors import ModelError
from sequela.models.visits import MultiHotLinear


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module: its arguments by name, and the rows of a padded batch of visits."""

    module: Any
    arguments: Mapping[str, Any]
    padded_rows: int | None


# The rows by their suffix, or None where the rule does not support this form of the module. Two
# rows have the parameters whose names end with their suffix, one row all.
Rule = Callable[[Call], dict[str, Layer] | None]


def multi_hot_linear(call: Call) -> dict[str, Layer]:
    """Read a Linear on the codes of all visits -> (visit, m)."""
    layer, offsets = call.module, values(call.arguments["offsets"])
    counts = [end - begin for begin, end in pairwise(offsets)]
    rows, filled = len(counts), sum(count > 0 for count in counts)
    slots = rows if call.padded_rows is None else call.padded_rows
    sizes = (layer.n_codes, layer.out_features, sum(counts), filled, slots)
    return {"": products.multi_hot(rows, *sizes)}


def recurrent(call: Call) -> dict[str, Layer] | None:
    """Read (steps of all sequences, W) through each layer; a row for each of several layers."""
    rnn, sequences = call.module, call.arguments["input"]
    if rnn.proj_size:
        return None
    data = sequences.data if isinstance(sequences, PackedSequence) else sequences
    steps, directions = data.numel() // rnn.input_size, 2 if rnn.bidirectional else 1
    layers = {}
    for index in range(rnn.num_layers):
        width = rnn.input_size if index == 0 else directions * rnn.hidden_size
        suffix = f".l{index}" if rnn.num_layers > 1 else ""
        layers[suffix] = recurrence(
            cell_of(rnn), width, rnn.hidden_size, steps, directions, bias=rnn.bias
        )
    return layers


def recurrent_cell(call: Call) -> dict[str, Layer]:
    """Read one step of a cell: (rows, W), (rows, H) -> (rows, H)."""
    cell = call.module
    rows = call.arguments["input"].numel() // cell.input_size
    return {"": recurrence(cell_of(cell), cell.input_size, cell.hidden_size, rows, bias=cell.bias)}


def cell_of(module: nn.Module) -> Cell:
    """Return the kind of recurrence of a module."""
    if isinstance(module, nn.GRU | nn.GRUCell):
        return "GRU"
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return "LSTM"
    return "RNN (ReLU)" if getattr(module, "nonlinearity", "tanh") == "relu" else "RNN (tanh)"


def multihead_attention(call: Call) -> dict[str, Layer] | None:
    """Read queries (L, N, E), keys and values (S, N, ...), or batch first, or without N."""
    layer, arguments = call.module, call.arguments
    if layer.bias_k is not None or layer.add_zero_attn:
        return None
    query = arguments["query"]
    step = 1 if layer.batch_first and query.dim() == 3 else 0  # noqa: PLR2004
    masks = (arguments.get("key_padding_mask"), arguments.get("attn_mask"))
    averaged = arguments.get("need_weights", True) and arguments.get("average_attn_weights", True)
    facts = products.multihead_attention(
        rows=query.numel() // (query.shape[step] * layer.embed_dim),
        queries=query.shape[step],
        keys=arguments["key"].shape[step],
        e=layer.embed_dim,
        e_k=layer.kdim,
        e_v=layer.vdim,
        heads=layer.num_heads,
        bias=layer.in_proj_bias is not None,
        masks=sum(mask is not None and mask.is_floating_point() for mask in masks),
        averaged=averaged,
    )
    return {"": facts}


def rms_norm(call: Call) -> dict[str, Layer]:
    """Read a norm of (rows, n)."""
    n = prod(call.module.normalized_shape)
    rows = next(iter(call.arguments.values())).numel() // n
    return {"": root_mean_square_norm(rows, n, learnt=call.module.weight is not None)}


def values(offsets: Tensor) -> list[int]:
    """Return the numbers of a tensor of offsets; refuse one that has only a shape."""
    if offsets.is_meta:
        raise ModelError(
            "how many rows a bag adds up depends on the values of its offsets, which are unknown:"
            " give the real ones as an integer tensor"
        )
    numbers: list[int] = offsets.tolist()
    return numbers


RULES: dict[type, Rule] = {
    MultiHotLinear: multi_hot_linear,
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), recurrent_cell),
    nn.MultiheadAttention: multihead_attention,
    nn.RMSNorm: rms_norm,
    # torch computes more than their formula.
    **dict.fromkeys((nn.LPPool1d, nn.LPPool2d, nn.LPPool3d), lambda _: None),
}


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module, or for the ``torch.nn`` class whose computation it inherits.

    A subclass with another computation, and a module of complex numbers or with weights that are
    computed at each call (parametrised), has no rule: its operators are counted one by one.
    """
    if "forward" in vars(module) or torch.nn.utils.parametrize.is_parametrized(module):
        return None
    if any(parameter.is_complex() for parameter in module.parameters()):
        return None
    for base in type(module).__mro__:
        if base in RULES and type(module).forward is getattr(base, "forward", None):
            return RULES[base]
    return None
