"""The report's two multi-layer perceptrons on the raw samples of a segment."""

from dataclasses import dataclass

from torch import Tensor, nn

from sequela.models.signal import SignalConfig


@dataclass(frozen=True)
class MLPBaselineConfig(SignalConfig):
    """The config: one hidden layer of ``hidden`` sigmoid units."""

    hidden: int = 16


class MLPBaseline(nn.Module):
    """Linear, sigmoid, Linear (report of 2019, section 1.2 b)."""

    def __init__(self, config: MLPBaselineConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.n_chans * config.n_times, config.hidden)
        self.sig = nn.Sigmoid()
        self.fc2 = nn.Linear(config.hidden, config.n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times)."""
        hidden = self.sig(self.fc1(signal.flatten(1)))  # (batch, hidden)
        logits: Tensor = self.fc2(hidden)
        return logits


@dataclass(frozen=True)
class MLPImprovedConfig(SignalConfig):
    """Four hidden layers of ``hidden`` ReLU units."""

    hidden: int = 256


class MLPImproved(nn.Module):
    """Four times Linear and ReLU, then Linear (report of 2019, section 1.2 e)."""

    def __init__(self, config: MLPImprovedConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.n_chans * config.n_times, config.hidden)
        self.r1 = nn.ReLU()
        self.fc2 = nn.Linear(config.hidden, config.hidden)
        self.r2 = nn.ReLU()
        self.fc3 = nn.Linear(config.hidden, config.hidden)
        self.r3 = nn.ReLU()
        self.fc4 = nn.Linear(config.hidden, config.hidden)
        self.r4 = nn.ReLU()
        self.out = nn.Linear(config.hidden, config.n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times)."""
        hidden = self.r1(self.fc1(signal.flatten(1)))  # (batch, hidden)
        hidden = self.r2(self.fc2(hidden))
        hidden = self.r3(self.fc3(hidden))
        hidden = self.r4(self.fc4(hidden))
        logits: Tensor = self.out(hidden)
        return logits
