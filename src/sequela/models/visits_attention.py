"""Attention over the visits of a patient, with a branch on summaries of the codes.

Made for few patients and many codes: a linear function of the summaries contributes most of the
logits, and small networks with much dropout add the nonlinear part. The tensors are those of
:class:`sequela.sequences.visit_batches.VisitBatch`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from sequela.models.cpu_training import Dropout, last_real
from sequela.models.members import Members
from sequela.models.visits import MultiHotLinear


@dataclass(frozen=True)
class VisitsAttentionConfig:
    """The shapes of inputs and logits, and sizes."""

    n_codes: int = 911  # size of the vocabulary, the unknown code included
    n_features: int = 256  # summaries of an example
    n_outputs: int = 2  # classes
    embed: int = 8  # numbers of a visit
    members: int = 4  # parallel small networks
    summary: int = 16  # units of each member on summaries
    dropout: float = 0.5  # before each member's output, and of visits
    input_dropout: float = 0.8  # of summaries


class VisitsAttention(nn.Module):
    """Embedding sums with times, pooled by attention, maximum and last, with summaries."""

    reads = ("codes", "gaps", "features:summaries")

    def __init__(self, config: VisitsAttentionConfig) -> None:
        super().__init__()
        self.embed = MultiHotLinear(config.n_codes, config.embed)
        self.time = nn.Linear(1, config.embed, bias=False)
        self.score = nn.Linear(config.embed, 1)
        self.dropout = Dropout(config.dropout)
        self.members = Members(
            config.n_features,
            3 * config.embed,
            config.n_outputs,
            members=config.members,
            hidden=config.summary,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            knots=(),
            linear=True,
        )
        self.second = nn.Linear(self.members.n_read, 1)  # used in training only

    def forward(
        self, codes: Tensor, offsets: Tensor, gaps: Tensor, features: Tensor, batch_sizes: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits (patient, n_outputs); in training those of members, and a second target."""
        summed = self.embed(codes, offsets)  # (visit, embed)
        inputs = torch.cat([summed, gaps[:, None]], 1)
        padded, lengths = pad_packed_sequence(PackedSequence(inputs, batch_sizes))
        return self._after(padded[..., :-1], padded[..., -1:], features, lengths.to(gaps.device))

    def padded(
        self, codes: Tensor, gaps: Tensor, features: Tensor, lengths: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits of codes (patient, visit, place), -1 for padding; gaps (step, patient)."""
        return self._after(self.embed.padded(codes), gaps[..., None], features, lengths)

    def _after(
        self, summed: Tensor, gaps: Tensor, features: Tensor, lengths: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        ago = gaps.flip(0).cumsum(0).flip(0) - gaps  # days, (step, patient, 1)
        # Time in logs: yesterday and last week differ like last month and half a year ago.
        visits = self.dropout(torch.tanh(summed + self.time(torch.log1p(ago))))
        hidden = _attended(visits, self.score(visits), lengths)
        logits, read = self.members(features, hidden)
        return (logits, self.second(read)[:, 0]) if self.training else logits


def _attended(visits: Tensor, scores: Tensor, lengths: Tensor) -> Tensor:
    """Pool each patient's visits by attention, maximum and last: (patient, 3 * embed)."""
    step = torch.arange(visits.shape[0], device=visits.device)[:, None]
    real = (step < lengths)[..., None]  # (step, patient, 1)
    shares = torch.where(real, scores, -torch.inf).softmax(0)  # (step, patient, 1)
    greatest = torch.where(real, visits, -torch.inf).amax(0)
    return torch.cat([(shares * visits).sum(0), greatest, last_real(visits, lengths)], 1)
