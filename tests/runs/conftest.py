"""Small real runs on the hospital tables that ship with the package."""

import hashlib
import multiprocessing
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Once

from sequela.config import Options, RunSettings
from sequela.runs import fit, records, signals
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate
from sequela.runs.records import Records
from sequela.runs.signals import Recordings
from sequela.studies.settings import run_settings

Ask = Callable[..., RunSettings]
"""Settings of a short run."""
Load = Callable[[RunSettings], Records]
"""What a run starts from."""
Train = Callable[[RunSettings], RunFolder]
"""A finished run."""
Place = Callable[[str], Path]
"""Where the data of a data set are."""


@pytest.fixture(scope="session")
def asked() -> Ask:
    """Settings of a short run: of MIMIC-III unless said otherwise."""

    def ask(
        model: str = "visits-baseline",
        data: str = "mimic3",
        *,
        epochs: int = 3,
        seed: int = 0,
        **said: Any,
    ) -> RunSettings:
        return run_settings(model, data, Options.of(seed=seed, epochs=epochs, **said))

    return ask


@pytest.fixture(scope="session")
def place(synthetic: Path, excerpt_events: Place) -> Place:
    """Return where the data of a run are, by the name of the data set."""
    return lambda name: synthetic if name == "bonn" else excerpt_events(name)


@pytest.fixture(scope="session")
def records_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sequences that are made once for all tests."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def mimic3(place: Place, records_work: Path) -> dict[str, Any]:
    """Where a run finds the events of MIMIC-III and writes its sequences: arguments of a fit."""
    return {"root": place("mimic3"), "work": records_work}


@pytest.fixture(scope="session")
def opened(place: Place, records_work: Path) -> Load:
    """What a run starts from."""
    return lambda settings: records.load(settings, place(settings.data), records_work)


@pytest.fixture(scope="session")
def trained(place: Place, records_work: Path, once: Once) -> Train:
    """A finished run of some settings, made once for all workers; who changes it copies it."""

    @cache
    def train(content: str) -> RunFolder:
        settings = RunSettings.model_validate_json(content)
        options: dict[str, Any] = {"root": place(settings.data), "work": records_work}
        name = f"run-{hashlib.sha256(content.encode()).hexdigest()}"
        return RunFolder(
            once(name, lambda out: fit.train(settings, out / "run", **options)) / "run"
        )

    return lambda settings: train(settings.model_dump_json())


@pytest.fixture(scope="session")
def cross_validated(asked: Ask, mimic3: dict[str, Any], once: Once) -> Callable[[str], FoldsFolder]:
    """Two folds of MIMIC-III, dealt twice, of a model, made once for all workers."""

    @cache
    def validate(model: str) -> FoldsFolder:
        settings = asked(model, epochs=2)
        options: dict[str, Any] = {"folds": 2, "repeats": 2, **mimic3}
        fill = lambda out: cross_validate(settings, out / "folds", **options)  # noqa: E731
        return FoldsFolder(once(f"folds-{model}", fill) / "folds")

    return validate


@pytest.fixture(scope="session")
def recordings(synthetic: Path) -> Recordings:
    return signals.load(RunSettings(model="mlp-baseline", data="bonn"), synthetic)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes that share what one of them has imported; each is told its own environment."""
    context = multiprocessing.get_context("forkserver")
    # A worker has one such server, so those of a web server share it too.
    context.set_forkserver_preload(["sequela.analysis.tune", "sequela.web.lanes", "onnxruntime"])
    return context
