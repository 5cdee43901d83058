"""Rules for operators: facts to count about one call into torch's dispatcher.

All computations of modules without a rule, and of forwards between layers, arrive here. An operator
that has no rule and is not ``FREE`` is reported as unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from typing import Any, Literal

from torch import Tensor

from sequela.cost.layers import convolution as of_windows
from sequela.cost.layers import elementwise as of_rows
from sequela.cost.layers import products
from sequela.cost.layers.elementwise import FUNCTIONS, elementwise, powers
from sequela.cost.rules.modules import values
from sequela.cost.work import Layer


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """One call of an operator, without namespace, overload and the mark of an in-place operation.

    Arguments are by name, defaults included; ``weights`` returns whether a tensor holds weights.
    """

    name: str
    arguments: Mapping[str, Any]
    result: Any
    weights: Callable[[Tensor], bool]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def output(self) -> Tensor:
        """The result, or the first of several."""
        result: Tensor = self.result[0] if isinstance(self.result, tuple | list) else self.result
        return result

    def results(self) -> list[Tensor]:
        """Return all tensors of the result."""
        several = self.result if isinstance(self.result, list | tuple) else [self.result]
        return [result for result in several if isinstance(result, Tensor)]

    def holds_weights(self, name: str) -> bool:
        """Return whether an argument holds weights."""
        argument = self.arguments.get(name)
        return isinstance(argument, Tensor) and self.weights(argument)

    def weighted(self, *names: str) -> bool:
        """Return whether one of the arguments holds weights, and another does not."""
        are_weights = [self.holds_weights(name) for name in names]
        return any(are_weights) and not all(are_weights)

    def tensors(self) -> list[Tensor]:
        """Return all tensors of the arguments, including those in lists."""
        tensors: list[Tensor] = []
        for argument in self.arguments.values():
            several = argument if isinstance(argument, list | tuple) else [argument]
            tensors += [tensor for tensor in several if isinstance(tensor, Tensor)]
        return tensors


# The facts of a call, or None where the rule does not support this form of it.
Rule = Callable[[OperatorCall], list[Layer] | None]


# The factors of the functions that may multiply a value by a weight.
FACTORS = {"mul": ("self", "other"), "_prelu_kernel": ("self", "weight")}


def function(op: OperatorCall) -> list[Layer] | None:
    """Read a function of each value; sums that also scale a tensor have no rule."""
    if op.name == "mul" and not isinstance(op["other"], Tensor) and op["other"] == 1:
        return []  # the hinges of a network's summaries have a sign of 1 or -1
    if op.name in ("add", "sub", "rsub") and op["alpha"] != 1:
        return None
    weighted = op.weighted(*FACTORS.get(op.name, ()))
    return [elementwise(op.name, op.output.numel(), weighted=weighted)]


def as_function(name: str) -> Rule:
    """Read a function with another name in ``FUNCTIONS``."""
    return lambda op: [elementwise(name, op.output.numel())]


def division(op: OperatorCall) -> list[Layer] | None:
    """Read a division, and a rounding where there is one."""
    rounded = op.arguments.get("rounding_mode") is not None
    layer = elementwise("div", op.output.numel())
    return [layer, *([elementwise("round", op.output.numel())] if rounded else [])]


def power(op: OperatorCall) -> list[Layer] | None:
    """Read x^y: products for a whole y, roots, or the logarithm."""
    exponent = op["exponent"]
    if isinstance(exponent, Tensor) or not isinstance(op["self"], Tensor):
        return as_function("power")(op)
    how = powers(float(exponent))
    return [] if how is None else [elementwise(how, op.output.numel())]


def clamp(op: OperatorCall) -> list[Layer] | None:
    """Read a clamp: one comparison for each bound."""
    bounds = [bound for bound in ("min", "max") if op[bound] is not None]
    return [elementwise(f"clamp_{bound}", op.output.numel()) for bound in bounds]


def reduction(name: str) -> Rule:
    """Read rows reduced to one value each, by a function of ``REDUCTIONS``."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        rows = op.output.numel()
        return [of_rows.reduction(name, rows, op["self"].numel() // max(rows, 1))]

    return rule


def running(name: str) -> Rule:
    """Read rows accumulated along ``dim``."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
        return [of_rows.reduction(name, op.output.numel() // n, n)]

    return rule


def extremum(op: OperatorCall) -> list[Layer] | None:
    """Read the largest or smallest of a row, or of two tensors at each place."""
    if isinstance(op.arguments.get("other"), Tensor):
        return as_function("maximum")(op)
    return reduction("max")(op)


def norm(op: OperatorCall) -> list[Layer] | None:
    """Read the 2-norm of rows."""
    order = op.arguments.get("ord", op.arguments.get("p"))
    return reduction("norm")(op) if order in (None, 2) else None


def matrix_product(first: str, second: str, bias: str | None = None) -> Rule:
    """Read (..., rows, n) times (..., n, m), plus a bias or another matrix."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        if not op.arguments.get("alpha", 1) == op.arguments.get("beta", 1) == 1:
            return None
        n = op[first].shape[-1]
        m = op[second].shape[-1] if op[second].dim() > 1 else 1
        rows, weighted = op.output.numel() // m, op.weighted(first, second)
        has_bias = bias is not None
        return [products.dense(rows, n, m, bias=has_bias, weighted=weighted, kind="matrix product")]

    return rule


def convolution(op: OperatorCall) -> list[Layer] | None:
    """Read a convolution of one to three dimensions."""
    if op["transposed"]:
        return None
    (c_out, c_in, *kernel), bias = op["weight"].shape, op["bias"] is not None
    positions = tuple(op.output.shape[-len(kernel) :])
    rows, weighted = op.output.numel() // (prod(positions) * c_out), op.weighted("input", "weight")
    sizes = (rows, c_in, c_out, tuple(kernel), positions)
    return [of_windows.convolution(*sizes, bias=bias, weighted=weighted)]


def pooling(op: OperatorCall) -> list[Layer] | None:
    """Read a pooling with windows of one size."""
    dimensions = int(op.name[op.name.index("d") - 1])
    stride, dilation = op["stride"] or op["kernel_size"], op.arguments.get("dilation", 1)
    sizes = (op["kernel_size"], stride, op["padding"], dilation)
    per_dimension = zip(*(of_windows.per_dimension(s, dimensions) for s in sizes), strict=True)
    return [of_windows.sliding_pooling(op["self"], op.output, list(per_dimension), op.name)]


def adaptive_pooling(op: OperatorCall) -> list[Layer] | None:
    """Read a pooling with windows cut to fit."""
    dimensions = int(op.name[op.name.index("d", op.name.index("pool")) - 1])
    # Window i of o begins at floor(i·size / o) and ends before ceil((i + 1)·size / o): they overlap
    # where o does not divide the size.
    taps = prod(
        sum(-(-(i + 1) * size // o) - i * size // o for i in range(o))
        for size, o in zip(
            op["self"].shape[-dimensions:], op.output.shape[-dimensions:], strict=True
        )
    )
    return [of_windows.pooling(op.output, taps, dimensions, op.name.strip("_"))]


def batch_norm(op: OperatorCall) -> list[Layer] | None:
    """Read a batch norm with stored statistics, or with statistics of the batch."""
    x, affine, weighted = op["input"], op["weight"] is not None, _scaled_by_weight(op)
    channels = x.shape[1]
    sizes = (channels, x.numel() // channels)
    stored = op.arguments.get("running_mean") is not None
    if stored and not op.arguments.get("training", op.arguments.get("train", False)):
        return [of_rows.stored_norm(*sizes, affine=affine, weighted=weighted)]
    scales = channels if affine else 0
    return [of_rows.own_norm("batch norm", *sizes, scales, scales, weighted=weighted)]


def _scaled_by_weight(op: OperatorCall) -> bool:
    """Return whether the scales of a normalisation are weights, not computed from the data."""
    return op["weight"] is None or op.holds_weights("weight")


def layer_norm(op: OperatorCall) -> list[Layer] | None:
    """Read a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    return _own_norm(op, "layer norm", op["input"].numel() // n, n)


def group_norm(op: OperatorCall) -> list[Layer] | None:
    """Read a norm over groups of channels."""
    return _own_norm(op, "group norm", op["N"] * op["group"], op["C"])


def _own_norm(op: OperatorCall, kind: str, groups: int, learnt: int) -> list[Layer]:
    """Return a norm of groups of the input, with ``learnt`` scales and shifts where they exist."""
    learnt_of = (0 if op[name] is None else learnt for name in ("weight", "bias"))
    n = op["input"].numel() // groups
    return [of_rows.own_norm(kind, groups, n, *learnt_of, weighted=_scaled_by_weight(op))]


def embedding_bag(op: OperatorCall) -> list[Layer] | None:
    """Read the sum (mode 0), mean (1) or maximum (2) of rows of a table."""
    if op["per_sample_weights"] is not None or op["padding_idx"] >= 0 or op["include_last_offset"]:
        return None
    bounds = [*values(op["offsets"]), op["indices"].numel()]
    sizes = [end - begin for begin, end in pairwise(bounds)]
    modes: tuple[Literal["sum", "mean", "max"], ...] = ("sum", "mean", "max")
    counts = (sum(sizes), sum(size > 0 for size in sizes))
    rows, width = op["weight"].shape
    return [products.embedding_bag(rows, width, *counts, modes[op["mode"]])]


def fourier(op: OperatorCall) -> list[Layer] | None:
    """Read a transform along each dimension in ``dim``, of real samples or to real ones."""
    # The real side has all samples; the other has half of the frequencies.
    full = op["self"] if op.name == "_fft_r2c" else op.output
    sizes = [full.shape[dim] for dim in op["dim"]]
    layers = [of_rows.fourier(full.numel() // n, n) for n in sizes]
    if op["normalization"]:
        layers.append(elementwise("mul", op.output.numel()))
    return layers


def sorting(op: OperatorCall) -> list[Layer] | None:
    """Read a sorting of rows along ``dim``."""
    n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
    return [of_rows.sorting(op["self"].numel() // max(n, 1), n)]


def weight_norm(op: OperatorCall) -> list[Layer] | None:
    """Read rows ``v`` of a weight times ``g / |v|``."""
    rows, n = op["g"].numel(), op["v"].numel()
    return [
        of_rows.reduction("norm", rows, n // rows),
        elementwise("div", rows),
        elementwise("mul", n),
    ]


def renorm(op: OperatorCall) -> list[Layer] | None:
    """Read the scaling of weight slices to a largest norm: norm, compare, add, divide, multiply."""
    rows = op["self"].shape[op["dim"]]
    if op["p"] != 2:  # noqa: PLR2004
        return None
    return [
        of_rows.reduction("norm", rows, op["self"].numel() // rows),
        *(elementwise(name, rows) for name in ("maximum", "add", "div")),
        elementwise("mul", op["self"].numel()),
    ]


def attention(out: Tensor, query: Tensor, key: Tensor, mask: Tensor | None) -> Layer:
    """Read ``scaled_dot_product_attention``: (..., L, d), (..., S, d) -> (..., L, d_v)."""
    rows = out.numel() // (out.shape[-2] * out.shape[-1])
    masks = int(mask is not None and mask.is_floating_point())
    sizes = (query.shape[-2], key.shape[-2], query.shape[-1], out.shape[-1])
    return products.attention(rows, *sizes, masks)


PRODUCTS: dict[str, Rule] = {
    **dict.fromkeys(("mm", "bmm"), matrix_product("self", "mat2")),
    "mv": matrix_product("self", "vec"),
    "dot": matrix_product("self", "tensor"),
    "vdot": matrix_product("self", "other"),
    "addmm": matrix_product("mat1", "mat2", "self"),
    "addmv": matrix_product("mat", "vec", "self"),
    "baddbmm": matrix_product("batch1", "batch2", "self"),
    **dict.fromkeys(("convolution", "_convolution"), convolution),
}
"""The matrix products, which count for whole numbers too."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, function),
    "div": division,
    "pow": power,
    "clamp": clamp,
    "gelu": lambda op: as_function("gelu" if op["approximate"] == "none" else "gelu (tanh)")(op),
    "softplus": lambda op: as_function("softplus" if op["beta"] == 1 else "softplus (beta)")(op),
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "prod": reduction("prod"),
    "logsumexp": reduction("logsumexp"),
    **dict.fromkeys(("var", "var_mean"), reduction("var")),
    **dict.fromkeys(("std", "std_mean"), reduction("std")),
    **dict.fromkeys(("amax", "amin", "argmax", "argmin"), reduction("max")),
    **dict.fromkeys(("max", "min"), extremum),
    **dict.fromkeys(("norm", "linalg_vector_norm"), norm),
    "cumsum": running("cumsum"),
    **dict.fromkeys(("_softmax", "_safe_softmax"), running("softmax")),
    "_log_softmax": running("log_softmax"),
    "elu": lambda op: as_function("elu" if op["scale"] == 1 else "selu")(op),
    **PRODUCTS,
    **{
        f"{kind}{dimensions}": pooling
        for kind, dimensions in product(
            ("avg_pool", "max_pool"), ("1d", "2d", "3d", "2d_with_indices", "3d_with_indices")
        )
    },
    **{
        f"{kind}{dimensions}d": adaptive_pooling
        for kind, dimensions in product(
            ("adaptive_avg_pool", "_adaptive_avg_pool", "adaptive_max_pool"), (1, 2, 3)
        )
    },
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        batch_norm,
    ),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), embedding_bag),
    **dict.fromkeys(("_fft_r2c", "_fft_c2r"), fourier),
    "sort": sorting,
    "renorm": renorm,
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), weight_norm),
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
