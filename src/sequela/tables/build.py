"""MEDS data sets, built from the tables of a source, with a log of every row."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError
from sequela.files import make_folder, scratch_beside, settle, writing
from sequela.tables.account import ACCOUNT, Account, leaks_of, read_account
from sequela.tables.declarations import Source
from sequela.tables.engine import Engine, open_engine
from sequela.tables.meds_events import (
    read_splits,
    split_of,
    validate,
    write_codes,
    write_dataset,
    write_splits,
    write_sums,
)
from sequela.tables.published import is_open
from sequela.tables.rows import prepared
from sequela.tables.shards import write_shards
from sequela.tables.tables import Tables, check_names, read_tables, shown

# The start of the name of a release that is part of another one (``published.toml``).
DEMO = "the demo of "


def build(
    source: Source,
    root: Path | str,
    out: Path,
    *,
    engine: str = "duckdb",
    master: str | None = None,
    seed: int = 0,
    tables: Collection[str] | None = None,
    changed: Collection[str] = (),
    allow_set_aside: Collection[str] = (),
) -> Account:
    """Write the events of ``source`` as a MEDS data set: see the help of ``sequela build``.

    ``root`` is a folder or, as text, the address of a database. The log that is returned is also in
    ``out/account.json``.
    """
    with _new_folder(out) as (new, work):
        opened = open_engine(engine, work, master)
        try:
            # A misspelt name fails here, before hours of reading.
            check_names(source, allow_set_aside)
            with opened.translated(shown(root)):
                read = read_tables(source, root, opened, tables, changed)
                # Only a folder can hold an earlier split and log; a database has neither.
                folder = root if isinstance(root, Path) else None
                allowed = frozenset(map(str.lower, allow_set_aside))
                account = _write(source, read, opened, new, seed, folder, allowed)
        finally:
            opened.close()
        account.write(new / ACCOUNT)
        write_sums(new)
    return account


def _write(
    source: Source,
    tables: Tables,
    engine: Engine,
    out: Path,
    seed: int,
    root: Path | None,
    allowed: frozenset[str],
) -> Account:
    rows = prepared(source, tables, engine)
    # Use the rows here, before the engine drops them.
    surveys = [table.survey() for table in rows]
    counts = [count for count, _ in surveys]
    for table, count in zip(rows, counts, strict=True):
        table.check_share(count, allowed)
    release = ""
    rows_read = {count.table: count.rows for count in counts}
    if tables.publication:
        release = tables.publication.check_rows(tables.places, rows_read)
    words = dict[str, str]()
    for _, descriptions in surveys:
        words |= descriptions
    events = list(chain.from_iterable(table.events(i) for i, table in enumerate(rows)))
    # A bound that decides the number of buckets: a used row gives one event a fact at most.
    expected = sum(count.used * len(t.table.facts) for count, t in zip(counts, rows, strict=True))
    # A MEDS data set comes with its own split. A new one would move test subjects into training.
    existing = read_splits(root) if root else None
    split = partial(_split, seed=seed, existing=existing)
    shards = write_shards(events, expected, engine, out, split)
    validate(shards.files)
    write_splits(out, shards.ids, shards.split)
    write_codes(out, shards.of_codes(), words)
    built = read_account(root) if root and (root / ACCOUNT).is_file() else {}
    title = source.title or str(built.get("title", ""))
    if not title and release.startswith(DEMO):  # so that nobody takes it for the whole
        title = f"{release.removeprefix(DEMO)} demo, {len(shards.ids):,} patients"
    write_dataset(out, source.data_set, title)
    table_accounts = []
    for number, count in enumerate(counts):
        events_made, on_disk = shards.of_table(number)
        proof = tables.proofs.get(count.table, "")
        table_accounts.append(
            replace(count, events=events_made, duplicates=events_made - on_disk, proof=proof)
        )
    account = Account(
        source=source.name,
        engine=engine.name,
        seed=seed,
        stays_in_order=source.stays_in_order and bool(built.get("stays_in_order", True)),
        dated_by_row=source.dated_by_row or bool(built.get("dated_by_row")),
        leaks=leaks_of(built),
        title=title,
        open=is_open(source.name, rows_read) or bool(built.get("open")),
        subjects=len(shards.ids),
        events=shards.kept_counts.total(),
        tables=tuple(table_accounts),
        not_read=_reasons(source, tables.not_read),
    )
    account.check()
    return account


def _reasons(source: Source, places: Collection[str]) -> dict[str, str]:
    """Map the tables that were not read to the reason."""
    declared = {table.name for table in source.tables}
    published = {name.lower(): reason for name, reason in source.not_read.items()}
    reasons = {}
    for place in places:
        usual = "not declared by this source, or not selected"
        if place in declared:
            usual = "declared, but not there"
        # The reasons are listed by the table's name alone, while files have folders and endings.
        reasons[place] = published.get(Path(place).name.split(".")[0].lower(), usual)
    return reasons


def _split(ids: NDArray[np.int64], seed: int, existing: dict[int, int] | None) -> NDArray[np.int8]:
    """Return the existing split of a data set, and one by hash for other subjects."""
    split = split_of(ids, seed)
    if existing is None:
        return split
    # Subjects that the split does not list get a part by their hash, as in a new data set.
    pairs = zip(ids.tolist(), split.tolist(), strict=True)
    return np.array([existing.get(subject, by_hash) for subject, by_hash in pairs], np.int8)


@contextmanager
def _new_folder(out: Path) -> Iterator[tuple[Path, Path]]:
    """Make a folder that becomes ``out`` on success, and one for the engine; else remove both."""
    # A build does not mix its files with others: an old shard would be read as events.
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"--out {out} is there and not empty: name a new folder, or empty it")
    # The scratch folder is on the disk of ``out``: renaming across disks copies, and may fail.
    near = next(folder for folder in out.absolute().parents if folder.is_dir())
    with writing(out), scratch_beside(near / out.name) as work:
        new, spilled = work / "new", work / "spilled"
        for folder in (new / "data", new / "metadata", spilled):
            folder.mkdir(parents=True)
        yield new, spilled
        # The data reach the disk before the name: a power cut leaves all or nothing.
        settle(new)
        make_folder(out.parent)
        new.replace(out)
        settle(out.parent, deep=False)
