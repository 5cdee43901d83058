"""``sequela try``: a first result of the EEG in the package, and its page."""

import re
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused, ran

MODEL = "spectral-logistic-regression"


@pytest.fixture
def here(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with small data in the place of the Bonn recordings."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bonn").symlink_to(synthetic)
    monkeypatch.setenv("SEQUELA_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_what_train_and_report_do(here: Path, output_of: Output) -> None:
    """And the number is printed in words, and what comes next."""
    printed = output_of("try")
    run = here / "try" / MODEL
    ran("train", MODEL, "--data", "bonn", "--out", here / "runs" / MODEL)
    for name in ("predictions.parquet", "model.safetensors", "split.json"):
        assert (run / name).read_bytes() == (here / "runs" / MODEL / name).read_bytes()
    page = here / "try" / "report.html"
    assert f"page: {page}\n" in printed
    ran("report", run, "--out", here / "again.html")
    assert page.read_bytes() == (here / "again.html").read_bytes()
    number = r"(\d+) of 100 seconds are classified correctly \(95 % interval (\d+) to (\d+)\), in "
    match = re.search(number + r"\d+ (sessions|recordings) that the model was not trained", printed)
    assert match
    value, low, high = map(int, match.groups()[:3])
    assert low <= value <= high
    assert "guessing gets 20 of 100" in printed
    assert "sequela train auto --data table --root FILE" in printed.split("next: ")[1]


def test_a_second_call_trains_nothing_and_writes_the_same_page(
    here: Path, output_of: Output
) -> None:
    words = ("try", "--out", here / "first")
    first = output_of(*words)
    run, page = here / "first" / MODEL, here / "first" / "report.html"
    before, content = (run / "manifest.json").stat().st_mtime_ns, page.read_bytes()
    page.unlink()
    assert output_of(*words) == first
    assert (run / "manifest.json").stat().st_mtime_ns == before
    assert page.read_bytes() == content
    (run / "manifest.json").unlink()  # as an interrupted run
    assert output_of(*words) == first
    assert (run / "manifest.json").exists()


def test_another_run_or_a_file_in_its_place_is_refused(here: Path, refused: Refused) -> None:
    (here / "file").write_text("mine", "utf-8")
    assert "a file is where a folder is expected" in refused("try", "--out", "file", silent=False)
    ran("train", "majority-class", "--data", "bonn", "--out", here / "other" / MODEL)
    assert "other" in refused("try", "--out", "other", silent=False)
    assert not (here / "other" / "report.html").exists()
