"""The check that lets no public name and no command into the site without documentation."""

from pathlib import Path
from types import ModuleType

import pytest
from cyclopts import App
from scripts import reference_pages


def test_nothing_lacks_its_documentation() -> None:
    assert reference_pages.lacking() == []


PLANTED = '''
"""A module."""
from dataclasses import dataclass
from pathlib import Path

def bare(x): ...

def said(x):
    """Said."""

@dataclass
class Made:
    x: int

@dataclass
class Kept:
    """Kept."""
    x: int

    def method(self): ...

    @property
    def value(self): ...

    @classmethod
    def of(cls): ...

    def fine(self):
        """Fine."""

    def _private(self): ...

def _private(x): ...
'''


def test_each_kind_of_name_without_a_docstring_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sequela.planted")
    exec(PLANTED, vars(module))  # noqa: S102 - the text above
    monkeypatch.setattr(reference_pages, "rooms", lambda: {"planted": [module]})
    assert reference_pages.undocumented_names() == [
        "sequela.planted.bare",
        "sequela.planted.Made",
        "sequela.planted.Kept.method",
        "sequela.planted.Kept.value",
        "sequela.planted.Kept.of",
    ]


def test_commands_and_options_without_help_are_found() -> None:
    app, group = App(), App(name="group", help="A group.")
    app.command(group)

    @app.command
    def bare(path: Path) -> None: ...

    @group.command
    def inner(path: Path, *, speed: int = 1) -> None:
        """Inner.

        Args:
            path: A path.
        """

    assert reference_pages.undocumented_commands(app, "planted") == [
        "planted group inner --speed",
        "planted bare",
        "planted bare --path",
    ]


def test_every_room_and_command_has_its_place(tmp_path: Path) -> None:
    reference_pages.write(tmp_path)
    contents = (tmp_path / "api.rst").read_text("utf-8")
    for room in reference_pages.rooms():
        assert f"   api-{room}\n" in contents
        assert (tmp_path / f"api-{room}.rst").is_file()
    assert ".. automodule:: sequela.cohort.split\n" in (tmp_path / "api-cohort.rst").read_text()
    assert "`sequela.load <sequela.api.examples.load>`" in contents
    commands = (tmp_path / "commands.rst").read_text("utf-8")
    assert "sequela evaluate" in commands
    assert "``--seed INT``" in commands
    assert "contents::" not in commands
