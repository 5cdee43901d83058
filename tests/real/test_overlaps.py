"""Real data that hold no leak: Bonn recordings, and the diagnoses of eICU's demo."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from sequela.audit import column_checks, overlaps
from sequela.audit.input import Labels
from sequela.signals.segments import Segments


@pytest.fixture
def bonn(segments: Callable[[str], Segments]) -> Segments:
    return segments("bonn")


@pytest.mark.parametrize("noise", [0, 0.01])
def test_a_recording_under_two_names_is_found(bonn: Segments, noise: float) -> None:
    rows = bonn.signal[:, 0].astype(np.float64)
    names = np.unique(bonn.recording_id)
    first = np.isin(bonn.recording_id, names[::2])
    parts = {"train": rows[first], "held_out": rows[~first]}
    groups = {"train": bonn.recording_id[first], "held_out": bonn.recording_id[~first]}
    copy = parts["train"][:23]
    size = noise * copy.std(axis=1, keepdims=True)
    parts["held_out"][:23] = copy + size * np.random.default_rng(0).normal(size=copy.shape)
    found = overlaps.near_identical_rows(parts, groups) or overlaps.identical_rows(parts)
    assert [one.check for one in found] == ["near-identical rows" if noise else "identical rows"]


def test_patients_with_the_same_diagnoses_are_not_accused(real_data: Path) -> None:
    patients = pl.read_csv(real_data / "eicu-demo" / "patient.csv.gz").sort("patientunitstayid")
    diagnoses = pl.read_csv(real_data / "eicu-demo" / "diagnosis.csv.gz")
    stay = np.searchsorted(
        patients["patientunitstayid"].to_numpy(), diagnoses["patientunitstayid"].to_numpy()
    )
    names, code = np.unique(
        diagnoses["diagnosisstring"].to_numpy().astype(np.str_), return_inverse=True
    )
    person = patients["uniquepid"].to_numpy().astype(np.str_)
    died = (patients["hospitaldischargestatus"] == "Expired").fill_null(value=False).to_numpy()
    has = np.zeros((len(person), len(names)))
    has[stay, code] = 1
    everybody = np.random.default_rng(0).permutation(np.unique(person))
    known = np.isin(person, everybody[: 4 * len(everybody) // 5])
    parts = {"train": has[known], "held_out": has[~known]}
    groups = {"train": person[known], "held_out": person[~known]}
    assert len(np.unique(np.concatenate(list(parts.values())), axis=0)) < len(has) - 100
    assert overlaps.identical_rows(parts) == []
    assert overlaps.near_identical_rows(parts, groups) == []
    classes = ["alive", "died"]
    died = died.astype(np.int64)
    labels = Labels(died, classes, person)
    assert not column_checks.revealing_codes(csr_array(has), names.tolist(), labels)
