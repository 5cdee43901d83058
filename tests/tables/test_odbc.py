"""Databases through their ODBC drivers: the same events, exact values, and never a password."""

import csv
import os
import re
import shutil
import sqlite3
import subprocess
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.cli.calls import ran, refusal
from tests.postgres import PASSWORD, load_omop
from tests.rows_hash import shards_of
from tests.tables import hospital

from sequela.errors import DataError, DataNotFoundError, MissingExtraError, SettingError
from sequela.tables import odbc, odbc_process
from sequela.tables.build import build
from sequela.tables.declarations import Kind
from sequela.tables.hospitals import source_of
from sequela.tables.odbc import OdbcDatabase, harmless
from sequela.tables.postgres import in_schema
from sequela.tables.tables import shown


def need(driver: str) -> str:
    """Skip without a driver of this name, unless that is forbidden; return the name."""
    manager = shutil.which("odbcinst")
    listed = (
        subprocess.run([manager, "-q", "-d"], capture_output=True, text=True, check=False)
        if manager
        else None
    )
    if listed is None or f"[{driver}]" not in listed.stdout:
        said = f"no ODBC driver {driver} (Debian: unixodbc, libsqliteodbc, odbc-postgresql)"
        if os.environ.get("SEQUELA_REQUIRE_ODBC") == "1":
            pytest.fail(said)
        pytest.skip(said)
    pytest.importorskip("arrow_odbc")
    return driver


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A file of SQLite, and its address."""
    place = f"odbc:Driver={need('SQLite3')};Database={tmp_path}/hospital.sqlite"
    with closing(sqlite3.connect(tmp_path / "hospital.sqlite")) as connection:
        yield connection, place


def fill(connection: sqlite3.Connection, tables: dict[str, Sequence[dict[str, Any]]]) -> None:
    """Make tables, of dates, big integers and text by the ends of their columns' names."""
    for name, rows in tables.items():
        names = list(dict.fromkeys(column for row in rows for column in row))
        columns = ", ".join(f'"{column}" {kind(column)}' for column in names)
        connection.execute(f'CREATE TABLE "{name}" ({columns})')
        for row in rows:
            values = [None if row.get(column, "") == "" else row[column] for column in names]
            marks = ", ".join("?" * len(names))
            connection.execute(f'INSERT INTO "{name}" VALUES ({marks})', values)  # noqa: S608
    connection.commit()


def kind(column: str) -> str:
    if column.endswith(("_datetime", "time", "admitted", "discharged")):
        return "TIMESTAMP"
    if column.endswith("_date"):
        return "DATE"
    if column.endswith(("_id", "_of_birth")) and column not in {"vocabulary_id", "domain_id"}:
        return "BIGINT"
    return "DOUBLE" if column.endswith("as_number") else "VARCHAR(255)"


@pytest.fixture(scope="module")
def postgres(server: str) -> str:
    """The address of the server by its ODBC driver, without user and password."""
    (host,) = parse_qs(urlsplit(server).query)["host"]
    return f"odbc:Driver={need('PostgreSQL Unicode')};Servername={host};Database=postgres"


@pytest.fixture
def load(server: str) -> Iterator[Any]:
    """Run statements as the owner of the server; its schema ``cdm`` is dropped afterwards."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server) as connection, connection.cursor() as cursor:

        def call(*statements: str) -> None:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

        call("CREATE SCHEMA cdm")
        yield call
        connection.rollback()
        call("DROP SCHEMA IF EXISTS cdm CASCADE")


@pytest.mark.slow
def test_omop_gives_the_same_bytes(omop: Any, made: Any, unchanged: Any, sqlite: Any) -> None:
    connection, place = sqlite
    fill(connection, omop)
    files = unchanged("omop")
    database = made("omop", place)
    assert shards_of(database.out) == shards_of(files.out)
    assert database.table("person").place == '"person"'


def test_own_tables_give_the_same_bytes(
    sqlite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, place = sqlite
    own = hospital.write(tmp_path, monkeypatch)
    for path in own.glob("*.csv"):
        with path.open(newline="") as file:
            fill(connection, {path.stem: list(csv.DictReader(file))})
    ran("build", "tables", "--root", own, "--out", "files")
    ran("build", "tables", "--root", place, "--declaration", own / "tables.toml", "--out", "rows")
    assert shards_of(Path("rows")) == shards_of(Path("files"))


TYPES = """
    CREATE TABLE cdm."Labs" (id bigint, "user" text, "Order" varchar, at timestamp, day date,
        dec numeric, exact numeric(38,10), f float8, r real, alive boolean, flag smallint)
"""
ROW = """
    INSERT INTO cdm."Labs" VALUES (9007199254740993, 'hé€llo', repeat('y', 200),
        '1830-05-01 03:04:05.123456', '2020-01-02', 0.1234567891, 12345678901234567890.123,
        0.1, 0.25, true, 1), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""


def test_values_are_exact(load: Any, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(TYPES, ROW)
    monkeypatch.setenv(odbc_process.PASSWORD, PASSWORD)
    with closing(OdbcDatabase(f"{postgres};UID=reader")) as database:
        labs = database.head("labs", 5)
        source = database._find("labs")
        assert source is not None
        place, rows, _ = source
        kinds = {"f": Kind.NUMBER, "dec": Kind.NUMBER, "at": Kind.TIME}
        selected = database._selected(rows, place, kinds).fetchall()
        with pytest.raises(DataError, match="read-only transaction"):
            database._rows("CREATE TABLE cdm.t (a int)")
    assert selected[0] == ("1830-05-01 03:04:05.123456", "0.1234567891", 0.1)
    assert labs is not None
    first, second = labs.to_pylist()
    assert first == {
        "id": "9007199254740993", "user": "hé€llo", "Order": "y" * 200,
        "at": "1830-05-01 03:04:05.123456", "day": "2020-01-02", "dec": "0.1234567891",
        "exact": "12345678901234567890.1230000000", "f": "0.1", "r": "0.25", "alive": "1",
        "flag": "1",
    }  # fmt: skip
    assert [*second.values()] == ["2", *[None] * 10]


def test_postgresql_by_odbc(
    omop: Any, write: Any, unchanged: Any, load: Any, server: str, postgres: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    files = unchanged("omop")
    load("DROP SCHEMA cdm")
    load_omop(server, write(omop, suffix=".csv.gz"), "cdm")
    place = f"{postgres};UID=reader;PWD={PASSWORD};UseDeclareFetch=1"
    out, aside = tmp_path / "out", ("--allow-set-aside", "condition_occurrence")
    ran("build", "omop", "--root", place, "--schema", "cdm", "--out", out, *aside)
    assert shards_of(out) == shards_of(files.out)
    load("CREATE SCHEMA results", "CREATE TABLE results.person (person_id bigint)")
    try:
        with pytest.raises(DataError, match=r"several schemas .*choose one with --schema"):
            build(source_of("omop"), place, tmp_path / "both")
    finally:
        load("DROP SCHEMA results CASCADE")
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"s3cret" not in written
    assert "s3cret" not in "".join(capfd.readouterr())


def test_whole_numbers_and_dates_are_not_cut(sqlite: Any, tmp_path: Path) -> None:
    connection, place = sqlite
    fill(connection, {"visit_occurrence": [{"visit_occurrence_id": 1}]})
    connection.execute("CREATE TABLE person (person_id INTEGER, birth_datetime DATE)")
    connection.execute("INSERT INTO person VALUES (?, 'soon')", [2**53 + 1])
    connection.commit()
    with closing(OdbcDatabase(f"{place};BigInt=1")) as database:
        person = database.head("person", 1)
        assert person is not None
        assert person.to_pylist() == [{"person_id": str(2**53 + 1), "birth_datetime": "soon"}]
    with (
        closing(OdbcDatabase(place)) as database,
        pytest.raises(DataError, match=r"is longer than its column's type.* add BigInt=1"),
    ):
        database.head("person", 1)


def test_a_connection_lost_midway(
    load: Any, postgres: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(
        "CREATE VIEW cdm.visit_occurrence AS SELECT 1 AS visit_occurrence_id",
        "CREATE VIEW cdm.person AS SELECT i AS person_id, "
        "CASE WHEN i > 150000 THEN pg_terminate_backend(pg_backend_pid())::int END AS gender "
        "FROM generate_series(1, 200000) AS t(i)",
    )
    for how in ("", ";UseDeclareFetch=1"):
        place = f"{postgres};UID=reader;PWD={PASSWORD}{how}"
        with closing(OdbcDatabase(place)) as database:
            found = database._find("person")
            assert found is not None
            with pytest.raises(DataError, match=r"lost|terminating") as raised:
                database._rows("SELECT * FROM cdm.person").read_all()
        assert "s3cret" not in "".join(traceback.format_exception(raised.value))
    assert "panicked" not in "".join(capfd.readouterr())


def test_what_a_user_may_not_read(load: Any, postgres: str, tmp_path: Path) -> None:
    load(
        "CREATE TABLE cdm.person (person_id int)", "CREATE TABLE cdm.visit_occurrence (a int)",
        "CREATE ROLE student LOGIN", "GRANT USAGE ON SCHEMA cdm TO student",
        "GRANT SELECT ON cdm.person TO student",
    )  # fmt: skip
    try:
        with (
            closing(OdbcDatabase(f"{postgres};UID=student;Schema=cdm")) as database,
            pytest.raises(DataError, match="permission denied for table visit_occurrence"),
        ):
            database.table("visit_occurrence")
        with (
            closing(OdbcDatabase(f"{postgres};UID=student;Schema=cdn")) as database,
            pytest.raises(
                DataNotFoundError, match=r"Schema=cdn shows no table in this schema \(found: cdm"
            ),
        ):
            database.table("person")
    finally:
        load("DROP OWNED BY student", "DROP ROLE student")


@pytest.mark.parametrize("password", ["PWD=wr0ng-one", "PWD={wr0ng;one}", "Password=wr0ng"])
def test_a_wrong_password(
    password: str, server: str, postgres: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = f"{postgres};UID=reader;{password}"
    said = refusal(capfd, "build", "omop", "--root", place, "--out", tmp_path / "o", silent=False)
    assert re.search("password authentication failed|no password supplied", said)
    assert "wr0ng" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("DSN=nowhere;PWD=s3cret", "name not found .*`odbcinst -q -s` lists"),
        ("Driver=/no/driver.so;PWD=s3cret", "'/no/driver.so' : file not found; install the driver"),
        ("Driver=SQLite3;Database=/no/folder/x.sqlite;PWD=s3cret", "connect failed"),
        ("Driver=SQLite3;Database={tmp}/empty.sqlite;PWD=s3cret", "no table person; expected OMOP"),
        (
            "Driver=SQLite3;Database={tmp}/e.sqlite;Schema=cdm",
            "no table in this schema .found: no",
        ),
        ("s3cret", "not followed by a connection string; expected keys and values"),
        ("DSN=x;PWD=s3c;ret", "write a value that holds ';'"),
        ("", "not followed by a connection string"),
    ],
)
def test_mistakes_are_one_line(
    address: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    need("SQLite3")
    place = "odbc:" + address.replace("{tmp}", str(tmp_path))
    line = refusal(capfd, "build", "omop", "--root", place, "--out", tmp_path / "o", silent=False)
    assert re.search(said, line), line
    assert "s3c" not in line
    assert not (tmp_path / "o").exists()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(odbc, "version", missing)
    with pytest.raises(MissingExtraError, match=r"--root odbc:\.\.\. needs .*sequela\[odbc\]"):
        OdbcDatabase("odbc:DSN=x")


def test_what_is_shown_of_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    address = "odbc:DSN=hospital;Server={a;b};UID=reader;PWD={s3;c}}ret};Token=s3cret"
    assert harmless(address) == "the database DSN=hospital;Server={a;b}"
    assert shown("postgresql://u:s3cret@host/db") == "the database db at host"
    assert shown(address) == harmless(address)
    secrets = odbc._secrets(odbc._pairs(f"{address};Trust=yes;Option=secret"))
    assert secrets == ["{s3;c}}ret}", "s3;c}ret", *sorted(["s3cret", "secret"], key=secrets.index)]
    for place in (address, "postgresql://u:s3cret@host/db", f"--root={address}"):
        said = refusal(
            capsys, "train", "auto", "--data", "omop", *["--root"] * (place[0] != "-"), place
        )
        assert "`sequela train auto` does not read this database: run `sequela build" in said
        assert "s3" not in said


def test_a_draft_of_a_database(
    sqlite: Any, omop: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection, place = sqlite
    fill(connection, omop)
    ran("data", "describe", f"{place};PWD=s3cret", "--out", tmp_path / "tables.toml")
    text = (tmp_path / "tables.toml").read_text("utf-8")
    assert "[tables.person.columns]" in text
    assert 'person_id = "integer"' in text
    printed = "".join(capsys.readouterr())
    assert "`sequela build tables --declaration` reads it" in printed
    assert "s3cret" not in text + printed
    for said, words in {
        "no table in this schema (found: none)": (f"{place};Schema=cdm;PWD=s3cret",),
        "without --out: leave one out": (f"{place};PWD=s3cret", "--write"),
        "`sequela data describe` does not read": ("postgresql://u:s3cret@host/db",),
    }.items():
        assert said in (line := refusal(capsys, "data", "describe", *words))
        assert "s3cret" not in line


def test_names_are_quoted(sqlite: Any) -> None:
    connection, place = sqlite
    connection.execute('CREATE TABLE "order" ("group" VARCHAR(9), "a ""b" DATE)')
    connection.execute("""INSERT INTO "order" VALUES (' x ', '2020-01-02')""")
    connection.commit()
    with closing(OdbcDatabase(place)) as database:
        stored = database.table("ORDER")
        assert stored is not None
        assert (stored.place, stored.columns) == ('"order"', ["group", 'a "b'])
    assert odbc._quoted("a`b", "``") == "`a``b`"
    assert odbc._quoted("a]b", "[]") == "[a]]b]"


def test_times_of_more_digits(sqlite: Any) -> None:
    connection, place = sqlite
    connection.execute("CREATE TABLE t (at VARCHAR(40))")
    connection.execute("INSERT INTO t VALUES ('2020-01-02 03:04:05.1234567'), ('2020-01-02')")
    connection.commit()
    with closing(OdbcDatabase(place)) as database:
        found = database._find("t")
        assert found is not None
        rows = database._selected(found[1], found[0], {"at": Kind.TIME}).fetchall()
    assert rows == [("2020-01-02 03:04:05.123456",), ("2020-01-02",)]
    with pytest.raises(SettingError, match="is not a name of a schema"):
        in_schema(place, "cdm;PWD=x")
