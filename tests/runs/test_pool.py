"""Runs in several processes: what is said of them, and how long the rest takes."""

import importlib
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.listeners import broadcast
from sequela.runs import fit, folds, pool
from sequela.runs.pool import PlannedRun, PoolJob, RunInTraining, Snapshot, in_processes
from sequela.training.history import EpochRecord


def planned(name: str, *, model: str = "mlp-baseline", folds: int = 0) -> PlannedRun:
    training = {"epochs": 4}
    return PlannedRun(
        Path(name), RunSettings.of(model=model, data="bonn", training=training), folds
    )


def after(epochs: int) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, part, 1.0, 0.1, {}, 1e-3)
        for epoch in range(1, epochs + 1)
        for part in ("train", "tuning")
    ]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Jobs run in threads, and snapshots follow each other quickly."""
    monkeypatch.setattr(
        pool, "ProcessPoolExecutor", lambda count, *_, **__: ThreadPoolExecutor(count)
    )
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.01)
    return monkeypatch


def test_what_is_trained_and_what_is_finished(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train(settings: RunSettings, out: Path, **_: Any) -> None:
        if out.name == "kept":
            return
        for epoch in range(1, 4):
            broadcast("on_epoch_end", after(epoch))
            time.sleep(0.1)

    here.setattr(fit, "train", train)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "manifest.json").touch()
    runs = tuple(planned(str(tmp_path / name)) for name in ("kept", "a", "b"))
    snapshots = list(in_processes([PoolJob(runs, None)], 2))
    last = snapshots[-1]
    assert last.finished == last.planned == runs
    assert set(last.seconds) == {
        tmp_path / "a",
        tmp_path / "b",
    }  # a kept run took no time of its own
    assert all(0.25 < seconds < 5 for seconds in last.seconds.values())
    assert last.training == ()
    seen = {(each.run.path.name, each.epoch) for now in snapshots for each in now.training}
    assert {("a", 1), ("a", 3), ("b", 2)} <= seen
    finished = [len(now.finished) for now in snapshots]
    assert finished == sorted(finished)
    assert {1, 2, 3} <= set(finished)


def test_folds_are_told(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train(settings: RunSettings, out: Path, **_: Any) -> None:
        broadcast("on_epoch_end", after(2))
        time.sleep(0.1)

    here.setattr(fit, "train", train)
    here.setattr(folds, "summarise_runs", lambda _: {})
    run = planned(str(tmp_path / "run"), folds=3)
    snapshots = list(in_processes([PoolJob((run,), None)], 1))
    seen = {(each.split, each.epoch) for now in snapshots for each in now.training}
    assert {(0, 2), (1, 2), (2, 2)} <= seen


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
        for now in snapshots:
            if now.training:
                break
    assert not multiprocessing.active_children()


def test_seconds_left() -> None:
    first, same, other = planned("a"), planned("b"), planned("c", model="gru-improved")

    def left(finished: tuple[PlannedRun, ...], *training: RunInTraining, count: int = 1) -> Any:
        seconds = {run.path: 10.0 for run in finished}
        return Snapshot((first, same, other), finished, seconds, training, count).seconds_left()

    assert left(()) is None
    assert left((), RunInTraining(first)) is None  # no epoch yet
    assert left((first,)) == 20
    assert left((first,), RunInTraining(same, seconds=4.0)) == 16
    assert left((first,), RunInTraining(other, epoch=1, seconds=10.0)) == 10 + 30
    assert left((first,), RunInTraining(other, epoch=1, seconds=10.0), count=2) == 30
    assert left((first, same, other)) == 0


def test_the_share_of_a_run() -> None:
    assert RunInTraining(planned("a"), epoch=1).share == 0.25
    assert RunInTraining(planned("a", folds=2), split=1, epoch=2).share == 0.75
