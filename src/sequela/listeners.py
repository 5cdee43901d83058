"""Listeners to long work: to the reading of many rows, and to training.

Listeners hear all that happens within :func:`listening`, so that no function has to pass them on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class Listener:
    """A listener that ignores all events; a subclass has methods for those it needs."""

    def on_rows(self, work: str, rows: int, total: int) -> None:
        """Hear how many rows of some work are read, and of how many."""


# A context variable: a thread or task hears its own work alone.
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
    """Call the method of an event of each listener that has one, in order."""
    # A listener from a plugin may lack the methods of newer events.
    for listener in listeners:
        if hasattr(listener, event):
            getattr(listener, event)(*facts, **more)


def broadcast(event: str, *facts: object, **more: object) -> None:
    """Notify the listeners of :func:`listening`."""
    notify(current_listeners(), event, *facts, **more)
