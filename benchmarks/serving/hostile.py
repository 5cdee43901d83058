"""Load test of the server: honest clients next to clients that attack it.

    python -m benchmarks.serving.hostile [--seconds 60] [--honest 200] [--hostile 500]

Trains a model on the recordings of the package, exports and serves it. Each honest client sends a
request, waits for the response, and pauses for half a second to one and a half seconds; three of
four requests have one segment, the others eight, in JSON or binary. Hostile clients repeat one of
the attacks below for as long as the test lasts. Another client asks for ``/health`` ten times a
second. The test prints errors, percentiles of the times, the memory of all processes of the server,
and the size of its log; the exit status is 1 if an honest client had an error, if the 99th
percentile is above 500 ms, or if the server used more than 1.5 GB.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from benchmarks.serving.run import DEFAULT, PACKAGES, machine, segments, trained

MOST_SECONDS, MOST_BYTES = 0.5, 1_500_000_000
BODY = 31_900_000
"""Bytes of a large body, just below the server's limit."""
HOST = "127.0.0.1"
QUERY = "sfreq=173.61&unit=uV"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n" if body else ""
    method = "POST" if body else "GET"
    return f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n{head}\r\n".encode() + body


async def status_of(reader: asyncio.StreamReader) -> int:
    """Read one response whole, and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(size)
    return int(head.split(b" ", 2)[1])


class Asked:
    """Times and errors of the clients of one kind."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors: Counter[str] = Counter()

    async def ask(self, port: int, body: bytes, until: float, pause: Callable[[], float]) -> None:
        """Send a request again and again over a connection that stays open."""
        streams: Streams | None = None
        await asyncio.sleep(pause())
        while time.time() < until:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(30):
                    streams = streams or await asyncio.open_connection(HOST, port)
                    streams[1].write(body)
                    status = await status_of(streams[0])
                if status != 200:
                    self.errors[str(status)] += 1
            except (OSError, EOFError, TimeoutError) as error:
                self.errors[type(error).__name__] += 1
                if streams is not None:
                    streams[1].close()
                streams = None
            self.seconds.append(time.perf_counter() - began)
            await asyncio.sleep(pause())


def honest_bodies() -> list[bytes]:
    one, eight = (segments(n).astype("<f4") for n in (1, 8))
    said = {"sfreq": 173.61, "unit": "uV"}
    examples = [{"signal": each.tolist()} for each in eight]
    binary, path = "application/octet-stream", f"/v1/predict?{QUERY}"
    return [
        request(path, one.tobytes(), binary),
        request(path, one.tobytes(), binary),
        request("/v1/predict", json.dumps({"signal": one[0].tolist(), **said}).encode()),
        request("/v1/predict", json.dumps({"examples": examples, **said}).encode()),
    ]


# Attacks: each takes the streams of a new connection, and ends when the server ends it.


async def half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a header byte by byte."""
    writer.write(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\nx: ")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing."""
    await reader.read()


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a body byte by byte."""
    writer.write(request("/v1/predict", b" " * 1000)[:-999])
    while not reader.at_eof():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(1)


async def leaving(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Leave in mid-body."""
    writer.write(request("/v1/predict", b" " * 200_000)[:-100_000])
    await writer.drain()
    await asyncio.sleep(random.uniform(0.5, 1))
    writer.transport.abort()


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send bytes that are not HTTP."""
    writer.write(b"\x16\x03\x01\x02\x00 GARBAGE\r\n\r\n")
    await reader.read()
    await asyncio.sleep(random.uniform(0.5, 1))


def large_bodies() -> dict[str, bytes]:
    """Return bodies below the limit whose reading needs much memory or time."""

    def filled(item: bytes, before: bytes = b"[", after: bytes = b"0]") -> bytes:
        return before + item * ((BODY - len(before) - len(after)) // len(item)) + after

    end = b'0],"sfreq":173.61,"unit":"uV"}'
    return {
        "numbers": filled(b"0,", b'{"signal":[', end),
        "decimals": filled(b"0.5,", b'{"signal":[', end),
        "segments": filled(b"[0],", b'{"signal":[', b"[0" + end[1:].replace(b"]", b"]]", 1)),
        "objects": filled(b'{"":0},'),
        "examples": filled(
            b'{"signal":[0]},', b'{"examples":[', b'{"signal":[0]}],"sfreq":173.61,"unit":"uV"}'
        ),
        "texts": filled(b'"\xc3\xa9",'),
        "lists": filled(b"[],"),
        "deep": filled(b"["),
    }


LARGE: list[bytes] = []


async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the largest body that is allowed."""
    writer.write(random.choice(LARGE))
    await writer.drain()
    await status_of(reader)


async def large_csv(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a large csv file."""
    writer.write(request(f"/v1/predict?{QUERY}", b"0\n" * (BODY // 2), "text/csv"))
    await writer.drain()
    await status_of(reader)


async def stalled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send nearly all of a large body, and wait."""
    writer.write(LARGE[0][:-100])
    await writer.drain()
    await reader.read()


async def no_reader(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for large responses and do not read them."""
    body = segments(64).astype("<f4").tobytes() * 150
    for _ in range(100):
        writer.write(request(f"/v1/predict?{QUERY}", body, "application/octet-stream"))
        await writer.drain()
    while not reader.at_eof():  # noqa: ASYNC110 - it must not read
        await asyncio.sleep(1)


ATTACKS: dict[Callable[..., Awaitable[None]], int] = {
    half_open: 34,
    silent: 16,
    slow_body: 20,
    leaving: 10,
    no_http: 10,
    large: 4,
    large_csv: 1,
    stalled: 3,
    no_reader: 2,
}
"""Parts of a hundred of the hostile clients."""


async def repeat(attack: Callable[..., Awaitable[None]], port: int, until: float) -> None:
    while time.time() < until:
        with suppress(OSError, EOFError, ValueError, TimeoutError):
            async with asyncio.timeout(max(until - time.time(), 0.1)):
                reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 20)
                try:
                    await attack(reader, writer)
                finally:
                    writer.transport.abort()
        await asyncio.sleep(0.1)


def be_hostile(port: int, clients: int, until: float, names: list[str]) -> None:
    """Run the hostile clients, in a separate process."""
    LARGE[:] = [request("/v1/predict", body) for body in large_bodies().values()]
    kinds = [
        attack
        for attack, share in ATTACKS.items()
        for _ in range(share)
        if not names or attack.__name__ in names
    ]

    async def attack() -> None:
        each = (kinds[i * len(kinds) // clients] for i in range(clients))
        await asyncio.gather(*(repeat(kind, port, until) for kind in each))

    os.nice(5)  # the other clients measure times
    asyncio.run(attack())


async def be_honest(port: int, clients: int, until: float) -> tuple[Asked, Asked]:
    asked, health = Asked(), Asked()
    bodies = honest_bodies()
    each = [
        asked.ask(port, bodies[i % len(bodies)], until, lambda: random.uniform(0.5, 1.5))
        for i in range(clients)
    ]
    await asyncio.gather(health.ask(port, request("/health"), until, lambda: 0.1), *each)
    return asked, health


def memory_of(process: psutil.Process) -> int:
    """Return the bytes in memory of a process and its children; shared ones are divided."""
    found = 0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            found += each.memory_full_info().pss
    return found


def watch(pid: int, stop: Any, peak: Any) -> None:
    process = psutil.Process(pid)
    while not stop.wait(0.25):
        with suppress(psutil.Error):
            peak.value = max(peak.value, memory_of(process))


def served(file: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "sequela", "serve", str(file), "--port", "0"]
    with (
        log.open("wb") as written,
        subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=written, text=True
        ) as server,
    ):
        assert server.stdout is not None  # noqa: S101 - for the type checker
        lines = iter(server.stdout.readline, "")
        yield next(line.split()[1] for line in lines if line.startswith("page:")), server
        if server.poll() is None:
            server.kill()


def summary(asked: Asked) -> dict[str, Any]:
    times = np.array(asked.seconds) * 1000
    p50, p99 = np.percentile(times, [50, 99]).tolist()
    return {
        "requests": len(times),
        "errors": dict(asked.errors),
        "p50_milliseconds": round(p50, 1),
        "p99_milliseconds": round(p99, 1),
        "longest_milliseconds": round(times.max(), 1),
    }


def measured(
    file: Path, log: Path, *, seconds: float, honest: int, hostile: int, attacks: list[str]
) -> dict[str, Any]:
    """Return what came of one load test."""
    context = multiprocessing.get_context("spawn")
    for address, server in served(file, log):
        port = int(address.rstrip("/").rpartition(":")[2])
        before = memory_of(psutil.Process(server.pid))
        stop, peak = context.Event(), context.Value("q", 0)
        watcher = context.Process(target=watch, args=(server.pid, stop, peak))
        watcher.start()
        until = time.time() + seconds + 5  # the attack begins first
        attacker = context.Process(target=be_hostile, args=(port, hostile, until, attacks))
        if hostile:
            attacker.start()
            time.sleep(5)
        asked, health = asyncio.run(be_honest(port, honest, until))
        if hostile:
            attacker.join(30)
        stop.set()
        watcher.join()
        began = time.perf_counter()
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(60)
        return {
            "seconds": seconds,
            "honest": {"clients": honest, **summary(asked)},
            "hostile_clients": hostile,
            "health": summary(health),
            "megabytes_before": round(before / 1e6),
            "megabytes": round(peak.value / 1e6),
            "kilobytes_of_log": round(log.stat().st_size / 1e3),
            "seconds_to_stop": round(time.perf_counter() - began, 1),
        }
    raise AssertionError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--honest", type=int, default=200)
    parser.add_argument("--hostile", type=int, default=500)
    parser.add_argument("--model", type=Path, help="FILE.onnx (default: a model is trained)")
    names = [attack.__name__ for attack in ATTACKS]
    parser.add_argument("--attacks", nargs="+", default=[], choices=names, help="(default: all)")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        file = given.model or trained(DEFAULT, Path(name))[1]
        found = measured(
            file,
            Path(name) / "log",
            seconds=given.seconds,
            honest=given.honest,
            hostile=given.hostile,
            attacks=given.attacks,
        )
        print((Path(name) / "log").read_text("utf-8", "replace")[-2000:], file=sys.stderr)
    print(json.dumps({**machine(*PACKAGES), **found}, indent=1))
    good = not found["honest"]["errors"] and not found["health"]["errors"]
    good &= found["honest"]["p99_milliseconds"] <= 1000 * MOST_SECONDS
    return int(not good or found["megabytes"] * 1e6 > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
