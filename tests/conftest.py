"""Small data sets in the published forms, and a machine without any."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; processes that are started too

import gc
import hashlib
import json
import random
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import duckdb
import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vl_convert
from filelock import FileLock
from tests import postgres

from sequela.cohort import cohort_settings
from sequela.datasets.catalog import EXCERPTS, Recording, load_recordings
from sequela.errors import SettingError
from sequela.evaluation.metrics import METRICS
from sequela.tables import built_events
from sequela.tables.build import build
from sequela.tables.declarations import Source
from sequela.tables.engine import check_java
from sequela.tables.hospitals import source_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ("tests.budget",)
# The same examples each time; `pytest --hypothesis-profile default` draws others.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("few", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.register_profile("long", max_examples=2_000, deadline=None)
if hypothesis.settings.get_current_profile_name() == "default":
    hypothesis.settings.load_profile("same")
Once = Callable[[str, Callable[[Path], object]], Path]
"""Makes a folder, by its name and a function that fills it, once for all workers."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MEDS = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", pa.timestamp("us")),
        ("code", pa.string()),
        ("numeric_value", pa.float32()),
        ("visit_id", pa.int64()),
    ]
)


def pytest_configure(config: pytest.Config) -> None:
    """Draw few examples where slow tests are left out too."""
    same = hypothesis.settings.get_current_profile_name() == "same"
    if same and config.getoption("level") != "all":
        hypothesis.settings.load_profile("few")


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection: it stays to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's ledger of openings is a file of the tests, in their processes too."""
    path = tmp_path_factory.mktemp("ledger") / "openings.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQUELA_OPENINGS", str(path))
        yield path


@pytest.fixture(scope="session", autouse=True)
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's key of subject ids is a file of the tests, always the same."""
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text("5e" * 32, "ascii")
    path.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQUELA_KEY", str(path))
        yield path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all workers of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def unsettled() -> Iterator[None]:
    """Files need not be on the disk at once: no test cuts the power, and each wait takes time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def cohort_cache() -> Iterator[None]:
    """Keep the last 16 cohorts, where the package keeps one: tests of the same data alternate."""
    keep = lru_cache(maxsize=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort_settings, "_selected", keep(cohort_settings._selected.__wrapped__))
        yield


class Reused:
    """A connection whose instance is the next one's once it is closed: a new one takes 30 ms."""

    connect = staticmethod(duckdb.connect)
    idle: ClassVar[list[duckdb.DuckDBPyConnection]] = []
    changed = ("threads", "preserve_insertion_order", "partitioned_write_flush_threshold")

    def __init__(self, file: str, config: dict[str, Any]) -> None:
        self.instance = self.idle.pop() if self.idle else self.connect(config=config)
        try:
            for name, value in config.items():
                self.instance.execute(f"SET {name} = $value", {"value": value})
        except duckdb.Error:  # the folder for what does not fit into memory is in use
            self.instance = self.connect(config=config)
        self.instance.execute("ATTACH '{}' AS reused".format(file.replace("'", "''")))
        self.connection = self.cursor()
        self.is_open = True

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self.instance.cursor()
        cursor.execute("USE reused")
        return cursor

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.connection.close()
            self.instance.execute("DETACH reused")
            for name in self.changed:
                self.instance.execute(f"RESET {name}")
            self.idle.append(self.instance)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.fixture(scope="session", autouse=True)
def reused() -> Iterator[None]:
    """Let DuckDB open an instance only where none is idle."""

    def connect(file: str = ":memory:", config: Any = None, **settings: Any) -> Any:
        if config is None and file != ":memory:":
            return Reused.connect(file, **settings)
        return Reused(file, config or {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", connect)
        yield


@pytest.fixture(scope="session", autouse=True)
def drawings(base: Path) -> Iterator[None]:
    """Vega draws a specification once for all workers, as many pages show the same runs.

    Tests of the figures themselves draw each one: see tests/figures/conftest.py.
    """
    draw, folder = vl_convert.vegalite_to_svg, base / "drawings"
    folder.mkdir(exist_ok=True)

    def draw_once(specification: dict[str, Any]) -> str:
        content = json.dumps(specification).encode()
        path = folder / hashlib.sha256(content).hexdigest()
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(draw(specification), "utf-8")
            partial.replace(path)
        return path.read_text("utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", draw_once)
        yield


@pytest.fixture(scope="session")
def once(base: Path) -> Once:
    """Make what is expensive once for all workers of pytest-xdist; nobody may change it."""

    def get(name: str, fill: Callable[[Path], object]) -> Path:
        folder, finished = base / f"once-{name}", base / f"once-{name}.finished"
        with FileLock(base / f"once-{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                folder.mkdir()
                fill(folder)
                finished.touch()
        return folder

    return get


@pytest.fixture
def folds_record() -> dict[str, Any]:
    """The least that ``folds.json`` of one fold holds."""
    test = {"examples": 1, "groups": 1, "confusion": [[1]], "per_class_recall": [1.0]}
    counts = {"folds": 1, "repeats": 1, "seeds": 1, "train_seconds": 0.0}
    return {"model": "mlp-baseline", **counts, "runs": ["fold-00"], "test": test}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The Chromium of this machine."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        said = f"no browser to read pages with: none of {', '.join(BROWSERS)} is on the PATH"
        if os.environ.get("SEQUELA_REQUIRE_BROWSER") == "1":
            pytest.fail(said)
        pytest.skip(said)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def java() -> None:
    """Java for Spark; a test that needs it skips without, unless that is forbidden."""
    try:
        check_java()
    except SettingError as error:
        if os.environ.get("SEQUELA_REQUIRE_SPARK") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spark_stopped() -> Iterator[None]:
    """The end of the Spark session of this process."""
    yield
    stop_spark()


def stop_spark() -> None:
    """Stop the Spark session of this process, if one runs."""
    from pyspark.sql import SparkSession

    if (running := SparkSession.getActiveSession()) is not None:
        running.stop()


@pytest.fixture
def spark(java: None, spark_stopped: None) -> Any:
    """The one Spark session of this process, which a build uses: a start takes ten seconds."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        # Small data are no reason to optimise what is run once.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        return (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.default.parallelism", "1")
            .config("spark.sql.session.timeZone", "America/New_York")
            .getOrCreate()
        )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server of our own."""
    with postgres.running() as address:
        yield address


@pytest.fixture(scope="session")
def excerpt() -> dict[str, Recording]:
    """The recordings that ship with the package, by id."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    return {each.recording_id: each for each in recordings}


@pytest.fixture(scope="session")
def as_text() -> Callable[[Recording], bytes]:
    """A recording as the publisher writes it: one whole number a line."""

    def write(recording: Recording) -> bytes:
        return b"".join(b"%d\n" % value for value in recording.signal[0])

    return write


@pytest.fixture
def bonn_folder(
    tmp_path: Path, excerpt: dict[str, Recording], as_text: Callable[[Recording], bytes]
) -> Path:
    """The five folders of the Bonn data with two recordings each; set N has names in capitals."""
    root = tmp_path / "bonn"
    for letter in "ZONFS":
        (root / letter).mkdir(parents=True)
        for recording_id in (f"{letter}001", f"{letter}002"):
            source = excerpt.get(recording_id, excerpt["Z003"])  # Z002 is not in the excerpt
            name = f"{recording_id}.{'TXT' if letter == 'N' else 'txt'}"
            (root / letter / name).write_bytes(as_text(source))
    return root


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No $SEQUELA_DATA, no package with data, an empty cache of the user; the cache's folder."""
    monkeypatch.delenv("SEQUELA_DATA", raising=False)
    monkeypatch.setattr("sequela.datasets.catalog.find_spec", lambda _: None)
    cache = tmp_path / "cache"
    monkeypatch.setattr("sequela.datasets.catalog.cache_folder", lambda name: cache / name)
    return cache


@pytest.fixture(scope="session")
def synthetic(once: Once) -> Path:
    """Folders in the form of the Bonn data, ten recordings a set, whose classes can be learnt."""

    def fill(root: Path) -> None:
        rng = np.random.default_rng(7)
        time = np.arange(4097) / 173.61
        for index, letter in enumerate("ZONFS"):
            (root / letter).mkdir()
            for number in range(1, 11):
                wave = np.sin(2 * np.pi * (2 + 4 * index) * time + rng.uniform(0, 2 * np.pi))
                signal = (40 + 30 * index) * wave + rng.normal(scale=30, size=len(time))
                text = "".join(f"{round(value)}\n" for value in signal)
                (root / letter / f"{letter}{number:03d}.txt").write_text(text, "utf-8")

    return once("synthetic", fill)


@pytest.fixture(scope="session")
def excerpt_events(once: Once) -> Callable[[str], Path]:
    """Return the events of hospital tables in the package, as ``sequela build`` writes them."""

    def events(name: str) -> Path:
        fill = lambda out: build(source_of(name), EXCERPTS / name, out / name)  # noqa: E731
        return once(f"events-{name}", fill) / name

    return events


@pytest.fixture(scope="session", autouse=True)
def built_once(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let runs copy events that were built from the same files: of an excerpt, once for all."""
    earlier: dict[str, list[tuple[Source, Path]]] = defaultdict(list)

    def copied(source: Source, root: Path, out: Path, **how: Any) -> None:
        if root == EXCERPTS / source.name and source == source_of(source.name):
            name = f"{source.name}-{hashlib.sha256(repr(how).encode()).hexdigest()}"
            made = once(name, lambda folder: build(source, root, folder / "events", **how))
            shutil.copytree(made / "events", out)
            return
        of_files = earlier[repr((built_events._files(root), how))]
        for same, events in of_files:
            if same == source:
                shutil.copytree(events, out)
                return
        build(source, root, out, **how)
        of_files.append((source, tmp_path_factory.mktemp("built") / "events"))
        shutil.copytree(out, of_files[-1][1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(built_events, "build", copied)
        yield


@pytest.fixture
def own_metrics() -> Iterator[None]:
    """Metrics that a test registers are gone after it."""
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


def meds(
    root: Path, rows: Sequence[Sequence[Any]], *, visits: bool = True, shuffle: int | None = None
) -> Path:
    """A data set of rows ``(subject_id, time, code[, visit_id[, numeric_value]])``.

    Args:
        root: Where to write it.
        rows: Times are ``None`` or what numpy reads as a time.
        visits: Whether there is a column ``visit_id``.
        shuffle: Seed of another order of rows; by default they are sorted as the standard asks.
    """
    full = [(*row, None, None)[:5] for row in rows]
    if shuffle is None:
        full.sort(key=lambda row: (row[0], str(row[1] or ""), row[2]))
    else:
        random.Random(shuffle).shuffle(full)
    times = pa.array([row[1] for row in full], pa.string()).cast(pa.timestamp("us"))
    table = pa.table(
        [
            pa.array([row[0] for row in full], pa.int64()),
            times,
            pa.array([row[2] for row in full], pa.string()),
            pa.array([row[4] for row in full], pa.float32()),
            pa.array([row[3] for row in full], pa.int64()),
        ],
        schema=MEDS,
    )
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table if visits else table.drop_columns("visit_id"), root / "data/0.parquet")
    return root


@pytest.fixture(scope="session")
def write_meds() -> Callable[..., Path]:
    return meds


@pytest.fixture(scope="session")
def strict_json() -> Callable[[Path], Any]:
    """A JSON file read as the standard says: NaN and Infinity are none."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return lambda path: json.loads(path.read_text("utf-8"), parse_constant=refuse)
