"""The report's two recurrent networks on sequences of hospital visits.

A batch of patients is flat: the visits of all patients are in the order of a packed sequence (first
all first visits, then all second visits..., patients sorted by falling number of visits), and the
codes of all visits are in one array. Nothing is padded, so no work is done on padding.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class VisitsConfig:
    """The shapes of inputs and logits.

    Attributes:
        n_codes: Size of the vocabulary, the unknown code included.
        n_outputs: Classes.
    """

    n_codes: int = 911
    n_outputs: int = 2


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
        """Sum the rows of each visit's codes.

        Args:
            codes: int64 (codes of all visits,), each visit's distinct and in rising order.
            offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end.

        Returns:
            float (visit, out_features); an empty visit gives the bias.
        """
        summed = nn.functional.embedding_bag(
            codes, self.weight, offsets, mode="sum", include_last_offset=True
        )
        return summed + self.bias

    def extra_repr(self) -> str:
        """Show the sizes as ``nn.Linear`` does."""
        return f"n_codes={self.n_codes}, out_features={self.out_features}"


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
        """Return logits (patient, n_outputs), each after the patient's last real visit.

        Args:
            codes: int64 (codes of all visits,).
            offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end.
            batch_sizes: int64 on the CPU (step,), patients who still have a visit at each step,
                never rising; it sums to the number of visits.
        """
        visits = self.fc1(codes, offsets)  # (visit, embed)
        _, state = self.gru(PackedSequence(visits, batch_sizes))  # (layer, patient, hidden)
        logits: Tensor = self.fc2(state[-1])
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
        """Return logits (patient, n_outputs), each after the patient's last real visit.

        Args:
            codes: int64 (codes of all visits,).
            offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end.
            batch_sizes: int64 on the CPU (step,), patients who still have a visit at each step,
                never rising; it sums to the number of visits.
        """
        visits = self.fc1(codes, offsets)  # (visit, embed)
        _, (state, _) = self.lstm(PackedSequence(visits, batch_sizes))  # (layer, patient, hidden)
        hidden = self.r(self.fc2(state[-1]))  # (patient, fc)
        logits: Tensor = self.fc3(hidden)
        return logits
