"""The server of one model: its address, access token and shutdown, and limits of connections.

uvicorn has no limit of the time for headers or for reading a response, and its limit of connections
would refuse honest clients while others hold connections open (decision 43).
"""

import errno
import ipaddress
import logging
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sequela.errors import SettingError
from sequela.serving.served_model import ServedModel
from sequela.web.app import BATCH, Service, application
from sequela.web.guards import Limits

LOCAL = "127.0.0.1"
_STOP = 10  # seconds to finish requests when the server stops
_IDLE = 10  # seconds until a client must have sent its headers, or have read the response
_MOST_CONNECTIONS = 1000
_SPARE = 256  # file descriptors that are kept for all but connections
_RECORDS = 30  # records of the log in a minute
_MINUTE = 60
_NAMES = frozenset({"localhost", LOCAL, "[::1]"})
_LEAST = 16  # characters of an access token
_BACKLOG = 64  # connections that are accepted at once, before their number is checked


def most_connections() -> int:
    """Return the most connections that the file descriptors of the process allow."""
    with suppress(ImportError):
        import resource

        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Without free descriptors the server could not open a file, nor answer anybody.
        if descriptors != resource.RLIM_INFINITY:
            return max(1, min(_MOST_CONNECTIONS, descriptors - _SPARE))
    return _MOST_CONNECTIONS


class Client(H11Protocol):
    """A connection that is ended if the server waits too long for its client.

    Over the limit of connections, a tenth of those that wait are ended: the oldest without a
    request first.
    """

    def connection_made(self, transport: Any) -> None:
        """Accept a connection."""
        super().connection_made(transport)
        self.opened = self.waits_since = self.loop.time()
        if len(self.connections) > _CONNECTIONS:
            clients: Iterable[Any] = self.connections
            # Clients whose request is being answered stay.
            waiting = [c for c in clients if not c.working or c.cycle.more_body]
            waiting.sort(key=lambda c: (bool(c.cycle) and c.cycle.response_complete, c.opened))
            for client in waiting[: 1 + len(waiting) // 10]:
                client.transport.abort()

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
    for client in [*connections]:
        if not client.working and client.loop.time() - client.waits_since > _IDLE:
            client.transport.abort()


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


_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"few": {"()": Few}},
    "handlers": {"few": {"class": "logging.StreamHandler", "filters": ["few"]}},
    "loggers": {name: {"handlers": ["few"], "propagate": False} for name in ("uvicorn", "asyncio")},
}


@dataclass(frozen=True)
class Address:
    """The address of a server."""

    host: str = LOCAL
    port: int = 8000

    @property
    def local(self) -> bool:
        """``True`` if only this machine can reach it."""
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    def listen(self) -> socket.socket:
        """Open the socket."""
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
            opened = socket.create_server(
                address, family=family, backlog=_BACKLOG, dualstack_ipv6=dual
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingError(
                    f"port {self.port} of {self.host} is taken by another program: choose another "
                    "--port, or --port 0 for any free port"
                ) from error
            raise SettingError(
                f"cannot listen on {self.host}, port {self.port} ({error.strerror or error}): "
                "choose another --host or --port"
            ) from error
        opened.setblocking(False)  # noqa: FBT003 - no name for the argument
        return opened


def token_of(token: str | None, *, required: bool) -> str:
    """Return a token after a check, or a new one; empty if none is required."""
    if token:
        if len(token) < _LEAST or not token.isascii() or not token.isprintable():
            raise SettingError(
                f"the token of SEQUELA_TOKEN has {len(token)} characters: expected {_LEAST} or "
                "more, all of ASCII, such as "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'` prints"
            )
        return token
    return secrets.token_urlsafe() if required else ""


def serve(
    model: ServedModel,
    address: Address,
    *,
    limits: Limits,
    token: str = "",
    batch: int = BATCH,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve requests until the process is stopped, and finish open requests."""
    opened = address.listen()
    port = opened.getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    # A server of this machine only accepts the names of this machine, against DNS rebinding.
    app = application(
        Service(model, limits, batch),
        token=token,
        hosts=_NAMES | {host.lower()} if address.local else frozenset(),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Client,
            ws="none",
            backlog=_BACKLOG,
            log_config=_LOG,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP,
            timeout_notify=1,
            callback_notify=lambda: end_idle(server.server_state.connections),
            lifespan="on",
        )
    )
    on_ready(f"http://{host}:{port}/")
    with opened:
        server.run(sockets=[opened])
