"""What the page on data shows is what happens."""

import re
from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.docs.conftest import DOCS

from sequela.datasets.catalog import DATA_SETS

PAGE = DOCS / "signals.md"


def test_the_output_of_check(no_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text("utf-8")
    shown = re.search(r"```console\n\$ sequela data check bonn\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    ran("data", "check", "bonn")
    assert capsys.readouterr().out == shown[1]


@pytest.mark.parametrize("name", [name for name, entry in DATA_SETS.items() if entry.reads])
def test_each_eeg_data_set_has_its_section(name: str) -> None:
    assert f"(`{name}`)\n" in PAGE.read_text("utf-8")
