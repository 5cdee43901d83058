"""Checks of published tables before their rows: whole files, checksums, columns, row counts.

An engine may accept a damaged file: it reads gzip without its checksum, or a file that was cut at
the end of a line. So each file is read here, from end to end, and passed on to the engine; its
SHA-256 is compared where the publisher states it, its columns with those published, and the numbers
of rows with those of whole releases.
"""

import hashlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from sequela.errors import DataError
from sequela.formats.csv_files import PLAIN, Format, utf8
from sequela.formats.opened import Sums, sha256
from sequela.tables.declarations import Kind

EXPECTED = "a table as it was published"
AS_STATED = "SHA-256 as published"
NOT_STATED = "no published checksum"
CHANGED = "changed after its publication, as declared by --changed"
# The share of tables with a release's number of rows from which on it is that release.
LIKE_RELEASE = 0.5

_CHUNK = 1 << 20
_PUBLISHED = tomllib.loads(Path(__file__).with_name("published.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Publication:
    """The files of a data set, and the facts about their publication."""

    source: str
    sums: Sums | None  # the list of checksums in their folder, if there is one
    changed: frozenset[str]  # lower-case names of tables that were changed on purpose

    @classmethod
    def at(cls, root: Path, source: str, changed: Collection[str]) -> "Publication":
        """Return the publication of the files of a folder, or of a subfolder with the data set."""
        sums = Sums.beside(root) or Sums.beside(root.absolute().parent)
        return cls(source, sums, frozenset(map(str.lower, changed)))

    def prove(
        self, name: str, path: Path, copy: BinaryIO | None = None, form: Format = PLAIN
    ) -> str:
        """Read the file of a table from end to end, and return the state of its checksum in words.

        ``copy`` is a stream that gets the decompressed text in UTF-8, as long as somebody reads it.
        """
        changed = name.lower() in self.changed
        stated = "" if changed or self.sums is None else _stated(self.sums, path)
        # A file may have been packed since: then the list states the SHA-256 of its content.
        of_content = stated and not path.name.endswith(Path(stated).name)
        digest = hashlib.sha256() if of_content else None
        last = b"\n"
        with utf8(path, EXPECTED, form) as stream:
            while chunk := stream.read(_CHUNK):
                # A text has no zero bytes; an interrupted copy often ends in them.
                if b"\0" in chunk:
                    raise DataError(
                        f"{path}, line {_line_of(path, form, 0)}: a byte that is zero; expected "
                        "text: fetch it again"
                    )
                last = chunk[-1:]
                if digest:
                    digest.update(chunk)
                if copy:
                    try:
                        copy.write(chunk)
                    except BrokenPipeError:  # the engine found a fault; damage may follow
                        copy = None
        if last not in b"\r\n":
            raise DataError(
                f"{path}, line {_line_of(path, form)}: the last line has no end, so it may be cut; "
                "expected a line end after each row: fetch it again, or add one if the row is whole"
            )
        if changed:
            return CHANGED
        if not stated or self.sums is None:
            return NOT_STATED
        computed = digest.hexdigest() if digest else sha256(path, EXPECTED)
        if computed != self.sums.sha256_of[stated]:
            raise DataError(
                f"{path}: its SHA-256 is {computed}; expected {self.sums.sha256_of[stated]}, as "
                f"{self.sums.place} states: fetch it again, or run with --changed {name} if "
                "somebody changed it on purpose"
            )
        return AS_STATED

    def check_order(
        self, name: str, path: Path, names: Sequence[str], kinds: Mapping[str, Kind]
    ) -> None:
        """Check that columns are in their published order: else the header may be misplaced."""
        if name.lower() in self.changed or not _releases(self.source):
            return
        # A declaration lists the columns of each kind in the published order. A name above a column
        # of another kind is found when its values are read.
        for kind in dict.fromkeys(kinds.values()):
            published = [column for column, of_column in kinds.items() if of_column is kind]
            order = sorted(published, key=names.index)
            for column, expected in zip(order, published, strict=True):
                if column != expected:
                    raise DataError(
                        f"{path}, line 1: column '{column}' where '{expected}' is published, so "
                        "names may be above other columns: fetch it again, or run with --changed "
                        f"{name} if the columns were reordered on purpose"
                    )

    def check_rows(self, places: Mapping[str, str], rows: Mapping[str, int]) -> str:
        """Name the release that the tables are of, by their numbers of rows; empty if unknown."""
        for release, published in _releases(self.source).items():
            counts = {n: published[stem_of(n)] for n in rows if stem_of(n) in published}
            alike = [name for name, number in counts.items() if rows[name] == number]
            # Tables of a release agree in nearly all numbers of rows, those of others in none.
            if not alike or len(alike) < LIKE_RELEASE * len(counts):
                continue
            for name, number in counts.items():
                if rows[name] < number and name.lower() not in self.changed:
                    raise DataError(
                        f"{places[name]}: {rows[name]:,} rows; expected {number:,}, for "
                        f"{len(alike)} of {len(counts)} tables are those of {release}: fetch it "
                        f"again, or run with --changed {name} if rows were taken out on purpose"
                    )
            return str(release)
        return ""


def is_open(source: str, rows: Mapping[str, int]) -> bool:
    """Return ``True`` if all tables have the rows of a release under an open licence."""
    # One table of the full release makes the data restricted, so all must have the open counts.
    counts = {stem_of(name): count for name, count in rows.items()}.items()
    published = _releases(source)
    return any(counts <= published.get(release, {}).items() for release in _PUBLISHED["open"])


def _stated(sums: Sums, path: Path) -> str:
    """Return the name of a file in a list, as it is or unpacked; empty where it is not listed."""
    name = path.absolute().relative_to(sums.place.parent.absolute()).as_posix()
    return next((n for n in (name, name.removesuffix(".gz")) if n in sums.sha256_of), "")


# The file is read again for the message alone, since counting lines would slow each build.
def _line_of(path: Path, form: Format, byte: int | None = None) -> int:
    """Count the lines up to the first byte of this value, or to the last line."""
    line = 1
    with utf8(path, EXPECTED, form) as stream:
        while chunk := stream.read(_CHUNK):
            if byte is not None and byte in chunk:
                return line + chunk.count(b"\n", 0, chunk.index(byte))
            line += chunk.count(b"\n")
    return line


def stem_of(table: str) -> str:
    """Return the name of a table without its folder, in lower case."""
    return table.rsplit("/", maxsplit=1)[-1].lower()


@cache
def _releases(name: str) -> Mapping[str, Mapping[str, int]]:
    """Return the releases of a data set: the number of rows of each table."""
    tables = dict(_PUBLISHED.get(name, {}))
    releases = tables.pop("releases", [])
    return {
        release: {table: rows[place] for table, rows in tables.items() if place < len(rows)}
        for place, release in enumerate(releases)
    }
