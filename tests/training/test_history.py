"""The records of a fit on disk."""

from pathlib import Path

import pytest

from sequela.errors import RunError
from sequela.training.history import EpochRecord, best_epoch, read, to_lines


def records(*tuning_losses: float) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, part, loss if part == "tuning" else 0.0, 0.5, {"accuracy": 0.25}, 1e-3)
        for epoch, loss in enumerate(tuning_losses, start=1)
        for part in ("train", "tuning")
    ]


def test_the_best_epoch_is_the_first_of_the_lowest_tuning_losses() -> None:
    assert best_epoch(records(3.0, 1.0, 2.0, 1.0)) == 2


def test_history_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(to_lines(records(0.1 + 0.2, 1e-17)), "utf-8")
    assert len(path.read_text("utf-8").splitlines()) == 4
    assert read(path) == records(0.1 + 0.2, 1e-17)


BEFORE_THE_FIRST = to_lines(records(1.0)).partition("\n")[0].replace('"epoch": 1', '"epoch": 0')


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"epoch": 1}', '{"epohc": 1}', BEFORE_THE_FIRST])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(to_lines(records(1.0)) + line + "\n", "utf-8")
    with pytest.raises(RunError, match=r"history\.jsonl:3: not a record of an epoch"):
        read(path)


def test_no_history(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not found; expected the history of a run"):
        read(tmp_path / "history.jsonl")
