"""Rules for operators: facts to count about one call into torch's dispatcher.

All computations of modules without a rule, and of forwards between layers, arrive here. An operator
that has no rule and is not ``FREE`` is reported as unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Literal

from torch import Tensor

from sequela.cost.layers import attention as of_heads
from sequela.cost.layers import rows as of_rows
from sequela.cost.layers import windows as of_windows
from sequela.cost.layers.dense import dense
from sequela.cost.layers.dense import embedding_bag as bags
from sequela.cost.layers.rows import FUNCTIONS, elementwise, powers
from sequela.cost.layers.work import Layer
from sequela.cost.rules.modules import bag_sizes


@dataclass(frozen=True, slots=True)
class Operation:
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

    def held(self, name: str) -> bool:
        """Return whether an argument holds weights."""
        given = self.arguments.get(name)
        return isinstance(given, Tensor) and self.weights(given)

    def weighted(self, *names: str) -> bool:
        """Return whether one of the arguments holds weights, and another does not."""
        held = [self.held(name) for name in names]
        return any(held) and not all(held)

    def tensors(self) -> list[Tensor]:
        """Return all tensors of the arguments, including those in lists."""
        found: list[Tensor] = []
        for argument in self.arguments.values():
            several = argument if isinstance(argument, list | tuple) else [argument]
            found += [tensor for tensor in several if isinstance(tensor, Tensor)]
        return found


# The facts of a call, or None where the rule does not support this form of it.
Rule = Callable[[Operation], list[Layer] | None]


# The factors of the functions that may multiply a value by a weight.
FACTORS = {
    "mul": ("self", "other"),
    "addcmul": ("tensor1", "tensor2"),
    "_prelu_kernel": ("self", "weight"),
}


def function(factor: str) -> Rule:
    """Read a function of each value, and the argument that is a factor where it is not one."""

    def rule(op: Operation) -> list[Layer] | None:
        if op.name == "mul" and not isinstance(op["other"], Tensor) and op["other"] == 1:
            return []  # vmap writes the factor of addmm
        weighted = op.weighted(*FACTORS.get(op.name, ()))
        layer = elementwise(op.name, op.output.numel(), weighted=weighted)
        return [layer, *_scaled(op.arguments.get(factor, 1), op.output)]

    return rule


def _scaled(factor: Any, values: Tensor) -> list[Layer]:
    """Return the products with a factor that some operators take, where it is not one."""
    return [] if factor == 1 else [elementwise("mul", values.numel())]


def named(name: str) -> Rule:
    """Read a function with another name in ``FUNCTIONS``."""
    return lambda op: [elementwise(name, op.output.numel())]


def division(op: Operation) -> list[Layer] | None:
    """Read a division, and a rounding where there is one."""
    rounded = op.arguments.get("rounding_mode") is not None
    layer = elementwise("div", op.output.numel())
    return [layer, *([elementwise("round", op.output.numel())] if rounded else [])]


def lerp(op: Operation) -> list[Layer] | None:
    """Read x + w·(y - x), where w may be a weight."""
    weighted = op.weighted("self", "end", "weight") and op.held("weight")
    return [elementwise("lerp", op.output.numel(), weighted=weighted)]


def power(op: Operation) -> list[Layer] | None:
    """Read x^y: products for a whole y, roots, or the logarithm."""
    exponent = op["exponent"]
    if isinstance(exponent, Tensor) or not isinstance(op["self"], Tensor):
        return named("power")(op)
    how = powers(float(exponent))
    return [] if how is None else [elementwise(how, op.output.numel())]


def clamp(op: Operation) -> list[Layer] | None:
    """Read a clamp: one comparison for each bound."""
    bounds = [bound for bound in ("min", "max") if op[bound] is not None]
    return [elementwise(f"clamp_{bound}", op.output.numel()) for bound in bounds]


def reduction(name: str) -> Rule:
    """Read rows reduced to one value each, by a function of ``REDUCTIONS``."""

    def rule(op: Operation) -> list[Layer] | None:
        rows = op.output.numel()
        return [of_rows.reduction(name, rows, op["self"].numel() // max(rows, 1))]

    return rule


def running(name: str) -> Rule:
    """Read rows accumulated along ``dim``."""

    def rule(op: Operation) -> list[Layer] | None:
        n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
        return [of_rows.reduction(name, op.output.numel() // n, n)]

    return rule


def extremum(op: Operation) -> list[Layer] | None:
    """Read the largest or smallest of a row, or of two tensors at each place."""
    if isinstance(op.arguments.get("other"), Tensor):
        return named("maximum")(op)
    return reduction("max")(op)


def norm(op: Operation) -> list[Layer] | None:
    """Read the 1-norm, the 2-norm or the largest absolute value of rows."""
    order = op.arguments.get("ord", op.arguments.get("p"))
    names = {None: "norm", 2: "norm", 1: "norm (1)", float("inf"): "norm (max)"}
    return reduction(names[order])(op) if order in names else None


def matrix_product(left: str, right: str, bias: str | None = None) -> Rule:
    """Read (..., rows, n) times (..., n, m), plus a bias or another matrix."""

    def rule(op: Operation) -> list[Layer] | None:
        n = op[left].shape[-1]
        m = op[right].shape[-1] if op[right].dim() > 1 else 1
        out = op.output
        added = bias is not None and op.arguments.get("beta", 1) != 0
        weighted = op.weighted(left, right)
        layer = dense(out.numel() // m, n, m, bias=added, weighted=weighted, kind="matrix product")
        scaled = _scaled(op.arguments.get("alpha", 1), out)
        return [layer, *scaled, *(_scaled(op.arguments.get("beta", 1), out) if added else [])]

    return rule


def convolution(op: Operation) -> list[Layer] | None:
    """Read a convolution, plain or transposed, of one to three dimensions."""
    weight, bias, weighted = op["weight"], op["bias"] is not None, op.weighted("input", "weight")
    kernel = tuple(weight.shape[2:])
    positions = tuple(op.output.shape[-len(kernel) :])
    if not op["transposed"]:
        c_out, c_in = weight.shape[:2]
        rows = op.output.numel() // (prod(positions) * c_out)
        sizes = (rows, c_in, c_out, kernel, positions)
        return [of_windows.convolution(*sizes, bias=bias, weighted=weighted)]
    sizes_in = op["input"].shape[-len(kernel) :]
    steps = (op["stride"], op["padding"], op["dilation"])
    dimensions = zip(sizes_in, positions, kernel, *map(tuple, steps), strict=True)
    c_in, c_out = weight.shape[0] // op["groups"], weight.shape[1] * op["groups"]
    sums = (op["input"].numel() // (prod(sizes_in) * weight.shape[0]), c_in, c_out, kernel)
    return [of_windows.transposed_convolution(*sums, dimensions, bias=bias, weighted=weighted)]


def pooling(op: Operation) -> list[Layer] | None:
    """Read a pooling with windows of one size."""
    dimensions = int(op.name[op.name.index("d") - 1])
    stride, dilation = op["stride"] or op["kernel_size"], op.arguments.get("dilation", 1)
    sizes = (op["kernel_size"], stride, op["padding"], dilation)
    windows = list(zip(*(of_windows.per_dimension(s, dimensions) for s in sizes), strict=True))
    return [of_windows.sliding_pooling(op["self"], op.output, windows, op.name)]


def adaptive_pooling(op: Operation) -> list[Layer] | None:
    """Read a pooling with windows cut to fit."""
    dimensions = int(op.name[op.name.index("d", op.name.index("pool")) - 1])
    taps = prod(
        sum(-(-(i + 1) * size // o) - i * size // o for i in range(o))
        for size, o in zip(
            op["self"].shape[-dimensions:], op.output.shape[-dimensions:], strict=True
        )
    )
    return [of_windows.pooling(op.output, taps, dimensions, op.name.strip("_"))]


def batch_norm(op: Operation) -> list[Layer] | None:
    """Read a batch norm with stored statistics, or with statistics of the batch."""
    x, affine, weighted = op["input"], op["weight"] is not None, _scaled_by_weight(op)
    channels = x.shape[1]
    sizes = (channels, x.numel() // channels)
    stored = op.arguments.get("running_mean") is not None
    if stored and not op.arguments.get("training", op.arguments.get("train", False)):
        return [of_rows.stored_norm(*sizes, affine=affine, weighted=weighted)]
    scales = channels if affine else 0
    return [of_rows.own_norm("batch norm", *sizes, scales, scales, weighted=weighted)]


def _scaled_by_weight(op: Operation) -> bool:
    """Return whether the scales of a normalisation are weights, not computed from the data."""
    return op["weight"] is None or op.held("weight")


def layer_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    return _own_norm(op, "layer norm", op["input"].numel() // n, n)


def group_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over groups of channels."""
    return _own_norm(op, "group norm", op["N"] * op["group"], op["C"])


def _own_norm(op: Operation, kind: str, groups: int, learnt: int) -> list[Layer]:
    """Return a norm of groups of the input, with ``learnt`` scales and shifts where they exist."""
    learnt_of = (0 if op[name] is None else learnt for name in ("weight", "bias"))
    n = op["input"].numel() // groups
    return [of_rows.own_norm(kind, groups, n, *learnt_of, weighted=_scaled_by_weight(op))]


def rms_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    sizes = (op["input"].numel() // n, n, 0 if op["weight"] is None else n)
    return [of_rows.root_mean_square_norm(*sizes, weighted=_scaled_by_weight(op))]


def embedding_bag(op: Operation) -> list[Layer] | None:
    """Read the sum (mode 0), mean (1) or maximum (2) of rows of a table."""
    padding = None if op["padding_idx"] < 0 else op["padding_idx"]
    sizes = bag_sizes(op["indices"], op["offsets"], last=op["include_last_offset"], padding=padding)
    rows, width = op["weight"].shape
    modes: tuple[Literal["sum", "mean", "max"], ...] = ("sum", "mean", "max")
    counts = (sum(sizes), sum(size > 0 for size in sizes))
    scaled = op["per_sample_weights"] is not None
    return [bags(rows, width, *counts, modes[op["mode"]], scaled=scaled)]


def fourier(op: Operation) -> list[Layer] | None:
    """Read a transform along each dimension in ``dim``, of real samples or to real ones."""
    full = op["self"] if op.name == "_fft_r2c" else op.output
    sizes = [full.shape[dim] for dim in op["dim"]]
    real = op.name != "_fft_c2c"
    layers = [of_rows.fourier(full.numel() // n, n, real=real) for n in sizes]
    return layers + [elementwise("mul", op.output.numel())] * bool(op["normalization"])


def sorting(op: Operation) -> list[Layer] | None:
    """Read a sorting of rows along ``dim``."""
    n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
    return [of_rows.sorting(op["self"].numel() // max(n, 1), n)]


def scattered_sum(op: Operation) -> list[Layer] | None:
    """Read an addition for each value that is added at its place."""
    source = next(op[name] for name in ("source", "src", "values") if name in op.arguments)
    return [elementwise("add", source.numel())]


def weight_norm(op: Operation) -> list[Layer] | None:
    """Read rows ``v`` of a weight times ``g / |v|``."""
    rows, n = op["g"].numel(), op["v"].numel()
    return [
        of_rows.reduction("norm", rows, n // rows),
        elementwise("div", rows),
        elementwise("mul", n),
    ]


def renorm(op: Operation) -> list[Layer] | None:
    """Read the scaling of weight slices to a largest norm: norm, compare, add, divide, multiply."""
    rows = op["self"].shape[op["dim"]]
    if op["p"] != 2:  # noqa: PLR2004
        return None
    return [
        of_rows.reduction("norm", rows, op["self"].numel() // rows),
        *(elementwise(name, rows) for name in ("maximum", "add", "div")),
        elementwise("mul", op["self"].numel()),
    ]


def attention(out: Tensor, given: Mapping[str, Any], is_weight: Callable[[Tensor], bool]) -> Layer:
    """Read ``scaled_dot_product_attention``: (..., L, d), (..., S, d) -> (..., L, d_v)."""
    query, key, mask = given["query"], given["key"], given.get("attn_mask")
    learnt = {name: is_weight(given[name]) for name in ("query", "key", "value")}
    scores = learnt["query"] != learnt["key"]
    values = learnt["value"] and not (learnt["query"] and learnt["key"])
    rows = out.numel() // (out.shape[-2] * out.shape[-1])
    masks = int(mask is not None and mask.is_floating_point())
    sizes = (query.shape[-2], key.shape[-2], query.shape[-1], out.shape[-1])
    return of_heads.attention(rows, *sizes, masks, (scores, values))


PRODUCTS: dict[str, Rule] = {
    **dict.fromkeys(("mm", "_int_mm"), matrix_product("self", "mat2")),
    "bmm": matrix_product("self", "mat2"),
    "mv": matrix_product("self", "vec"),
    "dot": matrix_product("self", "tensor"),
    "vdot": matrix_product("self", "other"),
    "addmm": matrix_product("mat1", "mat2", "self"),
    "addmv": matrix_product("mat", "vec", "self"),
    "baddbmm": matrix_product("batch1", "batch2", "self"),
    **dict.fromkeys(("convolution", "_convolution"), convolution),
}
"""The matrix products, including those of whole numbers in a quantised network."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, function("alpha")),
    "div": division,
    **dict.fromkeys(("addcmul", "addcdiv"), function("value")),
    "lerp": lerp,
    "pow": power,
    "clamp": clamp,
    "gelu": lambda op: named("gelu" if op["approximate"] == "none" else "gelu (tanh)")(op),
    "softplus": lambda op: named("softplus" if op["beta"] == 1 else "softplus (beta)")(op),
    "rrelu_with_noise": named("leaky_relu"),
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "prod": reduction("prod"),
    "logsumexp": reduction("logsumexp"),
    **dict.fromkeys(("var", "var_mean"), reduction("var")),
    **dict.fromkeys(("std", "std_mean"), reduction("std")),
    **dict.fromkeys(("amax", "amin", "argmax", "argmin"), reduction("max")),
    **dict.fromkeys(("max", "min"), extremum),
    **dict.fromkeys(("norm", "linalg_vector_norm"), norm),
    **{name: running(name) for name in ("cumsum", "cumprod")},
    **dict.fromkeys(("_softmax", "_safe_softmax"), running("softmax")),
    "_log_softmax": running("log_softmax"),
    **PRODUCTS,
    **{
        f"{kind}{dimensions}": pooling
        for kind, dimensions in product(
            ("avg_pool", "max_pool"), ("1d", "2d", "3d", "2d_with_indices", "3d_with_indices")
        )
    },
    **{
        f"{kind}{dimensions}d": adaptive_pooling
        for kind in ("adaptive_avg_pool", "_adaptive_avg_pool", "adaptive_max_pool")
        for dimensions in (1, 2, 3)
    },
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        batch_norm,
    ),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    "_fused_rms_norm": rms_norm,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), embedding_bag),
    **dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), fourier),
    "sort": sorting,
    "renorm": renorm,
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), weight_norm),
    **dict.fromkeys(("index_add", "scatter_add"), scattered_sum),
    # Free, unless values are added to those there.
    **dict.fromkeys(
        ("index_put", "_index_put_impl"), lambda op: scattered_sum(op) if op["accumulate"] else []
    ),
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
