"""Functions of single values; reductions, norms, transforms and sorting of rows of values."""

import math

from sequela.cost.rules.formula import Formula, Number, Symbol
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


def elementwise(function: str | Primitive, values: int, *, weighted: bool = False) -> Layer:
    """Count a function of each value, which may be a product with a weight."""
    primitive = FUNCTIONS[function] if isinstance(function, str) else function
    cost, n = Cost(primitive.cost.operations, Number(int(weighted))), Symbol("n", values, "values")
    return Layer(primitive.name, Work.single(primitive.how, cost, n, unit="value"))


def reduction(function: str, rows: int, n: int) -> Layer:
    """Count rows of ``n`` values, each reduced (or accumulated) by one of ``REDUCTIONS``."""
    factor, constant, how = REDUCTIONS[function]
    row = factor * Symbol("n", n, "values of a row")
    row = row - -constant if constant < 0 else row + constant
    return Layer(function, Work.single(how, Cost(row), samples(rows), unit="row"))


def sorting(rows: int, n: int) -> Layer:
    """Count the comparisons that sort rows of ``n`` values.

    The count is n·⌈log2(n)⌉, an upper bound of merge sort's (Knuth 1998, The art of computer
    programming, volume 3, section 5.2.4).
    """
    # Each round merges sorted pieces into pieces of twice the length.
    rounds = math.ceil(math.log2(n)) if n > 1 else 0
    cost = Cost(rounds * Symbol("n", n, "values of a row"))
    return Layer(
        "sort", Work.single(f"{rounds} rounds of n comparisons", cost, samples(rows), unit="row")
    )


def fourier(rows: int, n: int) -> Layer:
    """Count a fast Fourier transform of each row, where samples or result are real."""
    how = f"5·n·log2(n) / 2 of n = {n} samples"
    row = Symbol("d", fourier_operations(n), f"operations, {how}")
    return Layer("Fourier transform", Work.single(how, Cost(row), samples(rows), unit="row"))


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


def stored_norm(channels: int, values: int, *, affine: bool, weighted: bool) -> Layer:
    """Count (x - mean) / sqrt(variance + eps) · gamma + beta with stored statistics.

    Each of the channels has ``values`` values, all samples together.
    """
    n, c = Symbol("n", values, "values of a channel"), Symbol("C", channels, "channels")
    # The root of the variance is once a channel, whatever the batch: it does not depend on data.
    parts = (
        Part("sqrt(variance + eps): add, root", Cost.of(2)),
        Part("subtract, divide", Cost.of(2).times(n)),
        *_affine(n, weighted=weighted, scale=affine, shift=affine),
    )
    return Layer("batch norm", Work(parts, c, "channel"), 2 * int(affine) * c)


def own_norm(
    kind: str, groups: int, values: int, gammas: int, betas: int, *, weighted: bool
) -> Layer:
    """Count (x - mean) / sqrt(variance + eps) · gamma + beta with the statistics of each group."""
    n = Symbol("n", values, "values of a group")
    parts = (
        Part("mean", mean(n)),
        Part("differences from it", Cost(n)),
        Part("variance: squares and their mean", Cost(n) + mean(n)),
        Part("sqrt(variance + eps): add, root", Cost.of(2)),
        Part("divide", Cost(n)),
        *_affine(n, weighted=weighted, scale=gammas > 0, shift=betas > 0),
    )
    scales = (Symbol("G", gammas, "scales") if gammas else NONE) + (
        Symbol("B", betas, "shifts") if betas else NONE
    )
    return Layer(kind, Work(parts, samples(groups), "group"), scales)


def root_mean_square_norm(rows: int, values: int, *, learnt: bool) -> Layer:
    """Count x / sqrt(mean of x squared + eps) · gamma for each row, where gamma may be learnt."""
    n = Symbol("n", values, "values of a row")
    # Without the mean there are no differences, and no shift after it.
    parts = (
        Part("squares", Cost(n)),
        Part("their mean", mean(n)),
        Part("sqrt(mean + eps): add, root", Cost.of(2)),
        Part("divide", Cost(n)),
        *_affine(n, weighted=True, scale=learnt, shift=False),
    )
    scales = Symbol("G", values, "scales") if learnt else NONE
    return Layer("RMSNorm", Work(parts, samples(rows), "row"), scales)


def _affine(n: Formula, *, weighted: bool, scale: bool, shift: bool) -> list[Part]:
    """Count gamma · x (usually a multiplication by a weight) and + beta, for each value."""
    parts = []
    if scale:
        parts.append(Part("times gamma", Cost(n, n if weighted else NONE)))
    if shift:
        parts.append(Part("plus beta", Cost(n)))
    return parts
