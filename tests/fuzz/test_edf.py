"""EDF+ files: header, samples, times and annotations, next to a plain reader of the standard."""

import math
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_bytes, examples

from sequela.signals.edf import EdfFile

NAME, RATE = "a.edf", 16
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
INTEGER = re.compile(rb" *[+-]?[0-9]+ *")
DECIMAL = re.compile(rb" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *")
START = re.compile(rb"([+-][0-9]+(?:[.][0-9]+)?)\x14\x14")
ANNOTATION = re.compile(
    rb"([+-][0-9]+(?:[.][0-9]+)?)(?:\x15([0-9]+(?:[.][0-9]+)?))?\x14(.*)\x14", re.DOTALL
)


@cache
def recording() -> Files:
    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(
            rng.normal(0, 20, 64), RATE, label=label, physical_dimension="uV",
            physical_range=(-200, 200),
        )
        for label in ("C3", "C4")
    ]  # fmt: skip
    events = [edfio.EdfAnnotation(1, 2, "seizure"), edfio.EdfAnnotation(3.5, None, "eyes closed")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        edfio.Edf(signals, annotations=events, patient=edfio.Patient(code="p1")).write(path)
        return {NAME: path.read_bytes()}


def read(folder: Path) -> Any:
    file = EdfFile.open(folder / NAME)
    return {
        "pieces": [[piece.first, piece.last, round(piece.start, 9)] for piece in file.pieces],
        "patient": file.patient,
        "labels": [*file.labels],
        "units": [*file.units],
        "rates": [file.rate(n) for n in range(len(file.labels))],
        "samples": [
            file.read([n], 0, file.samples[i] * file.n_records)[0].tolist()
            for n, i in enumerate(file.signals)
        ],
        "events": [[event.onset, event.duration, event.label] for event in file.annotations],
    }


def second_edf(files: Files) -> Any:
    """Return the content of header and records; ``None`` if they have none, or no numbers."""
    try:
        return content_of(files[NAME])
    except (ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None


def content_of(file: bytes) -> Any:
    count, n_records, seconds = integer(file[252:256]), integer(file[236:244]), file[244:252]
    if file[:8] != b"0       " or count < 1 or n_records < 1:
        raise ValueError("not EDF")
    fields, start = [], 256
    for width in WIDTHS:
        fields.append([file[start + i * width : start + (i + 1) * width] for i in range(count)])
        start += width * count
    samples = [integer(field) for field in fields[8]]
    if integer(file[184:192]) != start or len(file) != start + 2 * sum(samples) * n_records:
        raise ValueError("another size")
    records = np.frombuffer(file[start:], "<i2").reshape(n_records, -1)
    ends = np.cumsum(samples)
    gaps_allowed = file[192:236].strip().upper().startswith(b"EDF+D")
    patient = text(file[8:88]).partition(" ")[0]
    result: dict[str, Any] = {
        "pieces": [[0, n_records, 0.0]], "patient": "" if patient.upper() == "X" else patient,
        "labels": [], "units": [], "rates": [], "samples": [], "events": [],
    }  # fmt: skip
    first: float | None = None
    for i in range(count):
        part = records[:, ends[i] - samples[i] : ends[i]]
        if text(fields[0][i]) == "EDF Annotations":
            texts = [record.tobytes() for record in part]
            if first is None:
                first, result["pieces"] = pieces(texts, decimal(seconds), gaps=gaps_allowed)
            result["events"] += annotations(texts)
            continue
        low, high = (decimal(fields[n][i]) for n in (3, 4))
        least, most = (integer(fields[n][i]) for n in (5, 6))
        if low == high or least >= most or decimal(seconds) <= 0:
            raise ValueError("no scale")
        gain = (high - low) / (most - least)
        result["labels"].append(text(fields[0][i]))
        result["units"].append(text(fields[2][i]))
        result["rates"].append(samples[i] / decimal(seconds))
        result["samples"].append(((part.ravel() + (high / gain - most)) * gain).tolist())
    for event in result["events"]:  # the time of the first sample is 0
        event[0] = round(event[0] - (first or 0.0), 9)
    result["events"].sort(key=lambda event: (event[0], event[1] or 0.0, event[2]))
    return result


def pieces(records: list[bytes], seconds: float, *, gaps: bool) -> tuple[float, list[Any]]:
    """Return the first start and the pieces; raise unless the records are in order."""
    starts = [START.match(record) for record in records]
    if not any(starts) and not gaps:
        return 0.0, [[0, len(records), 0.0]]
    if not all(starts):
        raise ValueError("a record has no time")
    times = [float(match[1]) for match in starts if match]
    if not 0 <= times[0] < 1:
        raise ValueError("it starts late")
    result: list[Any] = [[0, 0, 0.0]]
    for number, time in enumerate(times):
        first, _, start = result[-1]
        if gaps and number and time - times[number - 1] - seconds > 0.5 / RATE:
            result.append([number, number + 1, round(time - times[0], 9)])
        elif abs(time - times[0] - start - (number - first) * seconds) > 1 / RATE:
            raise ValueError("a gap")
        result[-1][1] = number + 1
    return times[0], result


def annotations(records: list[bytes]) -> list[Any]:
    events = []
    for record in records:
        lists = [part for part in record.rstrip(b"\0").split(b"\0") if part]
        for number, part in enumerate(lists):
            match = ANNOTATION.fullmatch(part)
            if match is None:
                raise ValueError("not an annotation")
            texts = match[3].split(b"\x14")
            if number == 0 and texts[0] == b"":  # the time of the record
                del texts[0]
            onset, duration = float(match[1]), float(match[2]) if match[2] else None
            events += [[onset, duration, label.decode("utf-8")] for label in texts]
    return events


def text(field: bytes) -> str:
    return field.decode("latin-1").strip("\0 ")


def integer(field: bytes) -> int:
    if not INTEGER.fullmatch(field):
        raise ValueError(field)
    return int(field)


def decimal(field: bytes) -> float:
    if not DECIMAL.fullmatch(field) or not math.isfinite(float(field)):
        raise ValueError(field)
    return float(field)


@st.composite
def changed_times(draw: st.DrawFn, file: bytes) -> bytes:
    """Change the times of the records, or the word for a file with gaps, or both."""
    kind = draw(st.sampled_from(("gap", "pieces", "other", "drift", "order", "word")))
    if kind == "word":
        words = (b"EDF+C", b"EDF+D", b"", b" EDF+D", b"edf+d", b"BIOSEMI", b"24BIT")
        return file[:192] + draw(st.sampled_from(words)).ljust(44) + file[236:]
    if kind == "pieces":
        file = file[:192] + b"EDF+D" + file[197:]
    matches = [*START.finditer(file)]
    times = [float(match[1]) for match in matches]
    place = draw(st.integers(0, len(times) - 1))
    if kind == "other":
        times[place] = draw(st.sampled_from((0, 2, 7200, -1, 1e5)))
    elif kind == "drift":
        factor = draw(st.sampled_from((1.001, 1.02, 1.5, 2, 0.5, 0)))
        times = [time * factor for time in times]
    elif kind == "order":
        times = draw(st.permutations(times))
    else:
        gap = draw(st.sampled_from((3600, 1, 0.5, 0.1, 0.01, -1, -0.5)))
        times[place:] = [time + gap for time in times[place:]]
    data = bytearray(file)
    for match, time in zip(matches, times, strict=True):
        written = f"{time:+.3f}".rstrip("0").rstrip(".").encode() + b"\x14\x14"
        size = max(data[match.start() :].index(b"\0"), len(written))
        data[match.start() : match.start() + size] = written.ljust(size, b"\0")
    return bytes(data[: len(file)])


def changed_edf(file: bytes) -> st.SearchStrategy[bytes]:
    nul = st.integers(0, len(file)).map(lambda place: file[:place] + b"\0" + file[place:])
    return changed_bytes(file) | nul


CASES = {
    "edf": Case(recording, read, changed_edf, second_edf),
    "edf-gaps": Case(recording, read, changed_times, second_edf),
}


@pytest.mark.parametrize("name", CASES)
@examples()
@given(data=st.data())
def test_damaged_edf(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)


def test_labels_that_end_with_nul_bytes() -> None:
    """hypothesis showed that the annotations were lost."""
    content = recording()[NAME].replace(b"EDF Annotations ", b"EDF Annotations\0")
    assert CASES["edf"].read_files({NAME: content}) == CASES["edf"].values
