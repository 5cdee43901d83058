"""A recurrent network on measurements, with a branch on summaries of the whole record.

The branch reads the summaries (Wang et al. 2012 did well with them alone); the recurrent part adds
the order. Between two measurements a channel keeps its last value, and the age of that value is a
separate input (Lipton et al. 2016; Che et al. 2018).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from sequela.models.members import KNOTS, Members
from sequela.sequences.featurisers import CLIP


@dataclass(frozen=True)
class ValuesLSTMConfig:
    """The shapes of inputs and logits, and the sizes of the two branches.

    Attributes:
        n_channels: Measurements of a step.
        n_features: Summaries of an example.
        n_outputs: Classes.
        hidden: Units of the LSTM.
        members: Parallel small networks, which share the LSTM (see ``members.py``).
        summary: Units of each member on summaries.
        dropout: Dropout before each member's output.
        input_dropout: Dropout of the summaries.
        memory_days: The age in days at which an old value's age counts as 1 - 1/e.
    """

    n_channels: int = 38
    n_features: int = 322
    n_outputs: int = 2
    hidden: int = 32
    members: int = 4
    summary: int = 32
    dropout: float = 0.3
    input_dropout: float = 0.5
    memory_days: float = 1 / 3


class ValuesLSTM(nn.Module):
    """An LSTM on last values, masks and ages, pooled over steps, with a branch on summaries."""

    reads = ("values", "gaps", "features:summaries")

    def __init__(self, config: ValuesLSTMConfig) -> None:
        super().__init__()
        self.memory_days = config.memory_days
        self.project = nn.Linear(3 * config.n_channels, config.hidden)
        self.lstm = nn.LSTM(config.hidden, config.hidden)
        self.members = Members(
            config.n_features,
            3 * config.hidden,
            config.n_outputs,
            members=config.members,
            hidden=config.summary,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            knots=KNOTS,
        )
        self.second = nn.Linear(self.members.n_read, 1)  # used in training only

    def forward(
        self, values: Tensor, mask: Tensor, gaps: Tensor, features: Tensor, batch_sizes: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits (patient, n_outputs); in training those of members, and a second target.

        Args:
            values: (visit, n_channels), standardised; 0 where there is none.
            mask: bool (visit, n_channels), whether there is a value.
            gaps: (visit,), days since the patient's visit before.
            features: (patient, n_features), standardised.
            batch_sizes: int64 on the CPU (step,), patients who still have a visit at each step.
        """
        clipped = values.clamp(-CLIP, CLIP)
        inputs = torch.cat([clipped, mask.to(values.dtype), gaps[:, None]], 1)
        padded, lengths = pad_packed_sequence(PackedSequence(inputs, batch_sizes))
        channels = values.shape[1]
        there = padded[..., channels:-1]  # (step, patient, channel)
        kept, age = _carried(padded[..., :channels], there > 0, padded[..., -1])
        steps = torch.cat([kept, there, torch.exp(-age / self.memory_days)], -1)
        packed = pack_padded_sequence(self.project(steps), lengths)
        states, _ = pad_packed_sequence(self.lstm(packed)[0])  # (step, patient, hidden)
        pooled = _pooled(states, lengths.to(states.device))
        logits, read = self.members(features, pooled)
        return (logits, self.second(read)[:, 0]) if self.training else logits


def _carried(values: Tensor, there: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's last value and its age in days, both (step, patient, channel)."""
    n_steps = len(values)
    number = torch.arange(n_steps, device=values.device)[:, None, None]
    last = torch.where(there, number, -1).cummax(0).values
    known, at = last >= 0, last.clamp(min=0)
    time = gaps.cumsum(0)[..., None].expand_as(values)
    age = torch.where(known, time - time.gather(0, at), torch.inf)
    return torch.where(known, values.gather(0, at), 0.0), age


def _pooled(states: Tensor, lengths: Tensor) -> Tensor:
    """Return mean, greatest and last state of each patient: (patient, 3 * hidden)."""
    step = torch.arange(len(states), device=states.device)[:, None]
    real = (step < lengths)[..., None]  # (step, patient, 1)
    mean = torch.where(real, states, 0.0).sum(0) / lengths[:, None]
    greatest = torch.where(real, states, -torch.inf).amax(0)
    last = states[lengths - 1, torch.arange(states.shape[1], device=states.device)]
    return torch.cat([mean, greatest, last], 1)
