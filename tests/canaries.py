"""Ids, names, dates and free text, planted in every table of a source, and looked for in bytes."""

import base64
import binascii
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as arrays_file

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_ID = re.compile(r"(^|_)(row_|subject_|hadm_|icustay_|stay_|transfer_)?id$|stayid$|^uniquepid$")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"-?[\d.]*(E-?\d+)?")
_KEPT = {
    "activeupondischarge",
    "actualhospitalmortality",
    "actualicumortality",
    "age",
    "apacheversion",
    "dbsource",
    "eventtype",
    "first_careunit",
    "gender",
    "hospitaldischargestatus",
    "icd9_code",
    "last_careunit",
    "unitdischargestatus",
    "unitstaytype",
}
"""Columns of fixed words, which the sources check."""


@dataclass(frozen=True)
class Planted:
    """A copy of a source, and what of it must not be found anywhere.

    Attributes:
        root: The copy.
        ids: Of subjects and stays.
        days: Dates of patients.
        texts: Names and free texts, each in one row of one table; all begin with "Canary".
    """

    root: Path
    ids: frozenset[str]
    days: frozenset[str]
    texts: frozenset[str]

    def __post_init__(self) -> None:
        assert all(one.startswith("Canary") for one in self.texts)

    def __len__(self) -> int:
        return len(self.ids) + len(self.days) + len(self.texts)

    def found_in(self, content: bytes) -> set[str]:
        """What stands in some bytes, or in what is packed in them."""
        return {one for part in parts_of(content) for one in self._found(part)}

    def _found(self, part: bytes) -> Iterator[str]:
        text = part.decode("utf-8", "replace")
        yield from self.ids & set(re.findall(r"[\w-]+", text))
        yield from self.days & set(_DAY.findall(text))
        lower = text.lower()
        if "canary" in lower:
            yield from (one for one in self.texts if one.lower() in lower)


def planted(tables: Iterable[Path], source: Path, out: Path) -> Planted:
    """Copy csv tables, of eICU a third; each text column gets a text of its own in one row."""
    ids, days, texts = set[str](), set[str](), set[str]()
    for number, table in enumerate(sorted(tables)):
        text = gzip.decompress(table.read_bytes()).decode("utf-8")
        head, *rows = list(csv.reader(io.StringIO(text)))
        if "patientunitstayid" in head:
            at = head.index("patientunitstayid")
            rows = [row for row in rows if int(row[at]) % 3 == 0]
        for place, name in enumerate(head):
            values = [row[place] for row in rows if row[place]]
            if _ID.search(name.lower()) and not name.lower().startswith(("row_", "hospital")):
                ids |= {value for value in values if len(value) >= 5}
            elif values and all(_DAY.match(value) for value in values):
                days |= {value[:10] for value in values}
            elif values and not _kept(name) and not all(map(_NUMBER.fullmatch, values)):
                canary = f"Canary {number}{chr(97 + place)} Mrs Vogel fell"
                rows[(7 * place + number) % len(rows)][place] = canary
                texts.add(canary)
        copy = io.StringIO()
        csv.writer(copy, lineterminator="\n").writerows([head, *rows])
        path = out / table.relative_to(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(copy.getvalue().encode(), mtime=0))
    return Planted(out, frozenset(ids), frozenset(days), frozenset(texts))


def _kept(name: str) -> bool:
    return name.lower() in _KEPT or name.lower().endswith("time24")


def outputs(folder: Path, said: str) -> dict[str, bytes]:
    """All files below a folder and all that was printed, by name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {**found, "printed": said.encode()}


def called(main: Callable[[list[str]], None], *arguments: object) -> int:
    """A command in this process; its exit status."""
    try:
        main([str(each) for each in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def parts_of(content: bytes, depth: int = 4) -> Iterator[bytes]:
    """Yield bytes, and what is packed in them: archives, compressed streams, base64, URLs."""
    yield content
    for inner in _unpacked(content) if depth else ():
        yield from parts_of(inner, depth - 1)


def _bytes_of(array: NDArray[Any]) -> bytes:
    """The bytes of an array, or its numbers as text: an id may be stored as a number."""
    if array.dtype == np.uint8:
        return array.tobytes()
    names = array.dtype.names or ()
    columns = [array[name] for name in names] or [array]
    return " ".join(f"{n:.15g}" for column in columns for n in np.ravel(column).tolist()).encode()


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
        return  # no text of its own, but bytes that look like those of URLs
    if content[8:9] == b"{":  # safetensors: the length of its header comes first
        with suppress(SafetensorError):
            yield from map(_bytes_of, arrays_file.load(content).values())
    if content[:6] == b"\x93NUMPY":
        yield _bytes_of(np.load(io.BytesIO(content), allow_pickle=False))
    if content[:1] == b"\x78":
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(content)
    for text in set(_BASE64.findall(content)):
        plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        with suppress(binascii.Error):
            yield base64.b64decode(plain + b"=" * (-len(plain) % 4))
    assert b"\x89PNG\r\n" not in content, "its texts are not searched"
    if b"%" in content and (text := unquote_to_bytes(content)) != content:
        yield text
