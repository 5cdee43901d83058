"""One layer of a recurrent network: GRU, LSTM or plain RNN, and their cells.

The products with an initial state of zeros are counted. PyTorch's layers hold two bias vectors, one
for the input and one for the state; both are added.
"""

from dataclasses import dataclass
from typing import Literal

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Part, Work
from sequela.cost.primitives import RELU, SIGMOID, TANH, Cost, dot, each

Cell = Literal["GRU", "LSTM", "RNN (tanh)", "RNN (ReLU)"]
GATES: dict[Cell, int] = {"GRU": 3, "LSTM": 4, "RNN (tanh)": 1, "RNN (ReLU)": 1}
GATE_WORDS = {1: "input", 3: "three gates", 4: "four gates"}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One recurrent layer over all steps of all sequences.

    Attributes:
        cell: The kind of recurrence.
        w: Width of the input.
        h: Units.
        steps: Real steps of all sequences together, without the padding of a packed batch.
        directions: 1, or 2 where the sequence is also read backwards.
        bias: Whether the two bias vectors are there.
        p: Width of an LSTM's projected state (``proj_size``), 0 without one.
    """

    cell: Cell
    w: int
    h: int
    steps: int
    directions: int
    bias: bool
    p: int = 0

    @property
    def kind(self) -> str:
        """The cell, and whether both directions are read."""
        return f"{self.cell}, bidirectional" if self.directions == 2 else self.cell  # noqa: PLR2004

    def sizes(self) -> tuple[Symbol, Symbol, Formula]:
        """Return W, H, and the width of the fed-back state: H, or P where it is projected."""
        h = Symbol("H", self.h, "units")
        state = Symbol("P", self.p, "width of the projected state") if self.p else h
        return Symbol("W", self.w, "inputs"), h, state

    def repeated(self) -> Formula:
        """Return directions times steps."""
        directions = (
            Number(1) if self.directions == 1 else Symbol("D", self.directions, "directions")
        )
        return directions * Symbol("T", self.steps, "steps of all sequences")

    def parameters(self) -> Formula:
        """Count a matrix for the input, one for the state, two bias vectors, for each gate."""
        w, h, state = self.sizes()
        gates = GATES[self.cell] * h * (w + state + 2 * int(self.bias))
        projection = h * state if self.p else Number(0)
        return (gates + projection) * self.directions

    def work(self) -> Work:
        """Count the gates' products, then the cell's operations, at each step."""
        w, h, state = self.sizes()
        gates = GATES[self.cell]
        of = GATE_WORDS[gates]
        products = (
            Part(f"input to the {of}" if gates > 1 else "input", self._product(w, gates * h)),
            Part(f"state to the {of}" if gates > 1 else "state", self._product(state, gates * h)),
        )
        return Work(products + CELLS[self.cell](h) + self._projection(), self.repeated(), "step")

    def _product(self, n: Formula, outputs: Formula) -> Cost:
        return dot(n, bias=self.bias).times(outputs)

    def _projection(self) -> tuple[Part, ...]:
        """Count the state (H) times a matrix (H, P), without a bias."""
        if not self.p:
            return ()
        _, h, p = self.sizes()
        return (Part("projection of the state", dot(h, bias=False).times(p)),)


def _gru(h: Formula) -> tuple[Part, ...]:
    gate = (each(1) + SIGMOID.cost).times(h)
    return (
        Part("reset gate: sum of the two, sigmoid", gate),
        Part("update gate: sum of the two, sigmoid", gate),
        Part("candidate: reset times state, sum, tanh", (each(1) + each(1) + TANH.cost).times(h)),
        Part(
            "new state (1 - z)·n + z·h: subtract, two products, sum",
            (each(1) + each(2) + each(1)).times(h),
        ),
    )


def _lstm(h: Formula) -> tuple[Part, ...]:
    return (
        Part("input, forget, output gate: sum, sigmoid", (each(1) + SIGMOID.cost).times(3 * h)),
        Part("candidate: sum, tanh", (each(1) + TANH.cost).times(h)),
        Part("cell state f·c + i·g: two products, sum", (each(2) + each(1)).times(h)),
        Part("state o·tanh(c): tanh, product", (TANH.cost + each(1)).times(h)),
    )


def _tanh(h: Formula) -> tuple[Part, ...]:
    return (Part("new state: sum of the two, tanh", (each(1) + TANH.cost).times(h)),)


def _relu(h: Formula) -> tuple[Part, ...]:
    return (Part("new state: sum of the two, ReLU", (each(1) + RELU.cost).times(h)),)


CELLS = {"GRU": _gru, "LSTM": _lstm, "RNN (tanh)": _tanh, "RNN (ReLU)": _relu}
