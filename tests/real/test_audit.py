"""The audit accuses none of the open data, whatever of them is read."""

from pathlib import Path

import pytest
from tests.real.conftest import FOLDERS, Built

from sequela.config import Options
from sequela.runs.audit import audit
from sequela.runs.data import load
from sequela.studies.settings import run_settings

HOSPITALS = ("eicu", "mimic3", "mimic4", "physionet2012")


@pytest.mark.parametrize("data", ["bonn", "uci-seizure"])
def test_recordings(data: str, real_data: Path, work: Path) -> None:
    """Those made at the same time by neighbouring electrodes may be said to resemble each other."""
    settings = run_settings("majority-class", data)
    found = audit(load(settings, real_data / FOLDERS[data], work))
    # Some of these recordings follow each other; see tests/real/test_fingerprints.py.
    assert {each.check for each in found} <= {"resembling content"}
    assert {each.severity for each in found} <= {"suspicion"}


@pytest.mark.parametrize("data", HOSPITALS)
def test_records_as_in_the_study(data: str, built: Built, work: Path) -> None:
    check(Options.of(task="in-hospital"), data, built, work)


@pytest.mark.parametrize(
    ("data", "task"),
    [
        *((data, "in-hospital") for data in HOSPITALS),
        *((data, "length-of-stay-7d") for data in HOSPITALS),
        *((data, "post-discharge") for data in HOSPITALS[1:]),
        *((data, "readmission-30d") for data in ("mimic3", "mimic4")),
        ("mimic4", "icu-transfer"),
    ],
)
def test_all_inputs_of_records(data: str, task: str, built: Built, work: Path) -> None:
    check(Options.of(seed=2, task=task, inputs=(), tables=()), data, built, work)


def check(options: Options, data: str, built: Built, work: Path) -> None:
    settings = run_settings("prevalence", data, options)
    assert settings.cohort is not None
    assert audit(load(settings, built(data, settings.cohort.tables), work)) == []
