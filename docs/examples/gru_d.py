"""GRU-D (Che and others 2018, Scientific Reports 8, 6085) on measurements of hospital stays.

    sequela train docs/examples/gru_d.py:GRUD --data physionet2012 --task in-hospital --folds 5

Between two measurements a value decays towards the mean of its channel, and the hidden state
towards 0; how fast is learnt. Values are standardised, so that the mean is 0.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


class GRUD(nn.Module):
    """A GRU whose inputs and state decay with the days since the last measurement."""

    reads = ("values", "gaps")

    def __init__(
        self, *, n_channels: int, n_outputs: int, hidden: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.value_decay = nn.Parameter(torch.ones(n_channels))
        self.value_bias = nn.Parameter(torch.zeros(n_channels))
        self.state_decay = nn.Linear(n_channels, hidden)
        self.cell = nn.GRUCell(2 * n_channels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, n_outputs)

    def forward(self, values: Tensor, mask: Tensor, gaps: Tensor, batch_sizes: Tensor) -> Tensor:
        """Return logits (patient, n_outputs) of packed values and masks (row, n_channels)."""
        rows = torch.cat([values.clamp(-5, 5), mask.to(values.dtype), gaps[:, None]], 1)
        padded, lengths = pad_packed_sequence(PackedSequence(rows, batch_sizes))
        values, mask = padded[..., :-1].chunk(2, -1)  # (step, patient, n_channels)
        last = torch.zeros_like(values[0])
        age = torch.zeros_like(last)  # days since the last measurement of each channel
        state = values.new_zeros(values.shape[1], self.cell.hidden_size)
        states = []
        for value, measured, gap in zip(values, mask, padded[..., -1:], strict=True):
            age = age + gap
            kept = torch.exp(-(self.value_decay * age + self.value_bias).clamp(min=0))
            inputs = measured * value + (1 - measured) * kept * last
            state = state * torch.exp(-self.state_decay(age).clamp(min=0))
            state = self.cell(torch.cat([inputs, measured], 1), state)
            last = torch.where(measured > 0, value, last)
            age = age * (1 - measured)
            states.append(state)
        ends = (lengths - 1).to(values.device)
        read = torch.stack(states)[ends, torch.arange(len(ends), device=values.device)]
        logits: Tensor = self.out(self.dropout(read))
        return logits
