"""Limits of connections: their number, the time that the server waits for a client, and the log."""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_IDLE = 10
"""Most seconds until a client has sent its headers, or has read the response."""
_MOST, _SPARE = 1000, 256
"""Most connections, and file descriptors that are kept for all else."""
_RECORDS, _MINUTE = 30, 60


def most_connections() -> int:
    """Return the most connections that the file descriptors of the process allow."""
    with suppress(ImportError):
        import resource

        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors != resource.RLIM_INFINITY:
            return max(1, min(_MOST, descriptors - _SPARE))
    return _MOST


class Client(H11Protocol):
    """A connection that is ended if the server waits too long for its client.

    If there are too many, a tenth of those that wait are ended: the oldest without a request first.
    """

    def connection_made(self, transport: Any) -> None:
        """Accept a connection."""
        super().connection_made(transport)
        self.opened = self.waits_since = self.loop.time()
        if len(self.connections) > _CONNECTIONS:
            everyone: Iterable[Any] = self.connections
            waiting = [each for each in everyone if not each.working or each.cycle.more_body]
            waiting.sort(
                key=lambda each: (bool(each.cycle) and each.cycle.response_complete, each.opened)
            )
            for each in waiting[: 1 + len(waiting) // 10]:
                each.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waits_since = self.loop.time()
        super().on_response_complete()

    @property
    def working(self) -> bool:
        """``True`` while a request is read or answered."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not self.transport.is_closing()


_CONNECTIONS = most_connections()


async def end_idle(connections: Iterable[Any]) -> None:
    """End connections whose client has sent no headers, or has not read the response."""
    for each in [*connections]:
        if not each.working and each.loop.time() - each.waits_since > _IDLE:
            each.transport.abort()


class Few(logging.Filter):
    """A filter that passes some records of a minute, and counts the others."""

    _since, _count = 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        now = time.monotonic()
        if now - self._since > _MINUTE:
            if self._count > _RECORDS:
                record.msg = f"({self._count - _RECORDS} records were left out) {record.msg}"
            self._since, self._count = now, 0
        self._count += 1
        return self._count <= _RECORDS
