"""Normal scores: each column by the rank of its values among the training values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 101
"""The number of quantiles kept of a column."""
_EDGE = 0.005
"""The share of the training values in each tail whose scores are equal."""
_STEPS = (64, 32, 16, 8, 4, 2, 1)
_AT_ONCE = 1 << 16  # numbers that are ranked at once, to limit memory


def quantiles(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute evenly spaced quantiles of each column: float32 (column, 101); NaN without values."""
    levels = np.linspace(0, 1, LEVELS)
    columns = [column[~np.isnan(column)] for column in table.T]
    none = np.full(LEVELS, np.nan)
    found = [np.quantile(column, levels) if len(column) else none for column in columns]
    return np.array(found, np.float32).reshape(-1, LEVELS)


def normal_scores(
    values: NDArray[np.float32], columns: NDArray[np.integer[Any]], ends: NDArray[np.float32]
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

    ranks, scores = _mean_ranks(ends), np.full_like(values, np.nan)
    for first in range(0, len(values), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        value, column = values[some], columns[some]
        count = np.zeros(len(value), np.int64)  # of quantiles up to the value, by bisection
        for step in _STEPS:
            more = np.minimum(count + step, LEVELS)
            count = np.where(ends[column, more - 1] <= value, more, count)
        low = np.clip(count - 1, 0, LEVELS - 2)
        begin, end = (ends[column, low + i].astype(np.float64) for i in (0, 1))
        rank, last = (ranks[column, low + i] for i in (0, 1))
        width = np.where(begin < end, end - begin, 1)  # equal ones have one rank
        share = np.clip((value - begin) / width, 0, 1)
        scores[some] = ndtri(np.clip(rank + share * (last - rank), _EDGE, 1 - _EDGE))
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
    distinct = [np.unique(each, return_index=True) for each in ends]
    return [(each, of[first]) for (each, first), of in zip(distinct, scores, strict=True)]
