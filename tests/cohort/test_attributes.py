"""Who the subjects are: as the events say by the time of prediction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.cohort.attributes import attributes_of, sites_of
from sequela.cohort.events import Events, open_events
from sequela.cohort.labels import SCHEMA
from sequela.datasets.catalog import EXCERPTS
from sequela.tables.build import build
from sequela.tables.hospitals import source_of


def asked(*rows: tuple[int, str]) -> pa.Table:
    subject, time = zip(*rows, strict=True)
    columns = [subject, np.array(time, "datetime64[us]"), [False] * len(rows)]
    return pa.table([pa.array(c) for c in columns], schema=SCHEMA)


def test_what_is_told_by_the_prediction(make_events: Callable[..., Events]) -> None:
    rows = [
        (1, None, "GENDER//F"),
        (1, "2020-01-01", "ICU_ADMISSION//MICU"),
        (1, "2020-02-01", "ICU_ADMISSION//SICU"),
        (2, "2020-01-05", "GENDER//M"),
        (2, "2020-01-05", "ETHNICITY//Asian"),
        (2, "2020-03-05", "ETHNICITY//Other"),
        (3, "2020-01-01", "LAB//1"),
    ]
    labels = asked(
        (1, "2020-01-15"),
        (1, "2020-02-15"),
        (2, "2020-01-04"),
        (2, "2020-04-01"),
        (3, "2020-04-01"),
    )
    found = attributes_of(make_events(rows, visits=False), labels)
    assert {name: values.tolist() for name, values in found.items()} == {
        "sex": ["F", "F", "", "M", ""],
        "ethnicity": ["", "", "", "Asian", ""],
        "unit": ["MICU", "SICU", "", "", ""],
    }


def test_the_site_is_the_last_hospital_by_the_prediction(
    make_events: Callable[..., Events],
) -> None:
    rows = [(1, "2020-01-01", "HOSPITAL//7//North"), (1, "2020-02-01", "HOSPITAL//9")]
    labels = asked((1, "2020-01-15"), (1, "2020-02-15"), (2, "2020-02-15"))
    assert sites_of(make_events(rows), labels).tolist() == ["7", "9", ""]


def test_every_subject_of_the_excerpt_has_its_sex(tmp_path: Path) -> None:
    """55 women and 45 men, as ``PATIENTS.csv.gz`` has them."""
    build(source_of("mimic3"), EXCERPTS / "mimic3", tmp_path / "built", tables=["DIAGNOSES_ICD"])
    subjects = pq.read_table(tmp_path / "built" / "metadata" / "subject_splits.parquet")
    labels = asked(*((one, "2250-01-01") for one in sorted(subjects["subject_id"].to_pylist())))
    sex = attributes_of(open_events(tmp_path / "built"), labels)["sex"]
    assert (np.sum(sex == "F"), np.sum(sex == "M"), len(sex)) == (55, 45, 100)
