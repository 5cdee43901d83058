"""The bins of measurements: quantiles of the training values, equal values in one bin."""

import numpy as np
from numpy.typing import NDArray


def edges(
    kind: NDArray[np.int64], values: NDArray[np.floating], counts: NDArray[np.int64], bins: int
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Compute the upper ends of all bins but the last, for each kind of measurement.

    The end of bin ``k`` is the least value that at least ``k / bins`` of the training values do not
    exceed: the inverse of their distribution function, in whole numbers throughout. Kinds rise, and
    so do the distinct values (value,) within a kind. The result is the kinds (kind,) and the ends
    (kind, bins - 1), of the type of the values.

    Example:
        >>> kinds, ends = edges(np.array([4, 4, 4, 7]), np.array([1., 2, 3, 5]), np.ones(4, int), 3)
        >>> kinds.tolist(), ends.tolist()
        ([4, 7], [[1.0, 2.0], [5.0, 5.0]])
    """
    kinds, first = np.unique(kind, return_index=True)
    so_far = np.cumsum(counts)
    before = so_far[first] - counts[first]
    total = np.diff(before, append=counts.sum())
    wanted = -(-total[:, None] * np.arange(1, bins) // bins)  # rounded up
    return kinds, values[np.searchsorted(so_far, before[:, None] + wanted)]


def bin_name(name: str, number: int) -> str:
    """Return the code of a measurement in a bin, counted from 1: ``LAB//50912//Q3``."""
    return f"{name}//Q{number}"
