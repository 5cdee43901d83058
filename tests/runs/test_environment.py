"""What the numbers of a run come from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sequela.runs.environment import commit_of, environment
from sequela.version import __version__


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    call = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()


def test_it_names_the_version_and_the_libraries() -> None:
    found = environment()
    assert found["sequela"] == __version__
    assert {"python", "torch", "numpy", "machine", "cores"} <= set(found)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not on the PATH")
def test_the_commit_is_that_of_the_clone_that_holds_the_file(tmp_path: Path) -> None:
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("1", "utf-8")
    assert commit_of(file) == ""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "own.txt").write_text("1", "utf-8")
    git(tmp_path, "add", "own.txt")
    git(tmp_path, "commit", "--quiet", "--message", "own")
    commit_of.cache_clear()
    assert commit_of(file) == "", "a repository around the package is not the package's"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "package")
    commit_of.cache_clear()
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(file) == head
    file.write_text("2", "utf-8")
    commit_of.cache_clear()
    assert commit_of(file) == f"{head}-dirty"
