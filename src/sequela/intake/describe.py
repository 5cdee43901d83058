"""The declaration of data at a path, or of a published data set."""

from collections.abc import Callable
from pathlib import Path

from sequela.datasets.catalog import DATA_SETS
from sequela.errors import SettingError
from sequela.intake.describe_tables import propose as propose_tables
from sequela.intake.describe_tables import shown
from sequela.signals import declaration as of_signals
from sequela.signals import folders
from sequela.tables.declared import declaration as of_tables
from sequela.tables.odbc import is_odbc
from sequela.tables.postgres import is_address
from sequela.tables.stored_tables import EXCEL, SUFFIXES, files_under

_SEVERAL = 2


def describe(place: Path | str, show: Callable[[str], None] = lambda _: None) -> tuple[str, str]:
    """Describe data: a declaration, and the name of its file.

    Args:
        place: Path of the data, name of a data set, or address of a database with an ODBC driver.
        show: Function that shows a line about the progress.
    """
    if is_odbc(place):
        return propose_tables(place, show), of_tables.NAME
    if is_address(place):
        raise SettingError(
            "a PostgreSQL address is not described; expected one of its ODBC driver, such as "
            "'odbc:Driver=PostgreSQL Unicode;Server=...;Database=...'"
        )
    path = Path(place)
    if str(path) in DATA_SETS and not path.exists():
        return shown(str(path)), of_tables.NAME
    if holds_tables(path):
        return propose_tables(path, show), of_tables.NAME
    from sequela.intake.describe_signals import propose

    return propose(path), of_signals.NAME


def holds_tables(path: Path) -> bool:
    """Return whether a path is a folder of several tables, and not of recordings."""
    if not path.is_dir() or folders.is_recording(path) or folders.has_recordings(path):
        return False
    if (path / of_signals.NAME).exists():
        return False
    ends = (*SUFFIXES, ".parquet", EXCEL)
    return sum(file.name.lower().endswith(ends) for file in files_under(path)) >= _SEVERAL
