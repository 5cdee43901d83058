"""What the tests of the command line share."""

from pathlib import Path

import pytest
from tests.cli.calls import Refused

from sequela.cli.app import main


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused: status 2 and one line on stderr, which is returned."""

    def run(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        assert caught.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("sequela: error: ")
        return line

    return run
