"""The open demos and sets, as their publishers describe them."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.conftest import Once
from tests.real.conftest import Built, set_a
from tests.rows_hash import rows_hash

from sequela.cohort.events import open_events
from sequela.datasets.catalog import EXCERPTS
from sequela.intake.describe import describe
from sequela.tables.account import read_account
from sequela.tables.build import build
from sequela.tables.hospitals import source_of
from sequela.tables.sources import physionet2012

Demo = Callable[..., tuple[dict[str, Any], Callable[[str], int]]]


@pytest.fixture
def demo(built: Built) -> Demo:
    """The account of a real data set, and how many stays or subjects have a code."""

    def call(name: str) -> tuple[dict[str, Any], Callable[[str], int]]:
        out = built(name)
        events = ds.dataset(sorted(str(path) for path in (out / "data").rglob("*.parquet")))

        def count(code: str) -> int:
            """Distinct (subject, stay) with a code that begins so."""
            rows = events.to_table(
                columns=["subject_id", "visit_id"],
                filter=pc.starts_with(ds.field("code"), code),
            )
            return len(rows.group_by(["subject_id", "visit_id"]).aggregate([]))

        return read_account(out), count

    return call


def test_mimic3(demo: Demo) -> None:
    account, count = demo("mimic3")
    assert account["subjects"] == 100
    assert count("HOSPITAL_ADMISSION//") == 129
    assert count("HOSPITAL_OUTCOME//expired") == 40
    diagnoses = next(t for t in account["tables"] if t["table"] == "DIAGNOSES_ICD")
    assert (diagnoses["rows"], diagnoses["events"], diagnoses["duplicates"]) == (1761, 1761, 0)
    assert count("MEDS_DEATH") == 100, "all patients of the demo have a date of death"


@pytest.mark.slow
def test_mimic3_as_tables_of_a_hospital(real_data: Path, built: Built, tmp_path: Path) -> None:
    """The declaration that ``sequela data describe mimic3`` shows, beside the files."""
    root = tmp_path / "own"
    shutil.copytree(real_data / "mimic3-demo", root)
    (root / "tables.toml").write_text(describe(Path("mimic3"))[0], "utf-8")
    build(source_of("tables", root), root, tmp_path / "tables")
    assert rows_hash(tmp_path / "tables") == rows_hash(built("mimic3"))


@pytest.mark.slow
def test_physionet2012_as_tables_of_a_hospital(
    real_data: Path, built: Built, tmp_path: Path, once: Once
) -> None:
    """Its text files, written as the two tables that they are."""
    root = tmp_path / "own"
    root.mkdir()
    for name, rows in physionet2012.read(set_a(real_data, once)):
        assert isinstance(rows, pa.RecordBatchReader)
        pq.write_table(rows.read_all(), root / f"{name}.parquet")
    (root / "tables.toml").write_text(describe(Path("physionet2012"))[0], "utf-8")
    build(source_of("tables", root), root, tmp_path / "tables")
    assert rows_hash(tmp_path / "tables") == rows_hash(built("physionet2012"))


def test_mimic4(demo: Demo) -> None:
    account, count = demo("mimic4")
    assert account["subjects"] == 100
    assert count("HOSPITAL_ADMISSION//") == 275
    assert count("HOSPITAL_OUTCOME//expired") == 15
    assert count("MEDS_DEATH") == 31
    diagnoses = next(t for t in account["tables"] if t["table"] == "hosp/diagnoses_icd")
    assert (diagnoses["rows"], diagnoses["used"]) == (4506, 4506)


@pytest.mark.slow
def test_eicu(demo: Demo) -> None:
    account, count = demo("eicu")
    assert account["subjects"] == 1841
    assert count("HOSPITAL_OUTCOME//expired") == 182
    assert count("HOSPITAL_OUTCOME//alive") == 1967
    assert count("HOSPITAL_ADMISSION//") == 182 + 1967 + 25
    assert account["tables"][0]["rows"] == 2520


@pytest.mark.slow
def test_physionet2012(demo: Demo) -> None:
    account, count = demo("physionet2012")
    assert account["subjects"] == 4000
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


@pytest.mark.slow
def test_the_excerpt_of_physionet2012_gives_the_events_of_its_4000_files(
    built: Built, tmp_path: Path
) -> None:
    files, excerpt = built("physionet2012"), tmp_path / "excerpt"
    build(source_of("physionet2012"), EXCERPTS / "physionet2012.parquet", excerpt)
    assert open_events(files).digest == open_events(excerpt).digest
    counts = [read_account(root)["tables"] for root in (files, excerpt)]
    assert [{**table, "place": ""} for table in counts[0]] == [
        {**table, "place": ""} for table in counts[1]
    ]
