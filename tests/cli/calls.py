"""How tests call the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequela.cli.app import main

Refused = Callable[..., str]
"""Runs a command that must be refused, and gives the line that says why."""


def ran(*arguments: str | Path) -> None:
    """Run a command that must succeed."""
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    assert caught.value.code == 0
