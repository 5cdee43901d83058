"""The page's file is registered, and the page's commands run with it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.extension.conftest import kept_registries, write_nights, write_tables

from sequela.runs.find import open_run
from sequela.studies.registry import STUDIES

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text("\n\n".join(blocks), "utf-8")
    (lines,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    first, *commands = lines.splitlines()
    name, _, value = first.removeprefix("export ").partition("=")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path))
    write_nights(tmp_path / "sleep-lab")
    write_tables(tmp_path / "ward")
    for command in commands:
        ran(*shlex.split(command)[1:])
    assert open_run(tmp_path / "runs/band-net").test["belief"] > 0.4
    assert open_run(tmp_path / "runs/blood").data["outcome"]["one"] == "transfusion"
    assert "nights" in STUDIES
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "The loss once more" in page
