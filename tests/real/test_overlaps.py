"""Real data that hold no leak: Bonn recordings, and the diagnoses of eICU's demo."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from sequela.audit import overlaps
from sequela.audit.finding import Finding
from sequela.cohort.split import PARTS, draw
from sequela.config import SplitUnit
from sequela.signals.segments import Segments


def audit(segments: Segments, unit: SplitUnit) -> list[Finding]:
    rows = segments.signal[:, 0].astype(np.float64)
    _, part = draw(
        label=segments.label,
        ids={"row": segments.segment_id, "recording": segments.recording_id},
        unit=unit,
        seed=0,
    )
    inside = {name: part == index for index, name in enumerate(PARTS)}
    parts = {name: rows[chosen] for name, chosen in inside.items()}
    groups = {name: segments.recording_id[chosen] for name, chosen in inside.items()}
    labels = {name: segments.label[chosen] for name, chosen in inside.items()}
    train = inside["train"]
    return [
        *overlaps.overlapping_groups(groups, "recording"),
        *overlaps.identical_rows(parts),
        *overlaps.near_identical_rows(parts, groups),
        *overlaps.one_class(labels, segments.classes),
        *overlaps.revealing_columns(
            rows[train],
            [f"sample {index}" for index in range(rows.shape[1])],
            segments.label[train],
            segments.classes,
            segments.recording_id[train],
        ),
    ]


@pytest.fixture
def bonn(segments: Callable[[str], Segments]) -> Segments:
    return segments("bonn")


def test_a_split_by_recording_is_clean(bonn: Segments) -> None:
    assert audit(bonn, "recording") == []


def test_a_split_by_row_shares_recordings_and_no_more(bonn: Segments) -> None:
    found = audit(bonn, "row")
    assert {one.check for one in found} == {"overlapping groups"}
    assert len(found) == 3


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
    assert not overlaps.revealing_codes(csr_array(has), names.tolist(), died, classes, person)
