"""The hospital data sets that can be built, by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.errors import SettingError
from sequela.sources.catalog import DATA_SETS, loaded, locate, lookup
from sequela.sources.declarations import Source
from sequela.sources.postgres import in_schema, is_address


def hospitals() -> list[str]:
    """The names of those that are declared once for all."""
    return [name for name, entry in DATA_SETS.items() if entry.source]


def source_of(name: str, place: Path | str | None = None) -> Source:
    """The declarations of a hospital data set.

    Args:
        name: Of the data set.
        place: Where its tables lie, for a data set that is declared there.

    Raises:
        UnknownNameError: There is no such data set.
        SettingError: It holds recordings, or is declared beside tables that lie in no folder.
        DataError: What is declared there is no declaration.
    """
    entry = lookup(name)
    if entry.declares:
        if not isinstance(place, Path):
            raise SettingError(
                f"{name} are declared in a file beside them: name their folder with --root, or "
                "the file with --declaration"
            )
        declared: Source = loaded(entry.declares)(place)
        return declared
    if not entry.source:
        known = ", ".join(sorted(n for n, each in DATA_SETS.items() if each.kind == "ehr"))
        raise SettingError(f"{name} holds recordings, expected hospital tables (one of {known})")
    source: Source = loaded(entry.source)
    return source


def source_read_so(name: str, ways: Mapping[str, Any], place: Path | str | None = None) -> Source:
    """The declarations of a hospital data set, read in the ways that are asked for.

    Args:
        name: Of the data set.
        ways: Option to its value; one that is None or false is not asked for.
        place: As in :func:`source_of`.

    Raises:
        SettingError: The data set is not read in several ways.
        SequelaError: See the function of the source.
    """
    source = source_of(name, place)
    asked = {option: value for option, value in ways.items() if value}
    if not asked:
        return source
    if source.ways is None:
        options = ", ".join(f"--{option.replace('_', '-')}" for option in asked)
        raise SettingError(f"{name} is read in one way: leave {options} out (it is for omop)")
    return source.ways(**asked)


def place_of(name: str, root: str | None, schema: str | None = None) -> tuple[Path | str, str]:
    """Where a hospital data set lies, and that in words.

    Args:
        name: Of the data set.
        root: Folder, or address of a PostgreSQL database; the usual places if not given.
        schema: Of the database.

    Raises:
        SettingError: A schema is named, and no database or none that can be one.
        DataNotFoundError: It is not there.
    """
    if root is not None and is_address(root):
        return in_schema(root, schema), "a PostgreSQL database"
    if schema is not None:
        raise SettingError(
            f"--schema {schema} is of a PostgreSQL database: name it with --root "
            "postgresql://..., or leave --schema out"
        )
    located = locate(name, None if root is None else Path(root))
    return located.path, located.origin
