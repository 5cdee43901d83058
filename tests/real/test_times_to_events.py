"""The declared studies of times to events, on the real data in few epochs, and their audit."""

import json
from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.real.conftest import FOLDERS

from sequela.runs.data import load
from sequela.runs.followed import find_in_times
from sequela.studies.settings import run_settings

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.slow(but="mimic-post-discharge-mimic4")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mimic-post-discharge", "mimic4"),
        ("physionet-discharge", "physionet2012"),
        ("nafld-death", "nafld"),
    ],
)
def test_a_study_runs(name: str, data: str, real_data: Path, tmp_path: Path) -> None:
    root = ["--root", real_data / FOLDERS[data]] if data in FOLDERS else []
    file = STUDIES / f"{name}.toml"
    ran("study", file, *map(str, root), "--quick", "--processes", "1", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "concordance" in page
    assert "confusion" not in page.lower()


@pytest.mark.slow
def test_nafld_has_neither_immortal_time_nor_dependent_censoring(tmp_path: Path) -> None:
    said = {"task": "landmark", "horizons_days": (365.0, 1096.0, 1826.0)}
    data = load(run_settings("prevalence", "nafld", records=said, training={}), None, tmp_path)
    assert data.times is not None
    assert find_in_times(data.times, data.arrays, data.rows("train+tuning")) == []
