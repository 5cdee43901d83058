"""The declaration of data at a path, or of a published data set."""

from pathlib import Path

from sequela.sources.catalog import DATA_SETS
from sequela.sources.declared import declaration as of_tables
from sequela.sources.declared.describe import propose as propose_tables
from sequela.sources.declared.describe import shown
from sequela.sources.signals import declaration as of_signals
from sequela.sources.signals import folders
from sequela.sources.tables import SUFFIXES, files_under

_SEVERAL = 2


def describe(path: Path) -> tuple[str, str]:
    """Describe data: a declaration, and the name of its file.

    Args:
        path: Path of recordings or of hospital tables; or the name of a published data set.

    Raises:
        SequelaError: If there is nothing to describe.
    """
    if str(path) in DATA_SETS and not path.exists():
        return shown(str(path)), of_tables.NAME
    if holds_tables(path):
        return propose_tables(path), of_tables.NAME
    from sequela.sources.signals.describe import propose

    return propose(path), of_signals.NAME


def holds_tables(path: Path) -> bool:
    """Return whether a path is a folder of several tables, and not of recordings."""
    if not path.is_dir() or folders.is_recording(path) or folders.has_recordings(path):
        return False
    if (path / of_signals.NAME).exists():
        return False
    ends = (*SUFFIXES, ".parquet")
    return sum(file.name.lower().endswith(ends) for file in files_under(path)) >= _SEVERAL
