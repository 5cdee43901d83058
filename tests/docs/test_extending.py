"""The page's file is registered, and the page's commands run with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.conftest import DOCS, run
from tests.extension.conftest import kept_registries, write_nights, write_tables
from tests.test_docs import fences

from sequela.runs.find import open_run
from sequela.studies.registry import STUDIES

PAGE = DOCS / "contributing/extending.md"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


@pytest.mark.slow
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("\n\n".join(fences(PAGE, "python")), "utf-8")
    (lines,) = fences(PAGE, "sh")
    first, commands = lines.split("\n", 1)
    name, _, value = first.removeprefix("export ").partition("=")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path))
    write_nights(tmp_path / "sleep-lab")
    write_tables(tmp_path / "ward")
    run(commands)
    assert open_run(tmp_path / "runs/band-net").test["belief"] > 0.4
    assert open_run(tmp_path / "runs/blood").data["outcome"]["one"] == "transfusion"
    assert "nights" in STUDIES
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "The loss once more" in page
