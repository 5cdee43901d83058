"""The hospital data sets that can be built, by name."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sequela.datasets.catalog import DATA_SETS, data_sets, loaded, lookup
from sequela.errors import SettingError, without_passwords
from sequela.files import temporary
from sequela.tables.account import Account, is_built
from sequela.tables.declarations import Source
from sequela.tables.odbc import is_odbc
from sequela.tables.postgres import in_schema, is_address

# Options of ``sequela build``, and the data set that each is for.
DATA_SET_OF_OPTION = {"codes": "omop", "sets": "physionet2012"}


def hospitals() -> list[str]:
    """Return the names of the data sets with a fixed declaration."""
    return [name for name, entry in DATA_SETS.items() if entry.source]


def source_of(name: str, place: Path | str | None = None, rows: object = None) -> Source:
    """Return the declarations of a hospital data set.

    ``rows`` describes a table with one row per patient: see :class:`sequela.intake.one_row.Rows`.
    """
    entry = lookup(name)
    if entry.rows:
        of_rows: Source = loaded(entry.rows)(place, rows)
        return of_rows
    # The declaration is next to the data, so it is read from there and not from the catalogue.
    if entry.declares:
        if not isinstance(place, Path):
            raise SettingError(
                f"{name} are declared in a file next to them: name their folder with --root, or "
                "the file with --declaration"
            )
        declared: Source = loaded(entry.declares)(place)
        return declared
    if not entry.source:
        hospital = [entry.name for entry in data_sets() if entry.source or entry.declares]
        names = ", ".join(sorted(hospital))
        raise SettingError(f"{name} holds recordings, expected hospital tables (one of {names})")
    if str(entry.source).endswith(".toml"):
        # Imported here: the names of hospitals are needed without the engines.
        from sequela.tables.declared.source import published

        return published(name)
    source: Source = loaded(entry.source)
    return source


def source_with_options(
    name: str, choices: Mapping[str, object], place: Path | str | None = None
) -> Source:
    """Return the declarations of a hospital data set, read as the chosen options say."""
    source = source_of(name, place)
    options = {option: value for option, value in choices.items() if value}
    if not options:
        return source
    # An option of another data set is refused: ignored, it would look as if it had worked.
    for option in options:
        if DATA_SET_OF_OPTION[option] != name:
            written = f"--{option.replace('_', '-')}"
            raise SettingError(
                f"{written} is for {DATA_SET_OF_OPTION[option]}: leave it out for {name}"
            )
    assert source.with_options is not None  # noqa: S101 - those data sets have them
    return source.with_options(**options)


def place_of(name: str, root: str | None, schema: str | None = None) -> tuple[Path | str, str]:
    """Return the place of a hospital data set, and a description of it."""
    if root is not None and (is_address(root) or is_odbc(root)):
        kind = "a database with an ODBC driver" if is_odbc(root) else "a PostgreSQL database"
        return in_schema(root, schema), kind
    if root is not None and "://" in root:
        raise SettingError(
            f"--root {without_passwords(root)} is not read: name a folder (mount or copy an object "
            "store), postgresql://... or odbc:..."
        )
    if schema is not None:
        raise SettingError(
            f"--schema {schema} is of a database: name it with --root postgresql://... or "
            "odbc:..., or leave --schema out"
        )
    located = lookup(name).locate(None if root is None else Path(root))
    return located.path, located.origin


def build(
    name: str,
    out: Path | str,
    *,
    root: Path | str | None = None,
    schema: str | None = None,
    declaration: Path | None = None,
    title: str | None = None,
    on_place: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Account:
    """Convert hospital tables to MEDS events, as ``sequela build`` does: see its help.

    ``options`` are those of the command, by name. ``on_place`` is called with a description of the
    place of the tables.

    Raises:
        SequelaError: If a setting is unknown or not allowed, or the tables are missing or damaged.
    """
    from sequela.tables.build import build as build_source

    place, origin = place_of(name, None if root is None else str(root), schema)
    # ``Path`` has turned :// into :/. Two letters before the colon are an address, one is a drive.
    if re.match(r"\w\w+:/", str(out)):
        raise SettingError(f"--out {out} is an address; expected a folder")
    choices = {name: options.pop(name) for name in DATA_SET_OF_OPTION if name in options}
    source = source_with_options(name, choices, declaration or place)
    if title is not None:
        source = replace(source, title=title)
    on_place(origin)
    settings = {option: value for option, value in options.items() if value is not None}
    return build_source(source, place, Path(out), **settings)


def check(
    name: str,
    root: Path | str,
    changed: Collection[str] = (),
    allow_set_aside: Collection[str] = (),
) -> Account:
    """Read a hospital data set as a build does, and keep nothing but the log.

    The events are written to a folder of the system for temporary files (``TMPDIR``), because
    duplicates are found only after sorting, and memory may be too small.
    """
    from sequela.tables.build import build as build_source

    # A folder that ``build`` wrote is checked as MEDS data, whatever it was built from.
    source = source_of("meds" if isinstance(root, Path) and is_built(name, root) else name, root)
    with temporary() as folder:
        out = folder / "events"
        return build_source(source, root, out, changed=changed, allow_set_aside=allow_set_aside)
