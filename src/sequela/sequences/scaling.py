"""The scaling of signals, fitted on the training set only."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.signals.windows import in_blocks

_IQR = 1.349  # interquartile range of a normal distribution in standard deviations
_SAMPLES = 1 << 24  # most samples from which medians are computed


@dataclass(frozen=True)
class Scaling:
    """One mean and one standard deviation for each channel, in µV; if robust, from quartiles.

    They are computed over all training samples together: a segment keeps its own amplitude relative
    to the others, which is informative (seizures are large).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    robust: bool = False

    @classmethod
    def fit(
        cls,
        signal: NDArray[np.float32],
        rows: NDArray[np.int64] | None = None,
        *,
        robust: bool = False,
    ) -> Self:
        """Fit on the training segments (segment, n_chans, n_times) in µV, or on ``rows`` of all."""
        if robust:  # of many segments, some are read, evenly spaced
            rows = np.arange(len(signal)) if rows is None else rows
            some = signal[rows[:: -(-len(rows) * signal[0].size // _SAMPLES)]]
            low, middle, high = np.percentile(some.astype(np.float64), (25, 50, 75), axis=(0, 2))
            return cls(tuple(middle.tolist()), tuple(((high - low) / _IQR).tolist()), robust=True)
        over: dict[str, Any] = {"axis": (0, 2), "dtype": np.float64}
        found = [(b.size, b.mean(**over), b.var(**over)) for b in in_blocks(signal, rows)]
        sizes, means, variances = (np.array(each) for each in zip(*found, strict=True))
        # The combined variance of blocks: Chan, Golub & LeVeque 1983, Am. Stat. 37, 242.
        share = (sizes / sizes.sum())[:, np.newaxis]
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean) ** 2)).sum(0)
        return cls(tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()))

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
