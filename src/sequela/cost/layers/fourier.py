"""Fourier transforms."""

from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Work, samples, single
from sequela.cost.primitives import Cost
from sequela.sequences.featurisers import fourier_operations


@dataclass(frozen=True, slots=True)
class Fourier:
    """Rows, each transformed by a fast Fourier transform.

    Attributes:
        rows: Rows.
        n: Samples of a row.
        real: Whether the samples, or the result, are real.
    """

    rows: int
    n: int
    real: bool

    @property
    def kind(self) -> str:
        """The name of the transform."""
        return "Fourier transform"

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def work(self) -> Work:
        """Count as :func:`sequela.sequences.featurisers.fourier_operations` does."""
        how = f"5·n·log2(n){' / 2' * self.real} of n = {self.n} samples"
        row = Symbol("d", fourier_operations(self.n, real=self.real), f"operations, {how}")
        return single(how, Cost(row), samples(self.rows), unit="row")
