"""What the page on costs shows is what happens."""

import re

import pytest
from tests.cost.tally import counted
from tests.docs.conftest import DOCS, run
from tests.test_docs import text_of

from sequela.models.registry import MODELS

PAGE = text_of(DOCS / "models.md", "What a model costs")
SHOWN = re.findall(r"```console\n\$ sequela (.*?)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_output_of_commands(
    command: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(f"sequela {command}")
    assert capsys.readouterr().out == shown


def test_the_page_on_counters_shows_our_counts() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (DOCS / "contributing/counters.md").read_text("utf-8").splitlines()
        if line.startswith("| **sequela**")
    ]
    names = [name for name in MODELS if name.endswith(("-baseline", "-improved"))]
    accounts = [counted(name) for name in names]
    assert rows[0][2:] == [f"{account.operations:,}" for account in accounts]
    assert rows[1][2:] == [f"{account.macs:,}" for account in accounts]
