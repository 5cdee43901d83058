"""Functions of single values, reductions of rows."""

from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Work, samples, single
from sequela.cost.primitives import RELU, SIGMOID, TANH, Cost, Primitive


def _alone(name: str, how: str) -> Primitive:
    return Primitive(name, 1, how)


FUNCTIONS: dict[str, Primitive] = {
    primitive.name: primitive
    for primitive in (
        SIGMOID,
        TANH,
        RELU,
        *(
            _alone(name, "one addition, subtraction, multiplication or division")
            for name in ("add", "sub", "rsub", "mul", "div", "reciprocal", "square")
        ),
        *(
            _alone(name, "one elementary function")
            for name in (
                *("exp", "exp2", "log", "log2", "log10", "sqrt", "erf", "sin", "cos", "tan"),
                *("neg", "abs", "sign", "sgn", "floor", "ceil", "round", "trunc", "atan"),
            )
        ),
        *(
            _alone(name, "one comparison")
            for name in (
                *("eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "threshold"),
                *("isnan", "isinf", "clamp_min", "clamp_max", "fmax", "fmin"),
            )
        ),
        Primitive("rsqrt", 2, "1 / sqrt(x): root, divide"),
        Primitive("log1p", 2, "log(1 + x): add, logarithm"),
        Primitive("expm1", 2, "e^x - 1: exponential, subtract"),
        Primitive("relu6", 2, "min(max(x, 0), 6): two comparisons"),
        Primitive("hardtanh", 2, "min(max(x, a), b): two comparisons"),
        Primitive("leaky_relu", 2, "x or a·x: comparison, multiply"),
        Primitive("_prelu_kernel", 2, "x or a·x: comparison, multiply by a weight"),
        Primitive("hardshrink", 2, "x outside [-a, a]: two comparisons"),
        Primitive("softshrink", 3, "x - a, x + a or 0: two comparisons, add"),
        Primitive("hardsigmoid", 4, "relu6(x + 3) / 6: add, two comparisons, divide"),
        Primitive("hardswish", 5, "x · hardsigmoid(x): hard sigmoid 4, multiply"),
        Primitive("silu", 5, "x · sigmoid(x): sigmoid 4, multiply"),
        Primitive("elu", 4, "x or a·(e^x - 1): comparison, exponential, subtract, multiply"),
        Primitive("selu", 5, "s·x or s·a·(e^x - 1): ELU 4, multiply"),
        Primitive("celu", 5, "x or a·(e^(x/a) - 1): ELU 4, divide"),
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
        Primitive("addcmul", 2, "x + a·b: multiply, add"),
        Primitive("addcdiv", 2, "x + a/b: divide, add"),
        Primitive("lerp", 3, "x + w·(y - x): subtract, multiply, add"),
        Primitive("power", 3, "e^(y·log x): logarithm, multiply, exponential"),
    )
}

# The cost of reducing one row of n values.
REDUCTIONS = {
    "sum": (1, -1, "n - 1 additions"),
    "mean": (1, 0, "n - 1 additions, a division"),
    "prod": (1, -1, "n - 1 multiplications"),
    "cumsum": (1, -1, "n - 1 additions"),
    "cumprod": (1, -1, "n - 1 multiplications"),
    "max": (1, -1, "n - 1 comparisons"),
    "var": (4, 0, "mean n, differences n, squares n, n - 1 additions, a division"),
    "std": (4, 1, "variance 4·n, a root"),
    "logsumexp": (2, 0, "n exponentials, n - 1 additions, a logarithm"),
    "norm": (2, 0, "n squares, n - 1 additions, a root"),
    "norm (1)": (2, -1, "n absolute values, n - 1 additions"),
    "norm (max)": (2, -1, "n absolute values, n - 1 comparisons"),
    "softmax": (3, -1, "n exponentials, n - 1 additions, n divisions"),
    "log_softmax": (3, 0, "n exponentials, n - 1 additions, a logarithm, n subtractions"),
}


@dataclass(frozen=True, slots=True)
class Elementwise:
    """A function of each value.

    Attributes:
        function: The function.
        values: Values that are computed.
        weighted: Whether it is a product with a weight.
    """

    function: Primitive
    values: int
    weighted: bool = False

    @property
    def kind(self) -> str:
        """The function's name."""
        return self.function.name

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def work(self) -> Work:
        """Count the function's operations for each value."""
        n = Symbol("n", self.values, "values")
        cost = self.function.cost
        if self.weighted:
            cost = Cost(cost.operations, Number(1))
        return single(self.function.how, cost, n, unit="value")


@dataclass(frozen=True, slots=True)
class Reduction:
    """Rows of ``n`` values, each reduced (or accumulated) by a function of ``REDUCTIONS``.

    Attributes:
        function: Key of ``REDUCTIONS``.
        rows: Rows.
        n: Values of a row.
    """

    function: str
    rows: int
    n: int

    @property
    def kind(self) -> str:
        """The function's name."""
        return self.function

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def work(self) -> Work:
        """Count a multiple of n, and a constant, for each row."""
        factor, constant, how = REDUCTIONS[self.function]
        n = Symbol("n", self.n, "values of a row")
        row = factor * n - -constant if constant < 0 else factor * n + constant
        return single(how, Cost(row), samples(self.rows), unit="row")


def powers(exponent: float) -> Primitive | None:
    """Return the function x^exponent; ``None`` where it is the identity or constant.

    Example:
        >>> powers(3).operations, powers(0.5).operations, powers(0.3).operations
        (2, 1, 3)
    """
    if exponent in (0, 1):
        return None
    if exponent == int(exponent) and exponent > 0:
        times = int(exponent) - 1
        return Primitive("pow", times, f"x^{int(exponent)}: {times} multiplications")
    known = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    return FUNCTIONS[known.get(exponent, "power")]
