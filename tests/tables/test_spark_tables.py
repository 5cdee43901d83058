"""A session of Spark that the caller has, and the tables that it finds itself."""

import os
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa
import pytest
from tests.cli.calls import Refused, ran, refusal
from tests.rows_hash import rows_hash, shards_of

import sequela
from sequela.errors import RunError, SettingError
from sequela.tables import shards
from sequela.tables.engine import SparkEngine, open_engine


@pytest.fixture(scope="module")
def session(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session with its own settings and catalogue."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        made = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.session.timeZone", "America/New_York")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .getOrCreate()
        )
        yield made
        made.stop()


@pytest.fixture
def refused(session: Any, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Build MIMIC-III, which must be refused."""
    del session

    def call(*arguments: str | Path) -> str:
        return refusal(capfd, "build", "mimic3", *arguments, silent=False)

    return call


def test_the_driver_collects_counts_only(
    many_events: Any, write: Any, session: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a session of the caller, whose settings and cached tables are left as they were."""
    from pyspark.sql.classic.dataframe import DataFrame

    monkeypatch.setattr(shards, "BUCKET_EVENTS", 700)
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
    root = write(many_events)
    account = sequela.build("mimic3", tmp_path / "spark", root=root, spark=session)
    assert account.tables[-1].rows == 2000
    assert max(collected) < 50
    assert sum(collected) < 200
    duck = sequela.build("mimic3", tmp_path / "duck", root=root)
    assert shards_of(tmp_path / "spark") == shards_of(tmp_path / "duck")
    assert len(shards_of(tmp_path / "duck")) > 1
    assert account.tables == duck.tables
    assert session.range(3).count() == 3
    assert session.conf.get("spark.sql.session.timeZone") == "America/New_York"
    assert session.sparkContext._jsc.getPersistentRDDs().isEmpty()


def test_a_schema_of_the_catalogue(
    many_events: Any, write: Any, session: Any, tmp_path: Path
) -> None:
    """Its times are instants, which were written in the zone of the session."""
    root, named = write(many_events), tmp_path / "named"
    duck = sequela.build("mimic3", tmp_path / "duck", root=root)
    session.sql("CREATE DATABASE hospital")
    for path in root.iterdir():
        rows = session.read.csv(str(path), header=True, multiLine=True, escape='"')
        for name in rows.columns:
            if name.endswith("time") or name in {"dob", "dod"}:
                rows = rows.withColumn(name, rows[name].cast("timestamp"))
        rows.write.saveAsTable(f"hospital.{path.stem}")
    assert dict(session.table("hospital.admissions").dtypes)["admittime"] == "timestamp"
    account = sequela.build("mimic3", named, root="spark_catalog.hospital", spark=session)
    assert shards_of(named) == shards_of(tmp_path / "duck")
    assert [(t.table, t.rows, t.events) for t in account.tables] == [
        (t.table, t.rows, t.events) for t in duck.tables
    ]
    ran("build", "mimic3", "--root", "hospital", "--engine", "spark", "--out", tmp_path / "again")
    assert shards_of(tmp_path / "again") == shards_of(named)
    assert session.range(3).count() == 3


@pytest.mark.slow(but=".parquet")
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_an_address(
    suffix: str, many_events: Any, write: Any, session: Any, tmp_path: Path
) -> None:
    """The session reads ``file://`` as it reads ``s3a://``."""
    root = write(many_events, suffix=".csv" if suffix == ".parquet" else suffix)
    sequela.build("mimic3", tmp_path / "duck", root=root)
    if suffix == ".parquet":
        for path in list(root.iterdir()):
            folder = root / path.stem.lower()
            folder.mkdir()
            duckdb.read_csv(str(path), header=True, all_varchar=True).to_parquet(
                str(folder / "part-0.parquet")
            )
            path.unlink()
    account = sequela.build("mimic3", tmp_path / "out", root=root.as_uri(), spark=session)
    assert rows_hash(tmp_path / "out") == rows_hash(tmp_path / "duck")
    assert account.tables[-1].rows == 2000
    assert account.tables[-1].place.startswith("DIAGNOSES_ICD.csv" if suffix != ".parquet" else "d")


def test_a_place_that_spark_cannot_read(
    mimic3: Any, write: Any, refused: Refused, tmp_path: Path
) -> None:
    root, out = write(mimic3).as_uri(), tmp_path / "out"
    for place, words in {
        "s3a://bucket/mimic": "s3a://bucket/mimic: Spark cannot read it (",
        f"{root}/nowhere": "nowhere: Spark cannot read it (",
        "nowhere.mimic": "the schema nowhere.mimic of Spark",
        "nobody": "the schema nobody of Spark: no table PATIENTS; expected MIMIC-III",
    }.items():
        assert words in refused("--root", place, "--engine", "spark", "--out", out)
    assert "is for Spark: add --engine spark, or name a folder" in refused(
        "--root", root, "--out", out
    )
    assert "--out s3a:/bucket/out is an address" in refused("--out", "s3a://bucket/out")
    mimic3["DIAGNOSES_ICD"][2]["subject_id"] = "two"
    said = refused("--root", write(mimic3).as_uri(), "--engine", "spark", "--out", out)
    assert "DIAGNOSES_ICD.csv: column 'subject_id' holds a value of the form 'aaa'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def engine_and_rows(work: Path, session: Any) -> tuple[Any, Any]:
    engine = open_engine("spark", work, session=session)
    rows = pa.table({"bucket": pa.array([0, 1, 1], "int64"), "value": [1, 2, 3]})
    return engine, engine.read_batches("rows", rows.to_reader())


def test_what_may_happen_to_a_task(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "shared" / "work"
    work.mkdir(parents=True)
    engine, rows = engine_and_rows(work, session)

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
        patch.setattr(session.sparkContext, "pythonExec", str(tmp_path / "bare/bin/python"))
        with (
            pytest.raises(RunError, match="the Python of Spark's workers has no sequela"),
            engine.translated("the tables"),
        ):
            engine.map_parts([rows], nw.col("bucket"), 2, count)
    engine._work = tmp_path / "elsewhere" / "work"  # as on a machine that sees another disk
    with pytest.raises(SettingError, match="a worker of Spark does not see "):
        engine.map_parts([rows], nw.col("bucket"), 2, count)
    assert not (tmp_path / "elsewhere").exists()


def test_a_session_is_of_the_caller(session: Any, tmp_path: Path) -> None:
    assert SparkEngine(tmp_path)._owned is False
    with pytest.raises(SettingError, match="a Spark session runs here already: leave --master out"):
        SparkEngine(tmp_path, "local[1]")
    with pytest.raises(SettingError, match="spark is not a SparkSession"):
        open_engine("spark", tmp_path, session="local[2]")
