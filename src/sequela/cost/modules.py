"""Rules for modules: what a call of a ``torch.nn`` layer is, as facts that can be counted.

Each rule is handed the module, the arguments and the result of one call, and gives one ``Seen`` for
each row of the account. What happens inside such a module is not looked at any more. A module
without a rule is no problem: its operations are seen one by one (``operators.py``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.cost.geometry import (
    adaptive_facts,
    convolution_facts,
    per_dimension,
    pooling_facts,
    transposed_facts,
    windows_facts,
)
from sequela.cost.layers.attention import MultiheadAttention
from sequela.cost.layers.dense import Bilinear, Dense, MultiHot
from sequela.cost.layers.embedding import Embedding, EmbeddingBag
from sequela.cost.layers.normalisation import OwnNorm, RootMeanSquareNorm, StoredNorm
from sequela.cost.layers.recurrent import Cell, Recurrence
from sequela.cost.layers.work import Layer
from sequela.errors import ModelError
from sequela.models.visits import MultiHotLinear


@dataclass(frozen=True, slots=True)
class Seen:
    """One row that a module's call adds to the account.

    Attributes:
        layer: The facts.
        parameters: The parameters that belong to the row.
        suffix: What follows the module's name, for one of several rows.
    """

    layer: Layer
    parameters: tuple[nn.Parameter, ...]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module.

    Attributes:
        module: The module.
        args: Positional arguments.
        kwargs: Arguments by name.
        result: What it returned.
        padded_rows: Rows that a padded batch would give to a layer on multi-hot visits, if any.
    """

    module: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    padded_rows: int | None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument, wherever it stands."""
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
        """The one row of a module that has only one."""
        return [Seen(layer, tuple(self.module.parameters()))]


def linear(call: Call) -> list[Seen]:
    """(rows, n) -> (rows, m)."""
    layer = call.module
    rows = call.input.numel() // layer.in_features
    bias = layer.bias is not None
    return call.whole(Dense(rows, layer.in_features, layer.out_features, bias))


def bilinear(call: Call) -> list[Seen]:
    """(rows, n_1), (rows, n_2) -> (rows, m)."""
    layer = call.module
    rows = call.output.numel() // layer.out_features
    sizes = (layer.in1_features, layer.in2_features, layer.out_features)
    return call.whole(Bilinear(rows, *sizes, bias=layer.bias is not None))


def multi_hot_linear(call: Call) -> list[Seen]:
    """Codes of all visits -> (visit, m)."""
    layer, offsets = call.module, values(call.argument(1, "offsets"))
    counts = [end - begin for begin, end in pairwise(offsets)]
    rows, filled = len(counts), sum(count > 0 for count in counts)
    slots = rows if call.padded_rows is None else call.padded_rows
    facts = MultiHot(rows, layer.n_codes, layer.out_features, sum(counts), filled, slots)
    return call.whole(facts)


def convolution(call: Call) -> list[Seen]:
    """``(N, C, *size) -> (N, C_out, *positions)``, or without N."""
    layer = call.module
    return call.whole(
        convolution_facts(
            call.output, layer.weight, bias=layer.bias is not None, kind=type(layer).__name__
        )
    )


def transposed_convolution(call: Call) -> list[Seen]:
    """``(N, C, *size) -> (N, C_out, *positions)``, or without N."""
    layer = call.module
    return call.whole(
        transposed_facts(
            call.input,
            call.output,
            layer.weight,
            steps=(layer.stride, layer.padding, layer.dilation),
            groups=layer.groups,
            bias=layer.bias is not None,
            kind=type(layer).__name__,
        )
    )


def pooling(call: Call) -> list[Seen]:
    """``(..., *size) -> (..., *windows)`` with a window of one size."""
    layer = call.module
    name = type(layer).__name__
    dimensions = int(name[-2])
    kernel = per_dimension(layer.kernel_size, dimensions)
    stride = per_dimension(layer.stride or kernel, dimensions)
    padding = per_dimension(getattr(layer, "padding", 0), dimensions)
    dilation = per_dimension(getattr(layer, "dilation", 1), dimensions)
    windows = list(zip(kernel, stride, padding, dilation, strict=True))
    power = float(getattr(layer, "norm_type", 2))
    return call.whole(pooling_facts(call.input, call.output, windows, name, power))


def adaptive_pooling(call: Call) -> list[Seen]:
    """``(..., *size) -> (..., *windows)``, the windows cut to fit."""
    name = type(call.module).__name__
    return call.whole(adaptive_facts(call.input, call.output, int(name[-2]), name))


def fractional_pooling(call: Call) -> list[Seen]:
    """``(..., *size) -> (..., *windows)``, whole windows at random places."""
    name = type(call.module).__name__
    dimensions = int(name[-2])
    kernel = prod(per_dimension(call.module.kernel_size, dimensions))
    taps = kernel * prod(call.output.shape[-dimensions:])
    return call.whole(windows_facts(call.output, taps, dimensions, name))


def recurrent(call: Call) -> list[Seen]:
    """(steps of all sequences, W) through each layer; a row for each of several layers."""
    rnn = call.module
    data = call.input.data if isinstance(call.input, PackedSequence) else call.input
    steps = data.numel() // rnn.input_size
    directions = 2 if rnn.bidirectional else 1
    state = rnn.proj_size or rnn.hidden_size
    seen = []
    for index in range(rnn.num_layers):
        width = directions * state if index else rnn.input_size
        layer = Recurrence(
            cell_of(rnn), width, rnn.hidden_size, steps, directions, rnn.bias, rnn.proj_size
        )
        endings = (f"_l{index}", f"_l{index}_reverse")
        own = tuple(p for name, p in rnn.named_parameters() if name.endswith(endings))
        seen.append(Seen(layer, own, f".l{index}" if rnn.num_layers > 1 else ""))
    return seen


def recurrent_cell(call: Call) -> list[Seen]:
    """(rows, W), (rows, H) -> (rows, H): one step."""
    cell = call.module
    rows = call.input.numel() // cell.input_size
    layer = Recurrence(cell_of(cell), cell.input_size, cell.hidden_size, rows, 1, cell.bias)
    return call.whole(layer)


def cell_of(module: nn.Module) -> Cell:
    """Which recurrence a module computes."""
    if isinstance(module, nn.GRU | nn.GRUCell):
        return "GRU"
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return "LSTM"
    return "RNN (ReLU)" if getattr(module, "nonlinearity", "tanh") == "relu" else "RNN (tanh)"


def multihead_attention(call: Call) -> list[Seen]:
    """Queries (L, N, E), keys and values (S, N, ...), or batch first, or without N."""
    layer = call.module
    query, key = call.input, call.argument(1, "key")
    step = 1 if layer.batch_first and query.dim() == 3 else 0  # noqa: PLR2004
    rows = query.numel() // (query.shape[step] * layer.embed_dim)
    masks = (call.argument(3, "key_padding_mask"), call.argument(5, "attn_mask"))
    needed = call.argument(4, "need_weights", default=True)
    facts = MultiheadAttention(
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


def embedding(call: Call) -> list[Seen]:
    """Indices -> (..., m)."""
    layer = call.module
    return call.whole(Embedding(layer.num_embeddings, layer.embedding_dim))


def embedding_bag(call: Call) -> list[Seen]:
    """Indices of all bags -> (bag, m)."""
    layer, offsets = call.module, call.argument(1, "offsets")
    weights = call.argument(2, "per_sample_weights")
    sizes = bag_sizes(
        call.input, offsets, last=layer.include_last_offset, padding=layer.padding_idx
    )
    facts = EmbeddingBag(
        n=layer.num_embeddings,
        m=layer.embedding_dim,
        items=sum(sizes),
        filled=sum(size > 0 for size in sizes),
        mode=layer.mode,
        scaled=weights is not None,
    )
    return call.whole(facts)


def bag_sizes(
    indices: Tensor, offsets: Tensor | None, *, last: bool, padding: int | None
) -> list[int]:
    """How many rows each bag adds up.

    Args:
        indices: Indices (bag, item), or (items of all bags,) with offsets.
        offsets: Where each bag begins.
        last: Whether the offsets hold the end of the last bag too.
        padding: An index that is left out.
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
    """The numbers in a tensor of indices.

    Raises:
        ModelError: If the tensor has a shape but no values.
    """
    if indices.is_meta:
        raise ModelError(
            "how many rows a bag adds up depends on the values of its offsets, which are not known:"
            " give the real ones as an integer tensor"
        )
    numbers: list[int] = indices.tolist()
    return numbers


def batch_norm(call: Call) -> list[Seen]:
    """(N, C, ...), with stored statistics; with the batch's own where none are stored."""
    layer, x = call.module, call.input
    affine, name = layer.weight is not None, type(layer).__name__
    channels = layer.num_features
    if layer.running_mean is not None:
        return call.whole(StoredNorm(channels, x.numel() // channels, affine, name))
    scales = channels if affine else 0
    return call.whole(OwnNorm(channels, x.numel() // channels, scales, scales, name))


def instance_norm(call: Call) -> list[Seen]:
    """(N, C, ...), each channel of each sample by itself; with stored statistics where kept."""
    layer, x = call.module, call.input
    if layer.running_mean is not None:
        return batch_norm(call)
    positions = prod(x.shape[-int(type(layer).__name__[-2]) :])
    scales = layer.num_features if layer.weight is not None else 0
    facts = OwnNorm(x.numel() // positions, positions, scales, scales, type(layer).__name__)
    return call.whole(facts)


def layer_norm(call: Call) -> list[Seen]:
    """(rows, n)."""
    n = prod(call.module.normalized_shape)
    weight, bias = call.module.weight, call.module.bias
    scales, shifts = (0 if p is None else p.numel() for p in (weight, bias))
    return call.whole(OwnNorm(call.input.numel() // n, n, scales, shifts))


def group_norm(call: Call) -> list[Seen]:
    """(N, C, ...): the channels of each group together."""
    layer, x = call.module, call.input
    groups = x.shape[0] * layer.num_groups
    scales = layer.num_channels if layer.affine else 0
    return call.whole(OwnNorm(groups, x.numel() // groups, scales, scales, "GroupNorm"))


def rms_norm(call: Call) -> list[Seen]:
    """(rows, n)."""
    n = prod(call.module.normalized_shape)
    scales = n if call.module.weight is not None else 0
    return call.whole(RootMeanSquareNorm(call.input.numel() // n, n, scales))


Rule = Callable[[Call], list[Seen]]


def _numbered(
    names: Iterable[str], rule: Rule, dimensions: Iterable[int] = (1, 2, 3)
) -> dict[type, Rule]:
    return {getattr(nn, f"{name}{number}d"): rule for name in names for number in dimensions}


RULES: dict[type, Rule] = {
    nn.Linear: linear,
    nn.Bilinear: bilinear,
    MultiHotLinear: multi_hot_linear,
    **_numbered(["Conv"], convolution),
    **_numbered(["ConvTranspose"], transposed_convolution),
    **_numbered(["MaxPool", "AvgPool", "LPPool"], pooling),
    **_numbered(["AdaptiveMaxPool", "AdaptiveAvgPool"], adaptive_pooling),
    **_numbered(["FractionalMaxPool"], fractional_pooling, (2, 3)),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), recurrent_cell),
    nn.MultiheadAttention: multihead_attention,
    nn.Embedding: embedding,
    nn.EmbeddingBag: embedding_bag,
    **_numbered(["BatchNorm"], batch_norm),
    **_numbered(["InstanceNorm"], instance_norm),
    nn.LayerNorm: layer_norm,
    nn.GroupNorm: group_norm,
    nn.RMSNorm: rms_norm,
}


def rule_for(module: nn.Module) -> Rule | None:
    """The rule for a module, or for the ``torch.nn`` class whose computation it inherits.

    A subclass that computes in its own way, and a module whose weights are computed at each call
    (parametrised, or a table that is rescaled), has none: its operations are looked at one by one.
    """
    if "forward" in vars(module) or torch.nn.utils.parametrize.is_parametrized(module):
        return None
    if getattr(module, "max_norm", None) is not None:
        return None
    for base in type(module).__mro__:
        if base in RULES and type(module).forward is getattr(base, "forward", None):
            return RULES[base]
    return None
