"""Real data as runs read them, and a run of it, made once."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.conftest import Once

from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.runs.data import Examples, load
from sequela.runs.fit import train
from sequela.runs.signals import Recordings
from sequela.serving.export import write_export

ON_BONN: Any = {"data": "bonn", "split": "session"}


@pytest.fixture(scope="session")
def bonn(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """The segments of Bonn that ship with the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQUELA_DATA", raising=False)
        work = tmp_path_factory.mktemp("bonn")
        data = load(RunSettings(model="mlp-baseline", data="bonn", split="session"), None, work)
        assert isinstance(data, Recordings)
        return data


@pytest.fixture(scope="session")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 200 stays of PhysioNet 2012 in the excerpt."""
    path = tmp_path_factory.mktemp("challenge") / "physionet2012.parquet"
    pq.write_table(pq.read_table(EXCERPTS / path.name).slice(0, 200), path)
    return path


@pytest.fixture(scope="session")
def stays(challenge: Path, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """ICU stays of PhysioNet 2012, with bins, ages and measurements."""
    asked = CohortSettings(bins=4, demographics=True)
    settings = RunSettings(model="values-lstm", data="physionet2012", split="subject", cohort=asked)
    return load(settings, challenge, tmp_path_factory.mktemp("stays"))


@pytest.fixture(scope="session")
def run(once: Once) -> Path:
    """A finished run of a small network on Bonn: quick, and good enough to tell seizures."""
    training = TrainingSettings(epochs=5, learning_rate=3e-3)
    return made(once, RunSettings(model="spectral-mlp-small", **ON_BONN, training=training))


@pytest.fixture(scope="session")
def baseline(once: Once) -> Path:
    """A finished run of logistic regression on Bonn."""
    return made(once, RunSettings(model="spectral-logistic-regression", **ON_BONN))


def made(once: Once, settings: RunSettings) -> Path:
    """Train on the recordings of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQUELA_DATA", raising=False)
        return once(settings.model, lambda out: train(settings, out / "run")) / "run"


@pytest.fixture(scope="session")
def file(run: Path, once: Once) -> Path:
    """The run of the network as a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQUELA_DATA", raising=False)
        return once("file", lambda out: write_export(run, out / "network.onnx")) / "network.onnx"
