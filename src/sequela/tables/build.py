"""MEDS data sets, built from the tables of a source, with a log of every row."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

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
    spark: Any = None,
) -> Account:
    """Write the events of ``source`` as a MEDS data set: see the help of ``sequela build``.

    ``root`` is a folder or, as text, the address of a database, or a schema or address that Spark
    reads. A session of ``spark`` is used instead of ``engine`` and ``master``. The log that is
    returned is also in ``out/account.json``.
    """
    with _new_folder(out) as (new, work):
        opened = open_engine(engine, work, master, spark)
        try:
            check_names(source, allow_set_aside)
            with opened.translated(shown(root)):
                read = read_tables(source, root, opened, tables, changed)
                given = root if isinstance(root, Path) else None
                allowed = frozenset(map(str.lower, allow_set_aside))
                account = _write(source, read, opened, new, seed, given, allowed)
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
    found = {count.table: count.rows for count in counts}
    if tables.publication:
        release = tables.publication.check_rows(tables.places, found)
    words = {code: text for _, said in surveys for code, text in said.items()}
    events = [of_fact for i, table in enumerate(rows) for of_fact in table.events(i)]
    expected = sum(count.used * len(t.table.facts) for count, t in zip(counts, rows, strict=True))
    given = read_splits(root) if root else None
    shards = write_shards(events, expected, engine, out, partial(_split, seed=seed, given=given))
    validate(shards.files)
    write_splits(out, shards.ids, shards.split)
    write_codes(out, shards.of_codes(), words)
    built = read_account(root) if root and (root / ACCOUNT).is_file() else {}
    demo = release.removeprefix("the demo of ")  # named, so that nobody takes it for the whole
    of_demo = f"{demo} demo, {len(shards.ids):,} patients" if demo != release else ""
    title = source.title or str(built.get("title", "")) or of_demo
    write_dataset(out, source.data_set, title)
    kept = [shards.of_table(number) for number in range(len(rows))]
    why = {name.lower(): reason for name, reason in source.not_read.items()}
    names, reasons = {table.name for table in source.tables}, {}
    for place in tables.not_read:
        name = Path(place).name.split(".")[0].lower()
        absent, other = "declared, but not there", "not declared by this source, or not selected"
        reasons[place] = why.get(name, absent if place in names else other)
    account = Account(
        source=source.name,
        engine=engine.name,
        seed=seed,
        stays_in_order=source.stays_in_order and bool(built.get("stays_in_order", True)),
        dated_by_row=source.dated_by_row or bool(built.get("dated_by_row")),
        leaks=source.leaks or leaks_of(built),
        title=title,
        open=is_open(source.name, found) or bool(built.get("open")),
        subjects=len(shards.ids),
        events=shards.kept.total(),
        tables=tuple(
            replace(
                count, events=made, duplicates=made - left, proof=tables.proofs.get(count.table, "")
            )
            for count, (made, left) in zip(counts, kept, strict=True)
        ),
        not_read=reasons,
    )
    account.check()
    return account


def _split(ids: NDArray[np.int64], seed: int, given: dict[int, int] | None) -> NDArray[np.int8]:
    """Return the existing split of a data set, and one by hash for other subjects."""
    split = split_of(ids, seed)
    if given is None:
        return split
    pairs = zip(ids.tolist(), split.tolist(), strict=True)
    return np.array([given.get(subject, by_hash) for subject, by_hash in pairs], np.int8)


@contextmanager
def _new_folder(out: Path) -> Iterator[tuple[Path, Path]]:
    """Make a folder that becomes ``out`` on success, and one for the engine; else remove both."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"--out {out} is there and not empty: name a new folder, or empty it")
    near = next(folder for folder in out.absolute().parents if folder.is_dir())
    with writing(out), scratch_beside(near / out.name) as work:
        new, spilled = work / "new", work / "spilled"
        for folder in (new / "data", new / "metadata", spilled):
            folder.mkdir(parents=True)
        yield new, spilled
        settle(new)
        make_folder(out.parent)
        new.replace(out)
        settle(out.parent, deep=False)
