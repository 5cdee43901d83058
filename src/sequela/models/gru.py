"""The report's two recurrent networks that read a segment sample by sample."""

from dataclasses import dataclass

from torch import Tensor, nn

from sequela.models.cpu_training import last_real, last_state
from sequela.models.signal import SignalConfig


@dataclass(frozen=True)
class GRUBaselineConfig(SignalConfig):
    """One GRU layer of ``hidden`` units."""

    hidden: int = 16


class GRUBaseline(nn.Module):
    """A GRU over the samples, Linear on the last state (report of 2019, section 1.4 b)."""

    def __init__(self, config: GRUBaselineConfig) -> None:
        super().__init__()
        self.gru = nn.GRU(config.n_chans, config.hidden)
        self.fc = nn.Linear(config.hidden, config.n_outputs)

    def forward(self, signal: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times).

        With ``lengths`` (batch,), each segment ends after so many samples.
        """
        logits: Tensor = self.fc(_last(self.gru, signal, lengths))
        return logits


@dataclass(frozen=True)
class GRUImprovedConfig(SignalConfig):
    """Two GRU layers of ``hidden`` units and a hidden layer of ``fc`` ReLU units."""

    hidden: int = 32
    layers: int = 2
    fc: int = 16


class GRUImproved(nn.Module):
    """A two-layer GRU, then Linear, ReLU, Linear on its last state (report of 2019, 1.4 d)."""

    def __init__(self, config: GRUImprovedConfig) -> None:
        super().__init__()
        self.gru = nn.GRU(config.n_chans, config.hidden, config.layers)
        self.fc1 = nn.Linear(config.hidden, config.fc)
        self.r = nn.ReLU()
        self.fc2 = nn.Linear(config.fc, config.n_outputs)

    def forward(self, signal: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times).

        With ``lengths`` (batch,), each segment ends after so many samples.
        """
        hidden = self.r(self.fc1(_last(self.gru, signal, lengths)))  # (batch, fc)
        logits: Tensor = self.fc2(hidden)
        return logits


def _last(gru: nn.GRU, signal: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the state of the last layer after the last sample: (batch, hidden)."""
    if lengths is None and (state := last_state(gru, signal)) is not None:  # three times as fast
        return state
    states, state = gru(signal.permute(2, 0, 1))  # of (n_times, batch, n_chans)
    last: Tensor = state[-1] if lengths is None else last_real(states, lengths)
    return last
