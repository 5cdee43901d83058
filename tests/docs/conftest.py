"""What the tests of pages share."""

import shlex
from pathlib import Path

import pytest
from tests.cli.calls import ran

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def here(tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that one stands in, where no data are but those of the package."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(lines: str) -> None:
    """Run the commands of a block, each of which must succeed."""
    for line in lines.splitlines():
        ran(*shlex.split(line)[1:])
