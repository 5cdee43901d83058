"""The subject, site and session of a file, from its path, its header or ``participants.tsv``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.errors import DataError, SettingError
from sequela.formats import opened
from sequela.signals.edf import EdfFile

PARTICIPANTS = "participants.tsv"
_FOLDER, _HEADER = "folder", "header"
_SUBJECT = re.compile(r"(?:^|/)(sub-[0-9A-Za-z]+)(?=[/_])")


def participants(root: Path) -> dict[str, dict[str, str]] | None:
    """Read the rows of ``participants.tsv`` by id; ``None`` if the folder is not in BIDS layout."""
    place = root / PARTICIPANTS
    if not root.is_dir() or not place.exists():
        return None
    expected = "a table with a column participant_id"
    lines = opened.text(place, expected).splitlines()
    names = lines[0].split("\t") if lines else []
    if "participant_id" not in names:
        raise DataError(f"{place} line 1: no column participant_id; expected {expected}")
    found = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(names):
            raise DataError(
                f"{place} line {number}: {len(fields)} fields; expected {len(names)}, with tabs "
                "between them"
            )
        row = dict(zip(names, fields, strict=True))
        found[row["participant_id"]] = row
    return found


def bids_subject(root: Path, path: Path, people: Mapping[str, Any] | None) -> str:
    """Return the subject of a BIDS file, by its path."""
    name = path.relative_to(root).as_posix()
    found = set(_SUBJECT.findall(name))
    if len(found) != 1:
        several = " and ".join(sorted(found)) or "no subject"
        raise DataError(f"{path}: the path names {several}; expected one, such as sub-01/...")
    subject = str(found.pop())
    if people is not None and subject not in people:
        raise DataError(
            f"{path}: {subject} is not in {PARTICIPANTS}: expected a line for each subject; add it"
        )
    return subject


def of_path(
    root: Path,
    file: EdfFile,
    key: str,
    how: str | None,
    people: Mapping[str, Mapping[str, str]] | None,
) -> str | None:
    """Return a declared attribute of a file: by its folder, header, path, or participant."""
    if how is None:
        return None
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
    try:
        match = re.search(how, inside.as_posix())
    except re.error as error:
        raise SettingError(
            f"{key} is '{how}', which is not a regular expression ({error}); correct it"
        ) from error
    if match is None or not match.re.groups or not match[1]:
        raise DataError(
            f"{file.path}: its path has no {key} as '{how}' finds it; expected a group that "
            f'matches, or {key} = "folder"'
        )
    return match[1]
