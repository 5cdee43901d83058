"""Normal scores: each column by the rank of its values among the training values."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LEVELS = 101
"""The number of quantiles kept of a column."""
_EDGE = 0.005
"""The share of the training values in each tail whose scores are equal."""


def quantiles(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute evenly spaced quantiles of each column: float32 (column, 101); NaN without values.

    Args:
        table: float32 (example, column); missing numbers are NaN.
    """
    levels = np.linspace(0, 1, LEVELS)
    columns = [column[~np.isnan(column)] for column in table.T]
    none = np.full(LEVELS, np.nan)
    found = [np.quantile(column, levels) if len(column) else none for column in columns]
    return np.array(found, np.float32).reshape(-1, LEVELS)


def normal_scores(table: NDArray[np.float32], ends: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the normal deviate of each number's rank, from -2.6 to 2.6; NaN where missing.

    Equal quantiles share their mean rank.

    Args:
        table: float32 (example, column).
        ends: As :func:`quantiles` returns them.

    Example:
        >>> numbers = np.arange(201, dtype=np.float32)[:, None]
        >>> normal_scores(np.float32([[100], [1e9]]), quantiles(numbers)).round(2)
        array([[0.  ],
               [2.58]], dtype=float32)
    """
    levels = np.linspace(0, 1, LEVELS)
    scores = np.full(table.shape, np.nan, np.float32)
    for column, of_column in enumerate(ends):
        if np.isnan(of_column).any():
            continue
        values, where = np.unique(of_column, return_inverse=True)
        ranks = np.bincount(where, levels) / np.bincount(where)
        known = ~np.isnan(table[:, column])  # with one quantile, np.interp turns NaN into a number
        share = np.interp(table[known, column], values, ranks)
        scores[known, column] = ndtri(np.clip(share, _EDGE, 1 - _EDGE))
    return scores
