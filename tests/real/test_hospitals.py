"""The open demos and sets, as their publishers describe them."""

import gzip
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from sequela.cohort.events import open_events
from sequela.sources import physionet2012
from sequela.sources.account import Account
from sequela.sources.build import build
from sequela.sources.catalog import EXCERPTS
from sequela.sources.describe import describe
from sequela.sources.hospitals import source_of
from sequela.sources.meds_events import rows_hash

Built = tuple[Account, Callable[[str], int]]


@pytest.fixture(scope="module")
def demo(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """A real data set, built once: its account, and how many stays or subjects have a code."""

    def call(name: str, *tables: str) -> Built:
        root = real_data / name
        root = root if root.is_dir() else real_data / f"{name}-demo"
        out = tmp_path_factory.mktemp("built") / name
        account = build(source_of(name), root, out, tables=tables or None)
        events = ds.dataset(sorted(str(path) for path in (out / "data").rglob("*.parquet")))

        def count(code: str) -> int:
            """Distinct (subject, stay) with a code that begins so."""
            rows = events.to_table(
                columns=["subject_id", "visit_id"],
                filter=pc.starts_with(ds.field("code"), code),
            )
            return len(rows.group_by(["subject_id", "visit_id"]).aggregate([]))

        return account, count

    return call


def test_mimic3(demo: Callable[..., Built]) -> None:
    account, count = demo("mimic3")
    assert account.subjects == 100
    assert count("HOSPITAL_ADMISSION//") == 129
    assert count("HOSPITAL_OUTCOME//expired") == 40
    tables = {table.table: table for table in account.tables}
    assert (tables["DIAGNOSES_ICD"].rows, tables["DIAGNOSES_ICD"].kept) == (1761, 1761)
    assert count("MEDS_DEATH") == 100, "all patients of the demo have a date of death"


def test_mimic3_as_tables_of_a_hospital(real_data: Path, tmp_path: Path) -> None:
    """The declaration that ``sequela data describe mimic3`` shows, beside the files."""
    root = tmp_path / "own"
    shutil.copytree(real_data / "mimic3-demo", root)
    (root / "tables.toml").write_text(describe(Path("mimic3"))[0], "utf-8")
    build(source_of("tables", root), root, tmp_path / "tables")
    build(source_of("mimic3"), real_data / "mimic3-demo", tmp_path / "mimic3")
    assert rows_hash(tmp_path / "tables") == rows_hash(tmp_path / "mimic3")


def test_physionet2012_as_tables_of_a_hospital(real_data: Path, tmp_path: Path) -> None:
    """Its text files, written as the two tables that they are."""
    root = tmp_path / "own"
    root.mkdir()
    for name, rows in physionet2012.read(real_data / "physionet2012"):
        assert isinstance(rows, pa.RecordBatchReader)
        pq.write_table(rows.read_all(), root / f"{name}.parquet")
    (root / "tables.toml").write_text(describe(Path("physionet2012"))[0], "utf-8")
    build(source_of("tables", root), root, tmp_path / "tables")
    build(source_of("physionet2012"), real_data / "physionet2012", tmp_path / "challenge")
    assert rows_hash(tmp_path / "tables") == rows_hash(tmp_path / "challenge")


def test_mimic4(demo: Callable[..., Built]) -> None:
    account, count = demo("mimic4")
    assert account.subjects == 100
    assert count("HOSPITAL_ADMISSION//") == 275
    assert count("HOSPITAL_OUTCOME//expired") == 15
    assert count("MEDS_DEATH") == 31
    diagnoses = next(t for t in account.tables if t.table == "hosp/diagnoses_icd")
    assert (diagnoses.rows, diagnoses.used) == (4506, 4506)


def test_eicu(demo: Callable[..., Built]) -> None:
    account, count = demo("eicu", "diagnosis", "apacheApsVar")
    assert account.subjects == 1841
    assert count("HOSPITAL_OUTCOME//expired") == 182
    assert count("HOSPITAL_OUTCOME//alive") == 1967
    assert count("HOSPITAL_ADMISSION//") == 182 + 1967 + 25
    assert account.tables[0].rows == 2520


def test_physionet2012(demo: Callable[..., Built]) -> None:
    account, count = demo("physionet2012")
    assert account.subjects == 4000
    assert count("HOSPITAL_OUTCOME//expired") == 554
    assert count("HOSPITAL_OUTCOME//alive") == 4000 - 554


@pytest.mark.parametrize("name", ["mimic3", "eicu"])
def test_the_excerpts_equal_the_originals(name: str, real_data: Path) -> None:
    for kept in (EXCERPTS / name).iterdir():
        original = real_data / f"{name}-demo" / kept.name
        if original.is_file():
            content = gzip.decompress(original.read_bytes())
        else:
            content = original.with_suffix("").read_bytes()
        assert gzip.decompress(kept.read_bytes()) == content


def test_the_excerpt_of_physionet2012_gives_the_events_of_its_4000_files(
    real_data: Path, tmp_path: Path
) -> None:
    places = {"files": real_data / "physionet2012", "excerpt": EXCERPTS / "physionet2012.parquet"}
    accounts = {n: build(source_of("physionet2012"), at, tmp_path / n) for n, at in places.items()}
    events = [open_events(tmp_path / name) for name in places]
    assert events[0].digest == events[1].digest
    for counts in zip(*(account.tables for account in accounts.values()), strict=True):
        files, excerpt = (replace(count, place="") for count in counts)
        assert files == excerpt
