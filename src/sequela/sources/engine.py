"""The engines that process tables: DuckDB in this process, or Spark for larger data.

The only file that imports DuckDB or Spark (PostgreSQL, a place to read from, is in
``postgres.py``). The processing of tables is written once, as narwhals lazy expressions, with the
same meaning for each engine.
"""

import errno
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.errors import (
    DataError,
    MissingExtraError,
    SettingError,
    form_of,
    unknown_name,
    without_values,
)
from sequela.sources.csv_files import line_of
from sequela.sources.declarations import FIRST_TIME, LAST_TIME, MOST_NUMBER, Kind
from sequela.sources.parts import in_one_piece, read_parts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

ENGINES = ("duckdb", "spark")
MEMORY_LIMIT = "3GB"  # memory limit of DuckDB; more goes to the work folder
KEPT_LIMIT = "1500MB"  # for kept tables of a build; the rest is compressed in the work folder
CSV_BUFFER = 4_000_000  # bytes; the default of 32 MB leaves the processor's cache and costs a third
NO_NULL = "\x01\x02"  # for DuckDB, the text of a NULL cell: a value that does not occur
# Text is converted only where it is exactly that value: casts of DuckDB round 1.5, take
# 9007199254740993 through a double, and read 1_000, 0x10, inf, 24:00 and times of other zones.
FORMS = {
    Kind.INTEGER: "[+-]?[0-9]+([.]0*)?",
    Kind.NUMBER: "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?",
    Kind.TIME: "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([ T]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?)?",
}
DUCKDB_TYPES = {Kind.INTEGER: "BIGINT", Kind.NUMBER: "DOUBLE", Kind.TIME: "TIMESTAMP"}
BOUNDS = {
    Kind.INTEGER: "{0} IS NOT NULL",
    Kind.NUMBER: f"abs({{0}}) <= {MOST_NUMBER!r}",
    Kind.TIME: f"{{0}} BETWEEN TIMESTAMP '{FIRST_TIME}' AND TIMESTAMP '{LAST_TIME}'",
}
# Text equal to DuckDB's own output, nearly all of it, needs no regular expression.
SURE = {
    Kind.INTEGER: "{0}::VARCHAR = {1}",
    Kind.NUMBER: "NOT contains({1}, '_')",
    Kind.TIME: "CASE WHEN length({1}) = 10 THEN {0}::DATE::VARCHAR ELSE {0}::VARCHAR END = {1}",
}
CSV_FAULTS = {
    "state machine": "a broken row, or lines that end in different ways; fetch it again",
    "unterminated quote": "a quotation mark is never closed",
    "not utf-8": "not UTF-8 text; convert the file, or fetch it again",
}
SPARK_TYPES = {Kind.INTEGER: "bigint", Kind.NUMBER: "double", Kind.TIME: "timestamp_ntz"}
JAVA = 17
QUIET = """rootLogger.level = fatal
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
"""  # users see exceptions instead
NO_JAVA = f"Spark needs Java {JAVA} or newer: install it (Debian: default-jre-headless)"


class Engine(Protocol):
    """The interface of an engine that builds data sets."""

    name: str

    def read_csv(
        self, path: Path, header: Sequence[str], kinds: Mapping[str, Kind]
    ) -> nw.LazyFrame[Any]:
        """Read the columns of ``kinds``, typed, text without outer spaces.

        ``header`` names all columns of the file.

        Raises:
            DataError: If a value is not of its kind (here, or when the frame is kept).
        """

    def read_batches(self, name: str, batches: pa.RecordBatchReader) -> nw.LazyFrame[Any]:
        """Keep a table that comes in batches, under ``name``."""

    def read_parquet(self, paths: Sequence[Path]) -> nw.LazyFrame[Any]:
        """Read Parquet files as one table; a column that one of them lacks is null there."""

    def keep(self, frame: nw.LazyFrame[Any], name: str) -> nw.LazyFrame[Any]:
        """Compute the frame once and keep it under ``name``, on disk where memory is short."""

    def keep_all(self, frames: Mapping[str, nw.LazyFrame[Any]]) -> dict[str, nw.LazyFrame[Any]]:
        """Keep frames of different files under these names."""

    def parts(
        self, frame: nw.LazyFrame[Any], column: str, count: int
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows whose column is 0, 1, ..., ``count`` - 1, separated on disk in one pass.

        Each column is in one chunk, text as a dictionary. All kept tables are dropped before the
        first part.
        """

    def translated(self, place: str) -> AbstractContextManager[None]:
        """Translate an engine's errors about values within, and name the place.

        Raises:
            DataError: In place of an error about values.
        """

    def close(self) -> None:
        """Release all resources."""


def open_engine(name: str, work: Path, master: str | None = None) -> Engine:
    """Open the engine with this name.

    Args:
        name: One of ``ENGINES``.
        work: Folder for data that exceed the memory.
        master: Address of a Spark cluster's master; Spark runs in this process without it.

    Raises:
        UnknownNameError: If there is no such engine.
        SettingError: If ``master`` is given to an engine that has none.
        MissingExtraError: If the engine is not installed.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "duckdb":
        if master is not None:
            raise SettingError("--master is Spark's: add --engine spark, or leave --master out")
        return DuckDBEngine(work)
    return SparkEngine(work, master)


def connect_duckdb(
    work: Path, memory_limit: str = MEMORY_LIMIT, file: str = ":memory:"
) -> "DuckDBPyConnection":
    """Open DuckDB in memory or in a file, which spills into ``work`` beyond ``memory_limit``."""
    import duckdb

    connection = duckdb.connect(
        file, config={"memory_limit": memory_limit, "temp_directory": str(work)}
    )
    hide_progress(connection)
    return connection


def hide_progress(connection: "DuckDBPyConnection") -> None:
    """Hide DuckDB's progress bar; in Jupyter without ipywidgets, it cannot even be turned off."""
    (bar,) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if bar[0]:
        connection.execute("SET enable_progress_bar = false")


class DuckDBEngine:
    """DuckDB with its tables in a file of the work folder, where they are compressed."""

    name = "duckdb"

    def __init__(self, work: Path, memory_limit: str = KEPT_LIMIT) -> None:
        import duckdb

        self._failure: type[Exception] = duckdb.Error
        self._faults = (duckdb.DataError, duckdb.InvalidInputException, duckdb.IOException)
        self._work = work
        self._kept: list[str] = []
        self._read: dict[str, tuple[list[str], dict[str, Kind]]] = {}  # file: header, kinds
        self._connection = connect_duckdb(work, memory_limit, str(work / "kept.duckdb"))
        # Tables have no order here; output is sorted.
        self._connection.execute("SET preserve_insertion_order = false")

    def read_csv(
        self, path: Path, header: Sequence[str], kinds: Mapping[str, Kind]
    ) -> nw.LazyFrame[Any]:
        """See ``Engine``; a value of another kind is found when the frame is kept."""
        # A separate connection reads it in parallel with others: see ``keep_all``.
        relation = csv_texts(self._connection.cursor(), path, header, buffer_size=CSV_BUFFER)
        self._read[str(path)] = (list(header), dict(kinds))
        columns = [typed_text(name, kind, str(path)) for name, kind in kinds.items()]
        return nw.from_native(relation.project(", ".join(columns)))

    def read_batches(self, name: str, batches: pa.RecordBatchReader) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        self._connection.register("batches", batches)
        with self._translated():
            self._connection.table("batches").create(name)
        self._kept.append(name)
        self._connection.unregister("batches")
        return nw.from_native(self._connection.table(f'"{name}"'))

    def read_parquet(self, paths: Sequence[Path]) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        with self._translated():
            names = [str(path) for path in paths]
            return nw.from_native(self._connection.read_parquet(names, union_by_name=True))

    def keep(self, frame: nw.LazyFrame[Any], name: str) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        return self.keep_all({name: frame})[name]

    def keep_all(self, frames: Mapping[str, nw.LazyFrame[Any]]) -> dict[str, nw.LazyFrame[Any]]:
        """See ``Engine``; one thread decompresses a file, so several are read side by side."""

        def create(name: str) -> None:
            with self._translated():
                frames[name].to_native().create(name)

        self._kept += frames
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(create, frames))
        return {name: nw.from_native(self._connection.table(f'"{name}"')) for name in frames}

    def parts(
        self, frame: nw.LazyFrame[Any], column: str, count: int
    ) -> Iterator[tuple[int, pa.Table]]:
        """See ``Engine``."""
        if count == 1:
            yield 0, self._taken(frame.drop(column))
            return
        with self._translated():
            frame.to_native().write_parquet(str(self._work / "parts"), partition_by=[column])
        self._forget()
        yield from read_parts(self._work / "parts", column, count)

    @contextmanager
    def translated(self, place: str) -> Iterator[None]:
        """See ``Engine``."""
        try:
            with self._translated():
                yield
        except self._failure as error:
            # Damage to a Parquet file may be reported as the plain error.
            if not isinstance(error, self._faults) and type(error) is not self._failure:
                raise
            raise DataError(_unfit(place, error)) from None

    def close(self) -> None:
        """See ``Engine``."""
        self._connection.close()

    def _taken(self, frame: nw.LazyFrame[Any]) -> pa.Table:
        """Return the rows of a frame, and drop everything else."""
        with self._translated():
            table = frame.collect("pyarrow").to_native()
        self._forget()
        return in_one_piece(table)

    def _forget(self) -> None:
        for name in self._kept:
            self._connection.execute(f'DROP TABLE "{name}"')
        self._kept.clear()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            if os.strerror(errno.ENOSPC) in str(error):
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._work))
                raise full from error
            if (problem := self._problem(str(error))) is None:
                raise
            raise DataError(problem) from None  # at least this type holds the value

    def _problem(self, message: str) -> str | None:
        """Return a report of a bad CSV file in one line; ``None`` if it is about something else."""
        if found := re.search(r"(\w+) of (.*?) holds: (.*)", message, re.DOTALL):
            column, path, value = found.groups()
            if path in self._read:
                header, kinds = self._read[path]
                place = _place(Path(path), header.index(column), value)
                return wrong_kind(place, column, value, kinds[column])
        return csv_problem(message)


class SparkEngine:
    """Apache Spark, in this process or on a cluster.

    On a cluster, all its machines must see the tables and the output folder.
    """

    name = "spark"

    def __init__(self, work: Path, master: str | None = None) -> None:
        check_java()
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise MissingExtraError.of("spark", "--engine spark") from error
        self._work = work
        self._kept: dict[str, Any] = {}
        builder = SparkSession.builder.appName("sequela").master(master or "local[*]")
        for name, value in self._settings(local=master is None).items():
            builder = builder.config(name, value)
        try:
            self._session = builder.getOrCreate()
        except Exception as error:
            where = f"at {master}: is a master running there?" if master else "in this process"
            raise SettingError(f"Spark did not start {where} ({type(error).__name__})") from error

    def _settings(self, *, local: bool) -> dict[str, str]:
        quiet = self._work / "log4j2.properties"
        quiet.write_text(QUIET)
        settings = {
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet}",
            "spark.local.dir": str(self._work),
            "spark.sql.warehouse.dir": str(self._work),
            "spark.sql.parquet.compression.codec": "zstd",
            # Times are as published, in no zone: reading and writing must not shift them.
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.timestampType": "TIMESTAMP_NTZ",
            "spark.sql.parquet.mergeSchema": "true",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        # The default of 200 tasks for each join is meant for a cluster.
        return settings | ({"spark.sql.shuffle.partitions": "8"} if local else {})

    def read_csv(
        self, path: Path, header: Sequence[str], kinds: Mapping[str, Kind]
    ) -> nw.LazyFrame[Any]:
        """See ``Engine``; a value of another kind is found here."""
        from pyspark.sql import functions as f

        schema = ", ".join(f"`{name}` STRING" for name in header)
        reader = self._session.read.schema(schema).option("mode", "FAILFAST").option("escape", '"')
        texts = reader.csv(str(path), header=True, multiLine=True).select(*kinds)
        types = {name: SPARK_TYPES[kind] for name, kind in kinds.items() if kind is not Kind.TEXT}
        given = {name: f.when(f.trim(f.col(name)) != "", f.col(name)) for name in types}
        read = {name: _spark_value(given[name], kinds[name]) for name in types}
        wrong = [
            f.first(f.when(read[name].isNull(), given[name]), ignorenulls=True).alias(name)
            for name in types
        ]
        with self._translated(path):
            found = texts.select(*wrong).first() if wrong else None
        for name, value in (found.asDict() if found else {}).items():
            if value is not None:
                place = _place(path, header.index(name), value)
                raise DataError(wrong_kind(place, name, value, kinds[name]))
        trimmed = {name: f.trim(f.col(name)) for name in kinds if name not in types}
        frame: nw.LazyFrame[Any] = nw.from_native(texts.withColumns(read | trimmed))
        return frame

    def read_batches(self, name: str, batches: pa.RecordBatchReader) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        path = self._work / f"{name}.parquet"
        with pq.ParquetWriter(path, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return self.read_parquet([path])

    def read_parquet(self, paths: Sequence[Path]) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        names = [str(path) for path in paths]
        frame: nw.LazyFrame[Any] = nw.from_native(self._session.read.parquet(*names))
        return frame

    def keep(self, frame: nw.LazyFrame[Any], name: str) -> nw.LazyFrame[Any]:
        """See ``Engine``."""
        rows = frame.to_native().persist()
        with self._translated(name):
            rows.count()
        self._kept[name] = rows
        kept: nw.LazyFrame[Any] = nw.from_native(rows)
        return kept

    def keep_all(self, frames: Mapping[str, nw.LazyFrame[Any]]) -> dict[str, nw.LazyFrame[Any]]:
        """See ``Engine``."""
        return {name: self.keep(frame, name) for name, frame in frames.items()}

    def parts(
        self, frame: nw.LazyFrame[Any], column: str, count: int
    ) -> Iterator[tuple[int, pa.Table]]:
        """See ``Engine``; by way of the disk, since Java's memory is small."""
        frame.to_native().write.partitionBy(column).parquet(str(self._work / "parts"))
        for rows in self._kept.values():
            rows.unpersist()
        self._kept.clear()
        yield from read_parts(self._work / "parts", column, count)

    @contextmanager
    def translated(self, place: str) -> Iterator[None]:
        """See ``Engine``."""
        from pyspark.errors import ArithmeticException, DateTimeException, NumberFormatException

        try:
            yield
        except (ArithmeticException, DateTimeException, NumberFormatException) as error:
            raise DataError(_unfit(place, error)) from None

    def close(self) -> None:
        """See ``Engine``."""
        self._session.stop()

    @contextmanager
    def _translated(self, place: object) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            message = str(error)
            if re.search("GZIP|ZipException|EOFException|Unexpected end of input", message):
                raise DataError(f"{place}: not a readable gzip file; fetch it again") from error
            if "MALFORMED_RECORD" in message:
                raise DataError(f"{place}: a row has not the columns of the header") from error
            raise


def _spark_value(text: Any, kind: Kind) -> Any:
    """Convert text to its kind; null for other text, or values out of bounds."""
    from pyspark.sql import functions as f

    trimmed = f.trim(text)
    whole = f.split(trimmed, "[.]")[0] if kind is Kind.INTEGER else trimmed
    value = f.when(trimmed.rlike(f"^{FORMS[kind]}$"), whole).try_cast(SPARK_TYPES[kind])
    if kind is Kind.NUMBER:
        return f.when(f.abs(value) <= MOST_NUMBER, value)
    if kind is Kind.TIME:
        return f.when(value.between(FIRST_TIME, LAST_TIME), value)
    return value


def check_java() -> None:
    """Check that Spark can run.

    Raises:
        SettingError: If there is no Java, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise SettingError(NO_JAVA) from error
    version = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if version is None or int(version[1]) < JAVA:
        raise SettingError(f"{NO_JAVA} (found: {answer.stderr.splitlines()[0]})")


def csv_texts(
    connection: "DuckDBPyConnection", path: Path, header: Sequence[str], **more: Any
) -> "DuckDBPyRelation":
    """Read a CSV file as text, with blanks as empty texts.

    Where blanks are not NULL, DuckDB refuses a row with more columns than the header, even if the
    last ones are blank.
    """
    return connection.read_csv(
        str(path),
        columns=dict.fromkeys(header, "VARCHAR"),
        header=True,
        auto_detect=False,
        delimiter=",",
        quotechar='"',
        escapechar='"',
        na_values=NO_NULL,
        allow_quoted_nulls=False,
        **more,
    )


def typed_text(name: str, kind: Kind, place: str | None) -> str:
    """Return SQL that converts a column of text, blanks to NULL, with an error for other text.

    The error is ``NAME of PLACE holds: TEXT``; without a place such text is NULL.
    """
    text = f'"{name}"'
    if kind is Kind.TEXT:
        return f"trim({text}) AS {text}"
    of_type = DUCKDB_TYPES[kind]
    value = f"try_cast({text} AS {of_type})"
    sure = f"{BOUNDS[kind].format(value)} AND {SURE[kind].format(value, text)}"
    whole = f"split_part(trim({text}), '.', 1)" if kind is Kind.INTEGER else f"trim({text})"
    cut = f"try_cast({whole} AS {of_type})"
    form = f"regexp_full_match(trim({text}), '{FORMS[kind]}')"
    wrong = "NULL"
    if place is not None:
        quoted = place.replace("'", "''")
        wrong = f"error('{name} of {quoted} holds: ' || {text})::{of_type}"
    return (
        f"CASE WHEN {sure} THEN {value} WHEN trim({text}) <> '' THEN "
        f"CASE WHEN {form} AND {BOUNDS[kind].format(cut)} THEN {cut} ELSE {wrong} END END AS {text}"
    )


def csv_problem(message: str) -> str | None:
    """Return DuckDB's error about an invalid CSV file in one line; ``None`` for other errors."""
    if match := re.search(r"(?:Input is not a|Unexpected end of) GZIP stream: (.*)", message):
        return f"{match[1]}: not a readable gzip file; fetch it again"
    line = re.search(r"CSV Error on Line: (\d+)", message)
    file = re.search(r"^\s*file = (.*)$", message, re.MULTILINE)
    if file is None:
        return None
    place = f"{file[1]}, line {line[1]}" if line else file[1]
    if match := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        return f"{place}: {match[2]} columns; expected {match[1]}, as in the header"
    known = (words for sign, words in CSV_FAULTS.items() if sign in message)
    return f"{place}: {next(known, 'not a CSV file; fetch it again')}"


def _place(path: Path, position: int, value: str) -> str:
    """Name a file, and the first line with a value in one of its columns, if it is found."""
    line = line_of(path, {position: value})
    return f"{path}, line {line}" if line else str(path)


def _unfit(place: str, error: Exception) -> str:
    """Format an engine's error about values it cannot process in one line."""
    words = without_values(error)
    return f"{place}: a value cannot be worked with ({words}); correct it, or fetch it again"


def wrong_kind(place: str, column: str, value: str, kind: Kind) -> str:
    """Describe a value that is not of its column's kind."""
    return f"{place}: column '{column}' holds a value of the form {form_of(value)}; expected {kind}"
