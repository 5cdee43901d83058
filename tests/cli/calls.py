"""How tests call the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequela.cli.app import main

Refused = Callable[..., str]
"""Runs a command that must be refused, and gives the line that says why."""
Output = Callable[..., str]
"""Runs a command that must end with a status, and gives its standard output."""


def status(*arguments: str | Path) -> object:
    """Run a command and return its status."""
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return caught.value.code


def ran(*arguments: str | Path) -> None:
    """Run a command that must succeed."""
    assert status(*arguments) == 0


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path, silent: bool = True) -> str:
    """Run a command that must be refused: status 2 and one line on stderr, which is returned."""
    capsys.readouterr()  # what was printed before
    assert status(*arguments) == 2
    printed = capsys.readouterr()
    assert not (silent and printed.out)
    (line,) = printed.err.splitlines()
    assert line.startswith("sequela: error: ")
    return line
