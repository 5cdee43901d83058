"""The scaling of signals, fitted on the training set only."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scaling:
    """One mean and one standard deviation for each channel, in µV.

    They are computed over all training samples together: a segment keeps its own amplitude relative
    to the others, which is informative (seizures are large).

    Attributes:
        mean: (n_chans,) in µV.
        std: (n_chans,) in µV.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, signal: NDArray[np.float32]) -> Self:
        """Fit on the training segments (segment, n_chans, n_times), in µV."""
        return cls(
            mean=tuple(signal.mean(axis=(0, 2), dtype=np.float64).tolist()),
            std=tuple(signal.std(axis=(0, 2), dtype=np.float64).tolist()),
        )

    def apply(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale segments (segment, n_chans, n_times); a constant channel stays centred at 0."""
        mean = np.asarray(self.mean, dtype=np.float32)[:, None]
        std = np.asarray([s or 1.0 for s in self.std], dtype=np.float32)[:, None]
        return (signal - mean) / std

    def to_json(self) -> dict[str, Any]:
        """Return the scaling for storage with a model."""
        return {"mean": list(self.mean), "std": list(self.std), "unit": "µV"}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Restore the scaling stored with a model."""
        return cls(mean=tuple(record["mean"]), std=tuple(record["std"]))
