"""From the tables of a source to a MEDS data set on disk, with an account of every row."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequela.errors import DataError, SettingError
from sequela.sources.account import ACCOUNT, Account, TableAccount, read_account
from sequela.sources.declarations import Source
from sequela.sources.engine import Engine, open_engine
from sequela.sources.meds_events import (
    EVENT_COLUMNS,
    SPLITS,
    hashed,
    read_splits,
    split_of,
    validate,
    write_codes,
    write_dataset,
    write_splits,
)
from sequela.sources.postgres import is_address
from sequela.sources.rows import TableRows
from sequela.sources.tables import Tables, read_tables

SHARD_EVENTS = 4_000_000  # a shard is sorted at once; more events are spread over more shards

Frame = nw.LazyFrame[Any]


def build(
    source: Source,
    root: Path | str,
    out: Path,
    *,
    engine: str = "duckdb",
    master: str | None = None,
    seed: int = 0,
    tables: Collection[str] | None = None,
) -> Account:
    """Write the events of ``source`` as a MEDS data set.

    Args:
        source: The declarations.
        root: Folder with the published tables, or address of a PostgreSQL database.
        out: Folder to write; it must not exist, or be empty.
        engine: ``duckdb`` or ``spark``.
        master: Address of a Spark cluster's master.
        seed: Of the split of subjects.
        tables: Tables to read beside the required ones; all that are there by default.

    Returns:
        The account, which also lies in ``out/account.json``.

    Raises:
        SequelaError: The input or a setting cannot be used; nothing is written then.
    """
    with _new_folder(out) as (new, work):
        opened = open_engine(engine, work, master)
        try:
            read = read_tables(source, root, opened, tables)
            given = None if is_address(root) else Path(root)
            account = _write(source, read, opened, new, seed, given)
        finally:
            opened.close()
        account.write(new / ACCOUNT)
    return account


def _write(
    source: Source, tables: Tables, engine: Engine, out: Path, seed: int, root: Path | None
) -> Account:
    """Check the rows, write the data set, and account for it."""
    declared = [table for table in source.tables if table.name in tables.frames]
    rows = [TableRows.of(t, tables.places[t.name], tables.frames, engine) for t in declared]
    for table in rows:
        table.check()
    frames = [t.events(fact, i) for i, t in enumerate(rows) for fact in t.table.facts]
    copies = nw.concat(frames).group_by("table", *EVENT_COLUMNS).agg(copies=nw.len())
    events = engine.keep(copies, "events")
    by_code = events.group_by("table", "code").agg(made=nw.col("copies").sum(), kept=nw.len())
    codes = by_code.sort("code", "table").collect("pyarrow").to_native().to_pylist()
    write_codes(out, codes, {code: text for t in rows for code, text in t.words().items()})
    accounts = tuple(
        _account(t, [code for code in codes if code["table"] == i]) for i, t in enumerate(rows)
    )
    engine.forget(but="events")
    subjects, files = _write_shards(events, engine, out, seed, read_splits(root) if root else None)
    validate(files)
    write_dataset(out, source.name)
    account = Account(
        source=source.name,
        engine=engine.name,
        seed=seed,
        stays_in_order=source.stays_in_order and _built_in_order(root),
        subjects=subjects,
        events=sum(code["kept"] for code in codes),
        tables=accounts,
        not_read=_reasons_not_read(source, tables),
    )
    account.check()
    return account


def _write_shards(
    events: Frame, engine: Engine, out: Path, seed: int, given: dict[int, int] | None
) -> tuple[int, list[Path]]:
    """Write the split, ``given`` or by hash, and the events, sorted, a subject in one shard.

    Returns:
        The number of subjects, and the shards.
    """
    counted = events.group_by("subject_id").agg(events=nw.len()).sort("subject_id")
    subjects = counted.collect("pyarrow").to_native()
    ids = subjects["subject_id"].to_numpy()
    if not len(ids):
        raise DataError("no row gave an event: the tables are empty, or not those of this source")
    split = split_of(ids, seed)
    if given is not None:
        pairs = zip(ids.tolist(), split.tolist(), strict=True)
        split = np.array([given.get(subject, by_hash) for subject, by_hash in pairs])
    write_splits(out, ids, split)
    shards = -(-pc.sum(subjects["events"]).as_py() // SHARD_EVENTS)
    shard = (hashed(ids, seed) % np.uint64(shards)).astype(np.int32) * len(SPLITS) + split
    membership = pa.table({"subject_id": ids, "shard": pa.array(shard, pa.int32())})
    placed = events.join(
        engine.read_batches("membership", membership.to_reader()), on="subject_id", how="inner"
    ).select(*EVENT_COLUMNS, "shard")
    files = []
    for number, chosen in engine.parts(placed, "shard", sorted(set(shard.tolist()))):
        path = out / "data" / SPLITS[number % len(SPLITS)] / f"{number // len(SPLITS)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        engine.write_parquet(chosen.select(*EVENT_COLUMNS).sort(*EVENT_COLUMNS), path)
        files.append(path)
    return len(ids), files


def _account(rows: TableRows, codes: list[dict[str, Any]]) -> TableAccount:
    reasons = rows.reasons()
    used = reasons.pop(None, 0)
    events = sum(int(code["made"]) for code in codes)
    return TableAccount(
        table=rows.table.name,
        place=rows.place,
        rows=rows.rows(),
        used=used,
        set_aside={str(reason): n for reason, n in sorted(reasons.items(), key=str)},
        events=events,
        duplicates=events - sum(code["kept"] for code in codes),
        notes=rows.notes(),
    )


def _reasons_not_read(source: Source, tables: Tables) -> dict[str, str]:
    why = {name.lower(): reason for name, reason in source.not_read.items()}
    reasons = {}
    for place in tables.not_read:
        name = Path(place).name.split(".")[0].lower()
        reasons[place] = why.get(name, "not declared by this source, or not asked for")
    return reasons


def _built_in_order(root: Path | None) -> bool:
    """What this package wrote about stays where it built the data set that is read; else true."""
    if root is None or not (root / ACCOUNT).is_file():
        return True
    return bool(read_account(root).get("stays_in_order", True))


@contextmanager
def _new_folder(out: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that becomes ``out`` if all is well, and one for the engine; else neither stays."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"--out {out} is there and not empty: name a new folder, or empty it")
    near = next(folder for folder in out.absolute().parents if folder.exists())
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=near))
    except OSError as error:
        raise SettingError(f"--out {out} cannot be written: {error.strerror}") from error
    try:
        new, scratch = work / "new", work / "scratch"
        for folder in (new / "data", new / "metadata", scratch):
            folder.mkdir(parents=True)
        yield new, scratch
        out.parent.mkdir(parents=True, exist_ok=True)
        new.replace(out)
    finally:
        shutil.rmtree(work)
