"""What a run on signals starts from: located data, segments, a split and the fitted scaling."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.cohort.segments import Segments, cut
from sequela.cohort.split import PARTS, Split, draw
from sequela.config import RunSettings
from sequela.errors import SettingError
from sequela.evaluation.predictions import Predictions
from sequela.sequences.scaling import Scaling
from sequela.sequences.signal_batches import SignalBatch, signal_loader
from sequela.sources import catalog

_PREDICTION_BATCH = 1024


@dataclass(frozen=True)
class SignalData:
    """Segments in parts.

    Attributes:
        name: The data set.
        origin: Where it was found, in words.
        segments: All segments.
        split: The parts and their proof.
        part: int64 (segment,), index into ``PARTS``.
        n_recordings: Recordings that were read.
    """

    name: str
    origin: str
    segments: Segments
    split: Split
    part: NDArray[np.int64]
    n_recordings: int

    groups_are_recordings = True

    @cached_property
    def scaling(self) -> Scaling:
        """Fitted on the training part only."""
        return Scaling.fit(self.segments.signal[self.part == 0])

    @cached_property
    def scaled(self) -> Tensor:
        """float32 (segment, n_chans, n_times)."""
        return torch.from_numpy(self.scaling.apply(self.segments.signal))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, labels and samples: other data give another."""
        segments = self.segments
        digest = hashlib.sha256("\n".join(segments.segment_id.tolist()).encode())
        digest.update(segments.label.tobytes())
        digest.update(segments.signal.tobytes())
        return digest.hexdigest()

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (segment,)."""
        return self.segments.label

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.segments.classes

    @property
    def shape(self) -> dict[str, int]:
        """What a model's config must know of the data."""
        _, n_chans, n_times = self.segments.signal.shape
        return {"n_chans": n_chans, "n_times": n_times, "n_outputs": len(self.classes)}

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Inputs of one segment."""
        return (torch.zeros(1, *self.scaled.shape[1:]),)

    def rows(self, part: str) -> NDArray[np.int64]:
        """Indices of the segments of a part."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def loader(
        self, part: str, batch_size: int, generator: torch.Generator | None = None
    ) -> DataLoader[SignalBatch]:
        """Batches of a part, in an order drawn from ``generator``, or as it is."""
        rows = torch.from_numpy(self.rows(part))
        labels = torch.from_numpy(self.labels)
        return signal_loader(
            self.scaled[rows], labels[rows], batch_size=batch_size, generator=generator
        )

    def probabilities(self, model: nn.Module) -> NDArray[np.float32]:
        """What a model says of every segment: float32 (segment, class)."""
        return probabilities(model, self.scaled)

    def features(self) -> NDArray[np.float32]:
        """The scaled samples, for a linear model: float32 (segment, sample)."""
        return self.scaled.flatten(1).numpy()

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Nothing is known of who was recorded."""
        return {}

    def header(self) -> dict[str, Any]:
        """What a model needs beside its tensors."""
        _, n_chans, n_times = self.segments.signal.shape
        return {
            "scaling": self.scaling.to_json(),
            "classes": list(self.classes),
            "sfreq": self.segments.sfreq,
            "n_chans": n_chans,
            "n_times": n_times,
        }

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Probabilities (segment, class) with what is needed to judge them."""
        return predictions_of(self.segments, np.asarray(PARTS)[self.part], probabilities)

    def describe(self) -> dict[str, Any]:
        """What a reader must know of the data: the ``data`` entry of ``metrics.json``."""
        entry = catalog.DATA_SETS[self.name]
        return {
            "name": self.name,
            "title": entry.title,
            "origin": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
            "recordings": self.n_recordings,
            "examples": len(self.segments),
            "n_times": self.segments.signal.shape[2],
            "sfreq": self.segments.sfreq,
            "classes": list(self.segments.classes),
            "subjects": None
            if self.segments.subject_id is None
            else len(np.unique(self.segments.subject_id)),
        }


def load(settings: RunSettings, root: Path | None) -> SignalData:
    """Read, cut and split the data of a run.

    Raises:
        SettingError: If the data set holds no recordings.
        SequelaError: If the data cannot be found, read or split.
    """
    if catalog.lookup(settings.data).kind != "eeg":
        raise SettingError(
            f"data set '{settings.data}' holds tables, but {settings.model} reads signals: "
            "choose bonn or uci-seizure"
        )
    recordings, located = catalog.load_recordings(settings.data, root)
    segments = cut(recordings)
    split, part = draw(
        label=segments.label,
        ids=ids_of(segments),
        unit=settings.split,
        seed=settings.seed,
        fractions=settings.fractions,
        folds=settings.folds,
        fold=settings.fold,
    )
    return SignalData(
        settings.data, located.origin, segments, split, part, n_recordings=len(recordings)
    )


def probabilities(model: nn.Module, signal: Tensor) -> NDArray[np.float32]:
    """Probabilities (segment, class) of scaled segments (segment, n_chans, n_times)."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        logits = [model(part.to(device)) for part in torch.split(signal, _PREDICTION_BATCH)]
        found: NDArray[np.float32] = torch.cat(logits).float().softmax(1).cpu().numpy()
    return found


def ids_of(segments: Segments) -> dict[str, NDArray[np.str_]]:
    """The ids that segments can be split by."""
    ids = {"row": segments.segment_id, "recording": segments.recording_id}
    if segments.subject_id is not None:
        ids["subject"] = segments.subject_id
    return ids


def predictions_of(
    segments: Segments, part: NDArray[np.str_], probabilities: NDArray[np.float32]
) -> Predictions:
    """Probabilities (segment, class) of segments, each in a part (segment,)."""
    nobody = np.full(len(segments), "")
    return Predictions(
        example_id=segments.segment_id,
        group_id=segments.recording_id,
        subject_id=nobody if segments.subject_id is None else segments.subject_id,
        split=part,
        label=segments.label,
        probabilities=probabilities,
        classes=segments.classes,
    )
