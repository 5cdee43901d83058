"""EDF+ files: header, samples and annotations, beside a plain second reading of the standard."""

import math
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import edfio
import numpy as np

from fuzz.mutators import BYTES, nul
from fuzz.parser import Files, Parser, Seed
from sequela.sources.signals.edf import EdfFile

NAME = "a.edf"
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_INTEGER = re.compile(rb" *[+-]?[0-9]+ *")
_DECIMAL = re.compile(rb" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *")
_TAL = re.compile(
    rb"([+-][0-9]+(?:[.][0-9]+)?)(?:\x15([0-9]+(?:[.][0-9]+)?))?\x14(.*)\x14", re.DOTALL
)


@cache
def _file() -> bytes:
    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(
            rng.normal(0, 20, 64), 16, label=label, physical_dimension="uV",
            physical_range=(-200, 200),
        )
        for label in ("C3", "C4")
    ]  # fmt: skip
    said = [edfio.EdfAnnotation(1, 2, "seizure"), edfio.EdfAnnotation(3.5, None, "eyes closed")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        edfio.Edf(signals, annotations=said, patient=edfio.Patient(code="p1")).write(path)
        return path.read_bytes()


def _read(folder: Path) -> Any:
    file = EdfFile.open(folder / NAME)
    return {
        "patient": file.patient,
        "labels": [file.labels[i] for i in file.signals],
        "units": [file.units[i] for i in file.signals],
        "rates": [file.rate(i) for i in file.signals],
        "samples": [
            file.read([i], 0, file.samples[i] * file.n_records)[0].tolist() for i in file.signals
        ],
        "events": [[each.onset, each.duration, each.label] for each in file.annotations],
    }


def _says(files: Files) -> Any:
    """What the header and the records say; ``None`` where they say nothing, or no numbers."""
    content = files[NAME]
    try:
        return _spoken(content)
    except (ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None


def _spoken(content: bytes) -> Any:
    count, n_records, seconds = _int(content[252:256]), _int(content[236:244]), content[244:252]
    if content[:8] != b"0       " or count < 1 or n_records < 1:
        raise ValueError("no EDF")
    fields, start = [], 256
    for width in _WIDTHS:
        fields.append([content[start + i * width : start + (i + 1) * width] for i in range(count)])
        start += width * count
    samples = [_int(each) for each in fields[8]]
    if _int(content[184:192]) != start or len(content) != start + 2 * sum(samples) * n_records:
        raise ValueError("another size")
    records = np.frombuffer(content[start:], "<i2").reshape(n_records, -1)
    ends = np.cumsum(samples)
    labels = [each.decode("latin-1").strip("\0 ") for each in fields[0]]
    said: dict[str, Any] = {
        "patient": _text(content[8:88]).partition(" ")[0], "labels": [], "units": [], "rates": [],
        "samples": [], "events": [],
    }  # fmt: skip
    said["patient"] = "" if said["patient"].upper() == "X" else said["patient"]
    for i, label in enumerate(labels):
        part = records[:, ends[i] - samples[i] : ends[i]]
        if label == "EDF Annotations":
            said["events"] += _annotations(part)
            continue
        low, high = (_float(fields[n][i]) for n in (3, 4))
        least, most = (_int(fields[n][i]) for n in (5, 6))
        if low == high or least >= most or _float(seconds) <= 0:
            raise ValueError("no scale")
        gain = (high - low) / (most - least)
        values = (part.ravel() + (high / gain - most)) * gain
        said["labels"].append(label)
        said["units"].append(_text(fields[2][i]))
        said["rates"].append(samples[i] / _float(seconds))
        said["samples"].append(values.tolist())
    said["events"].sort(key=lambda each: (each[0], each[1] or 0.0, each[2]))
    return said


def _annotations(part: Any) -> list[Any]:
    found = []
    for record in part:
        lists = record.tobytes().rstrip(b"\0").split(b"\0")
        for number, each in enumerate(one for one in lists if one):
            match = _TAL.fullmatch(each)
            if match is None or not lists:
                raise ValueError("no annotation")
            texts = match[3].split(b"\x14")
            kept = texts[1:] if number == 0 and texts[0] == b"" else texts
            onset, duration = float(match[1]), float(match[2]) if match[2] else None
            found += [[onset, duration, text.decode("utf-8")] for text in kept]
    return found


def _text(written: bytes) -> str:
    return written.decode("latin-1").strip("\0 ")


def _int(written: bytes) -> int:
    if not _INTEGER.fullmatch(written):
        raise ValueError(written)
    return int(written)


def _float(written: bytes) -> float:
    if not _DECIMAL.fullmatch(written) or not math.isfinite(float(written)):
        raise ValueError(written)
    return float(written)


PARSERS = (Parser("edf", lambda: [Seed({NAME: _file()})], _read, {**BYTES, "NUL": nul}, _says),)
