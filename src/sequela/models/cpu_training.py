"""Layers that train faster on a CPU than torch's: dropout, and the last state of a GRU.

**GRU.** The numbers are those of ``nn.GRU``, in a half to a third of its time. torch takes a GRU on
a CPU through its time steps by many small operations, and records each for the way back. Here a
step writes into memory that is used again for the next batch, and the way back is written by hand
(Cho et al. 2014, arXiv 1406.1078, in the form of ``nn.GRU``). Rows are units and columns are
examples, so a gate of all examples is one block of memory. The gradients of all weights are then
one matrix product over all steps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_VALUES = 1 << 16
"""Values of the 16 random bits that decide on a number."""
_BLOCK = 16
"""Steps of which the factors of the gradients are computed together."""
_KEPT = 4
"""Shapes whose layers are kept for further batches."""
_sigmoid_gradient = torch.ops.aten.sigmoid_backward.grad_input
_tanh_gradient = torch.ops.aten.tanh_backward.grad_input


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws the mask of a batch from 16 random bits a number, not 53.

    The share of numbers that are kept is a multiple of 1/65,536, and they are divided by it.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # the name in torch
        """Set a share ``p`` of the numbers to 0 in training, and divide the others by 1 - p."""
        kept_values = round((1 - self.p) * _VALUES)
        if not (self.training and 0 < kept_values < _VALUES and input.device.type == "cpu"):
            return super().forward(input)
        count = input.numel()
        words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
        mask = words.view(torch.int16)[:count].view(input.shape) < kept_values - _VALUES // 2
        return input * (mask * (input.new_ones(()) * (_VALUES / kept_values)))


class _Shape(NamedTuple):
    channels: int
    steps: int
    batch: int
    hidden: int
    layers: int


class _Layer:
    """The memory of a layer, and its parts for each slot.

    The rows of the gates are n, z, r and h: the new state, the share that the old state keeps, and
    what the new state reads of it, ``r * h``. Gradients are multiplied by ``factors``, block by
    block of steps.
    """

    def __init__(self, inputs: Tensor, first: int, n_read: int, shape: _Shape, number: int) -> None:
        size, slots = shape.hidden, inputs.shape[1] - 1
        self.steps = slice(number, number + shape.steps)  # its slots
        self.inputs = inputs[first : first + n_read + 1 + size]
        self.states = self.inputs[-size:]
        self.gates = inputs.new_zeros(4 * size, slots, shape.batch)
        self.gradients = torch.zeros_like(self.gates)
        self.factors = inputs.new_empty(4 * size, _BLOCK, shape.batch)
        n, z, r, h = self.gates.split(size)
        zr = self.gates[size : 3 * size]
        of_forward = (self.inputs, self.gates, zr, n, z, r, h, self.states, self.states[:, 1:])
        self.forward = list(zip(*(part.unbind(1) for part in of_forward), strict=False))
        # The gradients of n and z follow from that of the state, those of r and h from that of n.
        nz, rh = self.gradients.unflatten(0, (2, 2, size)).unbind(0)
        of_backward = (self.gradients, nz, rh, nz[0], z)
        dims = (1, 2, 2, 1, 1)  # of the slots
        parts = zip(of_backward, dims, strict=True)
        self.backward = list(zip(*(part.unbind(dim) for part, dim in parts), strict=True))
        self.of_block = list(
            zip(*(part.unbind(2) for part in self.factors.unflatten(0, (2, 2, size))), strict=True)
        )

    def compute_factors(self, slots: slice) -> None:
        """Compute what the gradients of some steps are multiplied by."""
        size = len(self.states)
        n, z, r, h = self.gates[:, slots].split(size)
        of_n, of_z, of_r, of_h = self.factors[:, : slots.stop - slots.start].split(size)
        _sigmoid_gradient(self.states[:, slots] - n, z, grad_input=of_z)
        _tanh_gradient(1 - z, n, grad_input=of_n)
        _sigmoid_gradient(h, r, grad_input=of_r)
        of_h.copy_(r)


_idle: dict[_Shape, list[_Layer]] = {}
"""Layers whose memory no batch uses now; threads take them out before use."""


def _layers(shape: _Shape) -> list[_Layer]:
    """Return the layers of a shape, with memory from an earlier batch if there is some.

    They share one table ``inputs`` (row, slot, example) of all that they read: the signal, ones for
    the biases, the states of the first layer, ones, the states of the second... Each layer reads
    adjacent rows. Layer ``n`` takes its step ``t`` in slot ``t + n``, after the layer before it.
    """
    if layers := _idle.pop(shape, None):
        return layers
    rows, slots = shape.channels + shape.layers * (1 + shape.hidden), shape.steps + shape.layers
    inputs, layers, first = torch.zeros(rows, slots, shape.batch), [], 0
    for number in range(shape.layers):
        n_read = shape.hidden if number else shape.channels
        layers.append(_Layer(inputs, first, n_read, shape, number))
        inputs[first + n_read] = 1
        first += n_read + 1
    return layers


def _joined(input_weight: Tensor, weight: Tensor, input_bias: Tensor, bias: Tensor) -> Tensor:
    """Join the weights of a layer: rows n, z, r, h; columns inputs, bias, state."""
    size = weight.shape[1]
    r, z, n = torch.cat([input_weight, (input_bias + bias)[:, None], weight], 1).split(size)
    n, h = n.clone(), n
    n[:, -size - 1], n[:, -size:] = input_bias[2 * size :], 0
    h[:, -size - 1], h[:, : -size - 1] = bias[2 * size :], 0
    return torch.cat([n, z, r, h])


class _LastState(torch.autograd.Function):
    """The state (batch, hidden) of the last layer after a signal (batch, channel, step)."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, *weights: Tensor) -> Tensor:
        batch, channels, steps = signal.shape
        shape = _Shape(channels, steps, batch, weights[1].shape[1], len(weights) // 4)
        layers = _layers(shape)
        tables = [_joined(*weights[i : i + 4]) for i in range(0, len(weights), 4)]
        layers[0].inputs[:channels, :steps] = signal.permute(1, 2, 0)
        for slot in range(layers[-1].steps.stop):
            for layer, table in zip(layers, tables, strict=True):
                if not layer.steps.start <= slot < layer.steps.stop:
                    continue
                inputs, gates, zr, n, z, r, h, state, next_state = layer.forward[slot]
                torch.mm(table, inputs, out=gates)
                zr.sigmoid_()
                n.addcmul_(r, h).tanh_()
                torch.lerp(n, state, z, out=next_state)
        ctx.layers, ctx.tables, ctx.shape = layers, tables, shape
        return layers[-1].states[:, -1].T.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layers, size, slots = ctx.layers, ctx.shape.hidden, ctx.layers[-1].steps.stop
        of_states = [gradient.new_zeros(size, len(gradient)) for _ in layers]
        of_states[-1].copy_(gradient.T)
        to_state = [table[:, -size:].T.contiguous() for table in ctx.tables]
        to_below = [table[:, : -size - 1].T.contiguous() for table in ctx.tables]
        for slot in reversed(range(slots)):
            place = slot % _BLOCK
            for number, (layer, of_state) in enumerate(zip(layers, of_states, strict=True)):
                if place == _BLOCK - 1 or slot == slots - 1:
                    layer.compute_factors(slice(slot - place, slot + 1))
                if not layer.steps.start <= slot < layer.steps.stop:
                    continue
                gradients, nz, rh, n, z = layer.backward[slot]
                factors_nz, factors_rh = layer.of_block[place]
                torch.mul(factors_nz, of_state, out=nz)
                torch.mul(factors_rh, n, out=rh)
                of_state.mul_(z).addmm_(to_state[number], gradients)
                if number:  # the layer below has gone back through this slot already
                    of_states[number - 1].addmm_(to_below[number], gradients)
        of_weights: list[Tensor] = []
        for layer in layers:
            table = layer.gradients[:, layer.steps].flatten(1)
            n, z, r, h = (table @ layer.inputs[:, layer.steps].flatten(1).T).split(size)
            of_input, of_state = torch.cat([r, z, n]), torch.cat([r, z, h])
            of_weights += [of_input[:, : -size - 1], of_state[:, -size:]]
            of_weights += [of_input[:, -size - 1], of_state[:, -size - 1]]
        if len(_idle) < _KEPT:
            _idle[ctx.shape] = layers
        return None, *of_weights


def last_state(gru: nn.GRU, signal: Tensor) -> Tensor | None:
    """Return the state (batch, hidden) of the last layer after a signal (batch, channel, step).

    It is ``None`` except in training in float32 on a CPU: elsewhere ``gru`` itself is faster.
    """
    trains = gru.training and torch.is_grad_enabled() and not signal.requires_grad
    is_float32 = signal.dtype == gru.weight_ih_l0.dtype == torch.float32
    if not (trains and is_float32 and signal.device.type == "cpu"):
        return None
    state: Tensor = _LastState.apply(signal, *gru.parameters())  # type: ignore[no-untyped-call]
    return state
