"""Hospital tables in the published formats, small and written here, and what is built of them."""

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from tests.tables import cdm

from sequela.tables.account import Account, TableAccount
from sequela.tables.build import build
from sequela.tables.hospitals import source_of
from sequela.tables.published import stem_of

Tables = dict[str, list[dict[str, Any]]]
Write = Callable[..., Path]


@dataclass(frozen=True)
class Built:
    """A data set as plain pyarrow reads it, and its account."""

    out: Path
    account: Account

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All events, in the order of the shards."""
        files = sorted((self.out / "data").rglob("*.parquet"))
        return [row for file in files for row in ds.dataset(file).to_table().to_pylist()]

    def times(self, code: str, subject: int | None = None) -> list[datetime | None]:
        """Times of a code's events."""
        return [
            row["time"]
            for row in self.rows
            if row["code"] == code and subject in {None, row["subject_id"]}
        ]

    def codes(self) -> set[str]:
        return {row["code"] for row in self.rows}

    def table(self, name: str) -> TableAccount:
        return next(table for table in self.account.tables if table.table == name)


Build = Callable[..., Built]


def in_published_order(table: str, columns: list[str]) -> list[str]:
    """The columns as the publisher orders them, unpublished ones last."""
    sources = map(source_of, ("mimic3", "mimic4", "eicu", "nafld"))
    declared = [t for s in sources for t in s.tables if stem_of(t.name) == stem_of(table)]
    orders = [[*t.columns] for t in declared if set(columns) & set(t.columns)]
    order: list[str] = max(orders, key=lambda each: len(set(each) & set(columns)), default=[])
    return sorted(columns, key=lambda name: order.index(name) if name in order else len(order))


def written(root: Path, tables: Tables, *, suffix: str = ".csv", upper: bool = False) -> Path:
    """Write tables as CSV files."""
    for name, rows in tables.items():
        text = io.StringIO()
        names = in_published_order(name, [*rows[0]])
        writer = csv.DictWriter(text, names, lineterminator="\n")
        text.write(",".join(str(c).upper() if upper else str(c) for c in names) + "\n")
        writer.writerows(rows)
        path = root / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text.getvalue().encode()
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    return root


def built(name: str, root: Path | str, folder: Path, **settings: Any) -> Built:
    """Build a source."""
    source = source_of(name)
    # A row of these tables is more than 5 % of its table: see test_published.py for the limit.
    settings.setdefault("allow_set_aside", [table.name for table in source.tables])
    return Built(folder, build(source, root, folder, **settings))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write tables as CSV files: ``write(tables, suffix=".csv.gz", upper=True)``."""

    def call(tables: Tables, *, at: str = "in", **form: Any) -> Path:
        return written(tmp_path / "tables" / at, tables, **form)

    return call


@pytest.fixture
def made(tmp_path: Path) -> Build:
    """Build a source: ``made("mimic3", root)``."""

    def call(name: str, root: Path | str, *, out: str = "out", **settings: Any) -> Built:
        return built(name, root, tmp_path / "built" / out, **settings)

    return call


@pytest.fixture(scope="session")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Build the tables of a source as they are here, once; nobody may change what was built."""
    folder = tmp_path_factory.mktemp("unchanged")

    @cache
    def build_once(name: str) -> Built:
        return built(name, written(folder / "in" / name, SMALL[name]()), folder / name)

    return build_once


def mimic3_tables() -> Tables:
    """Three patients: two stays alive; over 89 and dead in hospital; dead after discharge."""
    stay = {
        "deathtime": "", "admission_type": "EMERGENCY", "admission_location": "CLINIC",
        "discharge_location": "HOME", "insurance": "Private", "language": "ENGL", "religion": "",
        "marital_status": "SINGLE", "ethnicity": "WHITE", "edregtime": "", "edouttime": "",
        "diagnosis": "SEPSIS", "hospital_expire_flag": 0, "has_chartevents_data": 1,
    }  # fmt: skip
    return {
        "PATIENTS": [
            {"row_id": 1, "subject_id": 1, "gender": "F", "dob": "2080-01-01 00:00:00", "dod": ""},
            {"row_id": 2, "subject_id": 2, "gender": "M", "dob": "1830-05-01 00:00:00",
             "dod": "2130-05-09 00:00:00"},
            {"row_id": 3, "subject_id": 3, "gender": "M", "dob": "2070-01-01 00:00:00",
             "dod": "2131-02-03 00:00:00"},
        ],
        "ADMISSIONS": [
            {"subject_id": 1, "hadm_id": 11, "admittime": "2130-01-01 10:00:00",
             "dischtime": "2130-01-05 12:00:00", **stay},
            {"subject_id": 1, "hadm_id": 12, "admittime": "2131-01-01 10:00:00",
             "dischtime": "2131-01-03 12:00:00", **stay},
            {"subject_id": 2, "hadm_id": 21, "admittime": "2130-05-01 00:00:00",
             "dischtime": "2130-05-09 08:00:00", **stay, "deathtime": "2130-05-09 07:30:00",
             "hospital_expire_flag": 1, "discharge_location": "DEAD/EXPIRED"},
            {"subject_id": 3, "hadm_id": 31, "admittime": "2131-01-01 09:00:00",
             "dischtime": "2131-01-20 15:00:00", **stay},
        ],
        "ICUSTAYS": [
            {"subject_id": 1, "hadm_id": 11, "icustay_id": 1, "dbsource": "carevue",
             "first_careunit": "MICU", "last_careunit": "SICU", "intime": "2130-01-01 11:00:00",
             "outtime": "2130-01-02 11:00:00"},
        ],
        "DIAGNOSES_ICD": [
            {"subject_id": 1, "hadm_id": 11, "seq_num": 1, "icd9_code": "0042"},
            {"subject_id": 1, "hadm_id": 12, "seq_num": 1, "icd9_code": "042"},
            {"subject_id": 2, "hadm_id": 21, "seq_num": 1, "icd9_code": "V4581"},
            {"subject_id": 3, "hadm_id": 31, "seq_num": 1, "icd9_code": "E8788"},
        ],
    }  # fmt: skip


def mimic4_tables() -> Tables:
    """Two patients: one dies in hospital, one leaves alive; ICD-9 and ICD-10 codes."""
    stay = {
        "deathtime": "", "admission_type": "URGENT", "admission_location": "ER",
        "discharge_location": "HOME", "insurance": "Other", "language": "?",
        "marital_status": "MARRIED", "race": "ASIAN", "edregtime": "", "edouttime": "",
        "hospital_expire_flag": 0,
    }  # fmt: skip
    return {
        "hosp/patients": [
            {"subject_id": 5, "gender": "F", "anchor_age": 60, "anchor_year": 2150,
             "anchor_year_group": "2011 - 2013", "dod": ""},
            {"subject_id": 6, "gender": "M", "anchor_age": 91, "anchor_year": 2160,
             "anchor_year_group": "2011 - 2013", "dod": "2160-03-02"},
        ],
        "hosp/admissions": [
            {"subject_id": 5, "hadm_id": 51, "admittime": "2150-02-01 10:00:00",
             "dischtime": "2150-02-09 11:00:00", **stay},
            {"subject_id": 6, "hadm_id": 61, "admittime": "2160-03-01 10:00:00",
             "dischtime": "2160-03-02 12:00:00", **stay, "deathtime": "2160-03-02 11:00:00",
             "hospital_expire_flag": 1, "discharge_location": "DIED"},
        ],
        "hosp/diagnoses_icd": [
            {"subject_id": 5, "hadm_id": 51, "seq_num": 1, "icd_code": "4280", "icd_version": 9},
            {"subject_id": 6, "hadm_id": 61, "seq_num": 1, "icd_code": "I509", "icd_version": 10},
        ],
    }  # fmt: skip


def eicu_tables() -> Tables:
    """Two patients: one with two unit stays of one hospital stay, and a second hospital stay."""
    stay = {
        "gender": "Male", "age": "70", "ethnicity": "Asian", "hospitalid": 7,
        "apacheadmissiondx": "Sepsis", "admissionheight": "170.0", "admissionweight": "",
        "hospitaladmittime24": "10:00:00", "hospitaladmitsource": "Floor",
        "hospitaldischargeyear": 2014, "hospitaldischargelocation": "Home",
        "hospitaldischargestatus": "Alive", "unittype": "MICU", "unitadmitsource": "Floor",
        "unitstaytype": "admit", "unitdischargelocation": "Floor",
    }  # fmt: skip
    first = {"patienthealthsystemstayid": 500, "uniquepid": "002-33", **stay}
    return {
        "patient": [
            {"patientunitstayid": 1, **first, "hospitaladmitoffset": -60,
             "hospitaldischargeoffset": 9000, "unitdischargeoffset": 3000},
            {"patientunitstayid": 2, **first, "hospitaladmitoffset": -4060,
             "hospitaldischargeoffset": 5000, "unitdischargeoffset": 2000,
             "unitstaytype": "readmit"},
            {"patientunitstayid": 3, **first, "patienthealthsystemstayid": 400,
             "hospitaladmitoffset": 0, "hospitaldischargeoffset": 1500,
             "unitdischargeoffset": 1400, "hospitaldischargeyear": 2015},
            {"patientunitstayid": 4, **stay, "patienthealthsystemstayid": 600,
             "uniquepid": "010-4", "hospitaladmitoffset": -30, "hospitaldischargeoffset": 2000,
             "unitdischargeoffset": 1900, "hospitaldischargestatus": "Expired",
             "hospitaldischargelocation": "Death", "age": "> 89"},
        ],
        "diagnosis": [
            {"diagnosisid": 1, "patientunitstayid": 1, "activeupondischarge": "True",
             "diagnosisoffset": 90, "diagnosisstring": "renal|failure", "icd9code": "584.9, N17.9"},
            {"diagnosisid": 2, "patientunitstayid": 99, "activeupondischarge": "True",
             "diagnosisoffset": 90, "diagnosisstring": "renal|failure", "icd9code": ""},
        ],
    }  # fmt: skip


SMALL = {
    "mimic3": mimic3_tables,
    "mimic4": mimic4_tables,
    "eicu": eicu_tables,
    "omop": cdm.tables,
}
"""Functions that make the tables of a source."""
mimic3 = pytest.fixture(mimic3_tables, name="mimic3")
mimic4 = pytest.fixture(mimic4_tables, name="mimic4")
eicu = pytest.fixture(eicu_tables, name="eicu")
omop = pytest.fixture(cdm.tables, name="omop")


@pytest.fixture
def physionet2012(tmp_path: Path) -> Path:
    """A set of two records, one of whom dies in hospital."""
    root = tmp_path / "challenge"
    (root / "set-a").mkdir(parents=True)
    head = "Time,Parameter,Value\n00:00,RecordID,{0}\n00:00,Age,{1}\n00:00,Gender,{2}\n"
    rest = "00:00,Height,-1\n00:00,ICUType,4\n00:00,Weight,-1\n00:07,GCS,15\n47:37,HR,73.5\n"
    (root / "set-a" / "132539.txt").write_text(head.format(132539, 54, 0) + rest)
    (root / "set-a" / "132540.txt").write_text(head.format(132540, 76, 1) + rest)
    (root / "Outcomes-a.txt").write_text(
        "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n"
        "132539,6,1,5,-1,0\n132540,-1,8,-1,9,1\n"
    )
    return root


@pytest.fixture
def many_events(mimic3: Tables) -> Tables:
    """Three patients with 2,000 diagnoses, some on two lines of the file."""
    mimic3["ADMISSIONS"][0]["diagnosis"] = 'A "QUOTED", DIAGNOSIS\nON TWO LINES'
    mimic3["DIAGNOSES_ICD"] = [
        {"subject_id": s, "hadm_id": h, "seq_num": n, "icd9_code": f"00{n % 5}"}
        for n in range(500)
        for s, h in ((1, 11), (1, 12), (2, 21), (3, 31))
    ]
    del mimic3["ICUSTAYS"]
    return mimic3
