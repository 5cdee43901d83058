"""The report's two convolutional networks on the raw samples of a segment."""

from dataclasses import dataclass

from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.cpu_training import Dropout, pooled_convolutions
from sequela.models.signal import SignalConfig

KERNEL = 5  # samples that a convolution reads at once
POOL = 2  # samples of which a pooling keeps the greatest
CHANNELS = (6, 16)  # output channels of the two convolutions


def flat_features(n_times: int) -> int:
    """Count the features after the two convolutions and poolings of ``n_times`` samples.

    Example:
        >>> flat_features(178)  # 178 -> 174 -> 87 -> 83 -> 41, 16 channels
        656
    """
    steps, least = n_times, 1
    for _ in CHANNELS:
        steps, least = (steps - KERNEL + 1) // POOL, POOL * least + KERNEL - 1  # drops an odd one
    if n_times < least:
        raise ModelError(
            f"a segment has n_times={n_times}, but the convolutions need at least {least} samples: "
            "give longer segments, or choose a model without convolutions (mlp-improved)"
        )
    return CHANNELS[-1] * steps


@dataclass(frozen=True)
class CNNBaselineConfig(SignalConfig):
    """Two convolutions and one hidden layer of ``hidden`` ReLU units."""

    hidden: int = 128


class CNNBaseline(nn.Module):
    """Twice Conv1d, ReLU and MaxPool, then Linear, ReLU, Linear (report of 2019, section 1.3 b)."""

    def __init__(self, config: CNNBaselineConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.n_chans, CHANNELS[0], KERNEL)
        self.r1 = nn.ReLU()
        self.p1 = nn.MaxPool1d(POOL)
        self.conv2 = nn.Conv1d(CHANNELS[0], CHANNELS[1], KERNEL)
        self.r2 = nn.ReLU()
        self.p2 = nn.MaxPool1d(POOL)
        self.fc1 = nn.Linear(flat_features(config.n_times), config.hidden)
        self.r3 = nn.ReLU()
        self.fc2 = nn.Linear(config.hidden, config.n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times)."""
        features = pooled_convolutions(signal, (self.conv1, None), (self.conv2, None))
        if features is None:
            pooled = self.p1(self.r1(self.conv1(signal)))  # (batch, 6, 87)
            features = self.p2(self.r2(self.conv2(pooled))).flatten(1)  # (batch, 16 x 41)
        hidden = self.r3(self.fc1(features))  # (batch, hidden)
        logits: Tensor = self.fc2(hidden)
        return logits


@dataclass(frozen=True)
class CNNImprovedConfig(SignalConfig):
    """The baseline's convolutions, two hidden layers, and dropout after each of the four."""

    hidden: tuple[int, int] = (128, 64)
    dropout: float = 0.2


class CNNImproved(nn.Module):
    """The baseline with a second hidden layer and dropout (report of 2019, section 1.3 d).

    The report puts dropout after each convolution and each hidden layer. It does not state the
    place within a convolution's block; here it follows the convolution itself, before ReLU and
    pooling.
    """

    def __init__(self, config: CNNImprovedConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.n_chans, CHANNELS[0], KERNEL)
        self.d1 = Dropout(config.dropout)
        self.r1 = nn.ReLU()
        self.p1 = nn.MaxPool1d(POOL)
        self.conv2 = nn.Conv1d(CHANNELS[0], CHANNELS[1], KERNEL)
        self.d2 = Dropout(config.dropout)
        self.r2 = nn.ReLU()
        self.p2 = nn.MaxPool1d(POOL)
        self.fc1 = nn.Linear(flat_features(config.n_times), config.hidden[0])
        self.r3 = nn.ReLU()
        self.d3 = Dropout(config.dropout)
        self.fc2 = nn.Linear(config.hidden[0], config.hidden[1])
        self.r4 = nn.ReLU()
        self.d4 = Dropout(config.dropout)
        self.fc3 = nn.Linear(config.hidden[1], config.n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times)."""
        features = pooled_convolutions(signal, (self.conv1, self.d1), (self.conv2, self.d2))
        if features is None:
            pooled = self.p1(self.r1(self.d1(self.conv1(signal))))  # (batch, 6, 87)
            features = self.p2(self.r2(self.d2(self.conv2(pooled)))).flatten(1)  # (batch, 16 x 41)
        hidden = self.d3(self.r3(self.fc1(features)))  # (batch, hidden[0])
        hidden = self.d4(self.r4(self.fc2(hidden)))  # (batch, hidden[1])
        logits: Tensor = self.fc3(hidden)
        return logits
