"""Descriptions of data: the catalogue of data sets, and the declaration of data at a path."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.table import Table
from rich.text import Text

from sequela.datasets.catalog import DATA_SETS, data_sets

# The fields of the list of data sets; the rest of an entry is for the program.
SHOWN = ("title", "kind", "licence", "citation", "size", "homepage", "how_to_get")
HEAD = 100_000  # rows that are read of a table of a database: a table may have billions
_SEVERAL = 2  # tables of a folder, from which on it is taken for hospital tables


def as_json() -> str:
    """Return the entry and place of each data set by name (null if not found)."""
    listing = {}
    for data_set in data_sets():
        located = data_set.find()
        listing[data_set.name] = {field: getattr(data_set, field) for field in SHOWN} | {
            "path": str(located.path) if located else None,
            "origin": located.origin if located else None,
        }
    return json.dumps(listing, indent=2)  # ASCII, which every output takes


def as_table() -> Table:
    """Return a table with one row for each data set; long texts wrap inside the second column."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for data_set in data_sets():
        located = data_set.find()
        how_to_get = "" if located else data_set.how_to_get
        facts = {
            "holds": data_set.size,
            "licence": data_set.licence,
            "cite": data_set.citation,
            "page": "" if data_set.homepage in how_to_get else data_set.homepage,
            "here": located.origin if located else "",
            "to get it": how_to_get,
        }
        text = Text(f"{data_set.title} ({data_set.kind.upper()})")
        for fact, value in facts.items():
            if value:
                text.append(f"\n{fact}: ", style="dim").append(value)
        table.add_row(data_set.name, text)
    return table


def describe(place: Path | str, show: Callable[[str], None] = lambda _: None) -> tuple[str, str]:
    """Describe data at a path or in a database: a declaration, and the name of its file.

    A table with one row per patient has no file of this kind, and gets a command with options.
    """
    # Engines of tables take long to load, and the catalogue is printed without them.
    import pyarrow.parquet as pq

    from sequela.files import make_folder, temporary
    from sequela.intake import describe_signals, describe_tables, one_row
    from sequela.signals.reading import NAME as OF_SIGNALS
    from sequela.tables.declared.declaration import NAME as OF_TABLES
    from sequela.tables.odbc import OdbcDatabase, is_odbc

    if is_odbc(place):
        with temporary() as work, closing(OdbcDatabase(str(place))) as database:
            folder = work / "database"
            # The start of each table is copied: files and databases share one inspection.
            make_folder(folder)
            for _, name in database.tables:
                show(f"{name}: reading the first {HEAD:,} rows")
                pq.write_table(database.head(name, HEAD), folder / f"{name}.parquet")
            return describe_tables.propose(folder, show), OF_TABLES
    path = Path(place)
    # A folder of this name comes before the data set of the catalogue.
    if str(path) in DATA_SETS and not path.exists():
        return describe_tables.shown(str(path)), OF_TABLES
    if holds_tables(path):
        return describe_tables.propose(path, show), OF_TABLES
    if path.is_file() and _is_table(path) and not describe_signals.has_samples(path):
        command = one_row.proposed(path)
        if command:
            return command, ""
    return describe_signals.propose(path), OF_SIGNALS


def _is_table(path: Path) -> bool:
    from sequela.tables.stored_tables import EXCEL, SUFFIXES

    return path.name.lower().endswith((*SUFFIXES, ".parquet", EXCEL))


def holds_tables(path: Path) -> bool:
    """Return whether a path is a folder of several tables, and not of recordings."""
    from sequela.signals.folders import has_recordings
    from sequela.signals.reading import is_declared
    from sequela.tables.stored_tables import files_under, sheets

    # A folder of recordings often has tables too, of its events and participants.
    if not path.is_dir() or has_recordings(path) or is_declared(path):
        return False
    files = [file for file in files_under(path) if _is_table(file)]
    return len(files) >= _SEVERAL or len(sheets(files)) >= _SEVERAL
