"""What lives on a terminal, and what is written where there is none."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from sequela.cli.progress import ReadingProgress, RunProgress, StudyProgress
from sequela.config import RunSettings
from sequela.listeners import broadcast, listening
from sequela.runs.pool import PlannedRun, PoolJob
from sequela.training.history import EpochRecord

ESCAPE = "\x1b"


def written_to(*, terminal: bool, width: int = 80, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
    return Console(
        file=file, force_terminal=terminal, width=width, highlight=False, color_system=None
    )


def text(console: Console) -> str:
    assert isinstance(console.file, io.TextIOWrapper)
    console.file.seek(0)
    return console.file.read()


def planned(model: str) -> PlannedRun:
    settings = RunSettings.of(
        model=model,
        data="eicu",
        split="subject",
        cohort={"task": "in-hospital", "hindsight": True},
        training={"epochs": 60},
    )
    return PlannedRun(Path(model), settings)


RUN = planned("visits-baseline")


def job(folder: Path, name: str, seconds: float, folds: int = 0) -> PoolJob:
    """A job of one run, which takes so many seconds for each of its models."""
    settings = RunSettings.of(model=name, data="bonn")
    return PoolJob((PlannedRun(folder / name, settings, folds, seconds=seconds - 0.7),), None)


def finish(*folders: Path) -> None:
    """Write the last file of finished runs."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text("{}", "utf-8")


def seconds_left(line: str) -> int:
    minutes, seconds = re.findall(r"about (\d+):(\d+) left", line)[-1]
    return 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_study_shows_what_is_trained_and_the_time_left(
    terminal: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = written_to(terminal=terminal, width=120)
    clock = 100.0
    monkeypatch.setattr("sequela.cli.progress.time.monotonic", lambda: clock)
    cheap = [job(tmp_path, name, 2.0) for name in ("majority-class", "logistic-regression")]
    jobs = [*cheap, job(tmp_path, "mlp-baseline", 40.0), job(tmp_path, "gru-improved", 40.0, 5)]
    finish(tmp_path / "majority-class")  # before
    with StudyProgress(console) as shown:
        shown.look(jobs, 2)
        clock += 70  # this machine is as fast as the usual one
        finish(tmp_path / "logistic-regression", tmp_path / "gru-improved" / "fold-00")
        (tmp_path / "mlp-baseline").mkdir()
        shown.look(jobs, 2)
        shown.bar.refresh()
        at_70 = text(console)
        clock += 130
        finish(*(tmp_path / "gru-improved" / f"fold-0{fold}" for fold in range(1, 5)))
        shown.look(jobs, 2)
    # By the number of runs, 4:40 of 0:35 would be left: two cheap ones, and one of five minutes.
    assert "2 of 4 runs, 1:10 elapsed, about " in at_70
    assert 0.8 < seconds_left(at_70) / 160 < 1.4
    assert "left: mlp-baseline, gru-improved" in at_70
    assert 0.5 < seconds_left(text(console)) / 40 < 1.5
    if not terminal:
        assert text(console).count("\n") == 2


def test_a_slower_machine_is_believed_more_and_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, clock = written_to(terminal=False), 0.0
    monkeypatch.setattr("sequela.cli.progress.time.monotonic", lambda: clock)
    jobs = [job(tmp_path, f"gru-improved-{number}", 100.0) for number in range(10)]
    errors = []
    with StudyProgress(console) as shown:
        for number in range(10):
            shown.look(jobs, 1)
            if number:
                errors.append(seconds_left(text(console)) / (300 * (10 - number)) - 1)
            finish(tmp_path / f"gru-improved-{number}")
            clock += 300  # three times the usual time
    assert abs(errors[0]) > abs(errors[-1])
    assert max(map(abs, errors[2:])) < 0.2


@pytest.mark.parametrize("terminal", [True, False])
def test_epochs_of_a_run(terminal: bool) -> None:  # noqa: FBT001
    console = written_to(terminal=terminal, width=120)
    history = [EpochRecord(7, part, 0.5, 0.1, {"accuracy": 0.75}, 1e-3) for part in ("", "")]
    with RunProgress(console, RUN) as shown:
        shown.on_epoch_end(history)
    said = text(console)
    assert "loss 0.500, validation 0.500" in said
    assert "accuracy" not in said  # of few people, it says how many the model is wrong about
    assert (ESCAPE in said) == terminal
    assert ("7/60" in said) == terminal
    assert said.startswith("epoch 7: ") != terminal


def test_epochs_on_published_recordings_say_the_accuracy() -> None:
    console = written_to(terminal=False)
    run = PlannedRun(Path("run"), RunSettings.of(model="mlp-baseline", data="bonn"), 0)
    history = [EpochRecord(7, part, 0.5, 0.1, {"accuracy": 0.75}, 1e-3) for part in ("", "")]
    with RunProgress(console, run) as shown:
        shown.on_epoch_end(history)
    assert "validation 0.500, accuracy 0.750" in text(console)


def test_reading_many_rows_prints_the_rows_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("sequela.cli.progress.time.monotonic", lambda: now)
    with listening(ReadingProgress()):
        for number in range(1, 5):  # a pass takes 6 seconds
            broadcast("on_rows", f"selecting, pass {number} of 4", 2_000_000 * number, 8_000_000)
            now += 6
        for number in (1, 2):  # again
            broadcast("on_rows", f"selecting, pass {number} of 4", 1_000_000 * number, 8_000_000)
            now += 6
        for done in (100, 500, 900):  # few rows
            broadcast("on_rows", "writing", done, 900)
            now += 6
    broadcast("on_rows", "nobody listens", 1, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "selecting, pass 2 of 4: 4,000,000 of 8,000,000 rows, about 0:12 left",
        "selecting, pass 3 of 4: 6,000,000 of 8,000,000 rows, about 0:06 left",
        "selecting, pass 4 of 4: 8,000,000 of 8,000,000 rows, about 0:00 left",
        "selecting, pass 2 of 4: 2,000,000 of 8,000,000 rows, about 0:36 left",
    ]
