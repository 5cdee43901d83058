"""Conventions for counting operations: three functions, each documenting its rules."""

from collections.abc import Callable
from dataclasses import replace

from sequela.cost.rules.formula import Number
from sequela.cost.work import Cost, Layer, Part, Work
from sequela.errors import unknown_name

Convention = Callable[[Layer], Layer]
"""A function from a layer to the same layer with the parameters and the work to count."""


def exact(layer: Layer) -> Layer:
    """Count every arithmetic operation in the network's formulas.

    - One addition, subtraction, multiplication, division, negation, exponential, logarithm, square
      root, other elementary function or comparison is 1 operation.
    - Functions as they are written: sigmoid 4, tanh 6, ReLU 1, softmax of n values 3·n - 1.
    - A dot product of n is n multiplications and n - 1 additions; a bias is one addition more.
    - Max-pooling of k values is k - 1 comparisons.
    - Dropout is the identity at inference. Views, look-ups, and integers (indices, lengths, masks)
      cost nothing; matrix products of integers count.
    - The zeros that pad a convolution are multiplied like other values; a pooling skips them.
    """
    return layer


def macs(layer: Layer) -> Layer:
    """Count multiplications by a weight only.

    - Each product of an activation and a weight is 1; its addition is not counted.
    - A value computed from weights and constants alone, such as a joined or masked weight, is a
      weight.
    - The scale of a normalisation is a weight. A bias, a statistic and another activation are not,
      so the products of queries, keys and values in attention are not counted.
    """
    parts = tuple(
        Part(part.label, Cost(part.cost.macs, part.cost.macs))
        for part in layer.work.parts
        if part.cost.macs != Number(0)
    )
    return replace(layer, work=Work(parts, layer.work.times, layer.work.unit))


def report_2019(layer: Layer) -> Layer:
    """Count by the rules of the report of 2019, its omissions included.

    Source: Yichao Zhang, *PyTorch RNN: Mortality Prediction*, March 26, 2019, sections 1.2 b, 1.3 b
    and 1.4 b.

    - Linear, sigmoid, tanh and ReLU as in ``exact``.
    - A convolution of K taps is 2·K - 1 operations for each output and K parameters for each output
      channel: its bias and all input channels but one are left out.
    - Max-pooling is 1 operation for each window, whatever its size.
    - A GRU has one bias vector for each gate, where PyTorch has two.
    - Other layers have no rule in the report; the exact rule is used.
    """
    return layer.report or layer


CONVENTIONS: dict[str, Convention] = {"exact": exact, "macs": macs, "report-2019": report_2019}


def convention(name: str) -> Convention:
    """Return the convention with a name; raise an UnknownNameError if there is none."""
    if name not in CONVENTIONS:
        raise unknown_name("convention", name, CONVENTIONS)
    return CONVENTIONS[name]
