"""Who the subjects are: as the events say by the time of prediction."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.cohort.attributes import attributes_of, sites_of
from sequela.cohort.events import open_events
from sequela.cohort.labels import SCHEMA
from sequela.sources.build import build
from sequela.sources.catalog import EXCERPTS
from sequela.sources.hospitals import source_of


def asked(*rows: tuple[int, str]) -> pa.Table:
    subject, time = zip(*rows, strict=True)
    columns = [subject, np.array(time, "datetime64[us]"), [False] * len(rows)]
    return pa.table([pa.array(c) for c in columns], schema=SCHEMA)


def test_what_is_told_by_the_prediction(tmp_path: Path) -> None:
    rows = [
        (1, None, "GENDER//F"),
        (1, "2020-01-01", "ICU_ADMISSION//MICU"),
        (1, "2020-02-01", "ICU_ADMISSION//SICU"),
        (2, "2020-01-05", "GENDER//M"),
        (2, "2020-01-05", "ETHNICITY//Asian"),
        (2, "2020-03-05", "ETHNICITY//Other"),
        (3, "2020-01-01", "LAB//1"),
    ]
    subject, time, code = zip(*rows, strict=True)
    (tmp_path / "data").mkdir()
    times = pa.array([None if t is None else np.datetime64(t, "us") for t in time])
    table = pa.table({"subject_id": pa.array(subject, pa.int64()), "time": times, "code": code})
    pq.write_table(table, tmp_path / "data" / "0.parquet")
    labels = asked(
        (1, "2020-01-15"),
        (1, "2020-02-15"),
        (2, "2020-01-04"),
        (2, "2020-04-01"),
        (3, "2020-04-01"),
    )
    found = attributes_of(open_events(tmp_path), labels)
    assert {name: values.tolist() for name, values in found.items()} == {
        "sex": ["F", "F", "", "M", ""],
        "ethnicity": ["", "", "", "Asian", ""],
        "unit": ["MICU", "SICU", "", "", ""],
    }


def test_the_site_is_the_last_hospital_by_the_prediction(tmp_path: Path) -> None:
    days, hospitals = ["2020-01-01", "2020-02-01"], ["HOSPITAL//7//North", "HOSPITAL//9"]
    times = np.array(days, "datetime64[us]")
    (tmp_path / "data").mkdir()
    table = pa.table({"subject_id": pa.array([1, 1], pa.int64()), "time": times, "code": hospitals})
    pq.write_table(table, tmp_path / "data" / "0.parquet")
    labels = asked((1, "2020-01-15"), (1, "2020-02-15"), (2, "2020-02-15"))
    assert sites_of(open_events(tmp_path), labels).tolist() == ["7", "9", ""]


def test_every_subject_of_the_excerpt_has_its_sex(tmp_path: Path) -> None:
    """55 women and 45 men, as ``PATIENTS.csv.gz`` has them."""
    build(source_of("mimic3"), EXCERPTS / "mimic3", tmp_path / "built", tables=["DIAGNOSES_ICD"])
    subjects = pq.read_table(tmp_path / "built" / "metadata" / "subject_splits.parquet")
    labels = asked(*((one, "2250-01-01") for one in sorted(subjects["subject_id"].to_pylist())))
    sex = attributes_of(open_events(tmp_path / "built"), labels)["sex"]
    assert (np.sum(sex == "F"), np.sum(sex == "M"), len(sex)) == (55, 45, 100)
