"""Scales fitted on the training set only: of signals by channel, and of columns by rank."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.signals.cutting import in_blocks

LEVELS = 101  # number of quantiles kept of a column
_EDGE = 0.005  # share of the training values in each tail whose scores are equal
_STEPS = (64, 32, 16, 8, 4, 2, 1)  # steps of a bisection of the quantiles
_AT_ONCE = 1 << 16  # numbers that are ranked at once, to limit memory
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
            spaced = signal[rows[:: -(-len(rows) * signal[0].size // _SAMPLES)]]
            low, middle, high = np.percentile(spaced.astype(np.float64), (25, 50, 75), axis=(0, 2))
            return cls(tuple(middle.tolist()), tuple(((high - low) / _IQR).tolist()), robust=True)
        moments = [
            (b.size, b.mean((0, 2), np.float64), b.var((0, 2), np.float64))
            for b in in_blocks(signal, rows)
        ]
        sizes, means, variances = map(np.array, zip(*moments, strict=True))
        # The combined variance of blocks: Chan, Golub & LeVeque 1983, Am. Stat. 37, 242.
        share = (sizes / sizes.sum())[:, np.newaxis]
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean) ** 2)).sum(0)
        return cls(tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()))

    def apply(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale segments (segment, n_chans, n_times); a constant channel stays centred at 0."""
        mean = np.asarray(self.mean, dtype=np.float32)[:, None]
        std = np.asarray([s or 1.0 for s in self.std], dtype=np.float32)[:, None]  # (n_chans, 1)
        return (signal - mean) / std

    def to_json(self) -> dict[str, object]:
        """Return the scaling for storage with a model."""
        return {"mean": list(self.mean), "std": list(self.std), "unit": "µV"}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Restore the scaling stored with a model."""
        return cls(mean=tuple(record["mean"]), std=tuple(record["std"]))


def quantiles(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute evenly spaced quantiles of each column: float32 (column, 101); NaN without values."""
    levels = np.linspace(0, 1, LEVELS)  # every percent
    columns = [column[~np.isnan(column)] for column in table.T]
    none = np.full(LEVELS, np.nan)
    ends = [np.quantile(column, levels) if len(column) else none for column in columns]
    return np.array(ends, np.float32).reshape(-1, LEVELS)


def normal_scores(
    values: NDArray[np.float32], columns: NDArray[np.integer], ends: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the normal deviate of each number's rank, from -2.6 to 2.6; NaN where missing.

    Equal quantiles share their mean rank.

    Args:
        values: The numbers (number,).
        columns: The column of each number (number,).
        ends: The quantiles of the columns (column, 101).

    Example:
        >>> numbers = np.arange(201, dtype=np.float32)[:, None]
        >>> normal_scores(np.float32([100, 1e9]), np.array([0, 0]), quantiles(numbers)).round(2)
        array([0.  , 2.58], dtype=float32)
    """
    from scipy.special import ndtri

    # The inverse normal transform (van der Waerden 1952): outliers and units have no effect.
    ranks, scores = _mean_ranks(ends), np.full_like(values, np.nan)
    for first in range(0, len(values), _AT_ONCE):
        block = slice(first, first + _AT_ONCE)
        value, column = values[block], columns[block]
        count = np.zeros(len(value), np.int64)  # of quantiles up to the value, by bisection
        for step in _STEPS:
            more = np.minimum(count + step, LEVELS)
            count = np.where(ends[column, more - 1] <= value, more, count)
        low = np.clip(count - 1, 0, LEVELS - 2)
        begin, end = (ends[column, low + i].astype(np.float64) for i in (0, 1))
        rank, last = (ranks[column, low + i] for i in (0, 1))  # (number,)
        width = np.where(begin < end, end - begin, 1)  # equal ones have one rank
        share = np.clip((value - begin) / width, 0, 1)  # between two quantiles, ranks are on a line
        scores[block] = ndtri(np.clip(rank + share * (last - rank), _EDGE, 1 - _EDGE))
    return scores


def _mean_ranks(ends: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the rank of each quantile, the mean of equal ones; NaN in columns without values."""
    new = np.ones(ends.shape, np.bool_)
    new[:, 1:] = ends[:, 1:] != ends[:, :-1]  # they rise
    run = np.cumsum(new) - 1
    levels = np.tile(np.linspace(0, 1, LEVELS), len(ends))
    mean = np.bincount(run, levels) / np.bincount(run)
    ranks: NDArray[np.float64] = mean[run].reshape(ends.shape)
    ranks[np.isnan(ends).any(axis=1)] = np.nan
    return ranks


def knots(ends: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the distinct quantiles of each column (column, 101), and their normal scores."""
    columns = np.repeat(np.arange(len(ends)), LEVELS)
    scores = normal_scores(ends.reshape(-1), columns, ends).reshape(ends.shape)
    pairs = []
    for column, column_scores in zip(ends, scores, strict=True):
        distinct, first = np.unique(column, return_index=True)
        pairs.append((distinct, column_scores[first]))
    return pairs
