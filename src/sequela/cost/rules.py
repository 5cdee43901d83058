"""Rules for modules and operators, by name: the layers that a call adds to an account.

The inside of a module with a rule is not traced; a module needs one only where its operators would
be miscounted or mixed up. All computations of other modules, and of forwards between layers, arrive
as operators, the calls into torch's dispatcher. An operator that has no rule and is not ``FREE`` is
reported as unknown.
"""

from itertools import product

import torch
from torch import nn

from sequela.cost.layers import convolution as windows
from sequela.cost.layers import elementwise as values
from sequela.cost.layers import products
from sequela.cost.layers.calls import ModuleRule, OperatorRule
from sequela.cost.layers.recurrent import recurrent, recurrent_cell
from sequela.models.visits import MultiHotLinear

MODULES: dict[type, ModuleRule] = {
    MultiHotLinear: products.multi_hot_linear,
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), recurrent_cell),
    nn.MultiheadAttention: products.multihead_attention,
    nn.RMSNorm: values.rms_norm,
    # torch computes more than their formula.
    **dict.fromkeys((nn.LPPool1d, nn.LPPool2d, nn.LPPool3d), lambda _: None),
}


def rule_for(module: nn.Module) -> ModuleRule | None:
    """Return the rule for a module, or for the ``torch.nn`` class whose computation it inherits.

    A subclass with another computation, and a module of complex numbers or with weights that are
    computed at each call (parametrised), has no rule: its operators are counted one by one.
    """
    if "forward" in vars(module) or torch.nn.utils.parametrize.is_parametrized(module):
        return None
    if any(parameter.is_complex() for parameter in module.parameters()):
        return None
    # Only an inherited forward is known to compute the formula of its class.
    for base in type(module).__mro__:
        if base in MODULES and type(module).forward is getattr(base, "forward", None):
            return MODULES[base]
    return None


PRODUCTS: dict[str, OperatorRule] = {
    **dict.fromkeys(("mm", "bmm"), products.matrix_product("self", "mat2")),
    "mv": products.matrix_product("self", "vec"),
    "dot": products.matrix_product("self", "tensor"),
    "vdot": products.matrix_product("self", "other"),
    "addmm": products.matrix_product("mat1", "mat2", "self"),
    "addmv": products.matrix_product("mat", "vec", "self"),
    "baddbmm": products.matrix_product("batch1", "batch2", "self"),
    **dict.fromkeys(("convolution", "_convolution"), windows.convolution),
}
"""The matrix products, which count for whole numbers too."""

OPERATORS: dict[str, OperatorRule] = {
    **dict.fromkeys(values.FUNCTIONS, values.function),
    "div": values.division,
    "pow": values.power,
    "clamp": values.clamp,
    "sum": values.reduced("sum"),
    "mean": values.reduced("mean"),
    "prod": values.reduced("prod"),
    "logsumexp": values.reduced("logsumexp"),
    **dict.fromkeys(("var", "var_mean"), values.reduced("var")),
    **dict.fromkeys(("std", "std_mean"), values.reduced("std")),
    **dict.fromkeys(("amax", "amin", "argmax", "argmin"), values.reduced("max")),
    **dict.fromkeys(("max", "min"), values.extremum),
    **dict.fromkeys(("norm", "linalg_vector_norm"), values.norm),
    "cumsum": values.accumulated("cumsum"),
    **dict.fromkeys(("_softmax", "_safe_softmax"), values.accumulated("softmax")),
    "_log_softmax": values.accumulated("log_softmax"),
    **PRODUCTS,
    **{
        f"{kind}{dimensions}": windows.pooling
        for kind, dimensions in product(
            ("avg_pool", "max_pool"), ("1d", "2d", "3d", "2d_with_indices", "3d_with_indices")
        )
    },
    **{
        f"{kind}{dimensions}d": windows.adaptive_pooling
        for kind, dimensions in product(
            ("adaptive_avg_pool", "_adaptive_avg_pool", "adaptive_max_pool"), (1, 2, 3)
        )
    },
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        values.batch_norm,
    ),
    "native_layer_norm": values.layer_norm,
    "native_group_norm": values.group_norm,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), products.embedding_bag),
    **dict.fromkeys(("_fft_r2c", "_fft_c2r"), values.fourier),
    "sort": values.sorting,
    "renorm": values.renorm,
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), values.weight_norm),
    # Free, unless values are added to those there.
    **dict.fromkeys(("index_put", "_index_put_impl"), lambda op: None if op["accumulate"] else []),
}

FREE = frozenset(
    (
        *("_local_scalar_dense", "_pack_padded_sequence", "_pad_packed_sequence", "_to_copy"),
        *("_unsafe_index", "_unsafe_view", "_upsample_nearest_exact1d", "as_strided"),
        *("_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "arange", "cat"),
        *("channel_shuffle", "clone", "complex", "constant_pad_nd", "copy", "diag_embed"),
        *("embedding", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "fill"),
        *("flip", "full", "full_like", "gather", "im2col", "index", "index_select", "lift"),
        *("lift_fresh", "linspace", "masked_fill", "masked_scatter", "masked_select"),
        *("max_unpool2d", "max_unpool3d", "native_channel_shuffle", "new_empty"),
        *("new_empty_strided", "new_full", "new_ones", "new_zeros", "nonzero", "ones", "ones_like"),
        *("pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d"),
        *("reflection_pad3d", "repeat", "repeat_interleave", "replication_pad1d"),
        *("replication_pad2d", "replication_pad3d", "roll", "scalar_tensor", "scatter"),
        *("select_scatter", "slice_scatter", "split_with_sizes", "squeeze", "stack", "transpose"),
        *("tril", "tril_indices", "triu", "triu_indices", "unsafe_split"),
        *("unsafe_split_with_sizes", "unsqueeze", "upsample_nearest1d", "upsample_nearest2d"),
        *("upsample_nearest3d", "where", "zero", "zeros", "zeros_like"),
    )
)
"""Operators that move, choose or create values and compute nothing; torch marks views itself."""
