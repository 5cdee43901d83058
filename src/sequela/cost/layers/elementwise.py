"""Functions of single values; reductions, norms, transforms and sorting of rows of values."""

import math
from math import prod

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.calls import ModuleCall, OperatorCall, OperatorRule
from sequela.cost.work import (
    NONE,
    RELU,
    SIGMOID,
    TANH,
    Cost,
    Layer,
    Part,
    Primitive,
    Work,
    mean,
    samples,
)
from sequela.sequences.featurisers import fourier_operations


def _of_one_operation(how: str, names: str) -> list[Primitive]:
    return [Primitive(name, 1, how) for name in names.split()]


FUNCTIONS: dict[str, Primitive] = {
    primitive.name: primitive
    for primitive in (
        SIGMOID,
        TANH,
        RELU,
        *_of_one_operation(
            "one addition, subtraction, multiplication or division",
            "add sub rsub mul div reciprocal square",
        ),
        *_of_one_operation(
            "one elementary function",
            "exp exp2 log log2 log10 sqrt erf sin cos tan neg abs sign sgn floor ceil round trunc "
            "atan",
        ),
        *_of_one_operation(
            "one comparison",
            "eq ne lt le gt ge maximum minimum threshold isnan isinf clamp_min clamp_max fmax fmin",
        ),
        Primitive("rsqrt", 2, "1 / sqrt(x): root, divide"),
        Primitive("log1p", 2, "log(1 + x): add, logarithm"),
        Primitive("expm1", 2, "e^x - 1: exponential, subtract"),
        Primitive("relu6", 2, "min(max(x, 0), 6): two comparisons"),
        Primitive("hardtanh", 2, "min(max(x, a), b): two comparisons"),
        Primitive("leaky_relu", 2, "x or a·x: comparison, multiply"),
        Primitive("_prelu_kernel", 2, "x or a·x: comparison, multiply by a weight"),
        Primitive("hardsigmoid", 4, "relu6(x + 3) / 6: add, two comparisons, divide"),
        Primitive("hardswish", 5, "x · hardsigmoid(x): hard sigmoid 4, multiply"),
        Primitive("silu", 5, "x · sigmoid(x): sigmoid 4, multiply"),
        Primitive("elu", 4, "x or a·(e^x - 1): comparison, exponential, subtract, multiply"),
        Primitive("selu", 5, "s·x or s·a·(e^x - 1): ELU 4, multiply"),
        Primitive("softplus", 4, "log(1 + e^x) or x: comparison, exponential, add, logarithm"),
        Primitive("softplus (beta)", 6, "log(1 + e^(b·x)) / b or x: softplus 4, multiply, divide"),
        Primitive("log_sigmoid_forward", 5, "-log(1 + e^-x): negate, exp, add, log, negate"),
        Primitive("mish", 10, "x · tanh(log(1 + e^x)): exp, add, log, tanh 6, multiply"),
        Primitive("gelu", 5, "x / 2 · (1 + erf(x / sqrt 2)): divide, erf, add, two products"),
        Primitive(
            "gelu (tanh)",
            14,
            "x/2 · (1 + tanh(a·(x + b·x^3))): cube 2, multiply, add, multiply, tanh 6, add, 2 more",
        ),
        Primitive("glu", 5, "a · sigmoid(b): sigmoid 4, multiply"),
        Primitive("power", 3, "e^(y·log x): logarithm, multiply, exponential"),
    )
}

# The cost of reducing one row of n values.
REDUCTIONS = {
    "sum": (1, -1, "n - 1 additions"),
    "mean": (1, 0, "n - 1 additions, a division"),
    "prod": (1, -1, "n - 1 multiplications"),
    "cumsum": (1, -1, "n - 1 additions"),
    "max": (1, -1, "n - 1 comparisons"),
    "var": (4, 0, "mean n, differences n, squares n, n - 1 additions, a division"),
    "std": (4, 1, "variance 4·n, a root"),
    "logsumexp": (2, 0, "n exponentials, n - 1 additions, a logarithm"),
    "norm": (2, 0, "n squares, n - 1 additions, a root"),
    "softmax": (3, -1, "n exponentials, n - 1 additions, n divisions"),
    "log_softmax": (3, 0, "n exponentials, n - 1 additions, a logarithm, n subtractions"),
}


# The factors of the functions that may multiply a value by a weight.
FACTORS = {"mul": ("self", "other"), "_prelu_kernel": ("self", "weight")}


def elementwise(function: str | Primitive, values: int, *, weighted: bool = False) -> Layer:
    """Count a function of each value, which may be a product with a weight."""
    primitive = FUNCTIONS[function] if isinstance(function, str) else function
    cost, n = Cost(primitive.cost.operations, Number(int(weighted))), Symbol("n", values, "values")
    return Layer(primitive.name, Work.single(primitive.how, cost, n, unit="value"))


def function(op: OperatorCall) -> list[Layer] | None:
    """Count a function of each value; sums that also scale a tensor have no rule."""
    if op.name == "mul" and not op.has_tensor("other") and op["other"] == 1:
        return []  # the hinges of a network's summaries have a sign of 1 or -1
    # The factor alpha is one multiplication more for each value, which no rule counts.
    if op.name in ("add", "sub", "rsub") and op["alpha"] != 1:
        return None
    weighted = op.weighted(*FACTORS.get(op.name, ()))
    return [elementwise(_form_of(op), op.output.numel(), weighted=weighted)]


def _form_of(op: OperatorCall) -> str:
    match op.name:
        case "gelu" if op["approximate"] != "none":
            return "gelu (tanh)"
        case "softplus" if op["beta"] != 1:
            return "softplus (beta)"
        case "elu" if op["scale"] != 1:
            return "selu"
    return op.name


def division(op: OperatorCall) -> list[Layer] | None:
    """Count a division, and a rounding where there is one."""
    rounded = op.arguments.get("rounding_mode") is not None
    names = ("div", "round") if rounded else ("div",)
    return [elementwise(name, op.output.numel()) for name in names]


def power(op: OperatorCall) -> list[Layer] | None:
    """Count x^y: products for a whole y, roots, or the logarithm."""
    if op.has_tensor("exponent") or not op.has_tensor("self"):
        return [elementwise("power", op.output.numel())]
    how = powers(float(op["exponent"]))
    return [] if how is None else [elementwise(how, op.output.numel())]


def powers(exponent: float) -> Primitive | None:
    """Return the function x^exponent; ``None`` where it is the identity or constant.

    Example:
        >>> powers(3).operations, powers(0.5).operations, powers(0.3).operations
        (2, 1, 3)
    """
    if exponent in (0, 1):
        return None
    # A whole power is written as a product, any other as e^(y·log x).
    if exponent == int(exponent) and exponent > 0:
        times = int(exponent) - 1
        return Primitive("pow", times, f"x^{int(exponent)}: {times} multiplications")
    functions = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    return FUNCTIONS[functions.get(exponent, "power")]


def clamp(op: OperatorCall) -> list[Layer] | None:
    """Count a clamp: one comparison for each bound."""
    bounds = [bound for bound in ("min", "max") if op[bound] is not None]
    return [elementwise(f"clamp_{bound}", op.output.numel()) for bound in bounds]


def reduction(function: str, rows: int, n: int) -> Layer:
    """Count rows of ``n`` values, each reduced (or accumulated) by one of ``REDUCTIONS``."""
    factor, constant, how = REDUCTIONS[function]
    row = factor * Symbol("n", n, "values of a row")
    row = row - -constant if constant < 0 else row + constant
    return Layer(function, Work.single(how, Cost(row), samples(rows), unit="row"))


def reduced(name: str) -> OperatorRule:
    """Return a rule for rows reduced to one value each."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        rows = op.output.numel()
        return [reduction(name, rows, op["self"].numel() // max(rows, 1))]

    return rule


def accumulated(name: str) -> OperatorRule:
    """Return a rule for rows accumulated along ``dim``."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        n = _length(op)
        return [reduction(name, op.output.numel() // n, n)]

    return rule


def _length(op: OperatorCall) -> int:
    length: int = op["self"].shape[op["dim"]] if op["self"].dim() else 1
    return length


def extremum(op: OperatorCall) -> list[Layer] | None:
    """Count the largest or smallest of a row, or of two tensors at each place."""
    if op.has_tensor("other"):
        return [elementwise("maximum", op.output.numel())]
    return reduced("max")(op)


def norm(op: OperatorCall) -> list[Layer] | None:
    """Count the 2-norm of rows."""
    order = op.arguments.get("ord", op.arguments.get("p"))
    return reduced("norm")(op) if order in (None, 2) else None


def sorting(op: OperatorCall) -> list[Layer] | None:
    """Count the comparisons that sort rows of n values along ``dim``.

    The count is n·⌈log2(n)⌉, an upper bound of merge sort's (Knuth 1998, The art of computer
    programming, volume 3, section 5.2.4).
    """
    n = _length(op)
    # Each round merges sorted pieces into pieces of twice the length.
    rounds = math.ceil(math.log2(n)) if n > 1 else 0
    cost = Cost(rounds * Symbol("n", n, "values of a row"))
    rows = samples(op["self"].numel() // max(n, 1))
    work = Work.single(f"{rounds} rounds of n comparisons", cost, rows, unit="row")
    return [Layer("sort", work)]


def fourier(op: OperatorCall) -> list[Layer] | None:
    """Count a fast transform along each dimension in ``dim``, of real samples or to real ones."""
    # The real side has all samples; the other has half of the frequencies.
    full = op["self"] if op.name == "_fft_r2c" else op.output
    layers = []
    for dim in op["dim"]:
        n = full.shape[dim]
        how = f"5·n·log2(n) / 2 of n = {n} samples"
        row = Cost(Symbol("d", fourier_operations(n), f"operations, {how}"))
        work = Work.single(how, row, samples(full.numel() // n), unit="row")
        layers.append(Layer("Fourier transform", work))
    # A normalised transform multiplies each value by 1/n or 1/sqrt(n).
    if op["normalization"]:
        layers.append(elementwise("mul", op.output.numel()))
    return layers


def weight_norm(op: OperatorCall) -> list[Layer] | None:
    """Count rows ``v`` of a weight times ``g / |v|``."""
    rows, n = op["g"].numel(), op["v"].numel()
    return [reduction("norm", rows, n // rows), elementwise("div", rows), elementwise("mul", n)]


def renorm(op: OperatorCall) -> list[Layer] | None:
    """Count a scaling of slices to a largest norm: norm, compare, add, divide, multiply."""
    rows, n = op["self"].shape[op["dim"]], op["self"].numel()
    if op["p"] != 2:  # noqa: PLR2004
        return None
    of_rows = [elementwise(name, rows) for name in ("maximum", "add", "div")]
    return [reduction("norm", rows, n // rows), *of_rows, elementwise("mul", n)]


def batch_norm(op: OperatorCall) -> list[Layer] | None:
    """Count a batch norm with stored statistics, or with statistics of the batch."""
    channels = op["input"].shape[1]
    # Without stored statistics, the norm must compute them too.
    stored = op.arguments.get("running_mean") is not None
    if not stored or op.arguments.get("training", op.arguments.get("train", False)):
        return _norm_of_groups(op, "batch norm", channels, channels)
    affine = op["weight"] is not None
    n = Symbol("n", op["input"].numel() // channels, "values of a channel")
    c = Symbol("C", channels, "channels")
    # The root of the variance is once a channel, whatever the batch: it does not depend on data.
    parts = (
        Part("sqrt(variance + eps): add, root", Cost.of(2)),
        Part("subtract, divide", Cost.of(2).times(n)),
        *_affine(n, weighted=_scaled_by_weight(op), scale=affine, shift=affine),
    )
    return [Layer("batch norm", Work(parts, c, "channel"), 2 * int(affine) * c)]


def layer_norm(op: OperatorCall) -> list[Layer] | None:
    """Count a norm over rows of the normalised shape."""
    n = prod(op["normalized_shape"])
    return _norm_of_groups(op, "layer norm", op["input"].numel() // n, n)


def group_norm(op: OperatorCall) -> list[Layer] | None:
    """Count a norm over groups of channels."""
    return _norm_of_groups(op, "group norm", op["N"] * op["group"], op["C"])


def _norm_of_groups(op: OperatorCall, kind: str, groups: int, learnt: int) -> list[Layer]:
    """Count (x - mean) / sqrt(variance + eps) · gamma + beta with the statistics of each group.

    There are ``learnt`` scales and shifts, where they exist.
    """
    n = Symbol("n", op["input"].numel() // groups, "values of a group")
    scale, shift = op["weight"] is not None, op["bias"] is not None
    parts = (
        Part("mean", mean(n)),
        Part("differences from it", Cost(n)),
        Part("variance: squares and their mean", Cost(n) + mean(n)),
        Part("sqrt(variance + eps): add, root", Cost.of(2)),
        Part("divide", Cost(n)),
        *_affine(n, weighted=_scaled_by_weight(op), scale=scale, shift=shift),
    )
    scales = Symbol("G", learnt, "scales") if scale else NONE
    shifts = Symbol("B", learnt, "shifts") if shift else NONE
    return [Layer(kind, Work(parts, samples(groups), "group"), scales + shifts)]


def _scaled_by_weight(op: OperatorCall) -> bool:
    """Return whether the scales of a normalisation are weights, not computed from the data."""
    return op["weight"] is None or op.holds_weights("weight")


def rms_norm(call: ModuleCall) -> dict[str, Layer]:
    """Count x / sqrt(mean of x squared + eps) · gamma for each row, where gamma may be learnt."""
    size, learnt = prod(call.module.normalized_shape), call.module.weight is not None
    rows = next(iter(call.arguments.values())).numel() // size
    n = Symbol("n", size, "values of a row")
    # Without the mean there are no differences, and no shift after it.
    parts = (
        Part("squares", Cost(n)),
        Part("their mean", mean(n)),
        Part("sqrt(mean + eps): add, root", Cost.of(2)),
        Part("divide", Cost(n)),
        *_affine(n, weighted=True, scale=learnt, shift=False),
    )
    scales = Symbol("G", size, "scales") if learnt else NONE
    return {"": Layer("RMSNorm", Work(parts, samples(rows), "row"), scales)}


def _affine(n: Formula, *, weighted: bool, scale: bool, shift: bool) -> list[Part]:
    """Count gamma · x (usually a multiplication by a weight) and + beta, for each value."""
    parts = []
    if scale:
        parts.append(Part("times gamma", Cost(n, n if weighted else NONE)))
    if shift:
        parts.append(Part("plus beta", Cost(n)))
    return parts
