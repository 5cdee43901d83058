"""EDF, EDF+ and BDF files, decoded by edfio from the requested records only.

Source: B. Kemp, J. Olivan, Clin. Neurophysiol. 114, 1755-1761 (2003), and
https://www.edfplus.info/specs/edf.html. A file is checked whole before it is read: its header
states its size.
"""

import itertools
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, form_of, without_values
from sequela.formats import opened
from sequela.signals.stretches import Piece, Reader
from sequela.signals.window_classes import Event

if TYPE_CHECKING:
    import edfio

SUFFIXES = (".edf", ".bdf")
EXPECTED = "a whole EDF or BDF file"
REMEDY = "export or fetch it again"
_FIXED = 256  # bytes of the header before the fields of the signals, and of those of each signal
# The fields of a signal's header and their bytes, in order.
_WIDTHS = {
    "label": 16, "transducer": 80, "unit": 8, "physical minimum": 8, "physical maximum": 8,
    "digital minimum": 8, "digital maximum": 8, "prefilter": 80, "samples": 8, "reserved": 32,
}  # fmt: skip
_EDF_WIDTH = 2  # bytes of a sample in EDF
_BDF_WIDTH = 3  # bytes of a sample in BDF
_START = slice(168, 184)  # date and time of day
_RESERVED = slice(192, 236)
_N_RECORDS = slice(236, 244)
_WHOLE = re.compile(rb" *[+-]?[0-9]+ *")
_NUMBER = re.compile(rb" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *")
_ANNOTATION_LISTS = re.compile(
    rb"(?:[+-][0-9]+(?:[.][0-9]+)?(?:\x15[0-9]+(?:[.][0-9]+)?)?\x14(?:[^\0\x14]*\x14)+\0+)*\0*"
)
# The start of a data record, which the standard puts first into its annotations.
_RECORD_TIME = re.compile(rb"([+-][0-9]+(?:[.][0-9]+)?)\x14\x14")
_TIME_BYTES = 40
# The share by which record times may differ from the rounded length of a record in the header.
_DRIFT = 1e-5
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_DISCONTINUOUS = re.compile(rb"\s*[EB]DF\+D", re.IGNORECASE)


@dataclass(frozen=True)
class EdfFile:
    """The checked header of a file, with access to its samples."""

    path: Path
    header: bytes  # unchanged
    names: tuple[str, ...]  # of all signals, also of those that hold annotations
    samples: tuple[int, ...]  # of each of these in a data record
    labels: tuple[str, ...]  # of the signals that are not annotations, as in all that follows
    units: tuple[str, ...]  # as written
    n_records: int
    record_seconds: float
    width: int  # bytes of a sample
    annotated_by: "EdfFile | None" = None  # a file of annotations alone, as in Sleep-EDF
    attributes: ClassVar[Mapping[str, str]] = {}
    labelled: ClassVar[bool] = False
    assumed: ClassVar[bool] = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read and check a header."""
        fixed = opened.span(path, 0, _FIXED, EXPECTED, REMEDY)
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
        header = opened.span(path, 0, n_header, EXPECTED, REMEDY)
        fields = _fields(header, n_signals)
        names = tuple(map(_text, fields["label"]))
        units = zip(names, map(_text, fields["unit"]), strict=True)
        file = cls(
            path=path,
            header=header,
            names=names,
            labels=tuple(name for name in names if name not in _ANNOTATIONS),
            units=tuple(unit for name, unit in units if name not in _ANNOTATIONS),
            samples=tuple(_whole(path, n, "samples of a record") for n in fields["samples"]),
            n_records=_whole(path, header[_N_RECORDS], "number of data records"),
            record_seconds=_number(path, fixed[244:252], "seconds of a data record"),
            width=_BDF_WIDTH if fixed[:1] == b"\xff" else _EDF_WIDTH,
        )
        file._check_size()
        file._check_scales(fields)
        file.pieces  # noqa: B018 - it checks the times
        return file

    def _check_size(self) -> None:
        size, stated = self.path.stat().st_size, len(self.header) + self.n_records * self._n_bytes
        if self.n_records < 1:
            raise _fault(
                self.path,
                f"the header states that it has {self.n_records} data records: it was not closed",
            )
        if size != stated:
            cut = "it was cut short" if size < stated else "its header is of another file"
            raise _fault(self.path, f"{size:,} bytes, and {stated:,} by its header: {cut}")
        if self.record_seconds <= 0 and self.signals:
            raise _fault(self.path, f"a data record has {self.record_seconds:g} seconds")

    def _check_scales(self, fields: Mapping[str, Sequence[bytes]]) -> None:
        """Raise unless each signal has a scale: without one, edfio returns digital values."""
        for i in self.signals:
            low, high = (
                _number(self.path, fields[name][i], f"{name} of signal {i + 1}")
                for name in ("physical minimum", "physical maximum")
            )
            least, most = (
                _whole(self.path, fields[name][i], f"{name} of signal {i + 1}")
                for name in ("digital minimum", "digital maximum")
            )
            if low == high or least >= most or not math.isfinite(high - low):
                raise _fault(
                    self.path,
                    f"signal {i + 1} has no scale: its physical or digital minimum and maximum are "
                    "equal, or exchanged",
                )

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The data records without a gap: one piece, unless the file is discontinuous (EDF+D)."""
        if not self.signals:  # only annotations, which have times of their own
            return (Piece(0, self.n_records, 0.0),)
        times = self._record_times()
        discontinuous = _DISCONTINUOUS.match(self.header[_RESERVED])
        if times is None:
            if discontinuous:
                raise _fault(self.path, "is discontinuous (EDF+D), and no data record has a time")
            return (Piece(0, self.n_records, 0.0),)
        half = self.record_seconds / max(self.samples[i] for i in self.signals) / 2
        steps = np.diff(times, prepend=times[0] - self.record_seconds) - self.record_seconds
        begins = [0, *np.flatnonzero(steps > half).tolist()] if discontinuous else [0]
        pieces = [
            Piece(first, last, float(times[first] - times[0]))
            for first, last in itertools.pairwise([*begins, self.n_records])
        ]
        expected = times[0] + np.concatenate(
            [
                piece.start + np.arange(piece.last - piece.first) * self.record_seconds
                for piece in pieces
            ]
        )
        most = half + _DRIFT * self.n_records * self.record_seconds
        steps[begins] = 0
        faults = (abs(steps) > half) | (abs(times - expected) > most)
        if faults.any():
            record = int(faults.argmax())
            what = "overlap or drift" if discontinuous else "have gaps"
            raise _fault(
                self.path,
                f"the times of its data records {what}: record {record + 1} begins at "
                f"{times[record]:g} s, and {record * self.record_seconds:g} s of signal are before "
                "it",
                REMEDY if discontinuous else "cut it at its gaps into separate files",
            )
        if not 0 <= times[0] < 1:
            raise _fault(
                self.path,
                f"its first data record begins {times[0]:g} s after the start in its header",
            )
        return tuple(pieces)

    def _record_times(self) -> NDArray[np.float64] | None:
        """Read the start of each data record, in seconds; ``None`` if no record has one."""
        first = next((i for i, name in enumerate(self.names) if name in _ANNOTATIONS), None)
        if first is None:
            return None
        begin = sum(self.samples[:first]) * self.width
        end = begin + min(_TIME_BYTES, self.samples[first] * self.width)
        matches = [_RECORD_TIME.match(record.tobytes()) for record in self._records()[:, begin:end]]
        if not any(matches):  # annotations of a program that writes no times
            return None
        if missing := [i for i, match in enumerate(matches) if match is None]:
            raise _fault(self.path, f"data record {missing[0] + 1} has no time")
        return np.array([float(match[1]) for match in matches if match])

    @property
    def _n_bytes(self) -> int:
        """The bytes of a data record."""
        return sum(self.samples) * self.width

    @property
    def signals(self) -> tuple[int, ...]:
        """The indices of the signals that are not annotations."""
        return tuple(i for i, name in enumerate(self.names) if name not in _ANNOTATIONS)

    @property
    def seconds(self) -> float:
        """The length of the recording in seconds, gaps included."""
        first, last, start = self.pieces[-1]
        return start + (last - first) * self.record_seconds

    @property
    def gaps(self) -> float:
        """The seconds between the pieces, which have no signal."""
        return self.seconds - self.n_records * self.record_seconds

    def rate(self, signal: int) -> float:
        """Return the sampling rate of a signal, in Hz."""
        return self.samples[self.signals[signal]] / self.record_seconds

    def pieces_of(self, signal: int) -> tuple[Piece, ...]:
        """Return the pieces of a signal without a gap, in its samples."""
        per_record = self.samples[self.signals[signal]]
        return tuple(
            Piece(first * per_record, last * per_record, start)
            for first, last, start in self.pieces
        )

    @property
    def start(self) -> str:
        """The date and the time of day at which the recording starts, as written."""
        return self.header[_START].decode("latin-1")

    @property
    def clock(self) -> str:
        """The time of day at which the recording starts, as written."""
        return self.start[8:]

    @cached_property
    def patient(self) -> str:
        """The patient's code; empty where it is not recorded."""
        code = _text(self.header[8:88]).partition(" ")[0]
        return "" if code.upper() == "X" else code

    @cached_property
    def annotations(self) -> tuple[Event, ...]:
        """The annotations, by onset in seconds from the start, and those of ``annotated_by``."""
        beside = self.annotated_by.annotations if self.annotated_by else ()
        signals = [i for i, name in enumerate(self.names) if name in _ANNOTATIONS]
        if not signals:
            return beside
        ends = np.cumsum(self.samples) * self.width
        records = self._records()
        lists = [records[:, ends[i] - self.samples[i] * self.width : ends[i]] for i in signals]
        for annotation_list in itertools.chain.from_iterable(lists):
            # edfio ignores invalid annotations.
            if not _ANNOTATION_LISTS.fullmatch(annotation_list.tobytes()):
                raise _fault(self.path, "an annotation is damaged")
        # A file of the annotations alone: edfio would hold all signals of a BDF file in memory.
        content = self._header_of(signals, self.n_records) + np.hstack(lists).tobytes()
        with _translated(self.path):
            inside = tuple(
                Event(annotation.onset, annotation.duration, annotation.text)
                for annotation in self._edfio(content).annotations
            )
        return inside + beside

    def _records(self) -> NDArray[np.uint8]:
        """Return the data records, which stay on disk: uint8 (record, byte)."""
        content = np.memmap(self.path, np.uint8, "r", len(self.header))
        return content.reshape(self.n_records, self._n_bytes)

    def _header_of(self, signals: Sequence[int], n_records: int) -> bytes:
        """Make a header of some of the signals, and as many records."""
        fields = _fields(self.header, len(self.names))
        # edfio knows annotations by a label that ends with blanks, and not with NUL bytes.
        fields["label"] = [f"{name:<16}".encode("latin-1") for name in self.names]
        fixed = bytearray(self.header[:_FIXED])
        fixed[184:192] = f"{_FIXED * (len(signals) + 1):<8}".encode()
        fixed[_N_RECORDS] = f"{n_records:<8}".encode()
        fixed[252:256] = f"{len(signals):<4}".encode()
        for field in fields.values():
            fixed += b"".join(field[i] for i in signals)
        return bytes(fixed)

    def _edfio(self, content: bytes) -> "edfio.Edf | edfio.Bdf":
        import edfio

        with _translated(self.path):
            if self.width == _BDF_WIDTH:
                return edfio.read_bdf(content, header_encoding="latin-1")
            return edfio.read_edf(content, header_encoding="latin-1")

    def read(self, signals: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        """Read signals of one rate in their units: (signal, time), between two samples."""
        per_record = self.samples[self.signals[signals[0]]]
        begin, end = first // per_record, -(-last // per_record)
        offset, size = len(self.header), self._n_bytes
        span = opened.span(self.path, offset + begin * size, offset + end * size, EXPECTED, REMEDY)
        decoded = self._edfio(self._header_of(range(len(self.names)), end - begin) + span)
        skipped = begin * per_record
        with _translated(self.path):
            return np.stack(
                [
                    decoded.signals[signal].data[first - skipped : last - skipped]
                    for signal in signals
                ]
            )

    def reader(self, signals: Sequence[int]) -> Reader:
        """Return a function that reads signals of one rate, in their units."""
        return partial(self.read, signals)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate edfio's errors about a damaged file; its warnings were checked before."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise _fault(
            path, f"an annotation holds byte {error.object[error.start]:#04x}, which is not UTF-8"
        ) from error
    except (ValueError, ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise _fault(path, f"is damaged ({without_values(error)})") from None


def _fields(header: bytes, n_signals: int) -> dict[str, list[bytes]]:
    """Return the bytes of each signal in each field of the signals' headers."""
    fields, start = {}, _FIXED
    for name, width in _WIDTHS.items():
        end = start + width * n_signals
        fields[name] = [header[at : at + width] for at in range(start, end, width)]
        start = end
    return fields


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


def _fault(path: Path, problem: str, remedy: str = REMEDY) -> DataError:
    return DataError(f"{path}: {problem}; expected {EXPECTED}; {remedy}")
