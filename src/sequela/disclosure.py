"""Disclosure control: no cell of 1 to 9 people is shown, nor can one be derived.

The rule is that of the agencies that release counts of patients (for example the cell size
suppression policy of the Centers for Medicare & Medicaid Services): a small count is not shown, nor
is a rate or a second count from which it could be worked out. 0 is shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The mark in a run's internal files.
INTERNAL = "internal: holds data of single people; `sequela share` copies what may be shown"
_WORD = "hidden"


class Hidden:
    """A placeholder for a count that is not shown, and for each number computed from it."""

    def __format__(self, _: str) -> str:
        return _WORD

    def __str__(self) -> str:
        return _WORD

    __repr__ = __str__

    # Whatever is computed from a hidden count is hidden: a page cannot show it by another way.
    def _stays(self, *_: object) -> "Hidden":
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _stays
    __truediv__ = __rtruediv__ = __neg__ = _stays


HIDDEN: Any = Hidden()


def is_small(count: int, smallest: int) -> bool:
    """Return whether a count of people is too small to be shown.

    Example:
        >>> [is_small(n, 10) for n in (0, 1, 9, 10)]
        [False, True, True, False]
    """
    return 0 < count < smallest


def has_small(counts: ArrayLike, smallest: int) -> bool:
    """Return whether any count of people is too small to be shown."""
    return bool(_any_small(np.ravel(counts), smallest))


def shown(count: int, smallest: int) -> Any:
    """Return the count, or its placeholder."""
    return HIDDEN if is_small(count, smallest) else count


def hidden_cells(counts: Sequence[int] | NDArray[np.int64], smallest: int) -> NDArray[np.bool_]:
    """Return the rows of a table to hide, assuming that its totals may be known: bool (row,).

    Counts are int64 (row, count), such as examples with and without the event, or (row,). Rows with
    a small count are hidden; then the next smallest, until two or more are hidden and their totals
    are not small counts. All rows with a count are hidden if fewer would not be enough.

    Example:
        >>> hidden_cells([3, 20, 0, 400], 10).tolist()
        [True, True, False, False]
        >>> hidden_cells(np.array([[30, 9], [20, 80], [40, 70]]), 10).tolist()
        [True, True, False]
    """
    table = np.asarray(counts, np.int64).reshape(len(counts), -1)
    hidden: NDArray[np.bool_] = _any_small(table, smallest)
    if not hidden.any():
        return hidden
    # One hidden row is the total minus the others. So the next smallest are hidden with it.
    for row in np.argsort(table.sum(axis=1), kind="stable"):
        enough = not _any_small(table[hidden].sum(axis=0), smallest)
        if hidden.sum() > 1 and enough:
            break
        hidden[row] |= bool(table[row].any())
    return hidden


def _any_small(counts: NDArray[np.int64], smallest: int) -> NDArray[np.bool_]:
    return np.asarray(((counts > 0) & (counts < smallest)).any(axis=-1))


def apply(counts: Sequence[float], hide: NDArray[np.bool_]) -> list[Any]:
    """Return the counts, some of them hidden."""
    return [HIDDEN if out else count for count, out in zip(counts, hide.tolist(), strict=True)]


def merged_bins(counts: NDArray[np.int64], smallest: int) -> NDArray[np.int64]:
    """Assign neighbouring bins (bin, cell) to wider ones, so that none has a small cell.

    The numbers are int64 (bin,) and rise from 0. One bin alone may have a small cell.

    Example:
        >>> merged_bins(np.array([[50, 0], [20, 3], [10, 9], [5, 2]]), 10).tolist()
        [0, 1, 1, 1]
    """
    place = np.zeros(len(counts), np.int64)
    current, open_ = -1, np.zeros(counts.shape[1], np.int64)
    for index, cells in enumerate(counts):
        # A bin is closed as soon as its cells are large enough, so bins stay narrow.
        if current < 0 or not _any_small(open_, smallest):
            current, open_ = current + 1, np.zeros_like(open_)
        open_ = open_ + cells
        place[index] = current
    # The last bin may be left with a small cell: it joins the one before it.
    while current and _any_small(open_, smallest):
        place[place == current] = current - 1
        current -= 1
        open_ = counts[place == current].sum(axis=0)
    return place


def as_json(value: object) -> Any:
    """Return the value with ``None`` for hidden numbers."""
    if isinstance(value, Hidden):
        return None
    if isinstance(value, Mapping):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(member) for member in value]
    return value
