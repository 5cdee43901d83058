"""Readers of published EEG: Bonn as text and zip, UCI as csv and gzip."""

import csv
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.mutators import BYTES, CSV, GZIP, TEXT
from fuzz.parser import Files, Parser, Seed, as_they_are
from fuzz.parsers.archives import gzipped, zipped
from sequela.datasets.catalog import EXCERPTS
from sequela.datasets.recordings import Recording
from sequela.signals import bonn, uci_seizure

_LINE = re.compile(rb"[ \t]*-?[0-9]{1,6}[ \t]*")
_CELL = re.compile(r"[ \t]*-?[0-9]{1,6}[ \t]*")


@cache
def _recordings() -> dict[str, Recording]:
    return {r.recording_id: r for r in bonn.read_excerpt(EXCERPTS / "bonn.parquet")}


def _texts(folder: str = "") -> Files:
    chosen = list(_recordings().values())[-2:]
    return {
        f"{folder}{each.recording_id}.txt": b"".join(b"%d\n" % value for value in each.signal[0])
        for each in chosen
    }


def _as_values(recordings: list[Recording]) -> dict[str, Any]:
    return {r.recording_id: [r.label, r.sfreq, r.signal] for r in recordings}


def _read_set(name: str) -> Callable[[Path], Any]:
    return lambda folder: _as_values(bonn.read_set(folder / name, "Z"))


def _bonn_says(files: Files) -> Any:
    """4,097 lines of a whole number of 16 bits, the last one ended."""
    said = {}
    for name, content in files.items():
        lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b" \t\n").split(b"\n")
        if not all(map(_LINE.fullmatch, lines)) or content[-1:] not in (b"\n", b"\r"):
            return None
        numbers = list(map(int, lines))
        if len(lines) != bonn.N_TIMES or not all(-32768 <= n <= 32767 for n in numbers):
            return None
        recording_id = Path(name).stem.upper()
        said[recording_id] = [4, bonn.SFREQ, np.array([numbers], np.float32)]
    return said


def _uci_text() -> Files:
    by_id = {recording_id: name for name, recording_id in uci_seizure.recording_ids().items()}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Unnamed", *(f"X{i}" for i in range(1, 179)), "y"])
    for recording in list(_recordings().values())[-1:]:
        for chunk in range(23):
            values = recording.signal[0][178 * chunk : 178 * (chunk + 1)].astype(int).tolist()
            writer.writerow([f"X{chunk + 1}.{by_id[recording.recording_id]}", *values, 5])
    return {"data.csv": out.getvalue().encode()}


def _read_uci(folder: Path) -> Any:
    return _as_values(uci_seizure.read(folder))


def _uci_says(files: Files) -> Any:
    """A row a chunk, all chunks of a recording, numbers as in the Bonn files."""
    (content,) = files.values()
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if "\0" in text or not text.endswith(("\n", "\r")) or len(rows) < 2:
        return None
    known = uci_seizure.recording_ids()
    if rows[0][1:] != [*(f"X{i}" for i in range(1, 179)), "y"]:
        return None
    chunks: dict[str, dict[int, list[int]]] = {}
    for row in rows[1:]:
        match = re.fullmatch(r"X([0-9]{1,4})\.(.+)", row[0])
        if match is None or match[2] not in known or not 1 <= int(match[1]) <= 23:
            return None
        recording_id, chunk = known[match[2]], int(match[1])
        if len(row) != 180 or not all(map(_CELL.fullmatch, row[1:])):
            return None
        *numbers, label = map(int, row[1:])
        if not all(-32768 <= n <= 32767 for n in numbers):
            return None
        of = chunks.setdefault(recording_id, {})
        if label != "SFNOZ".index(recording_id[0]) + 1 or chunk in of:
            return None
        of[chunk] = numbers
    if not all(len(of) == 23 for of in chunks.values()):
        return None
    signals = {
        id_: np.array([[n for chunk in sorted(of) for n in of[chunk]]], np.float32)
        for id_, of in chunks.items()
    }
    return {i: ["SFNOZ".index(i[0]), bonn.SFREQ, signals[i]] for i in sorted(signals)}


PARSERS = (
    Parser(
        "bonn-text", lambda: [Seed(_texts("Z/"), as_they_are)], _read_set("Z"), TEXT, _bonn_says
    ),
    Parser(
        "bonn-zip",
        lambda: [Seed(_texts(), zipped("Z.zip")), Seed(_texts("Z/"), zipped("Z.zip"))],
        _read_set("Z.zip"),
        TEXT,
        _bonn_says,
        BYTES,
    ),
    Parser("uci-csv", lambda: [Seed(_uci_text())], _read_uci, CSV, _uci_says),
    Parser("uci-gz", lambda: [Seed(_uci_text(), gzipped)], _read_uci, CSV, _uci_says, GZIP),
)
