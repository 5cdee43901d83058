"""The declared studies of times to events, on the real data in few epochs, and their audit."""

import json
from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.processes import run_in_this_thread
from tests.real.conftest import FOLDERS

from sequela.audit.input import AuditInput
from sequela.cohort.split import PARTS
from sequela.config import Options
from sequela.runs.data import load
from sequela.runs.follow_up import find_in_times
from sequela.studies.file import read_study
from sequela.studies.settings import run_settings

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.parametrize("name", ["mimic-post-discharge", "nafld-death", "physionet-discharge"])
def test_a_study_is_declared(name: str) -> None:
    study = read_study(STUDIES / f"{name}.toml")
    assert study.training or study.reference_models
    (settings,) = study.records.values()
    assert len(settings["horizons_days"]) == 3


def test_a_study_runs(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_in_this_thread(monkeypatch)
    root, file = real_data / FOLDERS["mimic4"], STUDIES / "mimic-post-discharge.toml"
    out = tmp_path / "out"
    ran("study", file, "--root", str(root), "--quick", "--processes", "1", "--out", out)
    assert json.loads((out / "results.json").read_text("utf-8"))
    page = (out / "report.html").read_text("utf-8")
    assert "concordance" in page
    assert "confusion" not in page.lower()


@pytest.mark.slow
def test_nafld_has_neither_immortal_time_nor_dependent_censoring(tmp_path: Path) -> None:
    options = Options.of(task="landmark", horizons_days=(365.0, 1096.0, 1826.0))
    data = load(run_settings("prevalence", "nafld", options), None, tmp_path)
    assert data.times is not None
    parts = {name: data.rows(name) for name in PARTS}
    given = AuditInput(records=data.arrays, times_to_event=data.times, splits=(parts,))
    assert find_in_times(given) == []
