"""The hospital data sets that can be built, by name."""

from pathlib import Path

from sequela.errors import SettingError
from sequela.sources.catalog import DATA_SETS, loaded, locate, lookup
from sequela.sources.declarations import Source
from sequela.sources.postgres import is_address


def hospitals() -> list[str]:
    """The names of those that there are."""
    return [name for name, entry in DATA_SETS.items() if entry.source]


def source_of(name: str) -> Source:
    """The declarations of a hospital data set.

    Raises:
        UnknownNameError: There is no such data set.
        SettingError: It holds recordings.
    """
    entry = lookup(name)
    if not entry.source:
        known = ", ".join(sorted(hospitals()))
        raise SettingError(f"{name} holds recordings, expected hospital tables (one of {known})")
    source: Source = loaded(entry.source)
    return source


def place_of(name: str, root: str | None) -> tuple[Path | str, str]:
    """Where a hospital data set lies, and that in words.

    Args:
        name: Of the data set.
        root: Folder, or address of a PostgreSQL database; the usual places if not given.

    Raises:
        DataNotFoundError: It is not there.
    """
    if root is not None and is_address(root):
        return root, "a PostgreSQL database"
    located = locate(name, None if root is None else Path(root))
    return located.path, located.origin
