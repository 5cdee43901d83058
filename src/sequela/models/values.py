"""A recurrent network on measurements, with a branch on summaries of the whole record.

The branch reads the summaries (Wang et al. 2012 did well with them alone); the recurrent part adds
the order. Between two measurements a channel keeps its last value, and the age of that value is a
separate input (Lipton et al. 2016; Che et al. 2018). The tensors are those of
:class:`sequela.sequences.visit_batches.VisitBatch`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from sequela.models.cpu_training import last_real, padding_is_faster
from sequela.models.members import KNOTS, Members
from sequela.sequences.featurisers import CLIP


@dataclass(frozen=True)
class ValuesLSTMConfig:
    """The shapes of inputs and logits, and the sizes of the two branches."""

    n_channels: int = 38  # measurements of a step
    n_features: int = 322  # summaries of an example
    n_outputs: int = 2  # classes
    hidden: int = 32  # units of the LSTM
    members: int = 4  # parallel small networks, which share the LSTM (see ``members.py``)
    summary: int = 32  # units of each member on summaries
    dropout: float = 0.3  # before each member's output
    input_dropout: float = 0.5  # of the summaries
    memory_days: float = 1 / 3  # the age at which an old value's age counts as 1 - 1/e


class ValuesLSTM(nn.Module):
    """An LSTM on last values, masks and ages, pooled over steps, with a branch on summaries."""

    reads = ("values", "gaps", "features:summaries")

    def __init__(self, config: ValuesLSTMConfig) -> None:
        super().__init__()
        self.memory_days = config.memory_days
        self.project = nn.Linear(3 * config.n_channels, config.hidden)  # values, masks and ages
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
        """Return logits (patient, n_outputs); in training those of members, and a second target."""
        clipped = values.clamp(-CLIP, CLIP)  # values of models before 0.3 have no bounds
        inputs = torch.cat([clipped, mask.to(values.dtype), gaps[:, None]], 1)
        padded, lengths = pad_packed_sequence(PackedSequence(inputs, batch_sizes))
        clipped, measured = padded[..., :-1].chunk(2, -1)  # (step, patient, channel)
        steps = self._steps(clipped, measured, padded[..., -1])
        if padding_is_faster(steps, batch_sizes):
            states, _ = self.lstm(steps)  # (step, patient, hidden)
        else:
            states, _ = pad_packed_sequence(self.lstm(pack_padded_sequence(steps, lengths))[0])
        return self._head(states, features, lengths.to(states.device))

    def padded(
        self, values: Tensor, gaps: Tensor, features: Tensor, lengths: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits of values (step, patient, channel), NaN for none; gaps (step, patient)."""
        measured = (~values.isnan()).to(values.dtype)  # (step, patient, channel)
        states, _ = self.lstm(self._steps(values.clamp(-CLIP, CLIP), measured, gaps))
        return self._head(states, features, lengths)

    def _steps(self, values: Tensor, measured: Tensor, gaps: Tensor) -> Tensor:
        carried, age = _carried(values, measured > 0, gaps)  # (step, patient, channel)
        steps: Tensor = self.project(
            torch.cat([carried, measured, torch.exp(-age / self.memory_days)], -1)
        )
        return steps

    def _head(
        self, states: Tensor, features: Tensor, lengths: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        logits, read = self.members(features, _pooled(states, lengths))
        return (logits, self.second(read)[:, 0]) if self.training else logits


def _carried(values: Tensor, measured: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's last value and its age in days, both (step, patient, channel)."""
    count = measured.long().cumsum(0)  # (step, patient, channel)
    place = torch.where(measured, count, 0)  # a channel's nth value is in row n, row 0 has none
    time = gaps.cumsum(0)[..., None].expand_as(values)  # days since the first step

    def last(numbers: Tensor, before: float) -> Tensor:
        filled = torch.where(measured, numbers, before)
        return torch.cat([filled[:1], filled]).scatter(0, place, filled).gather(0, count)

    return last(values, 0.0), time - last(time, -torch.inf)  # never measured: infinitely old


def _pooled(states: Tensor, lengths: Tensor) -> Tensor:
    """Return mean, greatest and last state of each patient: (patient, 3 * hidden)."""
    step = torch.arange(states.shape[0], device=states.device)[:, None]
    real = (step < lengths)[..., None]  # (step, patient, 1)
    mean = torch.where(real, states, 0.0).sum(0) / lengths[:, None]  # (patient, hidden)
    greatest = torch.where(real, states, -torch.inf).amax(0)
    return torch.cat([mean, greatest, last_real(states, lengths)], 1)
