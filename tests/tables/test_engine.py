"""Spark gives what DuckDB gives, row for row, and finds the same faults."""

import os
import subprocess
import venv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest
from tests.cli.calls import refusal
from tests.conftest import stop_spark
from tests.rows_hash import shards_of

from sequela.errors import DataError, OutputError, RunError, SettingError
from sequela.tables import engine as engine_module
from sequela.tables import shards
from sequela.tables.engine import (
    AT_ONCE,
    DuckDBEngine,
    SparkEngine,
    check_java,
    open_engine,
    side_by_side,
)


def test_spark_gives_the_same_rows_and_collects_counts_only(
    many_events: Any, write: Any, made: Any, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a session that runs already, whose settings and cached tables are left as they were."""
    from pyspark.sql.classic.dataframe import DataFrame

    many_events["DIAGNOSES_ICD"] += [
        {"subject_id": s, "hadm_id": h, "seq_num": 1, "icd9_code": code}
        for s, h in ((3, 99), (2, ""))
        for code in ("0042", " 401 ", " 401 ", "")
    ]
    many_events["LABEVENTS"] = [
        {"subject_id": 1, "hadm_id": 11, "itemid": 50801, "charttime": "2130-01-01 08:00:00",
         "value": v, "valuenum": v, "valueuom": "mmHg"}
        for v in ("0.1", "12", "1e-3", "", "7.123456789")
    ]  # fmt: skip
    monkeypatch.setattr(shards, "BUCKET_EVENTS", 700)
    root = write(many_events, suffix=".csv.gz", upper=True)
    duck = made("mimic3", root)
    collected = []

    def counting(name: str) -> None:
        real = getattr(DataFrame, name)

        def call(self: Any, *args: Any, **options: Any) -> Any:
            rows = real(self, *args, **options)
            collected.append(len(rows))
            return rows

        monkeypatch.setattr(DataFrame, name, call)

    for name in ("collect", "toArrow", "take"):
        counting(name)
    by_spark = made("mimic3", root, out="spark", engine="spark")
    assert max(collected) < 50
    assert sum(collected) < 200
    assert shards_of(by_spark.out) == shards_of(duck.out)
    assert len(shards_of(duck.out)) > 1
    assert by_spark.account.engine == "spark"
    assert by_spark.account.tables == duck.account.tables
    assert spark.range(3).count() == 3
    assert spark.conf.get("spark.sql.session.timeZone") == "America/New_York"
    assert spark.sparkContext._jsc.getPersistentRDDs().isEmpty()


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_spark_finds_the_same_faults(mimic3: Any, write: Any, made: Any) -> None:
    mimic3["DIAGNOSES_ICD"][2]["subject_id"] = "two"
    said = []
    for engine in ("duckdb", "spark"):
        with pytest.raises(DataError) as raised:
            made("mimic3", write(mimic3), engine=engine)
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert "line 4: column 'subject_id' holds a value of the form 'aaa'" in said[0]


@pytest.mark.slow
@pytest.mark.usefixtures("java", "spark_stopped")
def test_a_cluster_of_two_workers_writes_the_same_bytes(
    many_events: Any, write: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark's own standalone cluster: a master, and two workers with a process each."""
    stop_spark()  # a build would use the session that runs
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
    monkeypatch.setattr(shards, "BUCKET_EVENTS", 700)
    root = write(many_events, suffix=".csv.gz")
    duck = made("mimic3", root)
    cluster = made("mimic3", root, out="spark", engine="spark", master="local-cluster[2,1,1024]")
    assert shards_of(cluster.out) == shards_of(duck.out)
    assert cluster.account.tables == duck.account.tables


def engine_and_rows(work: Path) -> tuple[Any, Any]:
    engine = open_engine("spark", work)
    rows = pa.table({"bucket": pa.array([0, 1, 1], "int64"), "value": [1, 2, 3]})
    return engine, engine.read_batches("rows", rows.to_reader())


def test_what_may_happen_to_a_task(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "shared" / "work"
    work.mkdir(parents=True)
    engine, rows = engine_and_rows(work)

    def count(number: int, part: pa.Table) -> int:  # from a module, workers would import it
        return len(part)

    assert engine.map_parts([rows], nw.col("bucket"), 2, count) == [1, 2]
    with (
        pytest.raises(RunError, match="a process of Spark was killed"),
        engine.translated("the tables"),
    ):
        engine.map_parts([rows], nw.col("bucket"), 2, lambda *_: os._exit(1))
    venv.create(tmp_path / "bare", symlinks=True)
    with monkeypatch.context() as patch:
        patch.setattr(spark.sparkContext, "pythonExec", str(tmp_path / "bare/bin/python"))
        with (
            pytest.raises(RunError, match="the Python of Spark's workers has no sequela"),
            engine.translated("the tables"),
        ):
            engine.map_parts([rows], nw.col("bucket"), 2, count)
    engine._work = tmp_path / "elsewhere" / "work"  # as on a machine that sees another disk
    with pytest.raises(SettingError, match="a worker of Spark does not see "):
        engine.map_parts([rows], nw.col("bucket"), 2, count)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("spark")
def test_a_running_session_is_used(tmp_path: Path) -> None:
    assert SparkEngine(tmp_path)._owned is False
    with pytest.raises(SettingError, match="a Spark session runs here already: leave --master out"):
        SparkEngine(tmp_path, "local[1]")


def test_an_address_that_is_no_database(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("build", "mimic3", "--root", "s3a://me:hush@bucket/x", "--engine", "spark")
    message = refusal(capfd, *arguments, "--out", tmp_path / "out")
    assert "--root s3a://***@bucket/x is not read: name a folder" in message
    assert "--out s3a:/bucket/out is an address" in refusal(
        capfd, "build", "mimic3", "--out", "s3a://bucket/out"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (FileNotFoundError(), "Spark needs Java 17 or newer: install it"),
        ('openjdk version "11.0.2" 2019-01-15', r"\(found: openjdk version \"11.0.2\""),
        ("no version here", "Spark needs Java 17"),
    ],
)
def test_java_is_missing_or_old(
    answer: str | Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def java(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, "", answer)

    monkeypatch.setattr("sequela.tables.engine.subprocess.run", java)
    with pytest.raises(SettingError, match=said):
        check_java()
    with pytest.raises(SettingError, match=said):
        open_engine("spark", tmp_path)


def test_parts_are_processed_side_by_side_and_stay_in_order() -> None:
    """At most as many parts as there are threads are begun and not yet yielded."""
    waiting: set[int] = set()

    def parts() -> Iterator[tuple[int, pa.Table]]:
        for number in range(20):
            waiting.add(number)
            assert len(waiting) <= min(os.cpu_count() or 1, AT_ONCE)
            yield number, pa.table({})

    last = -1
    for last in side_by_side(lambda number, _: number, parts()):
        assert last == min(waiting)
        waiting.remove(last)
    assert last == 19


def test_damage_that_duckdb_tells_as_a_plain_error_is_refused(tmp_path: Path) -> None:
    """As of one bit in the metadata of a Parquet file; any other error stays a bug."""
    engine = open_engine("duckdb", tmp_path)
    damage = duckdb.Error("Parquet metadata is corrupt. Column has 402 values, row group 400 rows")
    with pytest.raises(DataError, match=r"Parquet metadata is corrupt"), engine.translated("here"):
        raise damage
    bug = duckdb.BinderException("no such column")
    with pytest.raises(duckdb.BinderException), engine.translated("here"):
        raise bug
    engine.close()


def joined(engine: DuckDBEngine) -> nw.LazyFrame[Any]:
    """Rows whose joins need some 60 MB of hash tables."""
    keys = pa.RecordBatchReader.from_batches(
        pa.schema([("k", pa.int64())]), [pa.record_batch({"k": np.arange(200_000)})]
    )
    rows = engine.read_batches("keys", keys)
    word = nw.concat_str(nw.col("k").cast(nw.String()), nw.lit("x" * 40))
    for number in range(4):
        other = engine.keep(rows.select("k", **{f"word {number}": word}), f"words {number}")
        rows = rows.join(other, on="k")
    return rows


def test_joins_that_need_more_memory_get_it_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DuckDBEngine(tmp_path)
    parts = partial(engine.map_parts, [joined(engine)], nw.col("k") % 3, 3)
    try:
        monkeypatch.setattr(engine_module, "LIMITS", ("15MB", "20MB"))
        with pytest.raises(duckdb.OutOfMemoryException):
            parts(lambda i, part: (i, len(part)))
        monkeypatch.setattr(engine_module, "LIMITS", ("20MB", "1500MB"))
        assert parts(lambda i, part: (i, len(part))) == [(0, 66667), (1, 66667), (2, 66666)]
    finally:
        engine.close()


def test_a_folder_that_duckdb_cannot_write_to_is_refused(tmp_path: Path) -> None:
    """Its log of a file is named before the question mark, as if an address ended there."""
    work = tmp_path / "any?" / "work"
    work.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"any\?/work: DuckDB cannot write below a"):
        open_engine("duckdb", work)
