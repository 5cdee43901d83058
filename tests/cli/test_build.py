"""``sequela build``: what it says and writes, and how bad input is refused."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import Output, Refused, ran, refusal

from sequela.cli.app import main
from sequela.cohort.events import open_events

STAY = "admission_type,admission_location,discharge_location,insurance,language,marital_status"
TABLES = {
    "PATIENTS.csv": "subject_id,gender,dob,dod\n1,F,2080-01-01 00:00:00,\n",
    "ADMISSIONS.csv": (
        f"subject_id,hadm_id,admittime,dischtime,deathtime,{STAY},ethnicity,diagnosis,"
        "hospital_expire_flag\n"
        "1,11,2130-01-01 10:00:00,2130-01-05 12:00:00,,URGENT,,HOME,,,,WHITE,SEPSIS,0\n"
        "1,12,2131-01-01 10:00:00,2131-01-05 12:00:00,,URGENT,,HOME,,,,WHITE,SEPSIS,0\n"
    ),
    "DIAGNOSES_ICD.csv": "subject_id,hadm_id,seq_num,icd9_code\n1,11,1,0042\n1,12,1,4280\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The smallest MIMIC-III."""
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    return folder


def change(table: str, old: str, new: str) -> Callable[[Path], object]:
    def apply(root: Path) -> None:
        path = root / f"{table}.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return apply


def compress(table: str, mend: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def apply(root: Path) -> None:
        path = root / f"{table}.csv"
        (root / f"{table}.csv.gz").write_bytes(mend(gzip.compress(path.read_bytes())))
        path.unlink()

    return apply


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Build what must be refused, which may first say what it reads."""
    return partial(refusal, capsys, "build", silent=False)


def test_what_is_written_and_said(root: Path, tmp_path: Path, output_of: Output) -> None:
    said = output_of("build", "mimic3", "--root", root, "--out", tmp_path / "new" / "events")
    assert "DIAGNOSES_ICD: 2 rows read, 2 used for 2 events, 0 set aside" in said
    assert "events of 1 subjects" in said
    account = json.loads((tmp_path / "new" / "events" / "account.json").read_text())
    assert account["stays_in_order"] is True
    assert [table["rows"] for table in account["tables"]] == [1, 2, 2]


def test_a_title_of_ones_own(root: Path, tmp_path: Path) -> None:
    named = ("--title", "Our hospital", "--out", tmp_path / "events")
    ran("build", "mimic3", "--root", root, *named)
    assert open_events(tmp_path / "events").title == "Our hospital"


# Faults of the files alone are in tests/tables/test_forms.py.
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing table": (
        lambda root: (root / "ADMISSIONS.csv").unlink(),
        "no table ADMISSIONS (as .csv, .csv.gz, .csv.zip or .parquet, in either case; found: ",
    ),
    "a broken number": (
        change("DIAGNOSES_ICD", "1,12,1", "1.5,12,1"),
        "line 3: column 'subject_id' holds a value of the form '9.9'; expected",
    ),
    "half a gzip": (
        compress("DIAGNOSES_ICD", lambda content: content[:-9]),
        "DIAGNOSES_ICD.csv.gz is damaged",
    ),
    "not UTF-8": (
        lambda root: (root / "DIAGNOSES_ICD.csv").write_bytes(
            b"subject_id,hadm_id,seq_num,icd9_code\n" + b"1,11,1,0042\n" * 2002 + b"1,1,1,\xe9\n"
        ),
        "DIAGNOSES_ICD.csv, line 2004: not UTF-8 text",
    ),
    "a cell of 10 MB": (
        change("ADMISSIONS", "SEPSIS,0\n1,12", "S" * 10_000_000 + ",0\n1,12"),
        "the table ADMISSIONS has a row of over 4 MB; expected shorter ones",
    ),
    "a patient twice": (
        lambda root: (root / "PATIENTS.csv").write_text(
            TABLES["PATIENTS.csv"] + "1,M,2080-01-01 00:00:00,\n"
        ),
        "PATIENTS.csv: 2 rows have the same subject_id (the first is line 2); expected one",
    ),
    "an admission twice": (
        change("ADMISSIONS", "1,12,", "1,11,"),
        "ADMISSIONS.csv: 2 rows have the same hadm_id (the first is line 2); expected one",
    ),
    "an admission without a patient": (
        change("ADMISSIONS", "1,12,", "7,12,"),
        "admissions without a patient in 1 of 2 rows (the hadm_id of one is first on line 3)",
    ),
    "discharge before admission": (
        change("ADMISSIONS", "2131-01-05", "2130-12-31"),
        "(organ donors apart) in 1 of 2 rows (the hadm_id of one is first on line 3)",
    ),
    "an outcome that is neither": (
        change("ADMISSIONS", "SEPSIS,0\n1,12", "SEPSIS,2\n1,12"),
        "neither 0 nor 1 in 1 of 2 rows (the hadm_id of one is first on line 2)",
    ),
    "no rows at all": (
        lambda root: [
            (root / name).write_text(text.split("\n")[0] + "\n") for name, text in TABLES.items()
        ],
        "no row gave an event",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_tables(name: str, root: Path, tmp_path: Path, refused: Refused) -> None:
    spoil, said = BAD[name]
    spoil(root)
    assert said in refused("mimic3", "--root", root, "--out", tmp_path / "a" / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mimic", "--out", "new"], "unknown data set 'mimic': did you mean 'mimic"),
        (["bonn", "--out", "new"], "bonn holds recordings, expected hospital tables"),
        (["mimic3", "--out", "new", "--engine", "duck"], "did you mean 'duckdb'?"),
        (["mimic3", "--out", "new", "--master", "spark://x"], "--master is Spark's"),
        (["mimic3", "--out", "new", "--tables", "LABEVENT"], "did you mean 'LABEVENTS'?"),
        (["mimic3", "--out", "tables"], "tables is there and not empty"),
        (["mimic3", "--out", "tables/PATIENTS.csv"], "is there and not empty"),
        (
            ["mimic3", "--out", "tables/PATIENTS.csv/new"],
            "a file is where a folder is expected; name another place",
        ),
        (["mimic3", "--out", "new\udcff"], "'new\ufffd' is not UTF-8; expected names of files"),
        (["mimic3"], "parameter --out requires an argument"),
    ],
)
def test_bad_settings(
    arguments: list[str], said: str, root: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(root.parent)
    assert said in refused(*arguments, "--root", root)
    assert sorted(path.name for path in root.parent.iterdir()) == ["tables"]


def test_a_root_that_is_not_there(tmp_path: Path, refused: Refused) -> None:
    root = tmp_path / "nowhere"
    assert "does not exist" in refused("mimic3", "--root", root, "--out", tmp_path / "new")
    file = tmp_path / "file"
    file.write_text("")
    said = refused("mimic3", "--root", file, "--out", tmp_path / "new")
    assert "expected the folder with the tables: name it with --root" in said


def test_a_subject_in_two_files(tmp_path: Path, refused: Refused) -> None:
    table = pa.table(
        {"subject_id": [1], "time": pa.array([None], pa.timestamp("us")), "code": ["A"]}
    )
    for name in ("a", "b"):
        (tmp_path / "meds" / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / "meds" / "data" / f"{name}.parquet")
    said = refused("meds", "--root", tmp_path / "meds", "--out", tmp_path / "new")
    assert "subject 1 is in" in said
    assert [path.name for path in tmp_path.iterdir()] == ["meds"]


def test_an_older_meds(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "meds" / "metadata").mkdir(parents=True)
    (tmp_path / "meds" / "metadata" / "dataset.json").write_text('{"meds_version": "0.3.3"}')
    said = refused("meds", "--root", tmp_path / "meds", "--out", tmp_path / "new")
    assert "MEDS version 0.3.3; expected 0.4" in said


def test_a_bug_stays_a_traceback(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("sequela.tables.build.write_codes", broken)
    with pytest.raises(RuntimeError, match="bug"):
        main(["build", "mimic3", "--root", str(root), "--out", str(tmp_path / "new")])
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


INTERRUPTED = """
import os, signal, threading
import duckdb
import sequela.tables.hospitals
from sequela.cli.app import main

def ask_for_long(*_, **__):
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    duckdb.sql("SET threads = 1")  # with more, this thread may wait for the others' tasks
    rows = "range(100000) a, range(1000000) b"
    duckdb.sql(f"SELECT sum(sin(a.range) * cos(b.range)) FROM {rows}").fetchall()

sequela.tables.hospitals.source_with_options = ask_for_long
signal.signal(signal.SIGINT, signal.default_int_handler)
main(["build", "mimic3", "--root", ".", "--out", "events"])
"""


def test_a_query_that_is_interrupted_is_no_bug(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)
    assert done.stderr.startswith("sequela: interrupted; ")
