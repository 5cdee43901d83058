"""Files that appear whole or not at all."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sequela import files
from sequela.errors import OutputError
from sequela.files import whole


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old", "utf-8")

    def write_half() -> None:
        with whole(file) as partial:
            partial.write_text("half", "utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {p.name: p.read_text("utf-8") for p in tmp_path.iterdir()} == {"a.txt": "old"}


def test_what_was_written_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "made" / "a.txt"
    with whole(file) as partial:
        partial.write_text("new", "utf-8")
        assert not file.exists()
    assert [p.name for p in file.parent.iterdir()] == ["a.txt"]
    assert file.read_text("utf-8") == "new"


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as error, whole(tmp_path / "a.txt") as partial:
        (partial.parent / "missing").read_bytes()
    assert str(error.value).startswith(f"{tmp_path / 'a.txt'}: ")


@pytest.fixture
def leftover(tmp_path: Path) -> Path:
    """A folder as a killed process leaves it, beside ``run``."""
    left = tmp_path / ".run.0123456789abcdef.work"
    (left / "made").mkdir(parents=True)
    (left / files.LOCK).touch()
    return left


def test_what_a_killed_process_left_goes(leftover: Path) -> None:
    with files.scratch_beside(leftover.with_name("run")):
        assert not leftover.exists()


def test_a_folder_whose_owner_ends_just_now_is_not_taken_for_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the lock of another process and locking it, that process ends."""
    lock = files._lock
    with ExitStack() as owner:
        owner.enter_context(files.scratch_beside(tmp_path / "run"))

        def owner_ends_first(handle: int) -> bool | None:
            owner.close()
            return lock(handle)

        monkeypatch.setattr(files, "_lock", owner_ends_first)
        assert list(files._leftovers(tmp_path / "run")) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["is_dir", "iterdir", "exists"])
def test_a_leftover_that_another_process_removes_just_now(
    call: str, leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before, or between, any two looks at it."""
    look = getattr(Path, call)

    def removed_first(path: Path, *more: Any, **options: Any) -> Any:
        seen = look(path, *more, **options) if call == "is_dir" else None
        if path == leftover:
            shutil.rmtree(leftover, ignore_errors=True)
        return look(path, *more, **options) if seen is None else seen

    monkeypatch.setattr(Path, call, removed_first)
    files._empty(leftover)
    with files.scratch_beside(leftover.with_name("run")) as work:
        assert list(leftover.parent.iterdir()) == [work]


def test_a_folder_that_another_process_removes_or_fills_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look whether a new folder is empty and its removal."""
    rmdir = Path.rmdir

    def another_was_first(path: Path) -> None:
        if path.name == "removed":
            rmdir(path)
        else:
            (path / "a.txt").touch()
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", another_was_first)
    for name in ("removed", "filled"):
        with files.scratch(tmp_path / name / "work") as work:
            work.mkdir(parents=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["filled", "a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="an open file keeps its name")
def test_nobody_sees_the_lock_of_a_new_folder_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the creation of the lock and its locking, another process looks for leftovers."""
    lock = files._lock

    def another_looks_first(handle: int) -> bool | None:
        monkeypatch.setattr(files, "_lock", lock)
        assert list(files._leftovers(tmp_path / "run")) == []
        return lock(handle)

    monkeypatch.setattr(files, "_lock", another_looks_first)
    with files.scratch_beside(tmp_path / "run") as work:
        assert [path.name for path in work.iterdir()] == [files.LOCK]
