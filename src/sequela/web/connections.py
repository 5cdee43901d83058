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
    with suppress(ImportError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _MOST + _SPARE
        if soft < wanted and (hard == resource.RLIM_INFINITY or hard > soft):
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(_MOST, soft - _SPARE))
    return _MOST


class Client(H11Protocol):
    """A connection that is ended if the server waits too long for its client.

    If there are too many, a tenth of those that wait are ended: the oldest without a request first.
    """

    def connection_made(self, transport: Any) -> None:
        """Accept a connection."""
        super().connection_made(transport)
        self._last, self.opened = self.cycle, self.loop.time()
        self._since = self.opened
        if len(self.connections) > _CONNECTIONS:
            waiting = [
                ((each.cycle is not None and each.cycle.response_complete), each.opened, each)
                for each in self.connections
                if isinstance(each, Client) and not (each.working and not each.cycle.more_body)
            ]
            waiting.sort(key=lambda each: each[:2])
            for *_, each in waiting[: 1 + len(waiting) // 10]:
                each.transport.abort()

    @property
    def working(self) -> bool:
        """``True`` while a request is read or answered."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not self.transport.is_closing()

    def waited(self) -> float:
        """Return the seconds since the last request was read or answered."""
        if self.working or self.cycle is not self._last:
            self._last, self._since = self.cycle, self.loop.time()
        return self.loop.time() - self._since


_CONNECTIONS = most_connections()


async def end_idle(connections: Iterable[Any]) -> None:
    """End connections whose client has sent no headers, or has not read the response."""
    for each in [*connections]:
        if isinstance(each, Client) and each.waited() > _IDLE:
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
