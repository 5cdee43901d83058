"""What the page on data shows is what happens."""

import doctest
import re
from pathlib import Path

import pytest

from sequela.cli.app import main
from sequela.sources.catalog import DATA_SETS

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_examples_in_python() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert results.attempted > 5
    assert results.failed == 0


def test_the_output_of_check(no_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text("utf-8")
    shown = re.search(r"```console\n\$ sequela data check bonn\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    with pytest.raises(SystemExit):
        main(["data", "check", "bonn"])
    assert capsys.readouterr().out == shown[1]


@pytest.mark.parametrize("name", [name for name, entry in DATA_SETS.items() if entry.reads])
def test_each_eeg_data_set_has_its_section(name: str) -> None:
    assert f"(`{name}`)\n" in PAGE.read_text("utf-8")
