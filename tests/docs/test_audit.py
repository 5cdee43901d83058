"""What the page on the audit shows is what happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.calls import status
from tests.docs.conftest import DOCS, run
from tests.extension.conftest import kept_registries
from tests.test_docs import fences

from sequela.audit.finding import CHECKS
from sequela.datasets.codes import family_of

PAGE = DOCS / "audit.md"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


def test_the_run_is_audited(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(fences(PAGE, "sh")[0])
    assert "nothing found; checked for: " in capsys.readouterr().out


def test_the_families_are_declared() -> None:
    *_, script = fences(PAGE, "python")
    exec(script, {})  # noqa: S102 - our own page
    assert family_of("WOUND//clean").charted
    assert family_of("SNOMED/84114007").coded_later


def test_the_table_of_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, arrays, _ = fences(PAGE, "python")
    names: dict[str, object] = {}
    exec(table, names)  # noqa: S102 - our own page
    (shown,) = (each for each in fences(PAGE, "console") if "table.csv" in each)
    command, printed = shown.split("\n", 1)
    assert status(*command.split()[2:]) == 3
    assert capsys.readouterr().out == printed
    exec(arrays.replace("KFold(5", "KFold(2"), names)  # noqa: S102 - the same with fewer folds


def test_every_check_stands_on_the_page() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| <a id=")]
    expected = [f'| <a id="{code.lower()}"></a>{code} | `{c.name}` |' for code, c in CHECKS.items()]
    assert [row[: len(start)] for row, start in zip(rows, expected, strict=True)] == expected
