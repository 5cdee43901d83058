"""The hospital of three csv files that docs/tables.md makes, and its declaration."""

import re
import runpy
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "tables.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files and their declaration in ``folder/hospital``."""
    monkeypatch.chdir(folder)
    (script,) = blocks("python")
    (folder / "make.py").write_text(script, "utf-8")
    runpy.run_path("make.py")
    (declaration,) = blocks("toml")
    (folder / "hospital" / "tables.toml").write_text(declaration, "utf-8")
    return folder / "hospital"
