"""EDF, EDF+ and BDF files, decoded by edfio from the requested records only.

Source: B. Kemp, J. Olivan, Clin. Neurophysiol. 114, 1755-1761 (2003), and
https://www.edfplus.info/specs/edf.html. A file is checked whole before it is read: its header
states its size.
"""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, form_of, without_values
from sequela.sources.opened import span
from sequela.sources.signals.events import Event

SUFFIXES = (".edf", ".bdf")
EXPECTED = "a whole EDF or BDF file"
REMEDY = "export or fetch it again"
_FIXED = 256
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""The bytes of each field of a signal's header."""
_LABEL, _UNIT, _PHYSICAL, _DIGITAL, _SAMPLES = 0, 2, 3, 5, 8
_N_RECORDS = slice(236, 244)
_WHOLE = re.compile(rb" *[+-]?[0-9]+ *")
_NUMBER = re.compile(rb" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *")
_AT_ONCE = 1 << 24
"""The number of bytes of annotations' records that are read at once."""
_ANNOTATION_LISTS = re.compile(
    rb"(?:[+-][0-9]+(?:[.][0-9]+)?(?:\x15[0-9]+(?:[.][0-9]+)?)?\x14(?:[^\0\x14]*\x14)+\0+)*\0*"
)
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")


@dataclass(frozen=True)
class EdfFile:
    """The checked header of a file, with access to its samples.

    Attributes:
        path: Path of the file.
        header: Its header, unchanged.
        labels: Label of each signal.
        units: Unit of each signal, as written.
        samples: Samples of each signal in a data record.
        n_records: Number of data records.
        record_seconds: Seconds of a data record.
        width: Bytes of a sample.
    """

    path: Path
    header: bytes
    labels: tuple[str, ...]
    units: tuple[str, ...]
    samples: tuple[int, ...]
    n_records: int
    record_seconds: float
    width: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read and check a header.

        Raises:
            DataNotFoundError: If there is no such file.
            DataError: If it is not such a file, was cut, or its header and its size differ.
        """
        fixed = span(path, 0, _FIXED, EXPECTED, REMEDY)
        if fixed[:8] not in {b"0       ", b"\xffBIOSEMI"}:
            raise _fault(path, "begins as neither EDF nor BDF does")
        n_signals = _whole(path, fixed[252:256], "number of signals")
        n_header = _whole(path, fixed[184:192], "size of the header")
        if n_signals < 1 or n_header != _FIXED * (n_signals + 1):
            raise _fault(
                path,
                f"the header states that it has {n_header} bytes, and {n_signals} signals need "
                f"{_FIXED * (n_signals + 1)}",
            )
        header = span(path, 0, n_header, EXPECTED, REMEDY)
        fields = _fields(header, n_signals)
        samples = tuple(_whole(path, each, "samples of a record") for each in fields[_SAMPLES])
        n_records = _whole(path, header[_N_RECORDS], "number of data records")
        width = 3 if fixed[:1] == b"\xff" else 2
        found = cls(
            path=path,
            header=header,
            labels=tuple(_text(each) for each in fields[_LABEL]),
            units=tuple(_text(each) for each in fields[_UNIT]),
            samples=samples,
            n_records=n_records,
            record_seconds=_number(path, fixed[244:252], "seconds of a data record"),
            width=width,
        )
        found._check_size()
        found._check_scales(fields)
        return found

    def _check_size(self) -> None:
        """Raise unless the file has the size in its header, and is continuous."""
        size, stated = self.path.stat().st_size, len(self.header) + self.n_records * self._n_bytes
        if self.n_records < 1:
            raise _fault(
                self.path,
                f"the header states that it has {self.n_records} data records: it was not closed",
            )
        if size != stated:
            cut = "it was cut short" if size < stated else "its header is of another file"
            raise _fault(self.path, f"{size:,} bytes, and {stated:,} by its header: {cut}")
        if self.header[192:197].strip() in {b"EDF+D", b"BDF+D"}:
            raise _fault(
                self.path,
                "is discontinuous (EDF+D): its data records do not follow each other in time",
                "cut it at its gaps into separate files",
            )
        if self.record_seconds <= 0 and self.signals:
            raise _fault(self.path, f"a data record has {self.record_seconds:g} seconds")

    def _check_scales(self, fields: list[list[bytes]]) -> None:
        """Raise unless each signal has a scale: without one, edfio returns digital values."""
        for i in self.signals:
            low, high = (
                _number(self.path, fields[at][i], f"physical {end} of signal {i + 1}")
                for at, end in ((_PHYSICAL, "minimum"), (_PHYSICAL + 1, "maximum"))
            )
            least, most = (
                _whole(self.path, fields[at][i], f"digital {end} of signal {i + 1}")
                for at, end in ((_DIGITAL, "minimum"), (_DIGITAL + 1, "maximum"))
            )
            if low == high or least >= most or not math.isfinite(high - low):
                raise _fault(
                    self.path,
                    f"signal {i + 1} has no scale: its physical or digital minimum and maximum are "
                    "equal, or exchanged",
                )

    @property
    def _n_bytes(self) -> int:
        """The bytes of a data record."""
        return sum(self.samples) * self.width

    @property
    def signals(self) -> tuple[int, ...]:
        """The indices of the signals that are not annotations."""
        return tuple(i for i, label in enumerate(self.labels) if label not in _ANNOTATIONS)

    @property
    def seconds(self) -> float:
        """The length of the recording in seconds."""
        return self.n_records * self.record_seconds

    def rate(self, signal: int) -> float:
        """Return the sampling rate of a signal, in Hz."""
        return self.samples[signal] / self.record_seconds

    @cached_property
    def start(self) -> datetime | None:
        """The start of the recording; ``None`` where it is not recorded."""
        from edfio import AnonymizedDateError

        try:
            with _translated(self.path):
                found: datetime = self._beside.startdatetime
        except (AnonymizedDateError, DataError):
            return None
        return found

    @cached_property
    def patient(self) -> str:
        """The patient's code; empty where it is not recorded."""
        code = _text(self.header[8:88]).partition(" ")[0]
        return "" if code.upper() == "X" else code

    @cached_property
    def annotations(self) -> tuple[Event, ...]:
        """The annotations, by onset in seconds from the start.

        Raises:
            DataError: If they are invalid, are not UTF-8, or the records have a gap.
        """
        with _translated(self.path):
            if not self._beside.is_continuous:
                raise _fault(
                    self.path,
                    "the times of its data records have gaps",
                    "cut it there into separate files",
                )
            return tuple(
                Event(each.onset, each.duration, each.text) for each in self._beside.annotations
            )

    @cached_property
    def _beside(self) -> Any:
        """The file without its signals: edfio's view of the annotations."""
        kept = [i for i, label in enumerate(self.labels) if label in _ANNOTATIONS]
        ends = np.cumsum(self.samples) * self.width
        columns = np.concatenate(
            [np.arange(ends[i] - self.samples[i] * self.width, ends[i]) for i in kept]
            or [np.arange(0)]
        )
        given = bytearray()
        step = max(1, _AT_ONCE // self._n_bytes)
        for first in range(0, self.n_records if kept else 0, step):
            last = min(self.n_records, first + step)
            records = np.frombuffer(self._bytes(first, last), np.uint8).reshape(last - first, -1)
            given += np.ascontiguousarray(records[:, columns]).tobytes()
            for i in kept:
                self._check_annotations(
                    records[:, ends[i] - self.samples[i] * self.width : ends[i]]
                )
        if not kept:  # edfio requires a signal
            return self._decoded(0, 1)
        return self._edfio(self._header_of(kept, self.n_records) + bytes(given))

    def _check_annotations(self, records: NDArray[np.uint8]) -> None:
        """Raise unless annotations follow the standard: edfio ignores invalid ones."""
        for record in records:
            if not _ANNOTATION_LISTS.fullmatch(record.tobytes()):
                raise _fault(self.path, "an annotation is damaged")

    def _bytes(self, first: int, last: int) -> bytes:
        """Read the data records from one up to another."""
        offset = len(self.header)
        return span(
            self.path,
            offset + first * self._n_bytes,
            offset + last * self._n_bytes,
            EXPECTED,
            REMEDY,
        )

    def _header_of(self, kept: Sequence[int], n_records: int) -> bytes:
        """Make a header of some of the signals, and as many records."""
        fields = _fields(self.header, len(self.labels))
        fixed = bytearray(self.header[:_FIXED])
        fixed[184:192] = f"{_FIXED * (len(kept) + 1):<8}".encode()
        fixed[_N_RECORDS] = f"{n_records:<8}".encode()
        fixed[252:256] = f"{len(kept):<4}".encode()
        return bytes(fixed) + b"".join(of[i] for of in fields for i in kept)

    def _decoded(self, first: int, last: int) -> Any:
        """Decode data records by edfio."""
        header = self._header_of(range(len(self.labels)), last - first)
        return self._edfio(header + self._bytes(first, last))

    def _edfio(self, given: bytes) -> Any:
        """Decode the bytes of a file by edfio."""
        import edfio

        reads = edfio.read_bdf if self.width == 3 else edfio.read_edf  # noqa: PLR2004
        with _translated(self.path):
            return reads(given, header_encoding="latin-1")

    def read(self, signals: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        """Read signals of one rate in their units: (signal, time), between two samples."""
        per_record = self.samples[signals[0]]
        begin, end = first // per_record, -(-last // per_record)
        decoded = self._decoded(begin, end)
        place = {signal: number for number, signal in enumerate(self.signals)}
        skipped = begin * per_record
        with _translated(self.path):
            return np.stack(
                [
                    decoded.signals[place[signal]].data[first - skipped : last - skipped]
                    for signal in signals
                ]
            )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate edfio's errors about a damaged file; its warnings were checked before."""
    from edfio import AnonymizedDateError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, AnonymizedDateError):
        raise
    except UnicodeDecodeError as error:
        raise _fault(
            path, f"an annotation holds byte {error.object[error.start]:#04x}, which is not UTF-8"
        ) from error
    except (ValueError, ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise _fault(path, f"is damaged ({without_values(error)})") from None


def _fields(header: bytes, n_signals: int) -> list[list[bytes]]:
    """Return for each field of the signals' headers its bytes for each signal."""
    found, start = [], _FIXED
    for width in _WIDTHS:
        found.append(
            [header[start + i * width : start + (i + 1) * width] for i in range(n_signals)]
        )
        start += width * n_signals
    return found


def _text(written: bytes) -> str:
    return written.decode("latin-1").strip("\0 ")


def _whole(path: Path, written: bytes, what: str) -> int:
    if not _WHOLE.fullmatch(written):
        raise _not_a_number(path, written, what)
    return int(written)


def _number(path: Path, written: bytes, what: str) -> float:
    if not _NUMBER.fullmatch(written):
        raise _not_a_number(path, written, what)
    return float(written)


def _not_a_number(path: Path, written: bytes, what: str) -> DataError:
    return _fault(
        path, f"the {what} is of the form {form_of(_text(written))}, which is not a number"
    )


def _fault(path: Path, found: str, remedy: str = REMEDY) -> DataError:
    return DataError(f"{path}: {found}; expected {EXPECTED}; {remedy}")
