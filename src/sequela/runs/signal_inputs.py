"""Inputs of models from segments of signals, with predictions."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.cohort.segments import Segments, stretches
from sequela.config import TrainingSettings
from sequela.sequences.featurisers import Features, Table
from sequela.sequences.signal_batches import SignalBatch, VariedDataset, signal_loader

if TYPE_CHECKING:
    from sequela.runs.signals import SignalData

_PREDICTION_BATCH = 1024


@dataclass(frozen=True)
class SignalInputs:
    """The inputs of a model of signals.

    Attributes:
        data: The segments.
        reads: The names of the model's inputs, in its order.
        described: Its table of features, if it reads one.
    """

    data: "SignalData"
    reads: tuple[str, ...]
    described: Features | None

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The fitted preprocessing, to be stored with the model."""
        return self.described.state if self.described else {}

    @property
    def features(self) -> Table:
        """The table of a baseline model: float32 (segment, feature), or no columns."""
        empty = np.empty((len(self.data.segments), 0), np.float32)
        return self.described.table if self.described else empty

    @property
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""
        _, n_chans, n_times = self.data.segments.signal.shape
        return {
            "n_chans": n_chans,
            "n_times": n_times,
            "n_features": self.features.shape[1],
            "n_outputs": len(self.data.classes),
        }

    @cached_property
    def alone(self) -> Segments:
        """The first segment; only its shape matters."""
        return self.data.segments.where(np.array([0]))

    @property
    def example(self) -> tuple[Tensor, ...]:
        """The inputs of one segment, of which only the shape matters."""
        features = torch.zeros(1, self.features.shape[1])
        signal = torch.zeros(1, *self.data.scaled.shape[1:])
        return SignalBatch(signal, torch.zeros(1), features, self.reads).inputs

    @cached_property
    def _everything(self) -> SignalBatch:
        """All segments in one batch."""
        labels = torch.from_numpy(self.data.labels)
        table = self.described.standardised if self.described else None
        features = torch.from_numpy(table.rows(np.arange(len(labels)))) if table else None
        return SignalBatch(self.data.scaled, labels, features, self.reads)

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: torch.Generator | None = None,
        training: TrainingSettings | None = None,
    ) -> DataLoader[SignalBatch]:
        """Load batches of a set, in random order if ``generator`` is given."""
        rows = self.data.rows(part)
        segments = self._everything.of(rows.tolist())
        if training and training.varies and generator:
            stretch = torch.from_numpy(stretches(self.data.segments, rows))
            cropped = stretch if training.crops else None
            varied = VariedDataset(segments, generator, cropped, training.gain)
            return signal_loader(varied, batch_size=batch_size, generator=generator)
        return signal_loader(segments, batch_size=batch_size, generator=generator)

    def probabilities(self, model: nn.Module) -> NDArray[np.float32]:
        """Predict probabilities of all segments with a network: float32 (segment, class)."""
        device = next(model.parameters()).device
        model.eval()
        said = []
        with torch.inference_mode():
            for first in range(0, len(self.data.labels), _PREDICTION_BATCH):
                batch = self._everything.of(slice(first, first + _PREDICTION_BATCH)).to(device)
                said.append(model(*batch.inputs))
            found: NDArray[np.float32] = torch.cat(said).float().softmax(1).cpu().numpy()
        return found
