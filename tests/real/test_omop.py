"""Two roads to the same 100 people, MIMIC-IV's own tables and OMOP, and what naive dating leaks."""

import csv
import gzip
import re
import shutil
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.postgres import load_omop, table_of
from tests.real.conftest import Built
from tests.rows_hash import rows_hash

from sequela.analysis.evaluate import evaluate_run, judge_elsewhere
from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import in_hospital
from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.report.pages.external_page import build_external
from sequela.runs.fit import train
from sequela.tables.account import read_account
from sequela.tables.build import build
from sequela.tables.hospitals import source_of, source_with_options
from sequela.tables.postgres import in_schema
from sequela.tables.sources.omop import BY_VISIT_END

HADM = r"regexp_full_match(visit_source_value, '[0-9]+[|][0-9]+')"
# What the demo leaves out of Athena's table concept: the pairs of a concept and its ICD code, found
# in the same stay of MIMIC-IV's own table.
ICD = f"""
COPY (
    SELECT DISTINCT
        condition_source_concept_id AS concept_id, '' AS concept_name, 'Condition' AS domain_id,
        'ICD' || icd_version || 'CM' AS vocabulary_id, icd_code AS concept_code
    FROM (
        SELECT visit_occurrence_id, split_part(visit_source_value, '|', 2) AS hadm_id
        FROM read_csv($visits, all_varchar = true) WHERE {HADM}
    )
    JOIN read_csv($conditions, all_varchar = true) USING (visit_occurrence_id)
    JOIN read_csv($diagnoses, all_varchar = true) USING (hadm_id)
    WHERE trim(icd_code) = trim(condition_source_value) AND condition_type_concept_id = '32821'
) TO $out
"""  # noqa: S608


@pytest.fixture(scope="module")
def omop(real_data: Path) -> Path:
    return real_data / "mimic4-omop-demo"


def stays(root: Path) -> dict[int, tuple[Any, ...]]:
    """How and when each stay ended, by its number."""
    with open_events(root).connect() as connection:
        create_stays(connection)
        rows = connection.execute(
            "SELECT visit_id, expired, discharged FROM stays WHERE admitted IS NOT NULL"
        )
        return {visit: tuple(rest) for visit, *rest in rows.fetchall()}


def hospital_numbers(omop: Path) -> dict[int, int]:
    with gzip.open(omop / "visit_occurrence.csv.gz", "rt") as file:
        pairs = [
            (int(row["visit_occurrence_id"]), row["visit_source_value"].partition("|")[2])
            for row in csv.DictReader(file)
        ]
    return {visit: int(number) for visit, number in pairs if number.isdigit()}


def test_the_275_stays_have_the_same_labels(built: Built, omop: Path) -> None:
    own, number = stays(built("mimic4")), hospital_numbers(omop)
    through_omop = {number[v]: ended for v, ended in stays(built("omop")).items()}
    assert len(own) == 275
    midnight = {v for v, (_, end) in own.items() if end.time() == time.min}
    last = timedelta(days=1, seconds=-1)  # midnight is a date without a time in OMOP
    assert through_omop == {
        v: (died, end + last * (v in midnight)) for v, (died, end) in own.items()
    }
    assert len(midnight) == 3
    assert sum(bool(expired) for expired, _ in own.values()) == 15
    labels = select_cohort(open_events(built("omop")), in_hospital(0)).labels
    assert (len(labels), sum(labels["boolean_value"].to_pylist())) == (275, 15)


def test_no_leak_is_found(built: Built) -> None:
    assert select_cohort(open_events(built("omop")), in_hospital()).leaks == ()


@pytest.mark.parametrize("name", ["mimic4-omop-demo", "synthea-omop"])
def test_all_stores_give_the_same(
    name: str, real_data: Path, built: Built, server: str, tmp_path: Path
) -> None:
    """CSV, Parquet, DuckDB and PostgreSQL."""
    files = real_data / name
    parquet, database, schema = tmp_path / "cdm", tmp_path / "cdm.duckdb", name.replace("-", "_")
    parquet.mkdir()
    with duckdb.connect(str(database)) as connection:
        for path in sorted(files.glob("*.csv.gz")):
            stem = path.name.split(".")[0].lower()
            pq.write_table(table_of(path), parquet / f"{stem}.parquet")
            connection.read_parquet(str(parquet / f"{stem}.parquet")).create(stem)
    load_omop(server, files, schema)
    roads: dict[str, Path | str] = {
        "parquet": parquet,
        "duckdb": database,
        "postgresql": in_schema(server, schema),
    }
    csv = built("omop", at=name)
    expected = [(t["table"], t["rows"], t["notes"]) for t in read_account(csv)["tables"]]
    assert sum(read for _, read, _ in expected) > 10_000
    for road, root in roads.items():
        account = build(source_of("omop"), root, tmp_path / road)
        assert [(t.table, t.rows, t.notes) for t in account.tables] == expected
        assert rows_hash(tmp_path / road) == rows_hash(csv)


def test_synthea_builds(built: Built) -> None:
    account = read_account(built("omop", at="synthea-omop"))
    assert account["subjects"] == 28
    rows = {table["table"]: table for table in account["tables"]}
    assert rows["measurement"]["used"] == rows["measurement"]["rows"] == 10_040
    assert BY_VISIT_END not in rows["condition_occurrence"]["notes"]
    assert any(name.startswith("parquet/") for name in account["not_read"])


def test_a_model_of_one_is_judged_on_the_other(
    built: Built, real_data: Path, omop: Path, tmp_path: Path
) -> None:
    root = tmp_path / "with-icd"
    shutil.copytree(omop, root)
    values = {
        "visits": str(omop / "visit_occurrence.csv.gz"),
        "conditions": str(omop / "condition_occurrence.csv.gz"),
        "diagnoses": str(real_data / "mimic4-demo" / "hosp" / "diagnoses_icd.csv"),
    }
    text = ICD
    for name, value in {**values, "out": str(root / "CONCEPT.csv")}.items():
        text = text.replace(f"${name}", f"'{value}'")
    duckdb.sql(text)
    events = tmp_path / "events"
    build(source_with_options("omop", {"codes": "source"}), root, events)
    settings = RunSettings(
        model="visits-baseline",
        data="mimic4",
        split="subject",
        cohort=CohortSettings.of(task="in-hospital", inputs=("ICD9CM", "ICD10CM")),
        training=TrainingSettings(epochs=2),
    )
    run = train(settings, tmp_path / "run", root=built("mimic4"))
    numbers = evaluate_run(run.path, data="omop", root=events)
    assert numbers["unknown_codes"] < 0.05
    # Other ids, the same people: those whose stays hold enough codes are known by them.
    assert numbers["subjects_set_aside_under_another_name"] >= 20
    assert numbers["groups"] == 100 - numbers["subjects_set_aside_as_trained_or_tuned_on"]
    found = judge_elsewhere(run.path, data="omop", root=events)
    page = build_external(found, tmp_path / "page.html", 10).read_text("utf-8")
    assert re.search(
        r"Codes outside the model.{1,6}s vocabulary</th><td>[^<]*</td><td>\d+\.\d %", page
    )
    assert "fewer than 10 examples of a class" in page  # 15 of the 275 stays end in death
