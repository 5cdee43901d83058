"""The events of training and the listeners to them.

The loop only trains: progress, history, checkpoints, the average of the weights, early stopping and
trackers listen. A fit has the listeners that it is called with. Runs of one split, of folds or in
other processes have those of :func:`listening` too, so that no function has to pass them on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from sequela.config import RunSettings
from sequela.training.history import History

Event = Literal[
    "on_run_begin",
    "on_fit_begin",
    "on_step_end",
    "on_epoch_end",
    "on_fit_end",
    "on_run_end",
    "on_fold_end",
]


class Listener:
    """A listener that ignores all events; a subclass overrides the methods of those it needs."""

    def on_run_begin(self, folder: Path, settings: RunSettings) -> None:
        """Hear that a run is trained, or continued."""

    def on_fit_begin(self, history: History) -> None:
        """Hear that a fit begins, or continues after the epochs of the history."""

    def on_step_end(self) -> None:
        """Hear that the optimiser has changed the weights."""

    def on_epoch_end(self, history: History) -> None:
        """Hear that an epoch has ended; its records are the last of the history."""

    def on_fit_end(self, history: History) -> None:
        """Hear that the last epoch has ended."""

    def on_run_end(self, folder: Path, *, finished: bool) -> None:
        """Hear that the training of a run has ended: it is finished, or there was an error."""

    def on_fold_end(self, folder: Path, count: int, planned: int) -> None:
        """Hear that the run of a fold or seed is finished, and how many are of how many."""


_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Let listeners hear the runs of this thread."""
    token = _listeners.set((*_listeners.get(), *listeners))
    try:
        yield
    finally:
        _listeners.reset(token)


def listeners_to_runs() -> tuple[Listener, ...]:
    """Return the listeners of :func:`listening`."""
    return _listeners.get()


def notify(listeners: Sequence[Listener], event: Event, *facts: object, **more: object) -> None:
    """Call a method of each listener, in order."""
    for listener in listeners:
        getattr(listener, event)(*facts, **more)
