"""The declaration of data at a path, or of a published data set."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq

from sequela.datasets.catalog import DATA_SETS
from sequela.files import make_folder, temporary
from sequela.intake import one_row
from sequela.intake.describe_tables import propose as propose_tables
from sequela.intake.describe_tables import shown
from sequela.signals import declaration as of_signals
from sequela.signals import folders
from sequela.tables.declared import declaration as of_tables
from sequela.tables.odbc import OdbcDatabase, is_odbc
from sequela.tables.stored_tables import EXCEL, SUFFIXES, files_under, sheets

HEAD = 100_000
"""The rows that are read of a table of a database: a table may have billions."""
_SEVERAL = 2
_TABLES = (*SUFFIXES, ".parquet", EXCEL)


def describe(place: Path | str, show: Callable[[str], None] = lambda _: None) -> tuple[str, str]:
    """Describe data at a path or in a database: a declaration, and the name of its file.

    A table with one row per patient has no file of this kind, and gets a command with options.
    """
    if is_odbc(place):
        with temporary() as work, closing(OdbcDatabase(str(place))) as database:
            folder = work / "database"
            make_folder(folder)
            for _, name in database.tables:
                show(f"{name}: reading the first {HEAD:,} rows")
                pq.write_table(database.head(name, HEAD), folder / f"{name}.parquet")
            return propose_tables(folder, show), of_tables.NAME
    path = Path(place)
    if str(path) in DATA_SETS and not path.exists():
        return shown(str(path)), of_tables.NAME
    if holds_tables(path):
        return propose_tables(path, show), of_tables.NAME
    from sequela.intake.describe_signals import has_samples, propose

    table = path.is_file() and path.name.lower().endswith(_TABLES)
    if table and not has_samples(path) and (command := one_row.proposed(path)):
        return command, ""
    return propose(path), of_signals.NAME


def holds_tables(path: Path) -> bool:
    """Return whether a path is a folder of several tables, and not of recordings."""
    if not path.is_dir() or folders.is_recording(path) or folders.has_recordings(path):
        return False
    if (path / of_signals.NAME).exists():
        return False
    files = [file for file in files_under(path) if file.name.lower().endswith(_TABLES)]
    return len(files) >= _SEVERAL or len(sheets(files)) >= _SEVERAL
