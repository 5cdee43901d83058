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
from sequela.web.guards import Limits

LOCAL = "127.0.0.1"
_STOP = 10  # seconds to finish requests when the server stops
_CONNECTIONS = 1000  # most connections: a proxy in front ends those that wait for their client
_NAMES = frozenset({"localhost", LOCAL, "[::1]"})
_LEAST = 16  # characters of an access token


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
            opened = socket.create_server(address, family=family, dualstack_ipv6=dual)
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
            http="h11",
            ws="none",
            limit_concurrency=_CONNECTIONS,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP,
            lifespan="on",
        )
    )
    on_ready(f"http://{host}:{port}/")
    with opened:
        server.run(sockets=[opened])
