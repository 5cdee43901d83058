"""The server of one model: its address, access token and shutdown."""

import errno
import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import uvicorn

from sequela.errors import SettingError
from sequela.serving.served_model import ServedModel
from sequela.web.app import BATCH, Service, application
from sequela.web.connections import Client, Few, end_idle
from sequela.web.guards import Limits

LOCAL = "127.0.0.1"
_STOP = 10
"""Seconds to finish requests when the server stops."""
_NAMES = frozenset({"localhost", LOCAL, "[::1]"})
_LEAST = 16
_BACKLOG = 64
"""Connections that are accepted at once, before their number is checked."""
_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"few": {"()": Few}},
    "handlers": {"few": {"class": "logging.StreamHandler", "filters": ["few"]}},
    "loggers": {name: {"handlers": ["few"], "propagate": False} for name in ("uvicorn", "asyncio")},
}


@dataclass(frozen=True)
class Place:
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
            both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
            opened = socket.create_server(
                address, family=family, backlog=_BACKLOG, dualstack_ipv6=both
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


def token_of(given: str | None, *, wanted: bool) -> str:
    """Return the given or a new access token; empty if none is wanted."""
    if given:
        if len(given) < _LEAST or not given.isascii() or not given.isprintable():
            raise SettingError(
                f"the token of SEQUELA_TOKEN has {len(given)} characters: expected {_LEAST} or "
                "more, all of ASCII, such as "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'` prints"
            )
        return given
    return secrets.token_urlsafe() if wanted else ""


def serve(
    model: ServedModel,
    place: Place,
    *,
    limits: Limits,
    token: str = "",
    batch: int = BATCH,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve requests until the process is stopped, and finish open requests."""
    opened = place.listen()
    port = opened.getsockname()[1]
    host = f"[{place.host}]" if ":" in place.host else place.host
    app = application(
        Service(model, limits, batch),
        token=token,
        hosts=_NAMES | {host.lower()} if place.local else frozenset(),
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
