"""One layer of a recurrent network: GRU, LSTM or plain RNN, and their cells.

The products with an initial state of zeros are counted. PyTorch's layers hold two bias vectors, one
for the input and one for the state; both are added.
"""

from dataclasses import replace
from typing import Literal

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from sequela.cost.formula import Number, Symbol, add
from sequela.cost.layers.calls import ModuleCall
from sequela.cost.work import RELU, SIGMOID, TANH, Cost, Layer, Omission, Part, Work, dot

Cell = Literal["GRU", "LSTM", "RNN (tanh)", "RNN (ReLU)"]
GATES: dict[Cell, int] = {"GRU": 3, "LSTM": 4, "RNN (tanh)": 1, "RNN (ReLU)": 1}
GATE_WORDS = {1: "", 3: " to the three gates", 4: " to the four gates"}
_SIGMOID = SIGMOID.operations
_TANH = TANH.operations
_RELU = RELU.operations
CELLS: dict[Cell, tuple[tuple[str, tuple[int, ...], int], ...]] = {
    "GRU": (
        ("reset gate: sum of the two, sigmoid", (1, _SIGMOID), 1),
        ("update gate: sum of the two, sigmoid", (1, _SIGMOID), 1),
        ("candidate: reset times state, sum, tanh", (1, 1, _TANH), 1),
        ("new state (1 - z)·n + z·h: subtract, two products, sum", (1, 2, 1), 1),
    ),
    "LSTM": (
        ("input, forget, output gate: sum, sigmoid", (1, _SIGMOID), 3),
        ("candidate: sum, tanh", (1, _TANH), 1),
        ("cell state f·c + i·g: two products, sum", (2, 1), 1),
        ("state o·tanh(c): tanh, product", (_TANH, 1), 1),
    ),
    "RNN (tanh)": (("new state: sum of the two, tanh", (1, _TANH), 1),),
    "RNN (ReLU)": (("new state: sum of the two, ReLU", (1, _RELU), 1),),
}
"""The work of a cell after its matrix products: what is computed, its operations for each unit, and
how many vectors of units."""


def recurrence(
    cell: Cell, width: int, units: int, steps: int, directions: int = 1, *, bias: bool
) -> Layer:
    """Count one recurrent layer over all real steps of all sequences, without padding.

    ``directions`` is 2 where the sequence is also read backwards. The report of 2019 counts one
    bias a gate of a GRU.
    """
    w, h, gates = Symbol("W", width, "inputs"), Symbol("H", units, "units"), GATES[cell]
    ways = Number(1) if directions == 1 else Symbol("D", directions, "directions")
    repeated = ways * Symbol("T", steps, "steps of all sequences")
    # Each step multiplies the input and the state by one matrix for all gates, then combines both.
    parts = [
        Part(f"input{GATE_WORDS[gates]}", dot(w, bias=bias).times(gates * h)),
        Part(f"state{GATE_WORDS[gates]}", dot(h, bias=bias).times(gates * h)),
        *(
            Part(label, Cost(add(map(Number, counts))).times(vectors * h))
            for label, counts, vectors in CELLS[cell]
        ),
    ]
    kind = cell if directions == 1 else f"{cell}, bidirectional"
    parameters = gates * h * (w + h + 2 * int(bias))
    report = None
    if cell == "GRU":
        # The report joins input and state into one vector: one product and one bias for each gate.
        sums = dot(w + h, bias=bias)
        gate = (sums + SIGMOID.cost).times(h)
        reported = (
            Part("update gate z: products, sigmoid", gate),
            Part("reset gate r: products, sigmoid", gate),
            Part("candidate: products, reset, tanh", (sums + Cost.of(1) + TANH.cost).times(h)),
            Part("new state (1 - z)·h + z·candidate", Cost.of(4).times(h)),
        )
        one_bias = 3 * h * (w + h + int(bias)) * directions
        report = Layer(kind, Work(reported, repeated, "step"), one_bias)
        if bias:
            reason = f"one bias vector a gate, PyTorch has two ({3 * units} additions a step)"
            omission = Omission("", reason, 3 * h * directions, repeated * 3 * h)
            report = replace(report, omissions=(omission,))
    return Layer(kind, Work(tuple(parts), repeated, "step"), parameters * directions, report)


def recurrent(call: ModuleCall) -> dict[str, Layer] | None:
    """Count the layers of a recurrent network that reads (steps of all sequences, W)."""
    rnn, sequences = call.module, call.arguments["input"]
    # An LSTM with projections has a further product in each step, which no formula here has.
    if rnn.proj_size:
        return None
    data = sequences.data if isinstance(sequences, PackedSequence) else sequences
    steps, directions = data.numel() // rnn.input_size, 2 if rnn.bidirectional else 1
    layers = {}
    for index in range(rnn.num_layers):
        width = rnn.input_size if index == 0 else directions * rnn.hidden_size
        suffix = f".l{index}" if rnn.num_layers > 1 else ""
        layers[suffix] = recurrence(
            _cell_of(rnn), width, rnn.hidden_size, steps, directions, bias=rnn.bias
        )
    return layers


def recurrent_cell(call: ModuleCall) -> dict[str, Layer]:
    """Count one step of a cell: (rows, W), (rows, H) -> (rows, H)."""
    cell = call.module
    rows = call.arguments["input"].numel() // cell.input_size
    return {"": recurrence(_cell_of(cell), cell.input_size, cell.hidden_size, rows, bias=cell.bias)}


def _cell_of(module: nn.Module) -> Cell:
    if isinstance(module, nn.GRU | nn.GRUCell):
        return "GRU"
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return "LSTM"
    return "RNN (ReLU)" if getattr(module, "nonlinearity", "tanh") == "relu" else "RNN (tanh)"
