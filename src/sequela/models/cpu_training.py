"""Layers that are faster on a CPU than torch's: dropout, pooled convolutions, a GRU's last state.

They are for training, and the GRU for validation too; the numbers are those of torch's layers.

**GRU**, in a third of the time of ``nn.GRU``. torch takes a GRU on a CPU through its time steps by
many small operations, and records each for the way back. Here a step writes into memory that is
used again for the next batch, and the way back is written by hand (Cho et al. 2014, arXiv
1406.1078, in the form of ``nn.GRU``). Rows are units and columns are examples, and all layers take
a step at once. As a hyperbolic tangent takes five times as long as a sigmoid, the state ``h`` is
kept as ``(h + 1) / 2``, and ``tanh(a)`` likewise is ``sigmoid(2 a)``; the tables of weights are
those for such states.

**Convolutions**, in two thirds of the time. Dimensions are (channel, step, example): what a
position of the kernel reads of all examples is then one block of memory, and no window is copied.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_VALUES = 1 << 16  # values of the 16 random bits that decide on a number
_BLOCK = 16  # slots of which the factors of the gradients are computed together
_KEPT = 8  # shapes whose memory is kept for further batches
MOST_STEPS = 2
"""The padded steps of a batch for each real one, up to which an LSTM is run on padding."""
_sigmoid_gradient = torch.ops.aten.sigmoid_backward.grad_input


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws the mask of a batch from 16 random bits a number, not 53.

    The share of numbers that are kept is a multiple of 1/65,536, and they are divided by it.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # the name in torch
        """Set a share ``p`` of the numbers to 0 in training, and divide the others by 1 - p."""
        drops = self.training and self.p and input.device.type == "cpu"
        return input * self.mask(input) if drops else super().forward(input)

    def mask(self, like: Tensor) -> Tensor:
        """Draw the factors of numbers in the form of ``like``: 0, or 1 / (1 - p)."""
        n_passing, count = round((1 - self.p) * _VALUES), like.numel()  # of 65,536 random values
        # Four random numbers of 16 bits are drawn at once, as one of 64.
        words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
        passes = words.view(torch.int16)[:count].view(like.shape) < n_passing - _VALUES // 2
        # Inverted dropout (Srivastava et al. 2014): the mean stays, so predictions need no factor.
        return passes * (like.new_ones(()) * (_VALUES / max(1, n_passing)))


def _is_for(layer: nn.Module, signal: Tensor) -> bool:
    """Return whether a layer here is used: in training and validation, on a CPU, in float32.

    Elsewhere, torch's layer is: where the gradient of the signal is needed, or a model is exported
    or measured.
    """
    needs_gradients = torch.is_grad_enabled()
    fits = needs_gradients and layer.training and not signal.requires_grad
    validates = not (needs_gradients or torch.is_inference_mode_enabled())
    is_float32 = signal.dtype == next(layer.parameters()).dtype == torch.float32
    is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    on_cpu = signal.device.type == "cpu" and not is_traced
    return (fits or validates) and is_float32 and on_cpu


class _PooledConvolution(torch.autograd.Function):
    """Convolution, dropout by a mask, ReLU and the maximum of pairs of steps.

    The signal is (channel, step, example), and the mask (channel, 2 steps, example) of what is
    returned: (channel, steps, example).
    """

    @staticmethod
    def forward(
        ctx: Any, signal: Tensor, weight: Tensor, bias: Tensor, drop: Dropout | None
    ) -> Tensor:
        _, steps, batch = signal.shape
        kernel = weight.shape[2]
        pairs = (steps - kernel + 1) // 2
        # What each position of the kernel reads: (channel x position, 2 steps x example).
        windows = signal.flatten(1).unfold(1, 2 * pairs * batch, batch)[:, :kernel].flatten(0, 1)
        convolved = torch.addmm(bias[:, None], weight.flatten(1), windows)
        mask = None if drop is None else drop.mask(convolved)
        if mask is not None:
            convolved *= mask
        even, odd = convolved.unflatten(1, (pairs, 2, batch)).unbind(2)
        # ReLU and maximum commute, and half as many numbers pass the ReLU in this order.
        pooled = torch.maximum(even, odd).relu_()
        ctx.save_for_backward(signal, weight, windows, mask, even >= odd, pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        signal, weight, windows, mask, is_even, pooled = ctx.saved_tensors
        of_pooled = torch.ops.aten.threshold_backward(gradient, pooled, 0)
        # The gradient of a maximum goes to the larger of the pair; to the first of equals.
        of_pairs = torch.stack([of_pooled * is_even, of_pooled * ~is_even], 2)
        of_convolved = of_pairs.flatten(1)
        if mask is not None:
            of_convolved *= mask
        of_signal = None
        if ctx.needs_input_grad[0]:
            of_signal = torch.zeros_like(signal)
            of_windows = of_signal.flatten(1).unfold(1, windows.shape[1], signal.shape[2])
            of_read = (weight.flatten(1).T @ of_convolved).unflatten(0, weight.shape[1:])
            for position in range(weight.shape[2]):
                # Windows overlap, so their gradients are added position by position.
                of_windows[:, position] += of_read[:, position]
        of_weight = (of_convolved @ windows.T).view_as(weight)
        return of_signal, of_weight, of_convolved.sum(1), None


def pooled_convolutions(signal: Tensor, *layers: tuple[nn.Conv1d, Dropout | None]) -> Tensor | None:
    """Return the features (batch, feature) after convolution, dropout, ReLU and pooling of pairs.

    The signal is (batch, channel, step). ``None`` where torch's layers are to be used.
    """
    if not (torch.is_grad_enabled() and _is_for(layers[0][0], signal)):
        return None
    numbers = signal.permute(1, 2, 0).contiguous()  # (channel, step, example)
    for convolution, dropout in layers:
        drop = dropout if dropout and dropout.training and dropout.p else None
        weights = convolution.weight, convolution.bias
        numbers = _PooledConvolution.apply(numbers, *weights, drop)  # type: ignore[no-untyped-call]
    return numbers.flatten(0, 1).T  # (batch, feature)


class _Shape(NamedTuple):
    channels: int
    steps: int
    batch: int
    hidden: int
    layers: int
    keeps_gates: bool


class _Memory:
    """The memory of a batch, and its parts for each slot.

    Layer ``k`` takes its step ``t`` in slot ``t + k``, after the layer below. All layers read
    ``inputs`` (slot, row, example): the signal, ones for the biases, the states of the first layer,
    ones, the states of the second... Each layer reads adjacent rows. The rows of the gates are n,
    z, r and h: the new state, the share that the old state keeps, and what the new state reads of
    it, ``r * h``. Gradients are multiplied by ``factors``, block by block of slots.
    """

    def __init__(self, shape: _Shape) -> None:
        channels, steps, batch, size, layers, keeps_gates = shape
        slots, below = steps + layers - 1, 1 + size
        self.inputs = torch.full((slots + 1, channels + layers * below, batch), 0.5)
        of_layers = self.inputs[:, channels:].unflatten(1, (layers, below))
        of_layers[:, :, 0] = 1
        self.states = of_layers[:, :, 1:]
        gates = torch.zeros(slots if keeps_gates else 1, layers, 4 * size, batch)
        self.gates = gates.expand(slots, -1, -1, -1)
        ends = [channels + (layer + 1) * below for layer in range(layers)]
        rows = list(zip([0, *(end - size for end in ends)], ends, strict=False))
        at_work = [slice(max(0, t - steps + 1), min(layers, t + 1)) for t in range(slots)]
        products = [
            [(k, self.inputs[t, slice(*rows[k])], self.gates[t, k]) for k in range(layers)[some]]
            for t, some in enumerate(at_work)
        ]
        self.forward = [
            (
                products[t],
                self.gates[t, some, size : 3 * size],
                *self.gates[t, some].split(size, 1),
                self.states[t, some],
                self.states[t + 1, some],
            )
            for t, some in enumerate(at_work)
        ]
        if not keeps_gates:
            return
        self.factors = torch.empty(_BLOCK, layers, 4 * size, batch)
        self.of_state = torch.empty(layers, size, batch)
        gradients = torch.empty(layers, 4 * size, batch)
        # The gradients of n and z follow from that of the state, those of r and h from that of n.
        nz, rh = gradients.unflatten(1, (2, 2, size)).unbind(1)
        of_nz, of_rh = self.factors.unflatten(2, (2, 2, size)).unbind(2)
        of_read = [self.of_state[max(0, k - 1) : k + 1].flatten(0, 1) for k in range(layers)]
        self.backward = [
            (
                (of_nz[t % _BLOCK, some], self.of_state[some, None], nz[some]),
                (of_rh[t % _BLOCK, some], nz[some, :1], rh[some]),
                (self.of_state[some], self.gates[t, some, size : 2 * size]),
                [(k, of_read[k], gradients[k], inputs.T) for k, inputs, _ in products[t]],
            )
            for t, some in enumerate(at_work)
        ]

    def compute_factors(self, slots: slice) -> None:
        """Compute what the gradients of some slots are multiplied by."""
        states = self.states[slots]  # (slot, layer, hidden, example)
        n, z, r, h = self.gates[slots].chunk(4, 2)  # each (slot, layer, hidden, example)
        of_n, of_z, of_r, of_h = self.factors[: len(states)].chunk(4, 2)
        _sigmoid_gradient(1 - z, n, grad_input=of_n)  # its derivative by n
        _sigmoid_gradient(states - n, z, grad_input=of_z)  # the derivative of n + z · (h - n) by z
        _sigmoid_gradient(h, r, grad_input=of_r)
        of_h.copy_(r)


# Memory that no batch uses now; threads take it out before use.
_idle: dict[_Shape, _Memory] = {}


class _LastState(torch.autograd.Function):
    """The state (batch, hidden) of the last layer after a signal (batch, channel, step)."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, *tables: Tensor) -> Tensor:
        batch, channels, steps = signal.shape
        learns = any(ctx.needs_input_grad)
        shape = _Shape(channels, steps, batch, len(tables[0]) // 4, len(tables), learns)
        memory = _idle.pop(shape, None) or _Memory(shape)
        memory.inputs[:steps, :channels] = signal.permute(2, 1, 0)
        for products, zr, n, z, r, h, state, next_state in memory.forward:
            for layer, inputs, gates in products:
                torch.mm(tables[layer], inputs, out=gates)
            zr.sigmoid_()
            n.addcmul_(r, h).sigmoid_()
            torch.lerp(n, state, z, out=next_state)  # n + z · (state - n), as in nn.GRU
        last: Tensor = memory.states[-1, -1].T.clone()
        if learns:
            ctx.memory, ctx.shape, ctx.tables = memory, shape, tables
        else:
            _put_back(shape, memory)
        return last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        memory, tables, size = ctx.memory, ctx.tables, ctx.shape.hidden
        of_tables = [torch.zeros_like(table) for table in tables]
        # A layer reads its own states, and all but the first those of the layer below.
        read = [(table[:, : size * (k > 0)], table[:, -size:]) for k, table in enumerate(tables)]
        to_states = [torch.cat(columns, 1).T.contiguous() for columns in read]
        memory.of_state.zero_()  # only the last state has a loss
        memory.of_state[-1] = gradient.T
        for slot, (nz, rh, of_state, products) in reversed([*enumerate(memory.backward)]):
            place = slot % _BLOCK
            if place == _BLOCK - 1 or slot == len(memory.backward) - 1:
                memory.compute_factors(slice(slot - place, slot + 1))
            torch.mul(nz[0], nz[1], out=nz[2])
            torch.mul(rh[0], rh[1], out=rh[2])
            of_state[0].mul_(of_state[1])
            for layer, of_read, gradients, inputs in products:
                of_read.addmm_(to_states[layer], gradients)
                of_tables[layer].addmm_(gradients, inputs)
        _put_back(ctx.shape, memory)
        return None, *of_tables


def _put_back(shape: _Shape, memory: _Memory) -> None:
    _idle[shape] = memory
    for unused in [*_idle][:-_KEPT]:  # for the longest time
        _idle.pop(unused, None)


def _table(weights: Sequence[Tensor], *, reads_states: bool) -> Tensor:
    """Join the weights of a layer: rows n, z, r, h; columns inputs, bias, state."""
    of_input, of_state, input_bias, bias = weights
    if reads_states:  # h = 2 s - 1 of a state s that is kept
        input_bias, of_input = input_bias - of_input.sum(1), 2 * of_input
    bias, of_state = bias - of_state.sum(1), 2 * of_state
    by_input = torch.cat([of_input, input_bias[:, None], torch.zeros_like(of_state)], 1).chunk(3)
    by_state = torch.cat([torch.zeros_like(of_input), bias[:, None], of_state], 1).chunk(3)
    r, z = by_input[0] + by_state[0], by_input[1] + by_state[1]
    return torch.cat([2 * by_input[2], z, r, 2 * by_state[2]])  # 2, as tanh(a) = 2 sigmoid(2 a) - 1


def last_state(gru: nn.GRU, signal: Tensor) -> Tensor | None:
    """Return the state (batch, hidden) of the last layer after a signal (batch, channel, step).

    ``None`` where ``gru`` itself is to be used.
    """
    if not _is_for(gru, signal):
        return None
    weights = list(gru.parameters())
    layers = [weights[first : first + 4] for first in range(0, len(weights), 4)]
    tables = [_table(layer, reads_states=number > 0) for number, layer in enumerate(layers)]
    state: Tensor = _LastState.apply(signal, *tables)  # type: ignore[no-untyped-call]
    return 2 * state - 1  # from (h + 1) / 2


def last_real(states: Tensor, lengths: Tensor) -> Tensor:
    """Select the state (example, size) after the last real step of (step, example, size)."""
    return states[lengths - 1, torch.arange(states.shape[1], device=states.device)]


def padding_is_faster(steps: Tensor, batch_sizes: Tensor) -> bool:
    """Return whether an LSTM is faster on padded than on packed steps: the states are the same.

    On a CPU, torch runs a packed sequence of several lengths step by step, and gives a padded one
    to oneDNN: 2 to 5 times faster for 2 to 48 steps of 64 patients with 8 to 86 % of padding.
    """
    real, padded = int(batch_sizes.sum()), len(batch_sizes) * int(batch_sizes[0])  # visits
    return steps.device.type == "cpu" and real < padded <= MOST_STEPS * real
