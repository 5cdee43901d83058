"""The command: where it listens, what it refuses in one line, and how it stops."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.serving.web.conftest import body

from sequela.errors import SettingError
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import MANIFEST
from sequela.serving.export import exported
from sequela.serving.web.guards import Limits
from sequela.serving.web.server import Place, token_of


@pytest.fixture(scope="module")
def file(eeg_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as one ONNX file."""
    path = tmp_path_factory.mktemp("export") / "mlp.onnx"
    path.write_bytes(exported(eeg_run.path))
    return path


def command(*more: str | Path) -> list[str]:
    return [sys.executable, "-m", "sequela", "serve", *map(str, more)]


@contextmanager
def served(*more: str | Path) -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """The command running: its address, its process, and what it said first."""
    process = subprocess.Popen(
        command(*more, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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


def test_a_file_and_its_run_say_the_same_and_stop(
    file: Path, eeg_run: RunFolder, segment: list[float]
) -> None:
    found = []
    for model in (file, eeg_run.path):
        with served(model) as (page, process, said):
            assert page.startswith("http://127.0.0.1:")
            assert said[-1] == "only this machine reaches it (--host)"
            request = urllib.request.Request(  # noqa: S310 - our own
                f"{page}v1/predict", body(segment), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
                found.append(json.load(reply)["predictions"][0]["probabilities"])
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert (process.returncode, out.strip(), err) == (0, "stopped", "")
    for name, chance in found[0].items():
        assert chance == pytest.approx(found[1][name], abs=1e-5)


def test_a_file_is_served_without_torch(file: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from sequela.serving.served import load\n"
        "from sequela.serving.web.app import Service, application\n"
        "from sequela.serving.web.guards import Limits\n"
        f"application(Service(load(Path({str(file)!r})), Limits()))\n"
        "print('served')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "served", done.stderr


def refused(*more: str | Path) -> str:
    done = subprocess.run(command(*more), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("sequela: error: ")
    return line


def test_a_taken_port_is_said_in_one_line(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert "is taken by another program" in refused(file, "--port", str(port))


def test_what_cannot_be_served_is_refused(file: Path, eeg_run: RunFolder, tmp_path: Path) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(eeg_run.path, unfinished)
    (unfinished / MANIFEST).unlink()
    assert "is not finished" in refused(unfinished)
    whole = file.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refused(tmp_path / "cut.onnx")
    (tmp_path / "edited.onnx").write_bytes(whole.replace(b"seizure", b"seizurE"))
    assert "edited" in refused(tmp_path / "edited.onnx")
    assert "nowhere" in refused(tmp_path / "nowhere.onnx")
    assert "--batch" in refused(file, "--batch", "0")
    assert "--port 70000 is none" in refused(file, "--port", "70000")
    assert "--timeout is 0" in refused(file, "--timeout", "0")


def test_each_address_of_this_machine_may_be_asked_by_its_name(file: Path) -> None:
    with (
        served(file, "--host", "127.0.0.2") as (page, _, __),
        urllib.request.urlopen(f"{page}health", timeout=20) as reply,  # noqa: S310 - our own
    ):
        assert page.startswith("http://127.0.0.2:")
        assert reply.status == 200


def test_other_machines_need_a_token(file: Path) -> None:
    with served(file, "--host", "0.0.0.0") as (_, __, said):  # noqa: S104 - it is what is tested
        assert any(line.startswith("access token: ") for line in said)
        assert "other machines reach it: who has the token" in said[-1]


def test_a_token_is_given_made_or_refused() -> None:
    assert token_of(None, wanted=False) == ""
    assert len(token_of(None, wanted=True)) > 30
    assert token_of("0123456789abcdef", wanted=True) == "0123456789abcdef"
    with pytest.raises(SettingError, match="has 3 characters: expected 16"):
        token_of("abc", wanted=True)


def test_what_this_machine_alone_reaches() -> None:
    assert all(Place(host).local for host in ("127.0.0.1", "localhost", "::1"))
    others = ("0.0.0.0", "192.0.2.1", "example.org")  # noqa: S104 - nothing listens
    assert not any(Place(host).local for host in others)


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot listen at 192"):
        Place("192.0.2.1", 0).listen()
    with pytest.raises(SettingError, match="--rate is -1"):
        Limits.of(rate=-1)
