"""Small real runs on the hospital tables that ship with the package."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from sequela.config import RunSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.runs import fit, records, signals
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.studies.settings import run_settings


@pytest.fixture(scope="session")
def asked() -> Callable[..., RunSettings]:
    """Settings of a short run: of MIMIC-III unless said otherwise."""

    def ask(
        model: str = "visits-baseline",
        data: str = "mimic3",
        *,
        epochs: int = 3,
        seed: int = 0,
        **said: Any,
    ) -> RunSettings:
        training = {"epochs": epochs}
        return run_settings(model, data, seed=seed, records=said, training=training)

    return ask


@pytest.fixture(scope="session")
def records_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where events and sequences of the excerpts are made once for all tests."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def opened(records_work: Path) -> Callable[[RunSettings], Examples]:
    """What a run starts from."""

    def load(settings: RunSettings) -> Examples:
        return records.load(settings, EXCERPTS / settings.data, records_work)

    return load


@pytest.fixture(scope="session")
def trained(
    records_work: Path, synthetic: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[RunSettings], RunFolder]:
    """A finished run of some settings, made once; who changes it copies it."""
    made: dict[str, RunFolder] = {}

    def train(settings: RunSettings) -> RunFolder:
        key = settings.model_dump_json()
        if key not in made:
            out = tmp_path_factory.mktemp("run") / "run"
            root = synthetic if settings.data == "bonn" else EXCERPTS / settings.data
            made[key] = fit.train(settings, out, root=root, work=records_work)
        return made[key]

    return train


@pytest.fixture(scope="session")
def recordings(synthetic: Path) -> Examples:
    return signals.load(RunSettings(model="mlp-baseline", data="bonn"), synthetic)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes that share what one of them has imported; each is told its own environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sequela.analysis.tune"])
    return context
