"""Runs that are killed, doubled, removed under way or without room: nothing is lost or left."""

import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from benchmarks import kills
from tests.cli.calls import ran, refusal
from tests.runs.folders import after, after_fold, interrupt

from sequela import files
from sequela.config import RunSettings, TrainingSettings
from sequela.errors import OutputError, RunError
from sequela.listeners import listening
from sequela.runs import fit
from sequela.runs.find import named_runs
from sequela.runs.folds import cross_validate


def settings_of(model: str = "mlp-baseline", epochs: int = 3) -> RunSettings:
    return RunSettings(model=model, data="bonn", training=TrainingSettings(epochs=epochs))


class Here(kills.Place):
    """A place where a command that is not killed runs in this process."""

    def finish(self, arguments: Sequence[str]) -> str:
        with pytest.MonkeyPatch.context() as here:
            here.chdir(self.out)
            here.setattr(tempfile, "tempdir", str(self.temporary))
            here.setenv("SEQUELA_OPENINGS", str(self.temporary.parent / "openings.jsonl"))
            for name, value in self.case.environment(self.out).items():
                here.setenv(name, value)
            ran(*arguments)
        return ""


def undisturbed(case: kills.Case, at: Path) -> tuple[kills.Place, float]:
    place, began = Here(case, at), time.monotonic()
    place.finish(case.arguments)
    return place, time.monotonic() - began


@pytest.fixture(autouse=True)
def each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, a checkpoint is written after each epoch."""
    monkeypatch.setattr("sequela.training.fit.CHECKPOINT_SECONDS", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["build", "folds"])
def test_killed_at_random_moments(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "Place", Here)
    monkeypatch.setattr(kills, "undisturbed", undisturbed)
    case = kills.cases(tmp_path / "plugin.py")[name]
    count = kills.try_kills(case, 1, random.Random(name), tmp_path / name)
    assert (count.wrong, count.survived, count.leftovers, count.orphans) == ([], 1, 0, 0)


HOLDER = """
import sys, time
from pathlib import Path
from sequela.files import held, scratch_beside, whole

with held(Path(sys.argv[1])), scratch_beside(Path(sys.argv[1])), whole(Path(sys.argv[1]) / "a.txt"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the folder ``run``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_process_a_run(
    holder: subprocess.Popen[str], synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.3)
    run = tmp_path / "run"
    (run / "config.toml").write_text(settings_of().to_toml())
    for resumed in (
        lambda: fit.train(settings_of(), run, root=synthetic, resume=True),
        lambda: cross_validate(settings_of(), run, folds=2, root=synthetic),
    ):
        with pytest.raises((OutputError, ValueError), match=r"another process writes|not empty"):
            resumed()
    there = len(list(tmp_path.iterdir()))
    holder.kill()
    holder.wait()
    assert there == 2  # the run, and the other process's folder for a while
    fit.train(settings_of(), run, root=synthetic, resume=True)
    with files.whole(run / "a.txt") as partial:
        partial.write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_what_a_living_process_writes_stays(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    def theirs() -> set[Path]:
        return {path for path in tmp_path.rglob(".*") if path.suffix in {".partial", ".work"}}

    before = theirs()
    assert len(before) == 2
    with files.whole(tmp_path / "run/a.txt") as partial, files.scratch_beside(tmp_path / "run"):
        partial.write_text("ours")
        assert before < theirs()
    assert theirs() == before


def test_a_run_that_was_killed_before_anything_was_written(synthetic: Path, tmp_path: Path) -> None:
    left = tmp_path / "run/.config.toml.0123456789abcdef.work"
    left.mkdir(parents=True)
    of_version_0_2 = tmp_path / "run/.split.json.0123456789abcdef.partial"
    for path in (tmp_path / "run/.lock", left / ".lock", left / "new", of_version_0_2):
        path.touch()
    fit.train(settings_of("majority-class"), tmp_path / "run", root=synthetic)
    assert [*(tmp_path / "run").glob(".*")] == [of_version_0_2]
    (tmp_path / "folds/fold-00").mkdir(parents=True)
    (tmp_path / "folds/fold-00/.lock").touch()
    cross_validate(settings_of("majority-class"), tmp_path / "folds", folds=2, root=synthetic)
    named_runs([tmp_path / "run", tmp_path / "folds"])


def test_a_link_in_a_run_is_refused(synthetic: Path, tmp_path: Path) -> None:
    victim, run = tmp_path / "victim.txt", tmp_path / "run"
    victim.write_text("precious")
    with pytest.raises(KeyboardInterrupt), listening(after(1, interrupt)):
        fit.train(settings_of(), run, root=synthetic)
    for name in ("metrics.json.partial", "environment.json.partial", "predictions.parquet"):
        (run / name).symlink_to(victim)
        with pytest.raises(RunError, match=f"{name}: is a link"):
            fit.train(settings_of(), run, root=synthetic, resume=True)
        assert victim.read_text() == "precious"
        (run / name).unlink()
    shutil.move(run / "checkpoint", tmp_path / "elsewhere")
    (run / "checkpoint").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="checkpoint: is a link"):
        fit.train(settings_of(), run, root=synthetic, resume=True)


def test_a_link_that_comes_under_way_is_not_followed(synthetic: Path, tmp_path: Path) -> None:
    run, victim, elsewhere = tmp_path / "run", tmp_path / "victim.txt", tmp_path / "elsewhere"
    victim.write_text("precious")
    elsewhere.mkdir()

    def plant() -> None:
        (run / "metrics.json.partial").symlink_to(victim)
        (run / "environment.json").unlink()
        (run / "environment.json").symlink_to(victim)
        shutil.rmtree(run / "checkpoint")
        (run / "checkpoint").symlink_to(elsewhere)

    refused = pytest.raises(OutputError, match="checkpoint: it is a link to another place")
    with refused, listening(after(1, plant)):
        fit.train(settings_of(), run, root=synthetic)
    assert victim.read_text() == "precious"
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("instead", [[], ["another"]])
def test_a_folder_that_is_removed_is_not_made_again(
    instead: list[str], synthetic: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs/run"

    def remove() -> None:
        shutil.rmtree(run)
        for name in instead:
            run.mkdir()
            (run / name).touch()

    refused = pytest.raises(OutputError, match="was removed or moved during writing")
    with refused, listening(after(2, remove)):
        fit.train(settings_of(), run, root=synthetic)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == instead
    assert run.exists() == bool(instead)


def test_folds_are_not_made_again(synthetic: Path, tmp_path: Path) -> None:
    out = tmp_path / "folds"
    refused = pytest.raises(OutputError, match="folds: was removed or moved")
    with refused, listening(after_fold(lambda: shutil.rmtree(out))):
        cross_validate(settings_of("majority-class"), out, folds=2, root=synthetic)
    assert not list(tmp_path.iterdir())


PARENT = """
import os, sys, time
from pathlib import Path
from sequela.config import RunSettings
from sequela.runs.pool import PoolJob, PlannedRun, in_processes

class Waits(PlannedRun):
    def train(self, **_):
        time.sleep(60)

if __name__ == "__main__":
    run = Waits(Path("a"), RunSettings.of(model="mlp-baseline", data="bonn"))
    for now in in_processes([PoolJob((run,), None)], 2):
        print(len(now), flush=True)
"""


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT, "utf-8")
    command = [sys.executable, str(tmp_path / "parent.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout
        workers: list[psutil.Process] = []
        while len(workers) < 2:
            assert parent.stdout.readline()
            workers = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def check_unfinished(left: Iterable[str], *there: str) -> None:
    names = set(left)
    assert {"config.toml", *there} <= names
    assert not [name for name in names if name.startswith(".") or name == "manifest.json"]


def test_where_files_may_not_be_large(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = ["train", "mlp-improved", "--data", "bonn", "--epochs", "2", "--root", str(synthetic)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        line = refusal(capsys, *words, "--out", tmp_path / "run", silent=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "larger than files may be there" in line
    check_unfinished(path.name for path in (tmp_path / "run").iterdir())


HUNGRY = """
import os
import torch
from torch import Tensor, nn

class Hungry(nn.Module):
    steps = 0

    def __init__(self, n_chans: int, n_times: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_times, n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        Hungry.steps += self.training and signal.shape[0] > 1
        if Hungry.steps > 10:
            torch.empty(2**50, dtype=torch.uint8)  # 1 PiB: what no machine has
        return self.linear(signal.mean(1))
"""


def test_where_memory_is_short(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY, "utf-8")
    words = ["train", f"{tmp_path}/hungry.py:Hungry", "--data", "bonn", "--root", str(synthetic)]
    line = refusal(capsys, *words, "--batch-size", "100", "--out", tmp_path / "run", silent=False)
    assert "out of memory" in line
    left = (path.name for path in (tmp_path / "run").rglob("*"))
    check_unfinished(left, "split.json", "state.safetensors")  # of the first epoch
