"""Disclosure control: no cell of 1 to 9 people is shown, nor can one be derived.

The rule is that of the agencies that release counts of patients (for example the cell size
suppression policy of the Centers for Medicare & Medicaid Services): a small count is not shown, nor
is a rate or a second count from which it could be worked out. 0 is shown.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

INTERNAL = "internal: holds data of single people; `sequela share` copies what may be shown"
"""The mark in a run's internal files."""
_WORD = "hidden"
_OF_PEOPLE = "examples|labels|patients|people|rows|stays|steps|subjects"
_COUNT = re.compile(
    rf"(?<![\w.,/-])(\d+)(?= of (?:the )?\d| (?:\w+ ){{0,2}}(?:{_OF_PEOPLE})\b)"
    r"|(?<= of )(\d+)(?=[;,)]| and )"
)
_CODE = re.compile(
    r"(?:^|(?<=, ))(?P<name>.+?) \((?:in (?P<of_class>\d+) of \d+ and (?P<others>\d+) of \d+"
    r"|(?P<area>\d\.\d+) in (?P<all>\d+) subjects)\)",
    re.DOTALL,
)
"""A code in an audit finding, with the number of subjects who have it."""


class Hidden:
    """A placeholder for a count that is not shown, and for each number computed from it."""

    def __format__(self, _: str) -> str:
        return _WORD

    def __str__(self) -> str:
        return _WORD

    __repr__ = __str__

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


def shown(count: int, smallest: int) -> Any:
    """Return the count, or its placeholder."""
    return HIDDEN if is_small(count, smallest) else count


def hidden_cells(counts: Sequence[int] | NDArray[np.int64], smallest: int) -> NDArray[np.bool_]:
    """Return the rows of a table to hide, assuming that its totals may be known.

    Rows with a small count are hidden; then the next smallest, until two or more are hidden and
    their totals are not small counts.

    Args:
        counts: int64 (row, count), such as examples with and without the event; or (row,).
        smallest: The smallest count that is shown.

    Returns:
        bool (row,); all rows with a count if fewer would not be enough, which hides no total.

    Example:
        >>> hidden_cells([3, 20, 0, 400], 10).tolist()
        [True, True, False, False]
        >>> hidden_cells(np.array([[30, 9], [20, 80], [40, 70]]), 10).tolist()
        [True, True, False]
    """
    table = np.asarray(counts, np.int64).reshape(len(counts), -1)
    found: NDArray[np.bool_] = _any_small(table, smallest)
    if not found.any():
        return found
    for row in np.argsort(table.sum(axis=1), kind="stable"):
        enough = not _any_small(table[found].sum(axis=0), smallest)
        if found.sum() > 1 and enough:
            break
        found[row] |= bool(table[row].any())
    return found


def _any_small(counts: NDArray[np.int64], smallest: int) -> Any:
    return ((counts > 0) & (counts < smallest)).any(axis=-1)


def apply(counts: Sequence[float], hide: NDArray[np.bool_]) -> list[Any]:
    """Return the counts, some of them hidden."""
    return [HIDDEN if out else count for count, out in zip(counts, hide.tolist(), strict=True)]


def merged_bins(counts: NDArray[np.int64], smallest: int) -> NDArray[np.int64]:
    """Assign neighbouring bins to wider bins, so that none has a small cell.

    Args:
        counts: int64 (bin, cell).
        smallest: The smallest count that is shown.

    Returns:
        int64 (bin,), rising from 0. One bin alone may have a small cell.

    Example:
        >>> merged_bins(np.array([[50, 0], [20, 3], [10, 9], [5, 2]]), 10).tolist()
        [0, 1, 1, 1]
    """
    place = np.zeros(len(counts), np.int64)
    current, open_ = -1, np.zeros(counts.shape[1], np.int64)
    for index, cells in enumerate(counts):
        if current < 0 or not _any_small(open_, smallest):
            current, open_ = current + 1, np.zeros_like(open_)
        open_ = open_ + cells
        place[index] = current
    while current and _any_small(open_, smallest):
        place[place == current] = current - 1
        current -= 1
        open_ = counts[place == current].sum(axis=0)
    return place


def in_words(text: str, smallest: int) -> str:
    """Replace small counts of people in a sentence.

    Example:
        >>> in_words("3 of 40 positive labels; A//1 (in 12 of 30 and 2 of 7)", 10)
        'fewer than 10 of 40 positive labels; A//1 (in 12 of 30 and fewer than 10 of fewer than 10)'
        >>> in_words("7 of 100 examples see 5 codes", 10)
        'fewer than 10 of 100 examples see 5 codes'
    """

    def word(found: re.Match[str]) -> str:
        count = int(found[1] or found[2])
        return f"fewer than {smallest}" if is_small(count, smallest) else found[0]

    return _COUNT.sub(word, text)


def codes_in(text: str) -> list[tuple[str, int]]:
    """Return the codes in a finding of the audit, and the number of subjects who have each.

    Example:
        >>> codes_in("A//1 (in 12 of 30 and 2 of 7), B//2, left (0.931 in 18 subjects) and 4 more")
        [('A//1', 14), ('B//2, left', 18)]
    """
    return [(found["name"], _people(found)) for found in _CODE.finditer(text)]


def without_codes_of_few(text: str, smallest: int) -> str:
    """Replace the names of rare codes in a finding.

    The number of subjects is not shown next to an AUROC either: both together reveal the number in
    each class.

    Example:
        >>> without_codes_of_few("A//1 (in 12 of 30 and 2 of 7), B//2 (0.931 in 18 subjects)", 16)
        'a code of fewer than 16 subjects (in 12 of 30 and 2 of 7), B//2 (0.931)'
    """

    def named(found: re.Match[str]) -> str:
        few = is_small(_people(found), smallest)
        told = found[0].removeprefix(found["name"])
        name = f"a code of fewer than {smallest} subjects" if few else found["name"]
        return f"{name} ({found['area']})" if found["area"] else f"{name}{told}"

    return _CODE.sub(named, text)


def _people(found: re.Match[str]) -> int:
    return int(found["all"] or int(found["of_class"]) + int(found["others"]))


def as_json(value: Any) -> Any:
    """Return the value with ``None`` for hidden numbers."""
    if isinstance(value, Hidden):
        return None
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(each) for each in value]
    return value
