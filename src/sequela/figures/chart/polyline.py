"""Lines of thousands of points, thinned out without a visible difference."""

import numpy as np
from numpy.typing import NDArray


def thinned(x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Choose points so that all others are within ``tolerance`` of the remaining line.

    The method of Douglas & Peucker (1973): between two kept points, the one furthest from their
    line is kept too, if it is further than that. Both coordinates (point,) and the tolerance have
    one unit. The indices ascend, and include the first and the last.

    Example:
        >>> thinned(np.array([0.0, 1, 2, 3]), np.array([0.0, 0, 0, 5]), 0.1).tolist()
        [0, 2, 3]
    """
    if not len(x):
        return np.zeros(0, dtype=np.int64)
    keep = np.zeros(len(x), dtype=bool)
    keep[[0, -1]] = True
    open_parts = [(0, len(x) - 1)]
    while open_parts:
        start, end = open_parts.pop()
        inside = slice(start + 1, end)
        away = _distance(x[inside] - x[start], y[inside] - y[start], x[end] - x[start],
                         y[end] - y[start])  # fmt: skip
        if len(away) and away.max() > tolerance:
            furthest = start + 1 + int(away.argmax())
            keep[furthest] = True
            open_parts += [(start, furthest), (furthest, end)]
    return np.flatnonzero(keep)


def _distance(
    x: NDArray[np.float64], y: NDArray[np.float64], along: float, up: float
) -> NDArray[np.float64]:
    """Compute the distance of points from the line between the origin and (along, up)."""
    length = float(np.hypot(along, up))
    if length == 0:
        return np.hypot(x, y)
    share = np.clip((x * along + y * up) / length**2, 0, 1)
    return np.hypot(x - share * along, y - share * up)
