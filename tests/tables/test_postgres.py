"""A real PostgreSQL server: the same rows, read only, and never a password in what is said."""

import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.cli.calls import ran, refusal
from tests.postgres import PASSWORD
from tests.rows_hash import rows_hash
from tests.tables.conftest import Tables

from sequela.errors import DataError, DataNotFoundError, SettingError
from sequela.tables.build import build
from sequela.tables.hospitals import source_of
from sequela.tables.postgres import Database, in_schema

ENCODED = quote(PASSWORD, safe="")


@pytest.fixture
def load(server: str) -> Iterator[Any]:
    """Load tables into a schema of their own; it is dropped afterwards."""
    from adbc_driver_postgresql import dbapi

    schemas = []
    with dbapi.connect(server) as connection, connection.cursor() as cursor:

        def call(tables: Tables, schema: str = "mimiciii", **kinds: str) -> None:
            def typed(column: str) -> str:
                return kinds.get(column) or kind(column)

            schemas.append(schema)
            cursor.execute(f"CREATE SCHEMA {schema}")
            for name, rows in tables.items():
                columns = ", ".join(f"{column} {typed(column)}" for column in rows[0])
                cursor.execute(f"CREATE TABLE {schema}.{name} ({columns})")
                casts = ", ".join(f"${i}::{typed(column)}" for i, column in enumerate(rows[0], 1))
                values = [[None if v == "" else str(v) for v in row.values()] for row in rows]
                cursor.executemany(f"INSERT INTO {schema}.{name} SELECT {casts}", values)
            connection.commit()

        yield call
        for schema in schemas:
            cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        connection.commit()


def kind(column: str) -> str:
    """Type of a column, as in the scripts that load MIMIC-III into PostgreSQL."""
    if column.endswith(("time", "dob", "dod")):
        return "timestamp(0)"
    if column.endswith("_date"):
        return "date"
    if column in {"vocabulary_id", "domain_id"}:
        return "varchar(20)"
    return "bigint" if column.endswith(("_id", "flag", "data", "seq_num")) else "varchar(255)"


def reader(server: str, password: str = ENCODED) -> str:
    return server.replace("postgres:@", f"reader:{password}@")


def test_the_same_rows(mimic3: Any, made: Any, unchanged: Any, load: Any, server: str) -> None:
    files = unchanged("mimic3")
    load(mimic3)
    database = made("mimic3", reader(server))
    assert database.rows == files.rows
    assert rows_hash(database.out) == rows_hash(files.out)
    assert database.table("PATIENTS").place == '"mimiciii"."patients"'
    assert [(t.table, t.rows, t.set_aside) for t in database.account.tables] == [
        (t.table, t.rows, t.set_aside) for t in files.account.tables
    ]


@pytest.mark.slow
def test_omop_gives_the_same_rows(
    omop: Any, made: Any, unchanged: Any, load: Any, server: str, tmp_path: Path
) -> None:
    files = unchanged("omop")
    load(omop, "cdm")
    load({name: omop[name] for name in ("person", "visit_occurrence")}, "results")
    place = reader(server)
    with pytest.raises(DataError, match="choose one with --schema cdm"):
        made("omop", place, out="both")
    out, aside = tmp_path / "of-schema", ("--allow-set-aside", "condition_occurrence")
    ran("build", "omop", "--root", place, "--schema", "cdm", "--out", out, *aside)
    assert rows_hash(out) == rows_hash(files.out)
    load({"death": omop["death"]}, "elsewhere")
    load({name: rows for name, rows in omop.items() if name != "death"}, "alone")
    without = made("omop", in_schema(place, "alone"), out="without")
    assert "death" not in {each.table for each in without.account.tables}
    with pytest.raises(SettingError, match="is not a name of a schema"):
        in_schema(place, "cdm;--")


@pytest.mark.parametrize("statement", ["DELETE FROM mimiciii.patients", "CREATE TABLE t (a int)"])
def test_it_is_read_only(statement: str, load: Any, server: str, mimic3: Any) -> None:
    load(mimic3)
    with (
        closing(Database(server)) as database,
        pytest.raises(database._refusal, match="read-only transaction"),
    ):
        database._cursor.execute(statement)


def test_the_password_is_in_no_file_and_not_said(
    mimic3: Any, load: Any, server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(mimic3)
    ran("build", "mimic3", "--root", reader(server), "--out", tmp_path / "out")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"s3cret" not in written
    assert "s3cret" not in "".join(capfd.readouterr())


def test_a_wrong_password(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("PGPASSWORD", "fr0m-the-environment")
    for address in (reader(server, "wr0ng-one"), reader(server, "").replace(":@", "@")):
        with pytest.raises(DataNotFoundError) as raised:
            build(source_of("mimic3"), address, tmp_path / "out")
        shown = "".join(traceback.format_exception(raised.value))
        assert "password authentication failed" in str(raised.value)
        assert "wr0ng" not in shown
        assert "fr0m" not in shown
    place = reader(server, "wr0ng")
    said = refusal(capfd, "build", "mimic3", "--root", place, "--out", tmp_path / "o", silent=False)
    assert "wr0ng" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/x", DataNotFoundError, "Connection refused"),
        ("postgresql://u:s3cr%zzet@localhost/x", DataNotFoundError, "invalid percent-encoded"),
        ("postgresql://u:s3c@ret@localhost/x", SettingError, "as %40"),
        ("postgresql://u@localhost:1/x?password=s3cret", DataNotFoundError, "cannot be reached"),
    ],
)
def test_a_database_that_cannot_be_reached(
    address: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as raised:
        build(source_of("mimic3"), address, tmp_path / "out")
    assert "s3c" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_a_database_may_lack(mimic3: Any, load: Any, server: str, tmp_path: Path) -> None:
    def refused(error: type[Exception] = DataError) -> str:
        with pytest.raises(error) as raised:
            build(source_of("mimic3"), server, tmp_path / "out")
        return str(raised.value)

    assert "no table PATIENTS; expected MIMIC-III" in refused(DataNotFoundError)
    load(mimic3)
    load(mimic3, "second")
    assert "several schemas (mimiciii, second)" in refused()
    chosen = f"{server}&options=-csearch_path%3Dsecond"
    account = build(source_of("mimic3"), chosen, tmp_path / "out")
    assert account.tables[0].place == '"second"."patients"'


def test_values_of_another_kind(mimic3: Any, load: Any, server: str, tmp_path: Path) -> None:
    for row in mimic3["DIAGNOSES_ICD"]:
        row["subject"] = row.pop("subject_id")
    load(mimic3)
    with pytest.raises(DataError, match="no column 'subject_id'"):
        build(source_of("mimic3"), server, tmp_path / "out")
    for row in mimic3["DIAGNOSES_ICD"]:
        row["subject_id"] = f"{row.pop('subject')}x"
    load(mimic3, "wrong", subject_id="varchar(9)")
    with pytest.raises(DataError, match=r"'subject_id' holds a value of the form '9a'") as raised:
        build(source_of("mimic3"), f"{server}&options=-csearch_path%3Dwrong", tmp_path / "out")
    assert "\n" not in str(raised.value)
