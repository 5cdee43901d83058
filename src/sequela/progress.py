"""The progress of long reading, for whoever listens: a command prints it, other callers need not.

It holds for one process; a reader reports the rows that it has read so far, and their number.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnRows = Callable[[str, int, int], None]

_listening: list[OnRows] = []


@contextmanager
def reported_to(listener: OnRows) -> Iterator[None]:
    """Call ``listener`` with the work in words, the rows read, and all rows."""
    _listening.append(listener)
    try:
        yield
    finally:
        _listening.remove(listener)


def report(work: str, rows: int, total: int) -> None:
    """Report that so many rows of some work are read."""
    for listener in _listening:
        listener(work, rows, total)
