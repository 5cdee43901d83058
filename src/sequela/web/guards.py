"""Limits of the server in plain ASGI: size, time, token and headers."""

import asyncio
import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sequela.web.schemas import Refusal, response_of

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
SMALL = 65_536  # most bytes of a small body, which is not counted
_HELD = 3  # most bytes of large bodies and responses in memory, for each allowed byte of one
_TOO_LARGE = "the body has more than {:,} bytes: send less at once"
_LATER = {"retry-after": "1"}
BUSY = Refusal(503, "the server is busy or stops: send it again later", _LATER)
_OPEN = frozenset({"/", "/health", "/page.css", "/page.js", "/openapi.json"})
"""Paths that need no token: none of them uses the model."""


@dataclass(frozen=True)
class Limits:
    """The limits of a request."""

    bytes: int = 32_000_000  # of its body
    examples: int = 10_000  # of its body
    length: int = 1_000_000  # samples of a channel, or visits of a patient
    seconds: float = 30.0  # until it times out
    waiting: int = 1000  # requests that wait for the model at a time


@dataclass
class Guard:
    """An application behind its limits."""

    app: ASGIApp
    limits: Limits
    token: str = ""  # required as "Authorization: Bearer TOKEN"; empty for none
    hosts: frozenset[str] = frozenset()  # allowed names, against DNS rebinding; empty for any

    def __post_init__(self) -> None:
        self._held = _Held(_HELD * self.limits.bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        clock = asyncio.timeout(self.limits.seconds)
        exchange = _Exchange(receive, send, self.limits.bytes, self._held, clock)
        refusal = None
        try:
            self._check(Request(scope))
            async with clock:
                await self.app(scope, exchange.receive, exchange.send)
        except Refusal as error:
            refusal = error
        except TimeoutError:
            reason = f"timed out after {self.limits.seconds:g} s, or the server is busy"
            refusal = Refusal(503, f"{reason}: send less at once, or try later", _LATER)
        except asyncio.CancelledError:  # the server stops
            refusal = BUSY
        finally:
            self._held.free(clock)
            if refusal and not exchange.has_started:
                await response_of(refusal)(scope, receive, exchange.send)

    def _check(self, request: Request) -> None:
        headers, path = request.headers, request.url.path
        host = headers.get("host", "")
        # A foreign page whose name resolves to 127.0.0.1 could read the answers of a local server
        # (DNS rebinding); its requests carry that name.
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.hosts and name.lower() not in self.hosts:
            raise Refusal(421, f"wrong host name: expected {', '.join(sorted(self.hosts))}")
        if self.token and path not in _OPEN:
            token = headers.get("authorization", "").encode("latin-1")
            # The time of this comparison reveals no correct beginning of a token.
            if not hmac.compare_digest(token, f"Bearer {self.token}".encode()):
                raise Refusal(
                    401,
                    "the access token is missing or wrong: send Authorization: Bearer TOKEN, with "
                    "the token that the server printed",
                    {"www-authenticate": "Bearer"},
                )
        size = headers.get("content-length", "0")
        # Refused before the body is read; a body that states no size is counted while it arrives.
        if size.isdigit() and int(size) > self.limits.bytes:
            raise Refusal(413, _TOO_LARGE.format(self.limits.bytes))


class _Held:
    """The bytes of large bodies and responses in memory, up to a number.

    If there are more, the request that has waited longest for its client is ended.
    """

    def __init__(self, most: int) -> None:
        self._most, self._sum = most, 0
        self._sizes: dict[asyncio.Timeout, int] = {}
        self._waiting: dict[asyncio.Timeout, None] = {}

    def hold(self, clock: asyncio.Timeout, size: int, *, waits: bool) -> None:
        """Count a request with its size, and whether it waits for its client."""
        self._sum += size - self._sizes.get(clock, 0)
        self._sizes[clock] = size
        if waits:
            self._waiting.setdefault(clock)
        else:
            self._waiting.pop(clock, None)
        while self._sum > self._most:
            oldest = next(iter(self._waiting), clock)
            self.free(oldest)
            if oldest is clock:
                raise BUSY
            oldest.reschedule(0)

    def free(self, clock: asyncio.Timeout) -> None:
        """Stop counting a request."""
        self._sum -= self._sizes.pop(clock, 0)
        self._waiting.pop(clock, None)


@dataclass
class _Exchange:
    """The body of a request, up to a number of bytes, and the response with common headers."""

    receive_: Receive
    send_: Send
    most: int
    buffer: _Held
    clock: asyncio.Timeout
    size: int = 0
    has_started: bool = False  # whether the response is sent

    async def receive(self) -> Message:
        """Receive a part of the body."""
        message = await self.receive_()
        self.size += len(message.get("body", b""))
        if self.size > self.most:
            raise Refusal(413, _TOO_LARGE.format(self.most))
        if self.size > SMALL:
            self.buffer.hold(self.clock, self.size, waits=message.get("more_body", False))
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.has_started = True
            message = {**message, "headers": [*message["headers"], *_HEADERS]}
        body = message.get("body", b"")
        if len(body) > SMALL:
            self.buffer.hold(self.clock, len(body), waits=True)
        while len(body) > SMALL:  # in pieces: each waits until the client reads
            await self.send_({**message, "body": body[:SMALL], "more_body": True})
            body = body[SMALL:]
            message = {**message, "body": body}
        await self.send_(message)
