"""Limits of the server in plain ASGI: size, rate, time, token and headers."""

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Self

from sequela.errors import SettingError
from sequela.web.metrics import Metrics
from sequela.web.problems import PROBLEM, Refusal, document

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
SMALL = 65_536
"""Most bytes of a small body, which is not counted."""
_HELD = 3
"""Most bytes of large bodies and responses in memory, for each allowed byte of one."""
_LATER = {"retry-after": "1"}
BUSY = Refusal(503, "the server is busy or stops: send it again later", _LATER)
_CLIENTS = 10_000
"""Most clients whose rate is remembered, against attackers with many addresses."""
_OPEN = frozenset({"/", "/health", "/page.css", "/page.js", "/openapi.json"})
"""Paths that need no token: none of them uses the model."""

_OPTIONS = {
    "bytes": "--most-bytes",
    "examples": "--most-examples",
    "length": "--most-length",
    "seconds": "--timeout",
    "rate": "--rate",
}
"""The option of the command for each limit."""


@dataclass(frozen=True)
class Limits:
    """The limits of a request.

    Attributes:
        bytes: Bytes of its body.
        examples: Examples of its body.
        length: Samples of a channel, or visits of a patient.
        seconds: Seconds until it times out.
        rate: Requests per second of one client; 0 for no limit.
        waiting: Requests that wait for the model at a time.
    """

    bytes: int = 32_000_000
    examples: int = 10_000
    length: int = 1_000_000
    seconds: float = 30.0
    rate: float = 0.0
    waiting: int = 1000

    @classmethod
    def of(cls, **said: float) -> Self:
        """Check the limits of a user."""
        for name, value in said.items():
            if not (value > 0 or (name == "rate" and value == 0)):
                raise SettingError(f"{_OPTIONS[name]} is {value:g}: expected a number above 0")
        return cls(**said)  # type: ignore[arg-type]


@dataclass
class Guard:
    """An application behind its limits.

    Attributes:
        token: Required as ``Authorization: Bearer TOKEN``; empty for none.
        hosts: Allowed host names, against DNS rebinding; empty for any.
        paths: Paths that are counted by name.
    """

    app: App
    limits: Limits
    metrics: Metrics
    token: str = ""
    hosts: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    _allowance: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._held = _Held(_HELD * self.limits.bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, clock = time.perf_counter(), asyncio.timeout(self.limits.seconds)
        answered = _Answer(send, self._held, clock)
        try:
            self._check(scope)
            async with clock:
                body = _Bounded(receive, self.limits.bytes, self._held, clock)
                await self.app(scope, body, answered)
        except Refusal as refusal:
            await answered.refuse(refusal)
        except TimeoutError:
            said = (
                f"timed out after {self.limits.seconds:g} s, or the server is busy: send less at "
            )
            await answered.refuse(Refusal(503, f"{said}once, or try later", _LATER))
        except asyncio.CancelledError:  # the server stops
            await answered.refuse(BUSY)
        finally:
            self._held.free(clock)
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, str(answered.status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        host = headers.get("host", b"").decode("latin-1")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.hosts and name.lower() not in self.hosts:
            raise Refusal(421, f"wrong host name: expected {', '.join(sorted(self.hosts))}")
        if self.token and scope["path"] not in _OPEN:
            given = headers.get("authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
                raise Refusal(
                    401,
                    "the access token is missing or wrong: send Authorization: Bearer TOKEN, with "
                    "the token that the server printed",
                    {"www-authenticate": "Bearer"},
                )
        size = headers.get("content-length", b"0")
        if size.isdigit() and int(size) > self.limits.bytes:
            raise too_large(self.limits.bytes)
        if self.limits.rate and scope["path"].startswith("/v1/"):
            self._count((scope.get("client") or ("",))[0])

    def _count(self, client: str) -> None:
        """Count a request of a client in a bucket that fills at the rate, for up to two seconds."""
        now, most = time.monotonic(), max(2 * self.limits.rate, 1.0)
        left, then = self._allowance.pop(client, (most, now))
        left = min(left + (now - then) * self.limits.rate, most)
        self._allowance[client] = (left - 1 if left >= 1 else left, now)
        if len(self._allowance) > _CLIENTS:
            self._allowance.popitem(last=False)
        if left < 1:
            wait = f"{(1 - left) / self.limits.rate:.0f}"
            raise Refusal(
                429,
                f"too many requests (limit: {self.limits.rate:g} per second): send fewer, or "
                "several examples in one",
                {"retry-after": wait if wait != "0" else "1"},
            )


def too_large(most: int) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(413, f"the body has more than {most:,} bytes: send less at once")


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


class _Bounded:
    """The body of a request, up to a number of bytes."""

    def __init__(self, receive: Receive, most: int, held: _Held, clock: asyncio.Timeout) -> None:
        self._receive, self._most, self._seen = receive, most, 0
        self._held, self._clock = held, clock

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise too_large(self._most)
        if self._seen > SMALL:
            self._held.hold(self._clock, self._seen, waits=message.get("more_body", False))
        return message


class _Answer:
    """A response with the common headers, or a refusal if it has not started."""

    def __init__(self, send: Send, held: _Held, clock: asyncio.Timeout) -> None:
        self._send, self._held, self._clock, self.status = send, held, clock, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        body = message.get("body", b"")
        if len(body) > SMALL:  # in pieces: each waits until the client reads
            self._held.hold(self._clock, len(body), waits=True)
            *firsts, last = range(0, len(body), SMALL)
            for first in firsts:
                piece = body[first : first + SMALL]
                await self._send({**message, "body": piece, "more_body": True})
            message = {**message, "body": body[last:]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        if self.status:
            return  # the response has started
        body = document(refusal.status, refusal.detail)
        headers = [(b"content-type", PROBLEM.encode()), (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


def to_json(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
