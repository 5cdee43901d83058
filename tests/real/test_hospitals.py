"""The open demos and sets, as their publishers describe them."""

import gzip
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from tests.real.conftest import Built

from sequela.cohort.events import open_events
from sequela.datasets.catalog import EXCERPTS
from sequela.tables.account import read_account
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

ADMITTED, DIED, ALIVE = (
    "HOSPITAL_ADMISSION//",
    "HOSPITAL_OUTCOME//expired",
    "HOSPITAL_OUTCOME//alive",
)


@pytest.mark.parametrize(
    ("name", "subjects", "stays", "table", "rows"),
    [
        # All patients of this demo have a date of death.
        ("mimic3", 100, {ADMITTED: 129, DIED: 40, "MEDS_DEATH": 100}, "DIAGNOSES_ICD", 1761),
        ("mimic4", 100, {ADMITTED: 275, DIED: 15, "MEDS_DEATH": 31}, "hosp/diagnoses_icd", 4506),
        ("eicu", 1841, {ADMITTED: 2174, DIED: 182, ALIVE: 1967}, "patient", 2520),
        ("physionet2012", 4000, {DIED: 554, ALIVE: 3446}, "outcomes", 4000),
    ],
)
def test_the_published_counts(
    name: str, subjects: int, stays: dict[str, int], table: str, rows: int, built: Built
) -> None:
    """Subjects, stays (or subjects) with a code that begins so, and rows, all of them used."""
    out = built(name)
    account, events = read_account(out), ds.dataset(sorted(map(str, out.glob("data/**/*.parquet"))))
    assert account["subjects"] == subjects
    ids = ["subject_id", "visit_id"]
    for code, count in stays.items():
        found = events.to_table(columns=ids, filter=pc.starts_with(ds.field("code"), code))
        assert len(found.group_by(ids).aggregate([])) == count, code
    (of_table,) = (each for each in account["tables"] if each["table"] == table)
    assert (of_table["rows"], of_table["used"]) == (rows, rows)


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
    built: Built, tmp_path: Path
) -> None:
    files, excerpt = built("physionet2012"), tmp_path / "excerpt"
    build(source_of("physionet2012"), EXCERPTS / "physionet2012.parquet", excerpt)
    assert open_events(files).digest == open_events(excerpt).digest
    counts = [read_account(root)["tables"] for root in (files, excerpt)]
    assert [{**table, "place": ""} for table in counts[0]] == [
        {**table, "place": ""} for table in counts[1]
    ]
