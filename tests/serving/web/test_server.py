"""The command: where it listens, what it refuses in one line, and how it stops."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.cli.calls import ran, refusal
from tests.serving.test_predict import WITHOUT_TORCH
from tests.serving.web.conftest import body

from sequela.errors import SettingError
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import MANIFEST
from sequela.serving.export import exported
from sequela.serving.served_model import ServedModel
from sequela.web.app import Service, application
from sequela.web.guards import Limits
from sequela.web.server import _STOP, Address, token_of

# With one second, and not ten, in which work may be finished.
HASTY = WITHOUT_TORCH.replace("main(", "from sequela.web import server; server._STOP = 1; main(")


@pytest.fixture(scope="module")
def file(eeg_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as one ONNX file."""
    path = tmp_path_factory.mktemp("export") / "mlp.onnx"
    path.write_bytes(exported(eeg_run.path))
    return path


@contextmanager
def served(*more: str | Path) -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """The command running: its address, its process, and what it said first."""
    process = subprocess.Popen(
        [sys.executable, "-c", HASTY, "serve", *map(str, more), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.strip())
            if "reach" in line:
                break
        (page,) = (line.removeprefix("page: ") for line in said if line.startswith("page: "))
        yield page, process, said
    finally:
        process.kill()
        process.communicate()


def test_a_file_is_served_without_torch_says_what_its_run_says_and_stops(
    file: Path, eeg: ServedModel, segment: list[float]
) -> None:
    with served(file) as (page, process, said):
        assert page.startswith("http://127.0.0.1:")
        assert said[-1] == "reachable from this machine only (see --host)"
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{page}v1/predict", body(segment), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
            (found,) = json.load(reply)["predictions"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out.strip(), err) == (0, "stopped", "")
    (known,) = eeg.probabilities({"signal": np.array([[segment]], np.float32)})
    chances = [found["probabilities"][name] for name in eeg.classes]
    assert chances == pytest.approx(known.tolist(), abs=1e-5)


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Ask for a server that must be refused: status 2 and one line, which is returned."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is served")

    monkeypatch.setattr("uvicorn.Server.run", never)

    return partial(refusal, capsys, "serve")


def test_a_taken_port_is_said_in_one_line(file: Path, refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert "is taken by another program" in refused(file, "--port", str(port))


def test_what_cannot_be_served_is_refused(
    file: Path, eeg_run: RunFolder, tmp_path: Path, refused: Callable[..., str]
) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(eeg_run.path, unfinished)
    (unfinished / MANIFEST).unlink()
    assert "is not finished" in refused(unfinished)
    (tmp_path / "edited.onnx").write_bytes(file.read_bytes().replace(b"seizure", b"seizurE"))
    assert "edited" in refused(tmp_path / "edited.onnx")
    assert "nowhere" in refused(tmp_path / "nowhere.onnx")
    assert "--batch" in refused(file, "--batch", "0")
    assert '"70000" for --port. Must be <= 65535' in refused(file, "--port", "70000")
    assert '"0.0" for --timeout. Must be > 0' in refused(file, "--timeout", "0")
    for name in ("bytes", "examples", "length"):
        assert f'"0" for --most-{name}. Must be >= 1' in refused(file, f"--most-{name}", "0")


def test_each_address_of_this_machine_by_its_name_and_other_machines_with_a_token(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, **_: begun.append(self.config.app))
    ran("serve", file, "--port", "0", "--host", "127.0.0.2")
    said = capsys.readouterr().out.splitlines()
    page = next(line.removeprefix("page: ") for line in said if line.startswith("page: "))
    assert page.startswith("http://127.0.0.2:")
    with TestClient(begun[0], base_url=page) as asked:
        assert asked.get("/health").status_code == 200
    ran("serve", file, "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - it is what is tested
    *_, token, last, stopped = capsys.readouterr().out.splitlines()
    assert token.startswith("access token: ")
    assert "reachable from other machines with the token" in last
    assert stopped == "stopped"
    with TestClient(begun[1]) as asked:
        assert asked.get("/v1/model").status_code == 401
        given = {"authorization": f"Bearer {token.removeprefix('access token: ')}"}
        assert asked.get("/v1/model", headers=given).status_code == 200


def test_a_token_is_given_made_or_refused() -> None:
    assert token_of(None, required=False) == ""
    assert len(token_of(None, required=True)) > 30
    assert token_of("0123456789abcdef", required=True) == "0123456789abcdef"
    with pytest.raises(SettingError, match="has 3 characters: expected 16"):
        token_of("abc", required=True)


def test_what_this_machine_alone_reaches() -> None:
    assert all(Address(host).local for host in ("127.0.0.1", "localhost", "::1"))
    others = ("0.0.0.0", "192.0.2.1", "example.org")  # noqa: S104 - nothing listens
    assert not any(Address(host).local for host in others)


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot listen on 192"):
        Address("192.0.2.1", 0).listen()


@pytest.mark.slow
def test_half_open_connections_leave_room_for_others(
    file: Path, segment: list[float], tmp_path: Path
) -> None:
    few = f"ulimit -n 320; exec {sys.executable} -m sequela serve {file} --port 0 2> {tmp_path}/log"
    with (
        subprocess.Popen(["/bin/bash", "-c", few], stdout=subprocess.PIPE, text=True) as process,
        ExitStack() as opened,
    ):
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        port = int(next(re.findall(r":(\d+)/", line)[0] for line in lines if "page" in line))
        try:
            for _ in range(400):  # more than there are descriptors
                one = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                one.sendall(b"POST /v1/predict HTTP/1.1\r\nx: ")
            for path, content in (("health", None), ("v1/predict", body(segment))):
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/{path}", content, {"content-type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=9) as reply:  # noqa: S310
                    assert reply.status == 200
            for _ in range(100):
                with socket.create_connection(("127.0.0.1", port)) as one:
                    one.sendall(b"no http\r\n\r\n")
                    assert b"400" in one.recv(1000)
            one = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.settimeout(20)
            assert one.recv(1) == b""  # ended, as it sends no header
        finally:
            process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert 0 < len((tmp_path / "log").read_bytes()) < 10_000


def test_a_client_that_leaves_in_mid_body_is_no_error_of_the_server(
    eeg: ServedModel, running: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with running(eeg) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as one:
            head = "POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\n"
            one.sendall(f"{head}content-length: 99\r\n\r\n1".encode())
            time.sleep(0.2)  # the server waits for the rest
    assert capfd.readouterr().err == ""  # all requests have ended, as the server has stopped


def test_a_stop_ends_work(file: Path) -> None:
    assert _STOP <= 10
    with served(file) as (page, process, _):
        port = int(page.rstrip("/").rpartition(":")[2])
        work = b"0.5," * 177 + b"0.5\n"
        with ExitStack() as opened:
            for _ in range(3):
                one = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                head = "POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\n"
                one.sendall(f"{head}content-length: {len(work) * 40_000}\r\n\r\n".encode())
                one.sendall(work * 40_000)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=25)
        assert len(err) < 2000


def test_more_large_bodies_than_fit_end_the_one_that_waits_longest(eeg: ServedModel) -> None:
    async def some() -> None:
        statuses: list[int] = []
        app = application(Service(eeg, Limits(bytes=200_000)))
        release = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def ask(*, waits: bool) -> None:
            parts = iter([{"type": "http.request", "body": b" " * 190_000, "more_body": True}])

            async def receive() -> Any:
                part = next(parts, None)
                if part is None and waits:
                    await release.wait()
                return part or {"type": "http.disconnect"}

            headers = [(b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": headers}
            await app({**scope, "query_string": b"", "http_version": "1.1"}, receive, send)

        tasks = []
        for _ in range(6):
            tasks.append(asyncio.create_task(ask(waits=True)))
            await asyncio.sleep(0.05)
        assert statuses == [503, 503, 503]  # three bodies fit
        assert [task.done() for task in tasks] == [True] * 3 + [False] * 3
        release.set()
        await asyncio.gather(*tasks)

    asyncio.run(some())
