"""The subject, site and session of a file, from its path, its header, or a table of files."""

import re
from collections.abc import Mapping
from pathlib import Path

from sequela.config import SignalSettings
from sequela.errors import DataError, DataNotFoundError, SettingError
from sequela.formats.arrays import few
from sequela.formats.csv_files import Format
from sequela.signals.csv_recordings import FILE, small_table
from sequela.signals.edf import EdfFile
from sequela.signals.stretches import SignalFile

PARTICIPANTS = "participants.tsv"
_FOLDER = "folder"
"""The declaration of an attribute that is the name of the file's folder."""
_HEADER = "header"
"""The declaration of a subject that is the patient of the file's header."""
_SUBJECT = re.compile(r"(?:^|/)(sub-[0-9A-Za-z]+)(?=[/_])")


def participants(root: Path) -> dict[str, dict[str, str]] | None:
    """Read the rows of ``participants.tsv`` by id; ``None`` if the folder is not in BIDS layout."""
    place = root / PARTICIPANTS
    if not root.is_dir() or not place.exists():
        return None
    names, rows, _ = small_table(place)
    if "participant_id" not in names:
        raise DataError(
            f"{place} line 1: no column participant_id (found: {few(names)}); expected it"
        )
    people = (dict(zip(names, cells, strict=True)) for _, cells in rows)
    return {person["participant_id"]: person for person in people}


def bids_subject(root: Path, path: Path, people: Mapping[str, object]) -> str:
    """Return the subject of a BIDS file, by its path."""
    name = path.relative_to(root).as_posix()
    subjects: set[str] = {*_SUBJECT.findall(name)}
    if len(subjects) != 1:
        several = " and ".join(sorted(subjects)) or "no subject"
        raise DataError(f"{path}: the path names {several}; expected one, such as sub-01/...")
    (subject,) = subjects
    if subject not in people:
        raise DataError(
            f"{path}: {subject} is not in {PARTICIPANTS}: expected a line for each subject; add it"
        )
    return subject


def listing(
    root: Path, settings: SignalSettings, files: Mapping[str, Path]
) -> dict[str, dict[str, str]]:
    """Read the rows of a table that lists the files of a folder, by the name of the recording."""
    if settings.listing is None:
        return {}
    place = (root if root.is_dir() else root.parent) / settings.listing
    if not place.is_file():
        raise DataNotFoundError(f"{place} does not exist; expected the table of files (listing)")
    names, rows, _ = small_table(place, Format.of(settings.format).encoding)
    column = next((n for n, name in enumerate(names) if name.lower() in FILE), None)
    if column is None:
        raise DataError(
            f"{place} line 1: no column file or name (found: {few(names)}); expected the name "
            "of each file there"
        )
    recordings: dict[str, str] = {}
    for name, path in files.items():
        recordings |= dict.fromkeys((name, path.name, path.stem), name)
    listed: dict[str, dict[str, str]] = {}
    for where, cells in rows:
        recording = recordings.get(cells[column])
        if recording is None:
            raise DataError(
                f"{where}: no file '{cells[column]}' in the folder; expected one, such as "
                f"{next(iter(files))}; delete the line, or correct it"
            )
        if recording in listed:
            raise DataError(
                f"{where}: the file '{cells[column]}' again; expected each once; delete one of "
                "the lines"
            )
        listed[recording] = dict(zip(names, cells, strict=True))
    if missing := [name for name in files if name not in listed]:
        raise DataError(
            f"{place}: no line for {few(missing)}; expected one for each file; add it, or move the "
            "file to another folder"
        )
    return listed


def attribute_of(
    root: Path,
    file: SignalFile,
    settings: SignalSettings,
    people: Mapping[str, Mapping[str, str]] | None,
    row: Mapping[str, str] | None,
    key: str,
) -> str | None:
    """Return a declared attribute of a file: by a table, its column, folder, header or path."""
    how = getattr(settings, key)
    if how is None:
        return None
    in_column = _of_columns(file, key, how, row)
    if in_column is not None:
        return in_column
    inside = file.path.relative_to(root if root.is_dir() else root.parent)
    if how == _FOLDER:
        if len(inside.parts) < 2:  # noqa: PLR2004
            raise DataError(
                f"{file.path}: is not in its own folder, and {key} is declared as its name; "
                "expected FOLDER/FILE"
            )
        return inside.parts[0]
    if how == _HEADER and key == "subject":
        if not file.patient:
            raise DataError(
                f"{file.path}: the header names no patient, and {key} is declared to be there; "
                "find it in the path, with a regular expression"
            )
        return file.patient
    if people is not None:
        row = people[bids_subject(root, file.path, people)]
        if how in row:
            return row[how]
    return _in_path(inside.as_posix(), file, key, how, row)


def _in_path(
    inside: str, file: SignalFile, key: str, how: str, row: Mapping[str, str] | None
) -> str:
    """Return what a regular expression finds in the path of a file."""
    try:
        match = re.search(how, inside)
    except re.error as error:
        raise SettingError(
            f"{key} is '{how}', which is not a regular expression ({error}); correct it"
        ) from error
    if match is None or not match.re.groups or not match[1]:
        columns = [*row] if row else [] if isinstance(file, EdfFile) else [*file.labels]
        no_column = f", and there is no such column (found: {few(columns)})" if columns else ""
        raise DataError(
            f"{file.path}: its path has no {key} as '{how}' finds it{no_column}; expected a group "
            f'that matches, or {key} = "folder"'
        )
    return match[1]


def _of_columns(file: SignalFile, key: str, how: str, row: Mapping[str, str] | None) -> str | None:
    """Return an attribute that a column of the table of files, or of the file itself, states."""
    if row is not None and how in row:
        if not row[how]:
            raise DataError(
                f"{file.path}: the table of files has nothing in column {how}; expected its {key}"
            )
        return row[how]
    return file.attributes.get(key)
