"""Clients that ask a server as fast as it answers, over connections that stay open.

A client sends the next request when the last one is answered. Only the standard library: a client
that did more would be measured in place of the server.
"""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BINARY = "application/octet-stream"


@dataclass
class Asked:
    """What came of it.

    Attributes:
        seconds: Of each answer.
        errors: Answers that were no 200, and connections that broke.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, until: float, asked: Asked) -> None:
        self.request, self.until, self.asked = request, until, asked
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen = bytearray()
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take note of an answer once it is whole, and send the next request."""
        self.seen += data
        end = self.seen.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.seen[:end]).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self.seen) < end + 4 + size:
            return
        if head.split(b" ", 2)[1] == b"200":
            self.asked.seconds.append(time.perf_counter() - self.sent)
        else:
            self.asked.errors.append(bytes(self.seen[:300]).decode("latin-1"))
        self.seen.clear()
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; before its time it is an error."""
        if time.perf_counter() < self.until:
            self.asked.errors.append(f"the connection broke ({exc})")
        if not self.done.done():
            self.done.set_result(None)


async def ask(address: str, body: bytes, *, clients: int, seconds: float) -> Asked:
    """Ask a server for some time.

    Args:
        address: Of the path, query included.
        body: Of each request.
        clients: That ask at a time.
        seconds: How long.
    """
    url = urlsplit(address)
    request = (
        f"POST {url.path}?{url.query} HTTP/1.1\r\nhost: {url.netloc}\r\n"
        f"content-type: {BINARY}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    asked, until = Asked(), time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: Client(request, until, asked), url.hostname or "", url.port or 80
        )
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in opened))
    return asked
