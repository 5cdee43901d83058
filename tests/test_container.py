"""The container file: rules that such a file must keep, and its very commands."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from tempfile import gettempdir

import edfio
import numpy as np
import pytest

from sequela.config import RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.runs.fit import train
from sequela.serving.export import write_export

ROOT = Path(__file__).parent.parent
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text("utf-8")).splitlines()
PARTS = [line.partition(" ") for line in LINES if line and not line.startswith("#")]
STEPS = [(what, said) for what, _, said in PARTS]
BEGIN = max(place for place, (what, _) in enumerate(STEPS) if what == "FROM")
LAST = STEPS[BEGIN:]
"""The stage that becomes the image."""

GUARDED = """
import os, sys
gone, writable = sys.argv[1].split(","), sys.argv[2]
class Gone:  # as where they are not installed
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in gone:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
def guard(event, given):
    if event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR):
        path = os.fspath(given[0]) if not isinstance(given[0], int) else ""
        if path and not str(path).startswith((writable, "/dev/")):
            os._exit(9)  # WROTE
sys.addaudithook(guard)
sys.argv = sys.argv[3:]
from sequela.cli.app import main
main()
"""


def told(what: str, steps: list[tuple[str, str]] = LAST) -> list[str]:
    return [said for name, said in steps if name == what]


def test_the_image_is_small_and_nobody_is_root() -> None:
    assert {what for what, _ in STEPS} <= {
        *("FROM", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
    }  # no ADD, no secret by ARG, no VOLUME
    for image in told("FROM", STEPS):
        assert re.match(r"python:\d+\.\d+-slim( AS \w+)?$", image), image
    assert not told("RUN")  # what builds stays in the first stage
    (user,) = told("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)  # numbers: Kubernetes can tell
    assert all("TOKEN" not in said and "KEY" not in said for said in told("ENV", STEPS))
    for command in told("RUN", STEPS):
        assert "sudo" not in command
        for call in re.findall(r"pip install[^&]*", command):
            assert "--no-cache-dir" in call
    places = [what for what, _ in LAST]
    assert places.index("USER") < places.index("HEALTHCHECK") < places.index("ENTRYPOINT")


def test_what_is_copied_is_there_and_is_sent() -> None:
    sent = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]
    copied = [
        name
        for said in told("COPY", STEPS)
        if not said.startswith("--from")
        for name in said.split()[:-1]
    ]
    assert sorted(copied) == sorted(sent)
    assert all((ROOT / name).exists() for name in copied)


@pytest.fixture(scope="module", params=["mlp-baseline", "spectral-logistic-regression"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network, and the run folder of a baseline model."""
    work = tmp_path_factory.mktemp("container")
    settings = RunSettings(model=request.param, data="bonn", training=TrainingSettings(epochs=1))
    train(settings, work / "run", root=EXCERPTS / "bonn.parquet")
    if request.param == "spectral-logistic-regression":
        return work / "run"
    write_export(work / "run", work / "model.onnx", check=False)
    return work / "model.onnx"


@pytest.mark.slow  # tests/serving/web/test_server.py serves without torch too
def test_its_commands_serve_without_what_was_taken_out(model: Path, tmp_path: Path) -> None:
    (built,) = told("RUN", STEPS)
    names = built.partition("uninstall --yes ")[2].split()
    modules = {"vl-convert-python": "vl_convert"}
    gone = [modules.get(name, name.replace("-", "_")) for name in names] + ["torch"]
    (entry,), (given,) = map(json.loads, told("ENTRYPOINT")), map(json.loads, told("CMD"))
    assert given[0] == "/model/model.onnx"
    arguments = [*entry, str(model), *given[1:-1], "0"]  # any port that is free
    assert given[-1] == "8000"
    signal_ = np.random.default_rng(0).normal(scale=50, size=2560)
    recording = tmp_path / "x.edf"
    edfio.Edf([edfio.EdfSignal(signal_, 256, label="Fz", physical_dimension="uV")]).write(recording)
    environment = {
        **os.environ,
        "SEQUELA_TOKEN": "0123456789abcdef",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-c", GUARDED, ",".join(gone), gettempdir(), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            address = next(line.split()[1] for line in lines if line.startswith("page:"))
            port = address.rstrip("/").rpartition(":")[2]
            health = json.loads(told("HEALTHCHECK")[0].partition("CMD ")[2])
            asked = [sys.executable, *(part.replace("8000", port) for part in health[1:])]
            assert subprocess.run(asked, check=False).returncode == 0
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/predict",
                recording.read_bytes(),
                {"content-type": "application/edf", "authorization": "Bearer 0123456789abcdef"},
            )
            with urllib.request.urlopen(request) as reply:  # noqa: S310
                assert len(json.load(reply)["predictions"]) == 9
        finally:
            server.send_signal(signal.SIGTERM)
            ended = server.wait(timeout=30)
    assert ended in (0, -signal.SIGTERM)  # and not WROTE
    assert subprocess.run(asked, check=False, capture_output=True).returncode != 0  # and now none
