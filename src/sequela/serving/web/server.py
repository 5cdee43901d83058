"""A server of one model: where it listens, who may ask, and how it stops."""

import errno
import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import uvicorn

from sequela.errors import SettingError
from sequela.serving.served import ServedModel
from sequela.serving.web.app import BATCH, Service, application
from sequela.serving.web.guards import Limits

LOCAL = "127.0.0.1"
_STOP = 10
"""Seconds that requests have to be answered when the server stops."""
_NAMES = frozenset({"localhost", LOCAL, "[::1]"})
_LEAST = 16


@dataclass(frozen=True)
class Place:
    """Where a server listens.

    Attributes:
        host: Address or name.
        port: Its number; 0 for any that is free.
    """

    host: str = LOCAL
    port: int = 8000

    @property
    def local(self) -> bool:
        """Whether this machine alone reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def listen(self) -> socket.socket:
        """The socket.

        Raises:
            SettingError: If the address is taken, or is none of this machine.
        """
        if not 0 <= self.port <= 65535:  # noqa: PLR2004
            raise SettingError(f"--port {self.port} is none: expected 0 to 65535")
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with ExitStack() as undone:
                opened = undone.enter_context(socket.socket(family, socket.SOCK_STREAM))
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind(address)
                undone.pop_all()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingError(
                    f"port {self.port} of {self.host} is taken by another program: choose another "
                    "--port, or --port 0 for any that is free"
                ) from error
            raise SettingError(
                f"cannot listen at {self.host}, port {self.port} ({error.strerror or error}): "
                "choose another --host or --port"
            ) from error
        opened.listen(2048)
        opened.setblocking(False)  # noqa: FBT003 - its own name
        return opened


def token_of(given: str | None, *, wanted: bool) -> str:
    """The access token: as given, or a new one; empty where none is wanted.

    Raises:
        SettingError: If the one given is too short to be one.
    """
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
    """Answer requests until the process is told to stop; those that are begun are answered.

    Args:
        model: The model.
        place: Where to listen.
        limits: What a request may be.
        token: Asked for; empty for none.
        batch: Examples of a batch; 1 for none.
        on_ready: Called with the address, once it is listened at.

    Raises:
        SettingError: If the place is taken, or cannot be listened at.
    """
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
