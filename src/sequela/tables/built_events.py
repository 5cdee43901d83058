"""The events of a data set for a run: an existing MEDS data set, or one built from tables."""

import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path

from sequela.datasets import catalog
from sequela.datasets.catalog import Located
from sequela.files import whole
from sequela.tables.account import is_built
from sequela.tables.build import build
from sequela.tables.declarations import Source, without_outcomes
from sequela.tables.hospitals import source_of
from sequela.tables.tables import check_names

_MADE_FROM = "made_from.json"


def events_of(
    name: str,
    root: Path | None,
    folder: Path,
    tables: Collection[str] = (),
    *,
    labelled: bool = True,
    rows: object = None,
) -> Located:
    """Return the place of a data set's events, and build them if they are not there yet.

    A data set that ``sequela build`` wrote is used unchanged. Other data are built in ``folder``,
    each under its name, unless that was done before from the same files by the same code. Without
    ``tables`` to read besides the required ones, all that are present are read. If the data are not
    ``labelled``, rows that become known at the end of a stay are not required: any number may be
    set aside. ``rows`` describe a table with one row per patient.
    """
    data_set = catalog.lookup(name)
    located = data_set.locate(root)
    if is_built(name, located.path):
        if not data_set.declares:
            # A hospital's own declaration is next to its raw tables, not in a built folder, so only
            # the names of published sources can be checked here.
            check_names(source_of(name), tables)
        return located
    source = source_of(name, located.path, rows)
    if not labelled:
        source = without_outcomes(source)
    check_names(source, tables)
    out = folder / name
    # All that changes the events is in this record: any difference builds them again.
    made_from: dict[str, object] = {
        "files": _files(located.path),
        "tables": [*tables],
        "labelled": labelled,
        "code": _code_digest(source),
        "rows": repr(rows),
    }
    if not _is_made_from(out, made_from):
        shutil.rmtree(out, ignore_errors=True)
        # Without outcomes many rows may lack a time, which else means a wrong column.
        aside = () if labelled else [table.name for table in source.tables]
        build(source, located.path, out, tables=tables or None, allow_set_aside=aside)
        # This file is written last: an interrupted build has none, and is made again.
        with whole(out / _MADE_FROM) as partial:
            partial.write_text(json.dumps(made_from) + "\n", encoding="utf-8")
    return Located(out, located.origin, source.notes)


def _is_made_from(out: Path, made_from: dict[str, object]) -> bool:
    try:
        written: object = json.loads((out / _MADE_FROM).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return written == made_from


def _files(root: Path) -> list[list[object]]:
    """List name, size and time of each file, to notice changes without reading them."""
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    states = [(file, file.stat()) for file in files]
    # Size and time change with any usual edit, while a checksum of 30 GB would take minutes.
    return [[str(file.absolute()), state.st_size, state.st_mtime_ns] for file, state in states]


def _code_digest(source: Source) -> str:
    """Compute the SHA-256 of the files that make events, or of a registered declaration."""
    declared = [  # only what has the same text in each process
        (table.name, table.columns, [(fact.code, fact.time, fact.value) for fact in table.facts])
        for table in source.tables
    ]
    total = hashlib.sha256(repr(declared).encode())
    functions = [source.reads, *(table.prepare for table in source.tables)]
    codes = [getattr(function, "__code__", None) for function in functions]
    files = {Path(code.co_filename) for code in codes if code}
    here = Path(__file__).parent
    # The code and the declarations of this package, and the file of a registered source: an edited
    # rule makes old events stale.
    for file in sorted({*here.glob("*.[pt]*"), *(here / "declared").glob("*.[pt]*"), *files}):
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()
