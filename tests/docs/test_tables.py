"""The page's hospital is made, described, checked, built and trained on as it says."""

import re
from pathlib import Path

import pytest
from tests.cli.calls import refusal
from tests.docs.conftest import run
from tests.tables import hospital

from sequela.formats.opened import DECIDE
from sequela.intake.describe_tables import propose
from sequela.runs.find import open_run
from sequela.tables.declarations import Table
from sequela.tables.declared.declaration import _keys_of
from sequela.tables.declared.expressions import _CALLS


@pytest.mark.slow
def test_the_page(
    tmp_path: Path,
    no_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = hospital.write(tmp_path, monkeypatch)
    decided = (folder / "tables.toml").read_text("utf-8")
    (folder / "tables.toml").unlink()
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


def test_the_form_on_the_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hospital.write(tmp_path, monkeypatch)
    for path in folder.glob("*.csv"):
        cells = path.read_text("utf-8").replace(",", ";").replace("surgery", "Chirurgie Süd")
        cells = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", cells)
        path.write_text(re.sub(r";(\d+)\.(\d);", r";\1,\2;", cells), "latin-1")
    table, form = hospital.blocks("text")
    assert table.splitlines()[0] == (folder / "labs.csv").read_text("latin-1").splitlines()[0]
    assert f"\n{form}\n" in propose(folder)


def test_each_key_and_function_is_on_the_page() -> None:
    named = set(re.findall(r"`(\w+)", hospital.TEXT))
    assert set(_keys_of(Table)) <= named
    assert set(_CALLS) <= set(re.findall(r"(\w+)\(", hospital.TEXT))
