"""Published EEG: Bonn as text and zip, UCI as csv and gzip, next to plain readers of the texts."""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_bytes, changed_csv, changed_text, examples

from sequela.datasets.catalog import EXCERPTS, Recording
from sequela.signals import bonn, uci_seizure

NUMBER = r"[ \t]*-?[0-9]{1,6}[ \t]*"


@cache
def recordings() -> list[Recording]:
    return bonn.read_excerpt(EXCERPTS / "bonn.parquet")[-2:]


@cache
def bonn_texts(folder: str = "") -> Files:
    return {
        f"{folder}{recording.recording_id}.txt": b"".join(b"%d\n" % n for n in recording.signal[0])
        for recording in recordings()
    }


def zipped(name: str, beside: tuple[str, ...] = ()) -> Callable[[Files], Files]:
    """Pack files into one zip file, without those that are next to it."""

    def pack(files: Files) -> Files:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, content in files.items():
                if member not in beside:
                    info = zipfile.ZipInfo(member)
                    archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
        return {name: out.getvalue(), **{file: files[file] for file in beside}}

    return pack


def gzipped(files: Files) -> Files:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


def changed_gzip(content: bytes) -> st.SearchStrategy[bytes]:
    """Change a gzip file; a second stream after the first is allowed by RFC 1952."""
    streams = st.sampled_from((b"", b"1", b"\n", b"1,2,3\n"))
    second = streams.map(lambda text: content + gzip.compress(text, mtime=0))
    return changed_bytes(content) | second


def values(read: list[Recording]) -> dict[str, Any]:
    return {each.recording_id: [each.label, each.sfreq, each.signal] for each in read}


def second_bonn(files: Files) -> Any:
    """Return 4,097 lines of a whole number of 16 bits, the last one ended."""
    result = {}
    for name, content in files.items():
        lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b" \t\n").split(b"\n")
        if not all(re.fullmatch(NUMBER.encode(), line) for line in lines):
            return None
        numbers = list(map(int, lines))
        if content[-1:] not in (b"\n", b"\r") or len(lines) != bonn.N_TIMES:
            return None
        if not all(-32768 <= number <= 32767 for number in numbers):
            return None
        result[Path(name).stem.upper()] = [4, bonn.SFREQ, np.array([numbers], np.float32)]
    return result


@cache
def uci_text() -> Files:
    by_id = {recording_id: name for name, recording_id in uci_seizure.recording_ids().items()}
    recording = recordings()[-1]
    lines = [",".join(["Unnamed", *(f"X{i}" for i in range(1, 179)), "y"])]
    for chunk in range(23):
        numbers = recording.signal[0][178 * chunk : 178 * (chunk + 1)].astype(int)
        name = f"X{chunk + 1}.{by_id[recording.recording_id]}"
        lines.append(f"{name},{','.join(map(str, numbers))},5")
    return {"data.csv": "".join(f"{line}\n" for line in lines).encode()}


def second_uci(files: Files) -> Any:
    """Return a row a chunk, all chunks of a recording, columns by name, numbers of any notation."""
    (content,) = files.values()
    try:
        text = content.decode("utf-8-sig")
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (UnicodeDecodeError, csv.Error, ValueError):
        return None
    columns = {name: place for place, name in enumerate(header) if place}
    samples = [name for name in columns if name.startswith("X")]
    published = [f"X{i}" for i in range(1, 179)]
    if "\0" in text or sorted(samples) != sorted(published) or len(set(header)) < len(header):
        return None
    ids = uci_seizure.recording_ids()
    chunks: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        match = re.fullmatch(r"X([0-9]{1,4})\.(.+)", row[0].strip())
        if match is None or match[2] not in ids or not 1 <= int(match[1]) <= 23:
            return None
        recording_id, chunk = ids[match[2]], int(match[1])
        signal = chunks.setdefault(recording_id, {})
        if "y" not in columns or len(row) != len(header) or chunk in signal:
            return None
        if row[columns["y"]].strip() != str("SFNOZ".index(recording_id[0]) + 1):
            return None
        try:
            numbers = [float(row[columns[name]]) for name in published]
        except ValueError:
            return None
        if not all(number.is_integer() and -32768 <= number <= 32767 for number in numbers):
            return None
        signal[chunk] = numbers
    if not chunks or not all(len(signal) == 23 for signal in chunks.values()):
        return None
    return {
        name: ["SFNOZ".index(name[0]), bonn.SFREQ, joined(signal)]
        for name, signal in sorted(chunks.items())
    }


def joined(chunks: dict[int, list[float]]) -> Any:
    return np.concatenate([chunks[n] for n in sorted(chunks)])[None].astype(np.float32)


def read_bonn(name: str) -> Callable[[Path], Any]:
    return lambda folder: values(bonn.read_set(folder / name, "Z"))


def read_uci(folder: Path) -> Any:
    return values(uci_seizure.read(folder))


CASES = {
    "bonn-text": Case(lambda: bonn_texts("Z/"), read_bonn("Z"), changed_text, second_bonn),
    "bonn-zip": Case(
        lambda: bonn_texts("Z/"),
        read_bonn("Z.zip"),
        changed_text,
        second_bonn,
        zipped("Z.zip"),
        changed_bytes,
    ),
    "uci-csv": Case(uci_text, read_uci, changed_csv, second_uci),
    "uci-gz": Case(uci_text, read_uci, changed_csv, second_uci, gzipped, changed_gzip),
}


@pytest.mark.parametrize("name", CASES)
@examples(2)
@given(data=st.data())
def test_damaged_recordings(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)
