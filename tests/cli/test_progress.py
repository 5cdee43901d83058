"""What lives on a terminal, and what is written where there is none."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from sequela.cli.progress import ReadingProgress, RunProgress, StudyProgress
from sequela.config import RunSettings
from sequela.listeners import broadcast, listening
from sequela.runs.pool import PlannedRun
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


@pytest.mark.parametrize("terminal", [True, False])
def test_finished_runs_of_a_study(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    console = written_to(terminal=terminal)
    clock = 100.0
    monkeypatch.setattr("sequela.cli.progress.time.monotonic", lambda: clock)
    with StudyProgress(console) as shown:
        shown.look(1, 5)  # finished before
        clock += 70
        shown.look(3, 5)
    assert "3 of 5 runs, 1:10 elapsed, about 1:10 left" in text(console)
    if not terminal:
        assert text(console).count("\n") == 1


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
