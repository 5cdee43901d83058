"""Classifiers that learn quickly, and a network that anyone may write."""

from typing import Any

from torch import Tensor, nn

from sequela import SignalClassifier, VisitClassifier


class Pooled(nn.Module):
    """Mean power of each channel, then Linear; what anyone may write."""

    def __init__(self, n_chans: int, n_times: int, n_outputs: int, hidden: int = 4) -> None:
        super().__init__()
        self.n_times = n_times
        self.fc = nn.Sequential(nn.Linear(n_chans, hidden), nn.ReLU(), nn.Linear(hidden, n_outputs))

    def forward(self, signal: Tensor) -> Tensor:
        logits: Tensor = self.fc(signal.square().mean(2))
        return logits


def quick(**changes: Any) -> SignalClassifier:
    settings = {"model": "mlp-baseline", "epochs": 15, "learning_rate": 1e-2, "random_state": 0}
    return SignalClassifier(**{**settings, "batch_size": 16, **changes})


def quick_visits(**changes: Any) -> VisitClassifier:
    settings = {"epochs": 20, "learning_rate": 2e-2, "batch_size": 16, "random_state": 0}
    return VisitClassifier(**{**settings, **changes})
