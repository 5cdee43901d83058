"""Runs in several processes."""

import importlib
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.runs import fit, pool
from sequela.runs.pool import PlannedRun, PoolJob, in_processes


def planned(name: str) -> PlannedRun:
    return PlannedRun(Path(name), RunSettings.of(model="mlp-baseline", data="bonn"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Jobs run in threads, and snapshots follow each other quickly."""
    monkeypatch.setattr(
        pool, "ProcessPoolExecutor", lambda count, *_, **__: ThreadPoolExecutor(count)
    )
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.01)
    return monkeypatch


def test_what_is_finished(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train(settings: RunSettings, out: Path, **_: Any) -> None:
        time.sleep(0.1)
        out.mkdir(exist_ok=True)
        (out / "manifest.json").touch()

    here.setattr(fit, "train", train)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "manifest.json").touch()
    runs = tuple(planned(str(tmp_path / name)) for name in ("a", "kept", "b"))
    snapshots = list(in_processes([PoolJob(runs, None)], 2))
    assert snapshots[0] == (runs[1],)
    assert snapshots[-1] == (runs[1], runs[0], runs[2])
    assert {len(finished) for finished in snapshots} == {1, 2, 3}


def test_an_error_ends_it(here: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise ValueError("no such data")

    here.setattr(fit, "train", train)
    with pytest.raises(ValueError, match="no such data"):
        list(in_processes([PoolJob((planned("a"),), None)], 1))


STAND_INS = """
import os, time
from sequela.runs.pool import PlannedRun

class Dies(PlannedRun):
    def train(self, **_):
        os._exit(9)  # as where memory is short

class Waits(PlannedRun):
    def train(self, **_):
        time.sleep(60)
"""


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs of a module that another process can import."""
    (tmp_path / "stand_ins.py").write_text(STAND_INS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stand_ins", raising=False)
    return importlib.import_module("stand_ins")


def test_a_process_that_dies_is_an_error(stand_ins: Any) -> None:
    run = planned("a")
    with pytest.raises(RunError, match="was killed, probably because memory was short"):
        list(in_processes([PoolJob((stand_ins.Dies(run.path, run.settings),), None)], 1))


@pytest.mark.slow
def test_who_stops_looking_ends_the_processes(stand_ins: Any) -> None:
    run = stand_ins.Waits(Path("a"), planned("a").settings)
    with closing(in_processes([PoolJob((run,), None)], 1)) as snapshots:
        next(snapshots)
        (worker,) = multiprocessing.active_children()
    with pytest.raises(ProcessLookupError):  # whichever thread of the pool waited for it
        os.kill(worker.pid or 0, 0)  # 0 is this process, and exists
