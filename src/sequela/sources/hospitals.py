"""The hospital data sets that can be built, by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.errors import SettingError
from sequela.sources.catalog import DATA_SETS, loaded, locate, lookup
from sequela.sources.declarations import Source
from sequela.sources.postgres import in_schema, is_address


def hospitals() -> list[str]:
    """Return the names of the data sets with a fixed declaration."""
    return [name for name, entry in DATA_SETS.items() if entry.source]


def source_of(name: str, place: Path | str | None = None) -> Source:
    """Return the declarations of a hospital data set.

    Args:
        name: Name of the data set.
        place: Place of its tables, for a data set that is declared there.

    Raises:
        UnknownNameError: If there is no such data set.
        SettingError: If it holds recordings, or its declaration must be in a folder with its
            tables.
        DataError: If the declaration is invalid.
    """
    entry = lookup(name)
    if entry.declares:
        if not isinstance(place, Path):
            raise SettingError(
                f"{name} are declared in a file next to them: name their folder with --root, or "
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
    """Return the declarations of a hospital data set, read in the selected ways.

    Args:
        name: Name of the data set.
        ways: Option to its value; ``None`` and false are not used.
        place: As in :func:`source_of`.

    Raises:
        SettingError: If the data set cannot be read in several ways.
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
    """Return the place of a hospital data set, and a description of it.

    Args:
        name: Name of the data set.
        root: Folder, or address of a PostgreSQL database; the usual places by default.
        schema: Schema of the database.

    Raises:
        SettingError: If a schema is named without a database, or is not a valid name.
        DataNotFoundError: If there are no data.
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
