"""Listeners to long work: to the reading of many rows, and to training.

The training loop only trains: progress, history, checkpoints, the average of the weights, early
stopping and trackers listen. A fit has the listeners that it is called with. Others hear all that
happens within :func:`listening`, in runs of one split or of folds, so that no function has to pass
them on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequela.config import RunSettings
    from sequela.training.history import History


class Listener:
    """A listener that ignores all events; a subclass overrides the methods of those it needs."""

    def on_rows(self, work: str, rows: int, total: int) -> None:
        """Hear how many rows of some work are read, and of how many."""

    def on_run_begin(self, folder: Path, settings: "RunSettings") -> None:
        """Hear that a run is trained, or continued."""

    def on_fit_begin(self, history: "History") -> None:
        """Hear that a fit begins, or continues after the epochs of the history."""

    def on_step_end(self) -> None:
        """Hear that the optimiser has changed the weights."""

    def on_epoch_end(self, history: "History") -> None:
        """Hear that an epoch has ended; its records are the last of the history."""

    def on_fit_end(self, history: "History") -> None:
        """Hear that the last epoch has ended."""

    def on_run_end(self, folder: Path, *, finished: bool) -> None:
        """Hear that the training of a run has ended: it is finished, or there was an error."""

    def on_fold_end(self, folder: Path, count: int, total: int) -> None:
        """Hear that the run of a fold or seed is finished, and how many are of how many."""


_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Let listeners hear the work of this thread."""
    token = _listeners.set((*current_listeners(), *listeners))
    try:
        yield
    finally:
        _listeners.reset(token)


def current_listeners() -> tuple[Listener, ...]:
    """Return the listeners of :func:`listening`."""
    return _listeners.get()


def notify(listeners: Sequence[Listener], event: str, *facts: object, **more: object) -> None:
    """Call the method of an event of each listener, in order."""
    for listener in listeners:
        getattr(listener, event)(*facts, **more)


def broadcast(event: str, *facts: object, **more: object) -> None:
    """Notify the listeners of :func:`listening`."""
    notify(current_listeners(), event, *facts, **more)
