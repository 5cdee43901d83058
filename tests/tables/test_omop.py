"""OMOP: when a row was known by its type, codes from concepts, stays and how they ended."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.cli.calls import refusal
from tests.rows_hash import rows_hash
from tests.tables.cdm import LAST, OFFICE, OPEN, STAY, A, B

from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import in_hospital, length_of_stay, readmission
from sequela.errors import DataError, SettingError, UnknownNameError
from sequela.formats.opened import SUMS
from sequela.tables.account import ACCOUNT, LEAKS
from sequela.tables.build import build
from sequela.tables.hospitals import source_with_options
from sequela.tables.sources.omop import (
    AGAIN,
    ALONE,
    APART,
    BY_ID,
    BY_LATER,
    BY_OWN_TIME,
    BY_SOURCE,
    BY_VALUE,
    BY_VISIT_END,
    LIMITS,
    LONG_DEAD,
    NO_END,
    ONLY_DATES,
    REVERSED,
    TIMED,
    UNBORN,
)

END = datetime(2150, 2, 9, 11)


def conditions(built: Any) -> set[tuple[str, Any]]:
    heads = ("SNOMED", "ICD9CM", "CONDITION", "OMOP", "BILLED")
    return {(r["code"], r["time"]) for r in built.rows if r["code"].startswith(heads)}


def test_a_row_is_known_by_its_type(unchanged: Any) -> None:
    built = unchanged("omop")
    assert conditions(built) == {
        ("SNOMED//84114007", END),
        ("ICD9CM//4280", END),
        ("SNOMED//84114007", datetime(2150, 2, 3, 4)),
        ("CONDITION//428.0", END),
        ("OMOP//999", datetime(2150, 2, 1, 23, 59, 59)),
        ("SNOMED//84114007", datetime(2149, 5, 5, 5, 5)),
        ("SNOMED//84114007", datetime(2149, 6, 6, 6, 6)),
    }
    table = built.table("condition_occurrence")
    assert table.notes == {
        BY_VISIT_END: 2, ALONE: 1, BY_OWN_TIME: 3, BY_LATER: 1, ONLY_DATES: 1, TIMED: 8,
        BY_SOURCE: 1, BY_VALUE: 1, BY_ID: 1,
    }  # fmt: skip
    assert table.set_aside == {NO_END: 1, "its visit is not in the table visit_occurrence": 1}


def test_stays_how_they_ended_and_values_with_their_unit(omop: Any, write: Any, made: Any) -> None:
    built = made("omop", write(omop, suffix=".csv.gz", upper=True))
    by_code = {(r["code"], r["visit_id"]) for r in built.rows}
    assert ("HOSPITAL_OUTCOME//alive", STAY) in by_code
    assert ("HOSPITAL_OUTCOME//expired", LAST) in by_code
    assert not {("HOSPITAL_OUTCOME//alive", OPEN), ("HOSPITAL_OUTCOME//expired", OPEN)} & by_code
    assert ("VISIT//9202", OFFICE) in by_code
    assert ("HOSPITAL_ADMISSION//9202", OFFICE) not in by_code
    assert built.times("MEDS_DEATH") == [datetime(2160, 2, 3, 23, 59, 59)]
    assert built.times("FOLLOW_UP_END") == [datetime(2155, 12, 31, 23, 59, 59)]
    assert built.times("MEDS_BIRTH", A) == [datetime(2090, 1, 1)]
    assert built.times("MEDS_BIRTH", B) == [datetime(2080, 7, 12)]
    assert {"GENDER//M", "GENDER//F", "ETHNICITY//ASIAN", "ETHNICITY//HISPANIC/LATINO"} <= (
        built.codes()
    )
    found = {(r["code"], r["numeric_value"]) for r in built.rows if r["code"].startswith("LOINC")}
    assert found == {("LOINC//2160-0//mg/dL", 1.5), ("LOINC//2160-0//High", None)}
    assert built.times("LOINC//2160-0//High") == [datetime(2150, 2, 2, 6)]


DEATHS = [
    ("HOME", "2160-02-03", "", "alive"),  # it left on that day, and died at home
    ("", "2160-02-03", "", "expired"),
    ("HOME", "2160-02-02", "", "expired"),
    ("", "2160-02-03", "2160-02-03 10:00:00", "alive"),
    ("", "2160-02-03", "2160-02-03 08:59:00", "expired"),
    ("", "2161-02-03", "", "alive"),
    ("", "", "", "alive"),
]


def test_a_death_in_a_stay(omop: Any, write: Any, made: Any) -> None:
    person, stay = omop["person"][1], omop["visit_occurrence"][2]
    omop["death"] = [{"person_id": A, "death_date": "2190-01-01", "death_datetime": ""}]
    for number, (said, day, time, _) in enumerate(DEATHS, 100):
        of = {"person_id": number}
        omop["person"].append({**person, **of})
        omop["visit_occurrence"].append(
            {**stay, **of, "visit_occurrence_id": number, "discharged_to_source_value": said}
        )
        if day:
            omop["death"].append({**of, "death_date": day, "death_datetime": time})
    ended = {
        (r["visit_id"], r["code"])
        for r in made("omop", write(omop), tables=["death"]).rows
        if r["subject_id"] >= 100 and r["subject_id"] != B and "OUTCOME" in r["code"]
    }
    assert ended == {
        (number, f"HOSPITAL_OUTCOME//{outcome}") for number, (*_, outcome) in enumerate(DEATHS, 100)
    }


def test_without_a_table_of_deaths_only_the_visit_tells(omop: Any, write: Any, made: Any) -> None:
    del omop["death"]
    built = made("omop", write(omop), tables=[])
    ended = {r["code"] for r in built.rows if r["visit_id"] == STAY and "OUTCOME" in r["code"]}
    assert ended == set(), "nobody says whether it left alive"
    assert ("HOSPITAL_OUTCOME//expired", LAST) in {(r["code"], r["visit_id"]) for r in built.rows}


def test_the_older_names_of_columns(omop: Any, write: Any, made: Any, unchanged: Any) -> None:
    for row in omop["visit_occurrence"]:
        row["admitting_source_value"] = row.pop("admitted_from_source_value")
        row["discharge_to_concept_id"] = row.pop("discharged_to_concept_id")
        row["discharge_to_source_value"] = row.pop("discharged_to_source_value")
    assert made("omop", write(omop)).rows == unchanged("omop").rows


def built(omop: Any, write: Any, tmp_path: Path, **options: Any) -> Any:
    out = tmp_path / "so"
    shutil.rmtree(out, ignore_errors=True)
    tables = ["condition_occurrence", "death", "observation_period"]
    source = source_with_options("omop", options)
    return build(source, write(omop), out, tables=tables, allow_set_aside=tables), out


def codes_in(out: Path) -> set[str]:
    with open_events(out).connect() as connection:
        return {code for (code,) in connection.execute("SELECT code FROM codes").fetchall()}


def test_codes_of_the_hospital(omop: Any, write: Any, tmp_path: Path) -> None:
    _, out = built(omop, write, tmp_path, codes="source")
    assert {"ICD9CM//4280", "CONDITION//428.0"} <= codes_in(out)
    assert not {code for code in codes_in(out) if code.startswith("SNOMED")}


def test_ways_that_do_not_fit() -> None:
    with pytest.raises(UnknownNameError, match="standard"):
        source_with_options("omop", {"codes": "sources"})
    with pytest.raises(SettingError, match="--codes is for omop: leave it out"):
        source_with_options("mimic3", {"codes": "source"})


def test_early_dates_of_an_earlier_version_are_a_leak(
    omop: Any, write: Any, tmp_path: Path
) -> None:
    _, out = built(omop, write, tmp_path)
    assert select_cohort(open_events(out), in_hospital(0)).leaks == ()
    account = json.loads((out / ACCOUNT).read_text())
    account["leaks"] = "each row is dated at its start"
    account["tables"][0]["notes"] = {f"{LEAKS}are early": 3}
    (out / ACCOUNT).write_text(json.dumps(account))
    (out / SUMS).unlink()
    (leak,) = select_cohort(open_events(out), in_hospital(0)).leaks
    assert (leak.check, leak.severity) == ("dated before it was known", "leak")
    again = build(source_with_options("meds", {}), out, tmp_path / "again")
    assert "3 rows are early" in again.leaks, "a copy says it too"


def test_tasks_can_be_asked(omop: Any, write: Any, tmp_path: Path) -> None:
    later = {**omop["visit_occurrence"][0], "visit_occurrence_id": 15}
    for of, day in (("start", "2150-02-20"), ("end", "2150-02-22")):
        later |= {f"visit_{of}_date": day, f"visit_{of}_datetime": f"{day} 10:00:00"}
    omop["visit_occurrence"].append(later)
    _, out = built(omop, write, tmp_path)
    for task in (in_hospital(), length_of_stay(), readmission()):
        labels = select_cohort(open_events(out), task).labels
        assert set(labels["boolean_value"].to_pylist()) == {True, False}


def into_duckdb(root: Path, file: Path) -> None:
    """All columns in the types that DuckDB sees in them, upper-case names."""
    with duckdb.connect(str(file)) as connection:
        for path in root.glob("*.csv"):
            connection.execute(
                f'CREATE TABLE "{path.stem.upper()}" AS '  # noqa: S608
                "SELECT * FROM read_csv(?, header = true)",
                [str(path)],
            )


def into_parquet(root: Path, folder: Path) -> None:
    """One table as a folder of two files, the others as a file."""
    folder.mkdir()
    with duckdb.connect() as connection:
        for path in root.glob("*.csv"):
            parts = [(path.stem, "true")]
            if path.stem == "condition_occurrence":
                (folder / path.stem).mkdir()
                key = "condition_occurrence_id"
                parts = [(f"{path.stem}/{n}", f"{key} % 2 = {n}") for n in (0, 1)]
            for name, where in parts:
                connection.execute(
                    f"COPY (SELECT * FROM read_csv('{path}', header = true) WHERE {where}) "  # noqa: S608
                    f"TO '{folder / name}.parquet'"
                )


@pytest.mark.slow(but="into_duckdb")
@pytest.mark.parametrize("store", [into_duckdb, into_parquet])
def test_duckdb_and_parquet_give_the_same(
    store: Any, omop: Any, write: Any, made: Any, unchanged: Any, tmp_path: Path
) -> None:
    files = unchanged("omop")
    store(write(omop), tmp_path / "cdm.duckdb")
    stored = made("omop", tmp_path / "cdm.duckdb", out="stored")
    assert rows_hash(stored.out) == rows_hash(files.out)
    assert [(t.table, t.rows, t.set_aside, t.notes) for t in stored.account.tables] == [
        (t.table, t.rows, t.set_aside, t.notes) for t in files.account.tables
    ]
    assert stored.account.not_read == {}


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_spark_gives_the_same_of_parquet(omop: Any, write: Any, made: Any, tmp_path: Path) -> None:
    into_parquet(write(omop), tmp_path / "parquet")
    tables = ["condition_occurrence", "measurement", "death"]
    duck = made("omop", tmp_path / "parquet", tables=tables)
    by_spark = made("omop", tmp_path / "parquet", out="spark", tables=tables, engine="spark")
    assert rows_hash(by_spark.out) == rows_hash(duck.out)
    assert by_spark.account.tables == duck.account.tables


def test_what_a_store_may_hold_that_cannot_be_read(
    omop: Any, write: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(root: Path, *more: str) -> str:
        out = tmp_path / "out"
        said = refusal(capfd, "build", "omop", "--root", root, "--out", out, *more, silent=False)
        assert not out.exists()
        return said

    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"no database")
    assert "broken.duckdb: not readable" in refused(broken)
    root = write(omop)
    into_duckdb(root, tmp_path / "cdm.duckdb")
    with duckdb.connect(str(tmp_path / "cdm.duckdb")) as connection:
        connection.execute("ALTER TABLE PERSON ALTER year_of_birth TYPE VARCHAR")
        connection.execute("UPDATE PERSON SET year_of_birth = 'old' WHERE gender_concept_id = 0")
    said = refused(tmp_path / "cdm.duckdb")
    assert "\"PERSON\": column 'year_of_birth' holds a value of the form 'aaa'; expected" in said
    into_parquet(root, tmp_path / "parquet")
    (tmp_path / "parquet" / "death.parquet").write_bytes(b"PAR1 cut")
    assert "death.parquet: not readable" in refused(tmp_path / "parquet")
    (tmp_path / "parquet" / "death.parquet").unlink()
    (tmp_path / "parquet" / "person.parquet").unlink()
    assert "no table person (as .csv, .csv.gz, .csv.zip or .parquet" in refused(
        tmp_path / "parquet"
    )
    assert "--schema cdm is of a database" in refused(root, "--schema", "cdm")


def test_rows_of_strangers_are_named(omop: Any, write: Any, tmp_path: Path) -> None:
    for row in omop["condition_occurrence"]:
        row["person_id"] = 5
    with pytest.raises(DataError, match="its person is not in the table person"):
        build(source_with_options("omop", {}), write(omop), tmp_path / "out")


def test_each_row_is_dated_by_its_own_precision(omop: Any, write: Any, made: Any) -> None:
    """A single time of day in a table of dates must not move the other rows to the morning."""
    (row, _) = omop["measurement"]
    omop["measurement"] = [
        {**row, "measurement_id": i, "measurement_datetime": f"2150-02-02 {time}"}
        for i, time in enumerate(["00:00:00"] * 3 + ["00:00:01"])
    ]
    omop["measurement"][1]["value_as_number"] = 2.5
    built = made("omop", write(omop), tables=["measurement"])
    night, second = datetime(2150, 2, 2, 23, 59, 59), datetime(2150, 2, 2, 0, 0, 1)
    assert sorted(built.times("LOINC//2160-0//mg/dL")) == [second, night, night]
    notes = built.table("measurement").notes
    assert (notes[ONLY_DATES], notes[TIMED]) == (3, 1)


def test_a_limit_is_no_measured_value(omop: Any, write: Any, made: Any) -> None:
    first, _ = omop["measurement"]
    operators = {4171756: "//<", 4171755: "//>=", 4172703: "", "": ""}
    omop["measurement"] = [
        {**first, "measurement_id": i, "operator_concept_id": concept}
        for i, concept in enumerate(operators)
    ]
    built = made("omop", write(omop), tables=["measurement"])
    assert {code for code in built.codes() if code.startswith("LOINC")} == {
        f"LOINC//2160-0//mg/dL{end}" for end in operators.values()
    }
    assert built.table("measurement").notes[LIMITS] == 2


def test_deaths_that_cannot_be_are_set_aside(omop: Any, write: Any, made: Any) -> None:
    omop["death"] = [
        {"person_id": B, "death_date": day, "death_datetime": time}
        for day, time in (
            ("2160-02-03", "2160-02-03 08:30:00"), ("2160-02-03", ""), ("2161-01-01", ""),
            ("1999-01-01", ""), ("2160-02-03", "2159-02-03 08:30:00"),
        )
    ]  # fmt: skip
    built = made("omop", write(omop), tables=["death"])
    assert built.times("MEDS_DEATH") == [datetime(2160, 2, 3, 8, 30)]
    assert built.table("death").set_aside == {AGAIN: 2, UNBORN: 1, APART: 1}


def test_rows_with_times_that_cannot_be_are_set_aside(omop: Any, write: Any, made: Any) -> None:
    first = omop["measurement"][0]
    late = {"person_id": B, "visit_occurrence_id": ""}
    omop["measurement"] += [
        {**first, **late, "measurement_id": 3, "measurement_date": "2160-04-10",
         "measurement_datetime": ""},
        {**first, **late, "measurement_id": 4, "measurement_date": "2160-03-03",
         "measurement_datetime": ""},
        {**first, "measurement_id": 5, "measurement_date": "2151-02-02"},
        {**first, "measurement_id": 6, "measurement_date": "2150-02-01"},
    ]  # fmt: skip
    built = made("omop", write(omop), tables=["measurement", "death"])
    assert built.table("measurement").set_aside == {LONG_DEAD: 1, APART: 1}


def test_a_visit_that_ends_before_it_starts_has_no_end(omop: Any, write: Any, made: Any) -> None:
    stay = omop["visit_occurrence"][0]
    omop["visit_occurrence"] += [
        {**stay, "visit_occurrence_id": i, "visit_concept_id": 9202} for i in range(1000, 1400)
    ]
    stay |= {"visit_end_date": "2150-01-30", "visit_end_datetime": "2150-01-30 10:00:00"}
    omop["visit_occurrence"][1]["visit_end_date"] = "2152-02-01"
    built = made("omop", write(omop), tables=["condition_occurrence"])
    visits = built.table("visit_occurrence")
    assert (visits.notes[REVERSED], visits.set_aside) == (1, {APART: 1})
    outcomes = {r["visit_id"] for r in built.rows if "OUTCOME" in r["code"]}
    assert outcomes == {LAST}, "when the stay ended is unknown"
    assert built.table("condition_occurrence").set_aside[NO_END] == 3


def test_periods_and_births_that_cannot_be_are_counted(omop: Any, write: Any, made: Any) -> None:
    period = {"person_id": A, "observation_period_start_date": "2156-01-01"}
    last = {**period, "observation_period_id": 3, "observation_period_end_date": "2155-12-30"}
    omop["observation_period"] = [
        *({**each, "observation_period_start_date": ""} for each in omop["observation_period"]),
        last,
    ]
    omop["person"][0]["year_of_birth"] = 2150  # on the first of January, before the first visit
    omop["person"][1]["year_of_birth"] = 2170
    built = made("omop", write(omop))
    assert built.table("observation_period").set_aside["it ends before it starts"] == 1
    assert sum(built.table("person").notes.values()) == 1
