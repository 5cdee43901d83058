"""What the page on the audit shows is what happens."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.conftest import DOCS, run
from tests.extension.conftest import kept_registries
from tests.test_docs import fences

from sequela.sources.codes import family_of

PAGE = DOCS / "audit.md"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


def test_the_run_is_audited(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(fences(PAGE, "sh")[0])
    assert "nothing found; checked for: " in capsys.readouterr().out


def test_the_families_are_declared() -> None:
    (script,) = fences(PAGE, "python")
    exec(script, {})  # noqa: S102 - our own page
    assert family_of("WOUND//clean").charted
    assert family_of("SNOMED/84114007").coded_later


def test_every_check_stands_on_the_page() -> None:
    files = (DOCS.parent / "src/sequela").glob("*/*.py")
    page = PAGE.read_text("utf-8")
    found = {
        name
        for file in files
        for text in [file.read_text("utf-8")]
        for name in (
            *re.findall(r'Finding\(\s*"([a-z -]+)"', text),
            *re.findall(r'_copies\("([a-z -]+)"', text),
        )
    }
    assert len(found) > 10
    assert sorted(name for name in found if f"`{name}`" not in page) == []
