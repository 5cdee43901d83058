"""What the page on tasks says is so."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.docs.conftest import DOCS
from tests.test_docs import fences, text_of

from sequela.cohort.task_files import DeclaredTask, declared_task, read_task
from sequela.cohort.tasks import RULES, TASKS
from sequela.datasets.codes import families_where
from sequela.sequences.flat import LAYOUT

PAGE, DISK = DOCS / "tasks.md", DOCS / "contributing/sequences.md"
TEXT = PAGE.read_text("utf-8")


def named_in_table(below: str, page: Path = PAGE) -> set[str]:
    """The words in the first column of the first table under a heading."""
    section = text_of(page, below).split("\n#")[0]
    (first, *_) = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    cells = [line.split("|")[1] for line in first.splitlines()]
    return {word for cell in cells for word in re.findall(r"`([\w-]+)`", cell)}


def test_each_task_rule_and_array_is_described() -> None:
    assert named_in_table("The tasks") == set(TASKS)
    assert named_in_table("Rules") == {*RULES, "duplicates"}
    assert named_in_table("Files", DISK) == set(LAYOUT)
    assert all(f"`{family}`" in TEXT for family in families_where("coded_later"))


def test_the_example_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_meds: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[tuple[Any, ...]] = []
    for subject, outcome in enumerate(["alive", "expired", "alive"]):
        rows += [
            (subject, "2020-01-01", "HOSPITAL_ADMISSION//E", subject),
            (subject, "2020-01-09", "HOSPITAL_DISCHARGE//H", subject),
            (subject, "2020-01-09", f"HOSPITAL_OUTCOME//{outcome}", subject),
        ]
    root = write_meds(tmp_path / "events", rows)
    (root / "metadata").mkdir()
    splits = pa.table({"subject_id": [0, 1, 2], "split": ["train", "train", "held_out"]})
    pq.write_table(splits, root / "metadata/subject_splits.parquet")
    (script,) = fences(DISK, "python")
    (tmp_path / "example.py").write_text(script, "utf-8")
    monkeypatch.chdir(tmp_path)
    result = runpy.run_path("example.py")
    assert "3 examples of 3 subjects, 1 positive" in capsys.readouterr().out
    assert result["batch_sizes"].tolist() == [2]


def test_the_tasks_of_ones_own_are_tasks(tmp_path: Path) -> None:
    texts = fences(PAGE, "toml")
    assert len(texts) == 2
    for text in texts:
        (tmp_path / "task.toml").write_text(text, "utf-8")
        task = declared_task(*read_task(tmp_path / "task.toml"))
        assert f"--task {task.name}.toml" in TEXT
    section = text_of(PAGE, "Your own task")
    assert set(DeclaredTask.model_fields) <= set(re.findall(r"`(\w+)`", section))
