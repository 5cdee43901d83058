"""EDF+ files: header, samples and annotations, beside a plain second reading of the standard."""

import math
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import edfio
import numpy as np

from fuzz.mutators import BYTES, nul
from fuzz.parser import Files, Mutator, Parser, Seed
from sequela.signals.edf import EdfFile

NAME = "a.edf"
_RATE = 16
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
            rng.normal(0, 20, 64), _RATE, label=label, physical_dimension="uV",
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
        "pieces": [[each.first, each.last, round(each.start, 9)] for each in file.pieces],
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
    apart = content[192:236].strip().upper().startswith(b"EDF+D")
    labels = [each.decode("latin-1").strip("\0 ") for each in fields[0]]
    said: dict[str, Any] = {
        "pieces": [[0, n_records, 0.0]],
        "patient": _text(content[8:88]).partition(" ")[0], "labels": [], "units": [], "rates": [],
        "samples": [], "events": [],
    }  # fmt: skip
    first: float | None = None
    said["patient"] = "" if said["patient"].upper() == "X" else said["patient"]
    for i, label in enumerate(labels):
        part = records[:, ends[i] - samples[i] : ends[i]]
        if label == "EDF Annotations":
            if first is None:
                texts = [record.tobytes() for record in part]
                first, said["pieces"] = _pieces(texts, _float(seconds), apart=apart)
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
    for event in said["events"]:  # the time of the first sample is 0
        event[0] = round(event[0] - (first or 0.0), 9)
    said["events"].sort(key=lambda each: (each[0], each[1] or 0.0, each[2]))
    return said


_STARTS = re.compile(rb"([+-][0-9]+(?:[.][0-9]+)?)\x14\x14")


def _pieces(records: list[bytes], seconds: float, *, apart: bool) -> tuple[float, list[Any]]:
    """The start of the first record, and the pieces; raise unless the records follow each other."""
    starts = [_STARTS.match(record) for record in records]
    if not any(starts) and not apart:
        return 0.0, [[0, len(records), 0.0]]
    if not all(starts):
        raise ValueError("a record has no time")
    times = [float(match[1]) for match in starts if match]
    if not 0 <= times[0] < 1:
        raise ValueError("it starts late")
    pieces: list[Any] = [[0, 0, 0.0]]
    for number, time in enumerate(times):
        first, _, start = pieces[-1]
        if apart and number and time - times[number - 1] - seconds > 0.5 / _RATE:
            pieces.append([number, number + 1, round(time - times[0], 9)])
        elif abs(time - times[0] - start - (number - first) * seconds) > 1 / _RATE:
            raise ValueError("a gap")
        pieces[-1][1] = number + 1
    return times[0], pieces


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


def _times(change: Callable[[Random, list[float]], list[float]]) -> Mutator:
    """A change of the times of the records."""

    def mutate(rng: Random, content: bytes) -> bytes:
        found = [*_STARTS.finditer(content)]
        data = bytearray(content)
        times = change(rng, [float(match[1]) for match in found])
        for match, time in zip(found, times, strict=True):
            written = f"{time:+.3f}".rstrip("0").rstrip(".").encode() + b"\x14\x14"
            room = data[match.start() :].index(b"\0")
            size = max(room, len(written))
            data[match.start() : match.start() + size] = written.ljust(size, b"\0")
        return bytes(data[: len(content)])

    return mutate


def _gap(rng: Random, times: list[float]) -> list[float]:
    place, gap = rng.randrange(len(times) + 1), rng.choice((3600, 1, 0.5, 0.1, 0.01, -1, -0.5))
    return [*times[:place], *(time + gap for time in times[place:])]


def _other(rng: Random, times: list[float]) -> list[float]:
    place = rng.randrange(len(times))
    return [rng.choice((0, 2, 7200, -1, 1e5)) if i == place else t for i, t in enumerate(times)]


def _drift(rng: Random, times: list[float]) -> list[float]:
    factor = rng.choice((1.001, 1.02, 1.5, 2, 0.5, 0))
    return [time * factor for time in times]


def _reserved(rng: Random, content: bytes) -> bytes:
    words = (b"EDF+C", b"EDF+D", b"", b" EDF+D", b"edf+d", b"BIOSEMI", b"24BIT")
    return content[:192] + rng.choice(words).ljust(44) + content[236:]


def _pieces_of(rng: Random, content: bytes) -> bytes:
    return _times(_gap)(rng, content[:192] + b"EDF+D" + content[197:])


TIMES = {
    **{each.__name__[1:]: _times(each) for each in (_gap, _other, _drift)},
    "pieces": _pieces_of,
    "shuffled": _times(lambda rng, times: rng.sample(times, len(times))),
    "reserved": _reserved,
}

PARSERS = (
    Parser("edf-gaps", lambda: [Seed({NAME: _file()})], _read, TIMES, _says),
    Parser("edf", lambda: [Seed({NAME: _file()})], _read, {**BYTES, "NUL": nul}, _says),
)
