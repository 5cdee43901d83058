"""The engines that process tables: DuckDB in this process, or Spark for larger data.

The only file that imports DuckDB or Spark (PostgreSQL, a place to read from, is in
``postgres.py``). The processing of tables is written once, as narwhals lazy expressions, with the
same meaning for each engine.
"""

import errno
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, TypeVar

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.errors import (
    DataError,
    OutputError,
    RunError,
    SequelaError,
    SettingError,
    extra,
    form_of,
    unknown_name,
    without_values,
)
from sequela.files import staying
from sequela.formats.csv_files import PLAIN, Format, line_of, utf8_copy
from sequela.tables.declarations import FIRST_TIME, LAST_TIME, Frame, Kind
from sequela.tables.declared.expressions import MOST_NUMBER

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation
    from pyspark.sql import Column, DataFrame, SparkSession

Check = Callable[[BinaryIO | None], str]

ENGINES = ("duckdb", "spark")
MEMORY_LIMIT = "3GB"  # DuckDB's memory limit outside of builds; more goes to the work folder
# DuckDB's memory limit by stage of a build: reading files and spreading events; joining tables, and
# spreading again; the last retry. More is compressed in the work folder.
LIMITS = ("800MB", "1500MB", "3GB")
# DuckDB's memory limit once the tables are dropped: it shrinks the cache.
LIMIT_AFTER_DROP = "100MB"
SPREAD_ROWS = 1 << 18  # the least number of rows in memory while parts are written
# The number of rows of each part in memory while many parts are written.
SPREAD_ROWS_OF_PART = 1 << 14
# Bytes that DuckDB reads at once; its 32 MB leave the processor's cache and cost a third.
CSV_BUFFER = 4_000_000
# DuckDB's message about a row that is longer than the buffer.
TOO_LONG = "The Parallel CSV Reader currently does not support a full read"
PIPES = Path("/dev/fd")  # the folder in which a pipe has a name that DuckDB can open
PIPE_BYTES = 1 << 20  # size of a pipe; the usual 64 KB wake the other end at every turn
NO_NULL = "\x01\x02"  # the text of a NULL cell for DuckDB: a value that does not occur
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
SPARK_SQL = {
    # Times are as published, in no zone: reading and writing must not shift them.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.parquet.mergeSchema": "true",
}
TASKS_A_CORE = 4  # tasks of Spark for each core
AT_ONCE = 4  # parts that are sorted at once, of some 250 MB of memory each; fewer on fewer cores
WRONG_KIND = "sequela: a value of another kind in"
NO_FOLDER = "a worker of Spark does not see {}; name one in --out that all do"
SPARK_FAULTS = {
    "ModuleNotFoundError|PYTHON_VERSION_MISMATCH": "the Python of Spark's workers has no sequela, "
    "or is another version: install the same on each of them, and name it in PYSPARK_PYTHON",
    "No space left on device": "a disk of Spark is full: free some of it, or name another one in "
    "SPARK_LOCAL_DIRS",
    "Python worker exited|ExecutorLost|OutOfMemoryError": "a process of Spark was killed, probably "
    "because memory was short: give the workers more, or let each run fewer tasks at a time",
}
JAVA = 17  # the oldest Java that Spark 4 runs on
QUIET = """rootLogger.level = fatal
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
"""  # users see exceptions instead
NO_JAVA = f"Spark needs Java {JAVA} or newer: install it (Debian: default-jre-headless)"


T = TypeVar("T")
Work: TypeAlias = Callable[[int, pa.Table], T]


def open_engine(name: str, work: Path, master: str | None = None) -> "Engine":
    """Open the engine with this name."""
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

    if "?" in file:
        raise OutputError(f"{work}: DuckDB cannot write below a ?: name another folder with --out")
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

    def __init__(self, work: Path) -> None:
        import duckdb

        self._failure: type[Exception] = duckdb.Error
        self._faults = (duckdb.DataError, duckdb.InvalidInputException, duckdb.IOException)
        self._work = work
        self._kept: list[str] = []
        self._read: dict[str, tuple[Mapping[str, Kind], Format]] = {}  # file: its columns, form
        self._pipes: dict[Path, tuple[int, int]] = {}  # file: ends for reading and for writing
        self._full: type[Exception] = duckdb.OutOfMemoryException
        self._connection = connect_duckdb(work, LIMITS[1], str(work / "kept.duckdb"))
        # Tables have no order here; output is sorted.
        self._connection.execute("SET preserve_insertion_order = false")

    def read_csv(
        self, path: Path, header: Sequence[str], kinds: Mapping[str, Kind], form: Format = PLAIN
    ) -> Frame:
        """Read the columns of ``kinds``, typed, text without outer spaces.

        ``header`` names all columns of the file. A value of another kind is found when the frame is
        kept.
        """
        # A separate connection reads it in parallel with others: see ``keep_all``.
        place = path
        how: Literal["auto", "none"] = "auto"
        if PIPES.is_dir():  # the file is decompressed once, by the check of ``keep_all``
            ends = self._pipes[path] = os.pipe()
            place, how = PIPES / str(ends[0]), "none"
            with suppress(ImportError, AttributeError, OSError):  # more than Linux gives a user
                import fcntl

                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        else:
            place = utf8_copy(path, form, self._work)
        relation = csv_texts(
            self._connection.cursor(),
            place,
            header,
            form,
            buffer_size=CSV_BUFFER,
            compression=how,
        )
        self._read[str(path)] = kinds, form
        columns = [typed_text(name, kind, str(path), form) for name, kind in kinds.items()]
        return nw.from_native(relation.project(", ".join(columns)))

    def read_batches(self, name: str, batches: pa.RecordBatchReader) -> Frame:
        """Keep a table that comes in batches, under ``name``."""
        # A stream can be read only once, so it becomes a table before any query.
        self._connection.register("batches", batches)
        with self._translated():
            self._connection.table("batches").create(name)
        self._kept.append(name)
        self._connection.unregister("batches")
        return nw.from_native(self._connection.table(f'"{name}"'))

    def read_parquet(self, paths: Sequence[Path]) -> Frame:
        """Read Parquet files as one table; a column that one of them lacks is null there."""
        with self._translated():
            names = [str(path) for path in paths]
            return nw.from_native(self._connection.read_parquet(names, union_by_name=True))

    def keep(self, frame: Frame, name: str) -> Frame:
        """Compute the frame once and keep it under ``name``, on disk where memory is short."""
        self._create(name, frame)
        return nw.from_native(self._connection.table(f'"{name}"'))

    def _create(self, name: str, frame: Frame) -> None:
        self._kept.append(name)
        try:
            with self._translated():
                frame.to_native().create(name)
        except self._failure as error:
            if TOO_LONG not in str(error):
                raise
            raise DataError(
                f"the table {name} has a row of over {CSV_BUFFER / 1e6:.0f} MB; expected "
                "shorter ones: is a quotation mark never closed?"
            ) from None

    def keep_all(
        self,
        frames: Mapping[str, Frame],
        files: Mapping[str, Path],
        checks: Mapping[str, Check],
    ) -> tuple[dict[str, Frame], dict[str, str]]:
        """Keep frames of CSV files under these names, and check the files at the same time.

        A check reads its file; it copies the content into the stream that it is given, and its
        result is returned. One thread decompresses a file, so several are read side by side.
        """

        # The check decompresses a file and writes its text into a pipe, from which DuckDB reads:
        # decompression takes longest, and is done once.
        def keep(name: str) -> str:
            read, write = self._pipes.get(files[name], (None, None))

            def create() -> None:
                try:
                    # See ``in_one_piece``: equal texts become equal numbers.
                    self._create(name, frames[name])
                finally:
                    if read is not None:  # else the check might wait
                        del self._pipes[files[name]]
                        os.close(read)

            def check() -> str:
                if write is None:
                    return checks[name](None)
                with suppress(BrokenPipeError), os.fdopen(write, "wb") as copy:
                    proof = checks[name](copy)
                return proof

            return checked(create, check)

        # Reading needs the least memory, since rows are compressed as they come.
        self._limit(LIMITS[0])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            proofs = dict(zip(frames, pool.map(keep, frames), strict=True))
        self._limit(LIMITS[1])
        tables = {name: nw.from_native(self._connection.table(f'"{name}"')) for name in frames}
        return tables, proofs

    def map_parts(
        self, frames: Sequence[Frame], part: nw.Expr, count: int, work: Work[T]
    ) -> list[T]:
        """Call ``work`` with the rows whose part is 0, 1, ..., ``count`` - 1; skip empty parts.

        The frames are parts of one table, which are passed in one chunk a column, text as a
        dictionary. The kept tables are dropped.
        """
        if count == 1:  # no detour over the disk
            with self._translated():
                table = nw.concat(frames).collect("pyarrow").to_native()
            self._forget()
            return [work(0, in_one_piece(table))]
        # DuckDB flushes what a thread holds at this number of rows: too few make many small files.
        in_memory = max(SPREAD_ROWS, SPREAD_ROWS_OF_PART * count) // (os.cpu_count() or 1)
        self._connection.execute(f"SET partitioned_write_flush_threshold = {in_memory}")
        self._connection.execute(f"SET partitioned_write_max_open_files = {count}")
        for number, frame in enumerate(frames):  # one at a time has fewer joins in memory
            self._spread(frame.with_columns(part=part), self._work / "parts" / str(number))
        self._forget()
        return list(side_by_side(work, read_parts(self._work / "parts", count)))

    def _spread(self, frame: Frame, folder: Path) -> None:
        """Write rows partitioned by their part, with more memory if the hash tables need it."""
        folder.parent.mkdir(exist_ok=True)
        # The lowest limit comes first: what DuckDB holds is missing in the system's cache of files.
        for limit in LIMITS:
            self._limit(limit)
            try:
                with self._translated():
                    frame.to_native().write_parquet(str(folder), partition_by=["part"])
                break
            except self._full:
                if limit == LIMITS[-1]:
                    raise
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def translated(self, place: str) -> Iterator[None]:
        """Translate the engine's errors about values within, and name the place."""
        try:
            with self._translated():
                yield
        except self._failure as error:
            # Damage to a Parquet file may be reported as the plain error.
            if not isinstance(error, self._faults) and type(error) is not self._failure:
                raise
            raise DataError(_unfit(place, error)) from None

    def close(self) -> None:
        """Release all resources."""
        # Files that were checked but never read have pipes that are still open.
        for end in chain.from_iterable(self._pipes.values()):
            os.close(end)
        self._connection.close()

    def _forget(self) -> None:
        drops = (f'DROP TABLE "{name}"' for name in self._kept)
        self._connection.execute("; ".join(["BEGIN", *drops, "COMMIT"]))  # one write to the disk
        self._kept.clear()
        # Users know the place; the engine's message names only its own plan.
        self._limit(LIMIT_AFTER_DROP)

    def _limit(self, memory: str) -> None:
        """Set the memory limit; only a lower one gives freed memory back to the system."""
        self._connection.execute(f"SET memory_limit = '{memory}'")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._work)) from error
            if (problem := self._problem(str(error))) is None:
                raise
            raise DataError(problem) from None  # at least this type holds the value

    def _problem(self, message: str) -> str | None:
        """Return a report of a bad CSV file in one line; ``None`` if it is about something else."""
        # ``typed_text`` raised this error, with the column, the file and the value in it.
        if match := re.search(r"(\w+) of (.*?) holds: (.*)", message, re.DOTALL):
            column, path, value = match.groups()
            if path in self._read:
                kinds, form = self._read[path]
                return wrong_kind(Path(path), column, value, kinds[column], form)
        # DuckDB knows only the name of the pipe, and the user only that of the file.
        for path, (read, _) in self._pipes.items():
            message = message.replace(f"file = {PIPES / str(read)}\n", f"file = {path}\n")
        return csv_problem(message)


class SparkEngine:
    """Apache Spark, in this process or on a cluster.

    On a cluster, all its machines must see the tables and the output folder. The driver holds
    counts and the ids of subjects, no rows.
    """

    name = "spark"

    def __init__(self, work: Path, master: str | None = None) -> None:
        self._work = work
        self._kept: dict[str, DataFrame] = {}
        self._wrong: dict[str, tuple[DataFrame, Mapping[str, Kind], Path, Format]] = {}
        self._owned = True
        self.session = self._started(master)
        # Spark's default is 200 tasks for each join and for a kept table, however small it is.
        tasks = TASKS_A_CORE * self.session.sparkContext.defaultParallelism
        for name, value in (SPARK_SQL | {"spark.sql.shuffle.partitions": str(tasks)}).items():
            self.session.conf.set(name, value)

    def _started(self, master: str | None) -> "SparkSession":
        check_java()
        with extra("spark", "--engine spark"):
            from pyspark.sql import SparkSession
        if (running := SparkSession.getActiveSession()) is not None:
            if master is not None:
                raise SettingError("a Spark session runs here already: leave --master out")
            self._owned = False
            return running.newSession()
        # Workers need the Python in which this package is installed, not the first one in PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.appName("sequela").master(master or "local[*]")
        for name, value in self._settings(local=(master or "local").startswith("local")).items():
            builder = builder.config(name, value)
        try:
            return builder.getOrCreate()
        except Exception as error:
            where = f"at {master}: is a master running there?" if master else "in this process"
            raise SettingError(f"Spark did not start {where} ({type(error).__name__})") from error

    def _settings(self, *, local: bool) -> dict[str, str]:
        quiet = self._work / "log4j2.properties"
        quiet.write_text(QUIET)
        settings = {
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet}",
            "spark.sql.warehouse.dir": str(self._work),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        return settings | ({"spark.local.dir": str(self._work)} if local else {})

    def read_csv(
        self, path: Path, header: Sequence[str], kinds: Mapping[str, Kind], form: Format = PLAIN
    ) -> Frame:
        """See ``DuckDBEngine``."""
        schema = ", ".join(f"`{name}` STRING" for name in header)
        # By default Spark reads a broken row as nulls; here it is an error.
        reader = self.session.read.schema(schema).option("mode", "FAILFAST")
        for option in ("escape", "quote"):
            reader = reader.option(option, form.quote)
        copy = utf8_copy(path, form, self._work)
        # A task reads a part of a file, from one line end to another: impossible within gzip, and
        # wrong where a row has line ends of its own.
        in_one_task = str(copy).lower().endswith(".gz") or self._has_long_rows(copy, form.quote)
        texts = reader.csv(str(copy), sep=form.separator, header=True, multiLine=in_one_task)
        texts = texts.select(*kinds)
        if in_one_task:  # what follows is done by all
            texts = texts.repartition(*kinds)
        return self._typed(texts, path, kinds, form)

    def _has_long_rows(self, path: Path, quote: str) -> bool:
        """Return whether a row of a CSV file may be on two lines: a line has an open quote."""
        from pyspark.sql import functions as f

        # An odd number of quotation marks leaves a quote open, so the row goes on in the next line.
        line = f.col("value")
        quotes = f.length(line) - f.length(f.replace(line, f.lit(quote)))
        return not self.session.read.text(str(path)).filter(quotes % 2 == 1).isEmpty()

    def _typed(
        self, texts: "DataFrame", place: Path, kinds: Mapping[str, Kind], form: Format
    ) -> Frame:
        """Convert columns of text; a value of another kind stops the pass that meets it."""
        from pyspark.sql import functions as f

        columns, wrong = [], []
        for name, kind in kinds.items():
            text = f.when(f.trim(f.col(name)) != "", f.col(name))
            if kind is Kind.TEXT:
                columns.append(f.trim(f.col(name)).alias(name))
                continue
            value = _spark_value(text, kind, form)
            # The message holds no value, since Spark writes it to its logs: the value is looked for
            # afterwards, by the columns ``wrong``.
            stop = f.raise_error(f.lit(f"{WRONG_KIND} {place}")).cast(SPARK_TYPES[kind])
            columns.append(f.coalesce(value, f.when(text.isNotNull(), stop)).alias(name))
            first = f.first(f.when(value.isNull(), text), ignorenulls=True)
            wrong.append(first.alias(name))
        if wrong:
            self._wrong[str(place)] = texts.select(*wrong), kinds, place, form
        frame: Frame = nw.from_native(texts.select(*columns))
        return frame

    def read_batches(self, name: str, batches: pa.RecordBatchReader) -> Frame:
        """See ``DuckDBEngine``."""
        path = self._work / f"{name}.parquet"
        with pq.ParquetWriter(path, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return self.read_parquet([path])

    def read_parquet(self, paths: Sequence[Path]) -> Frame:
        """See ``DuckDBEngine``."""
        names = [str(path) for path in paths]
        frame: Frame = nw.from_native(self.session.read.parquet(*names))
        return frame

    def keep(self, frame: Frame, name: str) -> Frame:
        """See ``DuckDBEngine``."""
        # Spark computes a frame anew for each use, unless it is persisted.
        rows = self._kept[name] = frame.to_native().persist()
        try:
            rows.count()
        except Exception as error:
            message = str(error)
            if match := re.search(rf"{WRONG_KIND} (.*?)(?: SQLSTATE|$)", message, re.MULTILINE):
                search, kinds, place, form = self._wrong[match[1]]
                (row,) = search.head(1)
                column, value = next(p for p in row.asDict().items() if p[1] is not None)
                raise DataError(wrong_kind(place, column, value, kinds[column], form)) from None
            if re.search("GZIP|ZipException|EOFException|Unexpected end of input", message):
                raise DataError(f"{name}: not a readable gzip file; fetch it again") from error
            if "MALFORMED_RECORD" in message:
                raise DataError(f"{name}: a row has not the columns of the header") from error
            raise
        table: Frame = nw.from_native(rows)
        return table

    def keep_all(
        self,
        frames: Mapping[str, Frame],
        files: Mapping[str, Path],
        checks: Mapping[str, Check],
    ) -> tuple[dict[str, Frame], dict[str, str]]:
        """See ``DuckDBEngine``; Spark's tasks read the files themselves, several side by side."""
        del files

        def keep(name: str) -> str:
            return checked(partial(self.keep, frames[name], name), partial(checks[name], None))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            proofs = dict(zip(frames, pool.map(keep, frames), strict=True))
        return {name: nw.from_native(self._kept[name]) for name in frames}, proofs

    def map_parts(
        self, frames: Sequence[Frame], part: nw.Expr, count: int, work: Work[T]
    ) -> list[T]:
        """See ``DuckDBEngine``; each part is one group of a task, on any machine of the cluster.

        Nothing but a result's pickle leaves that machine.
        """
        folder = self._work.parent

        def in_task(key: tuple[pa.Scalar, ...], table: pa.Table) -> pa.Table:
            # Events without a subject have no part; ``write_shards`` reports those.
            number = key[0].as_py() or 0
            try:
                if not folder.is_dir():
                    raise SettingError(NO_FOLDER.format(folder.parent))
                with staying(folder):  # a task of a killed driver must not make it again
                    result: object = work(number, in_one_piece(table.drop_columns(["part"])))
            # An error that leaves a task becomes a long Java trace, so it is returned.
            except (SequelaError, OSError) as error:
                result = error
            return pa.table({"part": pa.array([number], "int64"), "done": [pickle.dumps(result)]})

        rows = nw.concat(frames).with_columns(part=part).to_native()
        # ``repartitionById`` gives each part its own task; a hash may join several.
        groups = rows.repartitionById(count, rows["part"].cast("int")).groupBy("part")
        parts = groups.applyInArrow(in_task, "part bigint, done binary").collect()
        self._forget()
        results = [pickle.loads(row["done"]) for row in sorted(parts)]  # noqa: S301 # from our tasks
        for result in results:
            # The first error counts: later parts often fail for the same reason.
            if isinstance(result, Exception):
                raise result
        return results

    @contextmanager
    def translated(self, place: str) -> Iterator[None]:
        """See ``DuckDBEngine``."""
        from py4j.protocol import Py4JError
        from pyspark import errors

        unfit = errors.ArithmeticException, errors.DateTimeException, errors.NumberFormatException
        try:
            yield
        except unfit as error:
            raise DataError(_unfit(place, error)) from None
        except (Py4JError, errors.PySparkException) as error:
            for sign, words in SPARK_FAULTS.items():
                if re.search(sign, str(error)):
                    raise RunError(words) from error
            raise

    def close(self) -> None:
        """See ``DuckDBEngine``; the caller's own session goes on."""
        if self._owned:
            self.session.stop()
        else:
            self._forget()

    def _forget(self) -> None:
        for rows in self._kept.values():
            rows.unpersist()
        self._kept.clear()


Engine: TypeAlias = DuckDBEngine | SparkEngine


def checked(keep: Callable[[], object], check: Callable[[], str]) -> str:
    """Keep the table of a file while the file is checked, and return the result of the check."""
    with ThreadPoolExecutor(1) as thread:
        # The engine reads while the file is checked, since decompression takes as long as both.
        proof = thread.submit(check)
        try:
            keep()
        except Exception:
            proof.result()  # an engine's error about a damaged file would hide the damage
            raise
        return proof.result()


def _spark_value(text: "Column", kind: Kind, form: Format) -> "Column":
    """Convert text to its kind; null for other text, or values out of bounds."""
    from pyspark.sql import functions as f

    trimmed = f.trim(text)
    for pattern, replacement in form.replaced(kind):
        trimmed = f.regexp_replace(trimmed, pattern, replacement.replace("\\", "$"))
    number = f.split(trimmed, "[.]")[0] if kind is Kind.INTEGER else trimmed
    # ``try_cast`` alone would accept the forms that the pattern excludes: see ``FORMS``.
    value = f.when(trimmed.rlike(f"^{FORMS[kind]}$"), number).try_cast(SPARK_TYPES[kind])
    if kind is Kind.NUMBER:
        return f.when(f.abs(value) <= MOST_NUMBER, value)
    if kind is Kind.TIME:
        return f.when(value.between(FIRST_TIME, LAST_TIME), value)
    return value


def check_java() -> None:
    """Check that Spark can run."""
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
    connection: "DuckDBPyConnection",
    path: Path,
    header: Sequence[str],
    form: Format = PLAIN,
    *,
    buffer_size: int | None = None,
    compression: Literal["auto", "none"] | None = None,
) -> "DuckDBPyRelation":
    """Read a CSV file in UTF-8 as text, with blanks as empty texts.

    Where blanks are not NULL, DuckDB refuses a row with more columns than the header, even if the
    last ones are blank.
    """
    return connection.read_csv(
        str(path),
        columns=dict.fromkeys(header, "VARCHAR"),
        header=True,
        auto_detect=False,
        delimiter=form.separator,
        quotechar=form.quote,
        escapechar=form.quote,
        na_values=NO_NULL,
        allow_quoted_nulls=False,
        buffer_size=buffer_size,
        compression=compression,
    )


def typed_text(name: str, kind: Kind, place: str | None, form: Format = PLAIN) -> str:
    """Return SQL that converts a column of text, blanks to NULL, with an error for other text.

    The error is ``NAME of PLACE holds: TEXT``; without a place such text is NULL.
    """
    column = text = f'"{name}"'
    if kind is Kind.TEXT:
        return f"trim({text}) AS {text}"
    # Three attempts, the cheapest first: the cast, where it gives the same text again; the cast of
    # a text that has the form of the kind, such as 1.0 for an integer; the error.
    if form.replaced(kind):
        text = usual_text(text, kind, form)
    of_type = DUCKDB_TYPES[kind]
    value = f"try_cast({text} AS {of_type})"
    sure = f"{BOUNDS[kind].format(value)} AND {SURE[kind].format(value, text)}"
    number = f"split_part(trim({text}), '.', 1)" if kind is Kind.INTEGER else f"trim({text})"
    cut = f"try_cast({number} AS {of_type})"
    fits = f"regexp_full_match(trim({text}), '{FORMS[kind]}')"
    wrong = "NULL"
    if place is not None:
        quoted = place.replace("'", "''")
        wrong = f"error('{name} of {quoted} holds: ' || {column})::{of_type}"
    return (
        f"CASE WHEN {sure} THEN {value} WHEN trim({column}) <> '' THEN CASE WHEN {fits} "
        f"AND {BOUNDS[kind].format(cut)} THEN {cut} ELSE {wrong} END END AS {column}"
    )


def usual_text(text: str, kind: Kind, form: Format) -> str:
    """Return SQL that writes a text of a CSV file in the usual form of its kind."""
    text = f"trim({text})"
    for pattern, replacement in form.replaced(kind):
        texts = (part.replace("'", "''") for part in (pattern, replacement))
        text = f"regexp_replace({text}, '{next(texts)}', '{next(texts)}')"
    return text


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
    faults = (words for sign, words in CSV_FAULTS.items() if sign in message)
    return f"{place}: {next(faults, 'not a CSV file; fetch it again')}"


def _unfit(place: str, error: Exception) -> str:
    words = without_values(error)
    return f"{place}: a value cannot be worked with ({words}); correct it, or fetch it again"


def wrong_kind(place: Path | str, column: str, value: str, kind: Kind, form: Format = PLAIN) -> str:
    """Describe a value that is not of its column's kind, with its first line in a CSV file."""
    line = line_of(place, {column: value}, form) if isinstance(place, Path) else None
    at = f"{place}, line {line}" if line else place
    return (
        f"{at}: column '{column}' holds a value of the form {form_of(value)}; expected "
        f"{kind.words}{form.words(kind)}"
    )


def read_parts(folder: Path, count: int) -> Iterator[tuple[int, pa.Table]]:
    """Read an engine's output partitioned by ``part``: each part is read, then deleted."""
    for number in range(count):
        if files := sorted(folder.glob(f"*/part={number}/*.parquet")):
            texts = texts_of(pq.read_schema(files[0]))
            read = (pq.ParquetFile(file, read_dictionary=texts).read() for file in files)
            yield number, in_one_piece(pa.concat_tables(read))  # no name holds a part any longer
            for file in files:
                file.unlink()


def side_by_side(work: Work[T], parts: Iterator[tuple[int, pa.Table]]) -> Iterator[T]:
    """Process parts in threads (NumPy and Arrow use no lock of Python); yield results in order."""
    at_once = min(os.cpu_count() or 1, AT_ONCE)
    with ThreadPoolExecutor(at_once) as pool:
        begun: deque[Future[T]] = deque()  # at most ``at_once``: each holds a part in memory
        for part in parts:
            begun.append(pool.submit(work, *part))
            del part  # or it would stay in memory while the next one is read
            if len(begun) == at_once:
                yield begun.popleft().result()
        yield from (future.result() for future in begun)


def in_one_piece(table: pa.Table) -> pa.Table:
    """Return the table, each column in one chunk, text as a dictionary."""
    for name in texts_of(table.schema):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].dictionary_encode())
    # Each part comes with a dictionary of its own; with a joint one, equal texts are equal numbers.
    return table.unify_dictionaries().combine_chunks()


def texts_of(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold text."""
    texts = (pa.string(), pa.large_string())
    return [field.name for field in schema if field.type in texts]
