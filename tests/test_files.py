"""Files that appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


MANY = """
from sequela.files import temporary
for _ in range(150):
    with temporary():
        pass
"""


def test_nobody_takes_the_new_folder_of_another_for_one_that_was_left(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", MANY], env=env) for _ in range(4)]
    assert [each.wait() for each in started] == [0, 0, 0, 0]
    assert list(tmp_path.iterdir()) == []
