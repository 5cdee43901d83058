"""The report's two recurrent networks on sequences of hospital visits.

A batch of patients is flat: the visits of all patients are in the order of a packed sequence (first
all first visits, then all second visits..., patients sorted by falling number of visits), and the
codes of all visits are in one array. Nothing is padded but the steps of an LSTM, where that is
faster. The tensors are those of :class:`sequela.sequences.visit_batches.VisitBatch`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from sequela.models.cpu_training import last_real, padding_is_faster


@dataclass(frozen=True)
class VisitsConfig:
    """The shapes of inputs and logits."""

    n_codes: int = 911  # size of the vocabulary, the unknown code included
    n_outputs: int = 2  # classes


class MultiHotLinear(nn.Module):
    """A Linear layer on a multi-hot vector, computed as the sum of the rows of the present codes.

    It holds the parameters of ``nn.Linear(n_codes, out_features)``, the weight transposed, and is
    initialised like it; the dense product with a vector of zeros and ones is never formed.
    """

    def __init__(self, n_codes: int, out_features: int) -> None:
        super().__init__()
        dense = nn.Linear(n_codes, out_features)
        self.n_codes = n_codes
        self.out_features = out_features
        self.weight = nn.Parameter(dense.weight.detach().T.contiguous())  # (code, out_features)
        self.bias = nn.Parameter(dense.bias.detach())  # (out_features,)

    def forward(self, codes: Tensor, offsets: Tensor) -> Tensor:
        """Sum the rows of each visit's codes (visit, out_features); of none, return the bias."""
        summed = nn.functional.embedding_bag(
            codes, self.weight, offsets, mode="sum", include_last_offset=True
        )
        return summed + self.bias

    def padded(self, codes: Tensor) -> Tensor:
        """Sum the rows of codes (patient, visit, place), -1 for padding: (visit, patient, out)."""
        rows = torch.cat([self.weight, self.weight.new_zeros(1, self.out_features)])
        return (rows[codes].sum(2) + self.bias).transpose(0, 1)


@dataclass(frozen=True)
class VisitsBaselineConfig(VisitsConfig):
    """Linear on codes, one GRU layer."""

    embed: int = 32
    hidden: int = 16


class VisitsBaseline(nn.Module):
    """FC-32, GRU-16, FC-2 (report of 2019, section 2.3)."""

    def __init__(self, config: VisitsBaselineConfig) -> None:
        super().__init__()
        self.fc1 = MultiHotLinear(config.n_codes, config.embed)
        self.gru = nn.GRU(config.embed, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.n_outputs)

    def forward(self, codes: Tensor, offsets: Tensor, batch_sizes: Tensor) -> Tensor:
        """Return logits (patient, n_outputs), each after the patient's last real visit."""
        visits = self.fc1(codes, offsets)  # (visit, embed)
        _, state = self.gru(PackedSequence(visits, batch_sizes))  # (layer, patient, hidden)
        logits: Tensor = self.fc2(state[-1])
        return logits

    def padded(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return logits of codes (patient, visit, place), -1 for padding."""
        states, _ = self.gru(self.fc1.padded(codes))
        logits: Tensor = self.fc2(last_real(states, lengths))
        return logits


@dataclass(frozen=True)
class VisitsImprovedConfig(VisitsConfig):
    """Linear on codes, LSTM layers, one hidden layer of ReLU units."""

    embed: int = 64
    hidden: int = 16
    layers: int = 2
    fc: int = 8


class VisitsImproved(nn.Module):
    """FC-64, two-layer LSTM-16, FC-8, ReLU, FC-2 (report of 2019, section 2.3 b)."""

    def __init__(self, config: VisitsImprovedConfig) -> None:
        super().__init__()
        self.fc1 = MultiHotLinear(config.n_codes, config.embed)
        self.lstm = nn.LSTM(config.embed, config.hidden, config.layers)
        self.fc2 = nn.Linear(config.hidden, config.fc)
        self.r = nn.ReLU()
        self.fc3 = nn.Linear(config.fc, config.n_outputs)
        # The state is small at first, so a unit's bias alone decides whether it is on for every
        # patient or for none. Units that are off for all never learn, so all begin on.
        nn.init.constant_(self.fc2.bias, config.hidden**-0.5)

    def forward(self, codes: Tensor, offsets: Tensor, batch_sizes: Tensor) -> Tensor:
        """Return logits (patient, n_outputs), each after the patient's last real visit."""
        visits = self.fc1(codes, offsets)  # (visit, embed)
        packed = PackedSequence(visits, batch_sizes)
        if padding_is_faster(visits, batch_sizes):
            padded, lengths = pad_packed_sequence(packed)
            return self._head(last_real(self.lstm(padded)[0], lengths))
        _, (state, _) = self.lstm(packed)  # (layer, patient, hidden)
        return self._head(state[-1])

    def padded(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Return logits of codes (patient, visit, place), -1 for padding."""
        states, _ = self.lstm(self.fc1.padded(codes))
        return self._head(last_real(states, lengths))

    def _head(self, state: Tensor) -> Tensor:
        hidden = self.r(self.fc2(state))  # (patient, fc)
        logits: Tensor = self.fc3(hidden)
        return logits
