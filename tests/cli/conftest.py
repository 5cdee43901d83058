"""What the tests of the command line share."""

from functools import partial
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused, ran, refusal, status


@pytest.fixture(scope="session")
def run(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a baseline model, which nobody may change."""
    out = tmp_path_factory.mktemp("baseline") / "run"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", out)
    return out


@pytest.fixture(scope="session")
def network_run(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a network of three epochs, which nobody may change."""
    out = tmp_path_factory.mktemp("network") / "run"
    data = ("--data", "bonn", "--root", synthetic, "--epochs", "3")
    ran("train", "mlp-baseline", *data, "--out", out)
    return out


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused, and return the line that it prints."""
    return partial(refusal, capsys)


@pytest.fixture
def output_of(capsys: pytest.CaptureFixture[str]) -> Output:
    """Run a command that must end with a status, 0 by default; return its standard output alone."""

    def printed(*arguments: str | Path, ended: int = 0) -> str:
        capsys.readouterr()  # what was printed before
        assert status(*arguments) == ended
        return capsys.readouterr().out

    return printed
