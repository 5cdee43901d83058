"""Published tables that were damaged, cut, changed or named wrong are refused; others are told."""

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from isal import igzip

from sequela.cohort.events import open_events
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, SequelaError, form_of
from sequela.formats.opened import SUMS
from sequela.tables import engine
from sequela.tables.build import build
from sequela.tables.engine import PIPE_BYTES
from sequela.tables.hospitals import source_of

Change = Callable[[bytes], bytes]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The tables of MIMIC-III's demo that ship with the package, unpacked."""
    root = tmp_path / "demo"
    root.mkdir()
    for path in (EXCERPTS / "mimic3").glob("*.gz"):
        (root / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return root


def refused(root: Path, out: Path, source: str = "mimic3", **settings: Any) -> str:
    """What is said of tables that are refused; nothing is written."""
    with pytest.raises(SequelaError) as caught:
        build(source_of(source), root, out, **settings)
    assert not out.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(path: Path, how: Change) -> None:
    path.write_bytes(how(path.read_bytes()))


def test_one_bit_of_a_gzip_file(tmp_path: Path) -> None:
    """DuckDB reads what is left of it, and says nothing of its checksum."""
    root = Path(shutil.copytree(EXCERPTS / "mimic3", tmp_path / "tables"))
    path = root / "DIAGNOSES_ICD.csv.gz"
    content = gzip.decompress(path.read_bytes())
    stored = bytearray(gzip.compress(content, compresslevel=0, mtime=0))
    stored[stored.index(b"99591") + 1] ^= 1
    path.write_bytes(bytes(stored))
    assert "DIAGNOSES_ICD.csv.gz is damaged (CRC check failed" in refused(root, tmp_path / "out")


@pytest.mark.parametrize(
    ("table", "how", "said"),
    [
        ("DIAGNOSES_ICD", lambda c: c[:-3], "the last line has no end, so it may be cut"),
        ("DIAGNOSES_ICD", lambda c: c[: c.index(b"\n", 20_000) + 1],
         r"1,761, for 8 of 9 tables are those of the demo of MIMIC-III 1.4"),
        ("DIAGNOSES_ICD", lambda c: c[:900] + b"\0" + c[900:], "a byte that is zero"),
        ("DIAGNOSES_ICD", lambda c: c.replace(b"subject_id,hadm_id", b"hadm_id,subject_id", 1),
         "line 1: column 'hadm_id' where 'subject_id' is published"),
        ("ADMISSIONS", lambda c: c.replace(b"dischtime,deathtime", b"deathtime,dischtime", 1),
         "line 1: column 'deathtime' where 'dischtime' is published"),
        ("PATIENTS", lambda c: c.replace(b",10006,", b",99999999999999999999,", 1),
         "line 2: column 'subject_id' holds a value of the form '99999999999999999999'"),
        ("PATIENTS", lambda c: c.replace(b"2094-03-05 00:00:00", b"9999-12-31 00:00:00", 1),
         "line 2: column 'dob' holds a value of the form '9999-99-99 99:99:99'"),
        ("PATIENTS", lambda c: c.replace(b"2094-03-05 00:00:00", b"2194-03-05 00:00:00", 1),
         "dod before dob in 1 of 100 rows (the subject_id of one is first on line 2)"),
    ],
)  # fmt: skip
def test_what_is_refused(table: str, how: Change, said: str, demo: Path, tmp_path: Path) -> None:
    change(demo / f"{table}.csv", how)
    assert said in refused(demo, tmp_path / "out")


def longer(content: bytes) -> bytes:
    """A table whose rows do not fit into a pipe, three times over."""
    header, _, rows = content.partition(b"\n")
    return header + b"\n" + rows * (3 * PIPE_BYTES // len(rows) + 1)


def test_a_file_is_decompressed_once(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the first piece, which has the header: DuckDB reads what the check passes on."""
    read: list[int] = []

    class Counted(igzip.IGzipFile):
        def read(self, size: int | None = -1) -> bytes:
            content: bytes = super().read(size)
            read.append(len(content))
            return content

    content = longer((demo / "DIAGNOSES_ICD.csv").read_bytes())
    (demo / "DIAGNOSES_ICD.csv").unlink()
    (demo / "DIAGNOSES_ICD.csv.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
    places: list[Path] = []
    texts = engine.csv_texts

    def noted(connection: Any, place: Path, *rest: Any, **more: Any) -> Any:
        places.append(place)
        return texts(connection, place, *rest, **more)

    monkeypatch.setattr(engine, "csv_texts", noted)
    monkeypatch.setattr(igzip, "IGzipFile", Counted)
    account = build(source_of("mimic3"), demo, tmp_path / "out")
    (table,) = [table for table in account.tables if table.table == "DIAGNOSES_ICD"]
    assert table.rows == content.count(b"\n") - 1
    assert {place.parent for place in places} == {engine.PIPES}
    assert len(content) <= sum(read) <= len(content) + (1 << 20)


@pytest.mark.slow(but="90000")
@pytest.mark.parametrize("line", [2, 90_000])
def test_a_broken_row_in_a_long_table(line: int, demo: Path, tmp_path: Path) -> None:
    """DuckDB stops reading, the check does not; damage that it finds is reported instead."""

    def broken(content: bytes) -> bytes:
        rows = longer(content).splitlines(keepends=True)
        rows[line - 1] = rows[line - 1].replace(b"\n", b",7\n")
        return b"".join(rows)

    path = demo / "DIAGNOSES_ICD.csv"
    change(path, broken)
    assert refused(demo, tmp_path / "out") == (
        f"{path}, line {line}: 6 columns; expected 5, as in the header"
    )
    change(path, lambda content: content[:-3] + b"\0" + content[-3:])
    assert "a byte that is zero" in refused(demo, tmp_path / "out")


@pytest.mark.slow
def test_names_over_other_columns_are_seen_without_their_order(demo: Path, tmp_path: Path) -> None:
    """Where a table is said to be changed, its keys and times still have to fit."""
    change(
        demo / "DIAGNOSES_ICD.csv",
        lambda c: c.replace(b"subject_id,hadm_id", b"hadm_id,subject_id", 1),
    )
    said = refused(demo, tmp_path / "out", changed=["DIAGNOSES_ICD"])
    assert "1,761 of 1,761 rows would be set aside" in said
    assert "--allow-set-aside DIAGNOSES_ICD" in said
    change(
        demo / "ADMISSIONS.csv",
        lambda c: c.replace(b"dischtime,deathtime", b"deathtime,dischtime", 1),
    )
    both = ["DIAGNOSES_ICD", "ADMISSIONS"]
    assert "hospital_expire_flag of 0, in 89 of 129 rows" in refused(
        demo, tmp_path / "out", changed=both
    )


def test_what_somebody_changed_on_purpose(demo: Path, tmp_path: Path) -> None:
    change(demo / "DIAGNOSES_ICD.csv", lambda c: c[: c.index(b"\n", 20_000) + 1])
    account = build(source_of("mimic3"), demo, tmp_path / "out", changed=["diagnoses_icd"])
    (table,) = [table for table in account.tables if table.table == "DIAGNOSES_ICD"]
    assert table.rows < 1761
    assert table.proof == "changed after its publication, as declared by --changed"


def test_a_demo_is_called_a_demo(demo: Path, tmp_path: Path, unchanged: Any) -> None:
    account = build(source_of("mimic3"), demo, tmp_path / "out")
    assert account.title == "MIMIC-III 1.4 demo, 100 patients"
    assert account.title in (tmp_path / "out" / "metadata" / "dataset.json").read_text("utf-8")
    again = build(source_of("meds"), tmp_path / "out", tmp_path / "again")
    assert again.title == account.title
    assert unchanged("mimic3").account.title == ""


def test_the_publishers_checksums(demo: Path, tmp_path: Path) -> None:
    """Also of a file that was packed since: its content is what the list states."""
    paths = sorted(demo.glob("*.csv"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n" for path in paths]
    (demo / SUMS).write_text("".join(lines[1:]))
    services = demo / "SERVICES.csv"
    (demo / "SERVICES.csv.gz").write_bytes(gzip.compress(services.read_bytes()))
    services.unlink()
    account = build(source_of("mimic3"), demo, tmp_path / "out")
    proofs = {table.table: table.proof for table in account.tables}
    assert proofs.pop("ADMISSIONS") == "no published checksum"
    assert set(proofs.values()) == {"SHA-256 as published"}
    printed = "\n".join(account.lines())
    assert "8 of 9 tables: SHA-256 as published" in printed
    assert "no published checksum" in printed
    assert "no published checksum" not in "\n".join(replace(account, source="tables").lines())
    change(demo / "PATIENTS.csv", lambda c: c.replace(b",F,", b",M,", 1))
    said = refused(demo, tmp_path / "other")
    assert "PATIENTS.csv: its SHA-256 is" in said
    assert "run with --changed PATIENTS" in said


@pytest.mark.parametrize("value", ["inf", "nan", "1e39", "1_000", "0x10"])
def test_numbers_that_are_none(value: str, mimic4: Any, write: Any, tmp_path: Path) -> None:
    mimic4["hosp/labevents"] = [
        {"subject_id": 1, "hadm_id": 11, "itemid": 5, "charttime": "2150-01-01 10:00:00",
         "storetime": "", "valuenum": value, "valueuom": "mg"}
    ]  # fmt: skip
    said = refused(write(mimic4), tmp_path / "out", "mimic4")
    form = f"a value of the form {form_of(value)}"
    assert f"line 2: column 'valuenum' holds {form}; expected a number" in said


def test_a_pipe_in_place_of_a_table(demo: Path, tmp_path: Path) -> None:
    (demo / "SERVICES.csv").unlink()
    os.mkfifo(demo / "SERVICES.csv")
    assert "SERVICES.csv is a pipe" in refused(demo, tmp_path / "out")


def test_built_events_keep_their_checksums(mimic3: Any, write: Any, made: Any) -> None:
    out = made("mimic3", write(mimic3)).out
    for line in (out / SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    path = next((out / "data").rglob("*.parquet"))
    open_events(out)
    change(path, lambda c: c[:200] + bytes([c[200] ^ 1]) + c[201:])
    with pytest.raises(DataError, match="the file was changed or cut"):
        open_events(out)
    with pytest.raises(DataError, match="the file was changed or cut"):
        made("meds", out, out="again")


def test_a_year_that_nobody_lives_in(tmp_path: Path) -> None:
    (tmp_path / "meds" / "data").mkdir(parents=True)
    far = pa.array([9_000_000_000_000_000_000], pa.int64()).cast(pa.timestamp("us"))
    table = pa.table({"subject_id": [1], "time": far, "code": ["A"]})
    pq.write_table(table, tmp_path / "meds" / "data" / "0.parquet")
    said = refused(tmp_path / "meds", tmp_path / "out", "meds")
    assert "column 'time' holds a value of the form '999999-" in said
    assert "subject_id 1" not in said
