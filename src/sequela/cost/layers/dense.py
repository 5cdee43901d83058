"""Matrix products: Linear, Bilinear, products of two activations, Linear on a multi-hot input."""

from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Part, Work, samples, single
from sequela.cost.primitives import Cost, dot


@dataclass(frozen=True, slots=True)
class Dense:
    """A matrix product y = x W + b on ``rows`` rows: (rows, n) times (n, m).

    Attributes:
        rows: Rows of the input, all leading dimensions together.
        n: Inputs.
        m: Outputs.
        bias: Whether a bias is added.
        weighted: Whether the matrix holds weights, or another activation.
        kind: Name of the layer.
    """

    rows: int
    n: int
    m: int
    bias: bool
    weighted: bool = True
    kind: str = "Linear"

    def sizes(self) -> tuple[Symbol, Symbol]:
        """Return inputs and outputs."""
        return Symbol("n", self.n, "inputs"), Symbol("m", self.m, "outputs")

    def parameters(self) -> Formula:
        """Count a weight per input and output, a bias per output."""
        n, m = self.sizes()
        return (n + int(self.bias)) * m if self.weighted else Number(0)

    def work(self) -> Work:
        """Count a dot product of n for each output of each row."""
        n, m = self.sizes()
        product = dot(n, bias=self.bias, weighted=self.weighted)
        return single("dot product", product, samples(self.rows), m, unit="output")


@dataclass(frozen=True, slots=True)
class Bilinear:
    """A bilinear layer y_k = x1 A_k x2 + b_k on ``rows`` rows; A is (m, n_1, n_2).

    Attributes:
        rows: Rows of the inputs.
        n_1: Features of the first input.
        n_2: Features of the second input.
        m: Outputs.
        bias: Whether a bias is added.
    """

    rows: int
    n_1: int
    n_2: int
    m: int
    bias: bool
    kind: str = "Bilinear"

    def sizes(self) -> tuple[Symbol, Symbol, Symbol]:
        """Return the features of both inputs, and outputs."""
        n_1, n_2 = Symbol("n_1", self.n_1, "first inputs"), Symbol("n_2", self.n_2, "second inputs")
        return n_1, n_2, Symbol("m", self.m, "outputs")

    def parameters(self) -> Formula:
        """Count a weight for each pair of inputs and each output, a bias per output."""
        n_1, n_2, m = self.sizes()
        return (n_1 * n_2 + int(self.bias)) * m

    def work(self) -> Work:
        """Count for each output the n_1 products A x2, then their dot product with x1."""
        n_1, n_2, m = self.sizes()
        parts = (
            Part("matrix times second input", dot(n_2, bias=False).times(n_1)),
            Part("first input times that", dot(n_1, bias=self.bias, weighted=False)),
        )
        return Work(parts, samples(self.rows) * m, "output")


@dataclass(frozen=True, slots=True)
class MultiHot:
    """A Linear on a vector of zeros and ones, which can be computed as a sum of rows.

    Attributes:
        rows: Multi-hot vectors, one for each real visit.
        n: Size of the vocabulary.
        m: Outputs.
        ones: Ones in all vectors together.
        filled: Vectors with at least one 1.
        slots: Rows of a padded batch.
    """

    rows: int
    n: int
    m: int
    ones: int
    filled: int
    slots: int
    kind: str = "Linear (multi-hot)"

    def parameters(self) -> Formula:
        """Count the parameters of a Linear layer with bias."""
        return Dense(self.rows, self.n, self.m, bias=True).parameters()

    def work(self) -> Work:
        """Count the dense product of the formula, on the real visits."""
        return Dense(self.rows, self.n, self.m, bias=True).work()

    def padded(self) -> Dense:
        """Return the dense product on every slot of a padded batch."""
        return Dense(self.slots, self.n, self.m, bias=True)

    def embedding_sum(self) -> "RowSum":
        """Return the equivalent sum of the present codes' rows."""
        return RowSum(self.rows, self.n, self.m, self.ones, self.filled)


@dataclass(frozen=True, slots=True)
class RowSum:
    """A Linear on multi-hot vectors as it is executed: additions of the present codes' rows.

    Attributes:
        rows: Multi-hot vectors.
        n: Size of the vocabulary.
        m: Outputs.
        ones: Ones in all vectors together.
        filled: Vectors with at least one 1.
    """

    rows: int
    n: int
    m: int
    ones: int
    filled: int
    kind: str = "embedding sum"

    def parameters(self) -> Formula:
        """Count the parameters of a Linear layer with bias."""
        return Dense(self.rows, self.n, self.m, bias=True).parameters()

    def work(self) -> Work:
        """Count the additions of all but the first row of each vector, then of the bias."""
        c = Symbol("c", self.ones, "codes in all rows")
        v = Symbol("v", self.filled, "rows with a code")
        r = Symbol("R", self.rows, "rows")
        parts = (Part("sum of the codes' rows", Cost(c - v)), Part("bias", Cost(r)))
        return Work(parts, Symbol("m", self.m, "outputs"), "output")
