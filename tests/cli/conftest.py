"""What the tests of the command line share."""

from functools import partial

import pytest
from tests.cli.calls import Refused, refusal


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused, and return the line that it prints."""
    return partial(refusal, capsys)
