"""The page of a model on other people: from a run and data to HTML, and what of few it hides."""

import re
from html import unescape
from pathlib import Path

import pytest
from tests.approved import assert_approved, texts_of
from tests.canaries import called
from tests.report.hospitals import trained

from sequela.analysis.evaluate import judge_elsewhere
from sequela.cli.app import main
from sequela.errors import SettingError
from sequela.integrity.openings import openings
from sequela.report.pages.external_page import build_external
from sequela.runs.folder import RunFolder


def text_of(page: Path) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.read_text("utf-8"))).split())


def test_the_page_of_another_hospital(
    run: Path, places: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    capsys.readouterr()
    asked = ("--data", "meds", "--root", places["away"], "--hide-below", "10", "--page", page)
    assert called(main, "evaluate", run, *asked) == 0
    said = capsys.readouterr().out
    assert f"page: {page}" in said
    auroc = re.search(r"AUROC +(\d\.\d{3})", said)
    assert auroc
    text = text_of(page)
    folder = RunFolder(run)
    assert f"AUROC {auroc[1]}" in text
    assert f"and {folder.test['auroc']:.3f} (" in text
    assert "on its own test set. The difference is" in text
    assert re.search(r"Sex: M \d+\.\d % \d+\.\d % Sex: any other value", text)
    assert "Sex: X" not in text
    assert re.search(r"Share of the class: died (2|3)\d\.\d % (4|5)\d\.\d %", text)
    assert re.search(r"Codes outside the model's vocabulary \d+\.\d % \d+\.\d %", text)
    assert "On the diagonal, events predicted with 30 % happen in 30 %" in text
    assert str(places["away"].parent) not in page.read_text("utf-8")
    assert_approved("external", texts_of(page.read_text("utf-8")))
    assert openings(folder).times == 1
    again = tmp_path / "again.html"
    assert called(main, "evaluate", run, *asked[:-1], again) == 0
    assert again.read_bytes() == page.read_bytes()


def test_its_own_held_out_people_are_not_compared_with_themselves(
    run: Path, places: dict[str, Path]
) -> None:
    found = judge_elsewhere(run, data="meds", root=places["home"])
    ids = [set(side.predictions.subject_id.tolist()) for side in (found.home, found.away)]
    assert ids[1] == set(RunFolder(run).predictions.part("held_out").subject_id.tolist())
    assert not ids[0] & ids[1]
    assert found.home.judged == "its validation set, on which settings were chosen"
    held = RunFolder(run).data["sequences"]["unknown"]["held_out"]["share"]
    assert found.away.unknown_codes == pytest.approx(held)


def test_few_of_a_class_show_no_numbers(run: Path, places: dict[str, Path], tmp_path: Path) -> None:
    found = judge_elsewhere(run, data="meds", root=places["few"])
    dead = int(found.away.predictions.label.sum())
    assert 0 < dead < 10
    hidden = text_of(build_external(found, tmp_path / "hidden.html", hide_below=10))
    assert "fewer than 10 examples of a class" in hidden
    assert "AUROC 0" not in hidden
    assert "On the diagonal" not in hidden
    assert "Share of the class" not in hidden
    open_ = text_of(build_external(found, tmp_path / "open.html"))
    assert "AUROC 0" in open_


def test_the_sites_that_a_run_held_out(places: dict[str, Path], run: Path, tmp_path: Path) -> None:
    by_site = trained(places["home"], tmp_path / "by-site", "--split", "site")
    found = judge_elsewhere(by_site)
    sites = {one: set(side.everybody.group_id.tolist()) for one, side in (
        ("home", found.home), ("away", found.away))}  # fmt: skip
    assert sites["home"] | sites["away"] == {f"h{n}" for n in range(8)}
    assert not sites["home"] & sites["away"]
    text = text_of(build_external(found, tmp_path / "page.html"))
    assert "on the validation sites, on which settings were chosen" in text
    with pytest.raises(SettingError, match="train with --split site"):
        judge_elsewhere(run)
