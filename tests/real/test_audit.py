"""The audit accuses none of the open data, whatever of them is read."""

from pathlib import Path
from typing import Any

import pytest
from tests.real.conftest import FOLDERS, Built

from sequela.config import Options
from sequela.runs.audit import audit
from sequela.runs.data import load
from sequela.studies.settings import run_settings

EVERYTHING: dict[str, Any] = {"inputs": (), "tables": ()}


@pytest.mark.parametrize("data", ["bonn", "uci-seizure"])
def test_recordings(data: str, real_data: Path, work: Path) -> None:
    """Those made at the same time by neighbouring electrodes may be said to resemble each other."""
    settings = run_settings("majority-class", data)
    found = audit(load(settings, real_data / FOLDERS[data], work))
    # Some of these recordings follow each other; see tests/real/test_fingerprints.py.
    assert {each.check for each in found} <= {"resembling content"}
    assert {each.severity for each in found} <= {"suspicion"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "seed"),
    [pytest.param({}, 0, id="as in the study"), pytest.param(EVERYTHING, 2, id="all")],
)
@pytest.mark.parametrize(
    ("data", "task"),
    [
        *((data, "in-hospital") for data in ("eicu", "mimic3", "mimic4", "physionet2012")),
        *((data, "length-of-stay-7d") for data in ("eicu", "mimic3", "mimic4", "physionet2012")),
        *((data, "post-discharge") for data in ("mimic3", "mimic4", "physionet2012")),
        *((data, "readmission-30d") for data in ("mimic3", "mimic4")),
        ("mimic4", "icu-transfer"),
    ],
)
def test_records(
    data: str, task: str, said: dict[str, Any], seed: int, built: Built, work: Path
) -> None:
    settings = run_settings("prevalence", data, Options.of(seed=seed, task=task, **said))
    assert settings.cohort is not None
    assert audit(load(settings, built(data, settings.cohort.tables), work)) == []
