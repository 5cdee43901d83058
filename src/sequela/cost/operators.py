"""Rules for operators: facts to count about one call into torch's dispatcher.

All computations of modules without a rule, and of forwards between layers, arrive here. An operator
that is neither here nor in ``free_operators.py`` is reported as unknown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, TypeVar

from torch import Tensor

from sequela.cost.geometry import per_dimension, pooling_facts, windows_facts
from sequela.cost.layers.attention import Attention
from sequela.cost.layers.convolution import Convolution, TransposedConvolution, taps_inside
from sequela.cost.layers.dense import Dense
from sequela.cost.layers.elementwise import FUNCTIONS, Elementwise, Reduction, powers
from sequela.cost.layers.embedding import EmbeddingBag
from sequela.cost.layers.fourier import Fourier
from sequela.cost.layers.normalisation import OwnNorm, RootMeanSquareNorm, StoredNorm
from sequela.cost.layers.sorting import Sorting
from sequela.cost.layers.work import Layer
from sequela.cost.modules import bag_sizes


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an operator.

    Attributes:
        name: Its name, without namespace, overload and the mark of an in-place operation.
        arguments: Its arguments by name, defaults included.
        result: The returned value.
        weights: A function that returns whether a tensor holds weights.
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


Norm = TypeVar("Norm", StoredNorm, OwnNorm, RootMeanSquareNorm)

# The facts of a call, or None where the rule does not support this form of it.
Rule = Callable[[Operation], list[Layer] | None]


# The factors of the functions that may multiply a value by a weight.
FACTORS = {
    "mul": ("self", "other"),
    "addcmul": ("tensor1", "tensor2"),
    "_prelu_kernel": ("self", "weight"),
}


def function(op: Operation) -> list[Layer] | None:
    """Read a function of each value."""
    weighted = op.weighted(*FACTORS.get(op.name, ()))
    layer = Elementwise(FUNCTIONS[op.name], op.output.numel(), weighted)
    return [layer, *_scaled(op.arguments.get("alpha", 1), op.output)]


def _scaled(factor: Any, values: Tensor) -> list[Layer]:
    """Return the products with a factor that some operators take, where it is not one."""
    return [] if factor == 1 else [Elementwise(FUNCTIONS["mul"], values.numel())]


def named(name: str) -> Rule:
    """Read a function with another name in ``FUNCTIONS``."""
    return lambda op: [Elementwise(FUNCTIONS[name], op.output.numel())]


def division(op: Operation) -> list[Layer] | None:
    """Read a division, and a rounding where there is one."""
    rounded = op.arguments.get("rounding_mode") is not None
    layer = Elementwise(FUNCTIONS["div"], op.output.numel())
    return [layer, *([Elementwise(FUNCTIONS["round"], op.output.numel())] if rounded else [])]


def fused(op: Operation) -> list[Layer] | None:
    """Read x + v·a·b or x + v·a/b, the factor v where it is not one."""
    weighted = op.weighted(*FACTORS.get(op.name, ()))
    layer = Elementwise(FUNCTIONS[op.name], op.output.numel(), weighted)
    return [layer, *_scaled(op["value"], op.output)]


def lerp(op: Operation) -> list[Layer] | None:
    """Read x + w·(y - x), where w may be a weight."""
    weighted = op.weighted("self", "end", "weight") and op.held("weight")
    return [Elementwise(FUNCTIONS["lerp"], op.output.numel(), weighted)]


def power(op: Operation) -> list[Layer] | None:
    """Read x^y: products for a whole y, roots, or the logarithm."""
    exponent = op["exponent"]
    if isinstance(exponent, Tensor) or not isinstance(op["self"], Tensor):
        return named("power")(op)
    how = powers(float(exponent))
    return [] if how is None else [Elementwise(how, op.output.numel())]


def clamp(op: Operation) -> list[Layer] | None:
    """Read a clamp: one comparison for each bound."""
    bounds = [bound for bound in ("min", "max") if op[bound] is not None]
    return [Elementwise(FUNCTIONS[f"clamp_{bound}"], op.output.numel()) for bound in bounds]


def gelu(op: Operation) -> list[Layer] | None:
    """Read a GELU with the error function, or its approximation by tanh."""
    return named("gelu" if op["approximate"] == "none" else "gelu (tanh)")(op)


def softplus(op: Operation) -> list[Layer] | None:
    """Read a softplus, with or without a factor beta."""
    return named("softplus" if op["beta"] == 1 else "softplus (beta)")(op)


def reduction(name: str) -> Rule:
    """Read rows reduced to one value each, by a function of ``REDUCTIONS``."""

    def rule(op: Operation) -> list[Layer] | None:
        rows = op.output.numel()
        return [Reduction(name, rows, op["self"].numel() // max(rows, 1))]

    return rule


def running(name: str) -> Rule:
    """Read rows accumulated along ``dim``."""

    def rule(op: Operation) -> list[Layer] | None:
        n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
        return [Reduction(name, op.output.numel() // n, n)]

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
        layer = Dense(out.numel() // m, n, m, added, weighted, "matrix product")
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
        return [Convolution(rows, c_in, c_out, kernel, positions, bias, "convolution", weighted)]
    sizes_in = op["input"].shape[-len(kernel) :]
    steps = (op["stride"], op["padding"], op["dilation"])
    dimensions = list(zip(sizes_in, positions, kernel, *map(tuple, steps), strict=True))
    pairs = prod(sum(taps_inside(o, n, k, s, p, d)) for n, o, k, s, p, d in dimensions)
    reached = prod(
        len({i * s - p + tap * d for i in range(n) for tap in range(k)} & set(range(o)))
        for n, o, k, s, p, d in dimensions
    )
    c_in, c_out = weight.shape[0] // op["groups"], weight.shape[1] * op["groups"]
    rows, kind = op["input"].numel() // (prod(sizes_in) * weight.shape[0]), "transposed convolution"
    sums = (kernel, pairs, reached)
    return [TransposedConvolution(rows, c_in, c_out, *sums, bias, kind, weighted)]


def pooling(op: Operation) -> list[Layer] | None:
    """Read a pooling with windows of one size."""
    dimensions = int(op.name[op.name.index("d") - 1])
    kernel = per_dimension(op["kernel_size"], dimensions)
    stride = per_dimension(op["stride"], dimensions) or kernel
    padding = per_dimension(op["padding"], dimensions)
    dilation = per_dimension(op.arguments.get("dilation", 1), dimensions)
    # A list of one element is for all dimensions.
    kernel, stride, padding, dilation = (
        size * dimensions if len(size) == 1 else size
        for size in (kernel, stride, padding, dilation)
    )
    windows = list(zip(kernel, stride, padding, dilation, strict=True))
    return [pooling_facts(op["self"], op.output, windows, op.name)]


def adaptive_pooling(op: Operation) -> list[Layer] | None:
    """Read a pooling with windows cut to fit."""
    dimensions = int(op.name[op.name.index("d", op.name.index("pool")) - 1])
    taps = prod(
        sum(-(-(i + 1) * size // o) - i * size // o for i in range(o))
        for size, o in zip(
            op["self"].shape[-dimensions:], op.output.shape[-dimensions:], strict=True
        )
    )
    return [windows_facts(op.output, taps, dimensions, op.name.strip("_"))]


def batch_norm(op: Operation) -> list[Layer] | None:
    """Read a batch norm with stored statistics, or with statistics of the batch."""
    x, affine = op["input"], op["weight"] is not None
    channels = x.shape[1]
    stored = op.arguments.get("running_mean") is not None
    if stored and not op.arguments.get("training", op.arguments.get("train", False)):
        return [_scaled_by(op, StoredNorm(channels, x.numel() // channels, affine, "batch norm"))]
    scales = channels if affine else 0
    return [_scaled_by(op, OwnNorm(channels, x.numel() // channels, scales, scales, "batch norm"))]


def _scaled_by(op: Operation, norm: Norm) -> Norm:
    """Return the normalisation with scales that are weights, or come from the data."""
    return replace(norm, weighted=op["weight"] is None or op.held("weight"))


def layer_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    scales, shifts = (0 if op[name] is None else n for name in ("weight", "bias"))
    return [_scaled_by(op, OwnNorm(op["input"].numel() // n, n, scales, shifts, "layer norm"))]


def group_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over groups of channels."""
    groups = op["N"] * op["group"]
    scales, shifts = (0 if op[name] is None else op["C"] for name in ("weight", "bias"))
    n = op["input"].numel() // groups
    return [_scaled_by(op, OwnNorm(groups, n, scales, shifts, "group norm"))]


def rms_norm(op: Operation) -> list[Layer] | None:
    """Read a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    scales = 0 if op["weight"] is None else n
    return [_scaled_by(op, RootMeanSquareNorm(op["input"].numel() // n, n, scales))]


def embedding_bag(op: Operation) -> list[Layer] | None:
    """Read the sum (mode 0), mean (1) or maximum (2) of rows of a table."""
    padding = None if op["padding_idx"] < 0 else op["padding_idx"]
    sizes = bag_sizes(op["indices"], op["offsets"], last=op["include_last_offset"], padding=padding)
    rows, width = op["weight"].shape
    mode = ("sum", "mean", "max")[op["mode"]]
    scaled = op["per_sample_weights"] is not None
    filled = sum(size > 0 for size in sizes)
    return [EmbeddingBag(rows, width, sum(sizes), filled, mode, scaled)]  # type: ignore[arg-type]


def fourier(op: Operation) -> list[Layer] | None:
    """Read a transform along each dimension in ``dim``, of real samples or to real ones."""
    full = op["self"] if op.name == "_fft_r2c" else op.output
    sizes = [full.shape[dim] for dim in op["dim"]]
    real = op.name != "_fft_c2c"
    layers: list[Layer] = [Fourier(full.numel() // n, n, real) for n in sizes]
    scaled = [Elementwise(FUNCTIONS["mul"], op.output.numel())] if op["normalization"] else []
    return [*layers, *scaled]


def sorting(op: Operation) -> list[Layer] | None:
    """Read a sorting of rows along ``dim``."""
    n = op["self"].shape[op["dim"]] if op["self"].dim() else 1
    return [Sorting(op["self"].numel() // max(n, 1), n)]


def scattered_sum(op: Operation) -> list[Layer] | None:
    """Read an addition for each value that is added at its place."""
    source = next(op[name] for name in ("source", "src", "values") if name in op.arguments)
    return [Elementwise(FUNCTIONS["add"], source.numel())]


def index_put(op: Operation) -> list[Layer] | None:
    """Read an index_put: free, unless values are added to those there."""
    return scattered_sum(op) if op["accumulate"] else []


def weight_norm(op: Operation) -> list[Layer] | None:
    """Read rows ``v`` of a weight times ``g / |v|``."""
    rows, n = op["g"].numel(), op["v"].numel()
    return [
        Reduction("norm", rows, n // rows),
        Elementwise(FUNCTIONS["div"], rows),
        Elementwise(FUNCTIONS["mul"], n),
    ]


def renorm(op: Operation) -> list[Layer] | None:
    """Read the scaling of weight slices to a largest norm: norm, compare, add, divide, multiply."""
    rows = op["self"].shape[op["dim"]]
    if op["p"] != 2:  # noqa: PLR2004
        return None
    return [
        Reduction("norm", rows, op["self"].numel() // rows),
        *(Elementwise(FUNCTIONS[name], rows) for name in ("maximum", "add", "div")),
        Elementwise(FUNCTIONS["mul"], op["self"].numel()),
    ]


def attention(out: Tensor, query: Tensor, key: Tensor, mask: Tensor | None) -> Attention:
    """Read ``scaled_dot_product_attention``: (..., L, d), (..., S, d) -> (..., L, d_v)."""
    rows = out.numel() // (out.shape[-2] * out.shape[-1])
    masks = int(mask is not None and mask.is_floating_point())
    sizes = (query.shape[-2], key.shape[-2], query.shape[-1], out.shape[-1])
    return Attention(rows, *sizes, masks)


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
    **dict.fromkeys(FUNCTIONS, function),
    "div": division,
    **dict.fromkeys(("addcmul", "addcdiv"), fused),
    "lerp": lerp,
    "pow": power,
    "clamp": clamp,
    "gelu": gelu,
    "softplus": softplus,
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
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_no_training",
        ),
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
    **dict.fromkeys(("index_put", "_index_put_impl"), index_put),
}
