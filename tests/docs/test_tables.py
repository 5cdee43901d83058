"""The page's hospital is made, described, checked, built and trained on as it says."""

import re
from pathlib import Path

import pytest
from tests.cli.calls import refusal
from tests.docs.conftest import run
from tests.sources import hospital

from sequela.runs.find import open_run
from sequela.sources.declared.declaration import DECIDE
from sequela.sources.declared.expressions import _CALLS
from sequela.sources.declared.parts import DeclaredTable


def test_the_page(
    tmp_path: Path,
    no_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = hospital.write(tmp_path, monkeypatch)
    decided = (folder / "tables.toml").read_text("utf-8")
    describing, using = hospital.blocks("sh")
    run(describing)
    assert 2 <= (folder / "tables.toml").read_text("utf-8").count(f"# {DECIDE}") <= 6
    capsys.readouterr()
    asked = ("build", "tables", "--root", "hospital", "--out", "early")
    line = refusal(capsys, *asked, silent=False)
    said = " ".join(hospital.TEXT.split("```\nsequela: error: ")[1].split("\n```")[0].split())
    assert said in " ".join(line.split())
    (folder / "tables.toml").write_text(decided, "utf-8")
    run(using)
    assert "set aside: " not in capsys.readouterr().out
    assert open_run(tmp_path / "runs/own").data["title"] == "Our hospital, 2020 and 2021"
    assert "Our hospital, 2020 and 2021" in (tmp_path / "own.html").read_text("utf-8")


def test_each_key_and_function_is_on_the_page() -> None:
    named = set(re.findall(r"`(\w+)", hospital.TEXT))
    assert set(DeclaredTable.model_fields) <= named
    assert set(_CALLS) <= set(re.findall(r"(\w+)\(", hospital.TEXT))
