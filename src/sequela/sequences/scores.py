"""Normal scores: each column by the rank of its values among the training values."""

import numpy as np
from numpy.typing import NDArray

LEVELS = 101
"""The number of quantiles kept of a column."""
_EDGE = 0.005
"""The share of the training values in each tail whose scores are equal."""


def quantiles(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute evenly spaced quantiles of each column: float32 (column, 101); NaN without values."""
    levels = np.linspace(0, 1, LEVELS)
    columns = [column[~np.isnan(column)] for column in table.T]
    none = np.full(LEVELS, np.nan)
    found = [np.quantile(column, levels) if len(column) else none for column in columns]
    return np.array(found, np.float32).reshape(-1, LEVELS)


def normal_scores(table: NDArray[np.float32], ends: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the normal deviate of each number's rank, from -2.6 to 2.6; NaN where missing.

    Equal quantiles share their mean rank.

    Example:
        >>> numbers = np.arange(201, dtype=np.float32)[:, None]
        >>> normal_scores(np.float32([[100], [1e9]]), quantiles(numbers)).round(2)
        array([[0.  ],
               [2.58]], dtype=float32)
    """
    from scipy.special import ndtri

    levels = np.linspace(0, 1, LEVELS)
    scores = np.full_like(table, np.nan)
    for column, of_column in enumerate(ends):
        if np.isnan(of_column).any():
            continue
        new = np.append(True, of_column[1:] != of_column[:-1])  # they rise
        values, where = of_column[new], np.cumsum(new) - 1
        ranks = np.bincount(where, levels) / np.bincount(where)
        known = ~np.isnan(table[:, column])  # with one quantile, np.interp turns NaN into a number
        share = np.interp(table[known, column], values, ranks)
        scores[known, column] = ndtri(np.clip(share, _EDGE, 1 - _EDGE))
    return scores


def knots(ends: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the distinct quantiles of each column (column, 101), and their normal scores."""
    distinct = [np.unique(each) for each in ends]
    pairs = zip(distinct, ends[:, None], strict=True)
    return [(each, normal_scores(each[:, None], of)[:, 0]) for each, of in pairs]
