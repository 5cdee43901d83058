"""Events for a run: built once, built again when anything changed, or used where they are."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rows_hash import rows_hash

from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, DataNotFoundError, SettingError
from sequela.tables import built_events
from sequela.tables.build import build
from sequela.tables.built_events import events_of
from sequela.tables.hospitals import source_of

TABLES = ("ICUSTAYS",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A few of the tables that ship with the package."""
    return shutil.copytree(
        EXCERPTS / "mimic3",
        tmp_path / "tables",
        ignore=shutil.ignore_patterns("[CS]*", "PROC*", "DR*"),
    )


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...] | None]:
    """The tables of each build that is asked for; of the same tables, the first is copied."""
    made: list[tuple[str, ...] | None] = []

    def counted(source: Any, place: Path, out: Path, **options: Any) -> None:
        made.append(options["tables"])
        kept = tmp_path / f"built from {options['tables']}"
        if not kept.exists():
            build(source, place, kept, **options)
        shutil.copytree(kept, out)

    monkeypatch.setattr(built_events, "build", counted)
    return made


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "touched": lambda root, _: os.utime(root / "ICUSTAYS.csv.gz", ns=(1, 1)),
    "grown": lambda root, _: (root / "LICENSE.txt").write_text("of these tables"),
    "removed": lambda root, _: (root / "TRANSFERS.csv.gz").unlink(),
    "not finished": lambda _, found: (found / "made_from.json").unlink(),
    "not finished in its note": lambda _, found: (found / "made_from.json").write_text("{"),
}


def test_what_is_there_is_used_again(root: Path, tmp_path: Path, builds: list[Any]) -> None:
    located = events_of("mimic3", root, tmp_path / "events", TABLES)
    first, origin = located.path, located.origin
    written = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    again = events_of("mimic3", root, tmp_path / "events", TABLES).path
    assert first == again == tmp_path / "events" / "mimic3"
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == written
    assert builds == [TABLES]
    assert str(root) in origin


def test_what_changed_or_was_not_finished_is_built_again_once(
    root: Path, tmp_path: Path, builds: list[Any]
) -> None:
    found = events_of("mimic3", root, tmp_path / "events", TABLES).path
    for count, (name, change) in enumerate(CHANGES.items(), 2):
        change(root, found)
        for _ in range(2):
            events_of("mimic3", root, tmp_path / "events", TABLES)
            assert len(builds) == count, name


def test_other_tables_code_or_places_are_built_again(
    root: Path, tmp_path: Path, builds: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = events_of("mimic3", root, tmp_path / "events", TABLES).path
    stays = rows_hash(found)
    monkeypatch.setattr(built_events, "_code_digest", lambda _: "another program")
    events_of("mimic3", root, tmp_path / "events", TABLES)
    assert len(builds) == 2
    other = shutil.copytree(root, tmp_path / "copy")
    events_of("mimic3", other, tmp_path / "events", TABLES)
    assert len(builds) == 3
    events_of("mimic3", other, tmp_path / "events", ("DIAGNOSES_ICD",))
    assert rows_hash(found) != stays
    events_of("mimic3", other, tmp_path / "events", ())
    assert builds == [*[TABLES] * 3, ("DIAGNOSES_ICD",), None]


def test_a_built_data_set_is_used_in_its_place(
    root: Path, tmp_path: Path, builds: list[Any]
) -> None:
    built = tmp_path / "built"
    build(source_of("mimic3"), root, built, tables=TABLES)
    for name in ("mimic3", "meds"):
        located = events_of(name, built, tmp_path / "events")
        assert located.path == built
        assert str(built) in located.origin
    assert builds == []
    assert not (tmp_path / "events").exists()
    with pytest.raises(SettingError, match="was built from mimic3, but the data set asked for is"):
        events_of("eicu", built, tmp_path / "events")
    account = json.loads((built / "account.json").read_text())
    (built / "account.json").write_text(json.dumps({**account, "source": "eicu"}))
    with pytest.raises(SettingError, match="was built from eicu"):
        events_of("mimic3", built, tmp_path / "events")
    (built / "account.json").write_text("{")
    with pytest.raises(DataError, match=r"account\.json: damaged"):
        events_of("mimic3", built, tmp_path / "events")
    (built / "account.json").write_text("[]")
    with pytest.raises(DataError, match=r"account\.json: damaged"):
        events_of("mimic3", built, tmp_path / "events")


def test_somebody_elses_meds_is_read_through_the_same_door(
    root: Path, tmp_path: Path, builds: list[Any]
) -> None:
    theirs = tmp_path / "theirs"
    build(source_of("mimic3"), root, theirs, tables=TABLES)
    (theirs / "account.json").unlink()
    found = events_of("meds", theirs, tmp_path / "events").path
    assert found == tmp_path / "events" / "meds"
    assert builds == [None]


@pytest.mark.parametrize(
    ("name", "place", "error", "message"),
    [
        ("bonn", "tables", SettingError, "holds recordings, expected hospital tables"),
        ("mimic3", "nowhere", DataNotFoundError, "nowhere does not exist"),
        ("eicu", "tables", DataNotFoundError, "patient"),
    ],
)
def test_refused(
    name: str, place: str, error: type[Exception], message: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as caught:
        events_of(name, tmp_path / place, tmp_path / "events")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "events").exists()


def test_a_failed_build_leaves_nothing(root: Path, tmp_path: Path) -> None:
    events_of("mimic3", root, tmp_path / "events", TABLES)
    (root / "ICUSTAYS.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="ICUSTAYS"):
        events_of("mimic3", root, tmp_path / "events", TABLES)
    assert not (tmp_path / "events" / "mimic3").exists()
    assert not list((tmp_path / "events").glob(".*"))
