"""Sequences on disk: flat arrays in a folder of ``.npy`` files that are memory-mapped.

The arrays nest as example -> step -> code (and example -> step -> measurement). Each level has an
array of offsets: the children of parent ``i`` are ``offsets[i]:offsets[i + 1]``. A step without
codes is two equal offsets; nothing is inferred from zeros.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequela.errors import DataError, DataNotFoundError
from sequela.files import scratch_beside
from sequela.identity.fingerprint import Content, joined, of_records, tokens
from sequela.identity.pseudonyms import Pseudonyms

HEADER = "sequences.json"
_DAY = np.timedelta64(1, "D")  # unit of the gap between two steps in a mark
_MARKED_AT_ONCE = 1 << 21  # codes and measurements whose marks are computed at once

# name -> (dtype, dimension)
LAYOUT: dict[str, tuple[str, str]] = {
    "subject_id": ("<i8", "example"),
    "prediction_time": ("<M8[us]", "example"),
    "label": ("|b1", "example"),
    "part": ("|u1", "example"),
    "age": ("<f4", "example"),
    "followed": ("<f4", "example"),
    "step_offsets": ("<i8", "example + 1"),
    "step_time": ("<M8[us]", "step"),
    "code_offsets": ("<i8", "step + 1"),
    "codes": ("<i4", "code"),
    "value_offsets": ("<i8", "step + 1"),
    "channels": ("<i4", "value"),
    "values": ("<f4", "value"),
}


@dataclass(frozen=True)
class Sequences:
    """Examples as nested flat arrays.

    Dimensions:
        example: Rows of the label table, sorted by ``subject_id``, then ``prediction_time``. A
            subject may have several.
        step: Steps (visits) of all examples; each example has at least one.
        code: Codes of all steps. Those of one step are distinct and rise; a step may have none.
        value: Measurements of all steps. Those of one step are sorted by channel, then by time.

    Attributes:
        folder: Folder of the arrays.
        header: Content of ``sequences.json``: digest, settings, parts, counts, shares of unknowns.
        subject_id: int64 (example,).
        prediction_time: datetime64[us] (example,); the example holds nothing later.
        label: bool (example,).
        part: uint8 (example,), an index into ``parts``.
        age: float32 (example,), years at ``prediction_time``; NaN where birth is not known.
        followed: float32 (example,), days from ``prediction_time`` to the next discharge or death,
            else to the last fact on record; 0 if nothing comes later. It is from the future: a
            second target in training, never an input.
        step_offsets: int64 (example + 1,) into the steps.
        step_time: datetime64[us] (step,), time of the first fact of the step.
        code_offsets: int64 (step + 1,) into the codes.
        codes: int32 (code,), indices into ``vocabulary``; 0 is a code the vocabulary lacks.
        value_offsets: int64 (step + 1,) into the measurements.
        channels: int32 (value,), indices into ``channel_names``.
        values: float32 (value,), never NaN: missing measurements are absent.
    """

    folder: Path
    header: Mapping[str, Any]
    subject_id: NDArray[np.int64]
    prediction_time: NDArray[np.datetime64]
    label: NDArray[np.bool_]
    part: NDArray[np.uint8]
    age: NDArray[np.float32]
    followed: NDArray[np.float32]
    step_offsets: NDArray[np.int64]
    step_time: NDArray[np.datetime64]
    code_offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    value_offsets: NDArray[np.int64]
    channels: NDArray[np.int32]
    values: NDArray[np.float32]
    unit = "subject"

    def __len__(self) -> int:
        return len(self.subject_id)

    @property
    def digest(self) -> str:
        """The digest of the arrays' sources, in 64 hexadecimal digits."""
        return str(self.header["digest"])

    def sha256(self) -> str:
        """Return the SHA-256 of all inputs and labels."""
        digest = hashlib.sha256("\n".join(self.vocabulary).encode())
        for name in LAYOUT:
            if name != "step_time":
                digest.update(np.ascontiguousarray(getattr(self, name)).view(np.uint8).data)
        return digest.hexdigest()

    @property
    def independent(self) -> NDArray[np.str_]:
        """The id of each example's ``unit``: str (example,)."""
        return self.subject_id.astype(np.str_)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of the split, for example ``("held_out", "train", "tuning")``."""
        return tuple(self.header["parts"])

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The codes by index; index 0 is for all codes that the training set lacks."""
        return tuple(self.header["vocabulary"])

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The measured codes by index."""
        return tuple(self.header["channels"])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The number of steps of each example: int64 (example,)."""
        return np.diff(self.step_offsets)

    def examples_of(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the examples of one part, rising."""
        if part not in self.parts:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.part == self.parts.index(part)).astype(np.int64)

    def codes_of(self, example: int) -> list[list[str]]:
        """Return the codes of an example as text, step by step; for people and tests."""
        first, last = self.step_offsets[example], self.step_offsets[example + 1]
        steps = np.split(self.codes, self.code_offsets[first : last + 1])[1:-1]
        return [[self.vocabulary[i] for i in codes] for codes in steps]


@dataclass(frozen=True)
class CodeAt:
    """A code in the record of an example: the number of its step from 1, and the days since then.

    The code is ``UNKNOWN`` where the vocabulary lacks it; ``subjects`` in training have it.
    """

    code: str
    visit: int
    days_before: float
    subjects: int


def open_sequences(folder: Path, *, digest: str | None = None) -> Sequences:
    """Map the arrays of a folder.

    With a ``digest``, the folder must have been made from the same events, labels, split, settings
    and code.
    """
    path = folder / HEADER
    if not path.is_file():
        raise DataNotFoundError(f"no sequences in {folder}: there is no {HEADER}; build them first")
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        shapes = header["shapes"]
        arrays = {name: _map(folder, name, shapes[name]) for name in LAYOUT}
    except (KeyError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path} is not a header that this version of sequela writes ({error!r}); "
            "build the sequences again"
        ) from error
    if digest is not None and header["digest"] != digest:
        raise DataError(
            f"the sequences in {folder} are stale: made from {header['digest'][:12]}, "
            f"and events, labels, split, settings and code now are {digest[:12]}; build them again"
        )
    return Sequences(folder=folder, header=header, **arrays)


def _map(folder: Path, name: str, length: int) -> NDArray[Any]:
    """Map one array, read-only, without copying it into memory."""
    path = folder / f"{name}.npy"
    dtype = np.dtype(LAYOUT[name][0])
    try:
        # An empty file cannot be mapped; numpy reads it instead.
        mapped = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); build the sequences again") from error
    if mapped.dtype != dtype or mapped.shape != (length,):
        raise DataError(
            f"{path} holds {mapped.dtype} {mapped.shape}, and the header states {dtype} "
            f"({length},); build the sequences again"
        )
    # A plain view is still mapped and indexes several times faster than np.memmap does.
    return np.asarray(mapped)


class ArrayFile:
    """A ``.npy`` file that grows: appended to in pieces, its header completed on closing."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def append(self, piece: NDArray[np.generic]) -> None:
        """Append a one-dimensional ``piece``."""
        self._file.write(np.ascontiguousarray(piece, dtype=self.dtype).view(np.uint8).data)
        self.length += len(piece)

    def close(self) -> None:
        """Write the final length into the header."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # numpy reserves room in the header for the first axis to grow, so its size never changes.
        header = {"shape": (self.length,), "fortran_order": False}
        header["descr"] = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(self._file, header)


@dataclass(frozen=True)
class SequencesWriter:
    """The open arrays of new sequences, which grow by whole examples."""

    files: Mapping[str, ArrayFile]

    def append(
        self,
        *,
        examples: Mapping[str, NDArray[np.generic]],
        steps_per_example: NDArray[np.int64],
        step_time: NDArray[np.datetime64],
        codes_per_step: NDArray[np.int64],
        codes: NDArray[np.int32],
        values_per_step: NDArray[np.int64],
        channels: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> None:
        """Append whole examples.

        ``examples`` has the arrays with one entry an example, as ``subject_id``.
        """
        pieces = {**examples, "step_time": step_time, "codes": codes}
        pieces |= {"channels": channels, "values": values}
        counts = {
            "step_offsets": ("step_time", steps_per_example),
            "code_offsets": ("codes", codes_per_step),
            "value_offsets": ("values", values_per_step),
        }
        for name, (child, count) in counts.items():
            pieces[name] = self.files[child].length + np.cumsum(count)
        for name, piece in pieces.items():
            self.files[name].append(piece)


@contextmanager
def writing_sequences(folder: Path, header: Mapping[str, object]) -> Iterator[SequencesWriter]:
    """Write a folder of sequences in pieces; after an error, the old folder remains.

    The arrays' lengths are added to the header.
    """
    with scratch_beside(folder) as work:
        new = work / "new"
        new.mkdir()
        with ExitStack() as opened:
            files = {n: ArrayFile(new / f"{n}.npy", dtype) for n, (dtype, _) in LAYOUT.items()}
            for name, file in files.items():
                opened.callback(file.close)
                if name.endswith("_offsets"):
                    file.append(np.zeros(1, np.int64))
            yield SequencesWriter(files)
        whole = {**header, "shapes": {name: file.length for name, file in files.items()}}
        (new / HEADER).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(work / "old")
        new.rename(folder)  # a reader sees the old folder or the new one, never half of one


def spans(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices ``starts[i]`` to ``starts[i] + counts[i] - 1`` of all ``i``, in order.

    Example:
        >>> spans(np.array([5, 0, 9]), np.array([2, 0, 3]))
        array([ 5,  6,  9, 10, 11])
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    # Each range is a shifted piece of 0, 1, 2...: no loop over millions of rows in Python.
    shifts: NDArray[np.int64] = np.repeat(starts - ends + counts, counts)
    return shifts + np.arange(total)


def examples_of(sequences: Sequences, rows: NDArray[np.int64]) -> Sequences:
    """Return some examples in the given order."""
    lengths = sequences.lengths[rows]  # (example,)
    steps = spans(sequences.step_offsets[rows], lengths)  # (step,), in the new order
    changes: dict[str, Any] = {
        name: getattr(sequences, name)[rows]
        for name in ("subject_id", "prediction_time", "label", "part", "age", "followed")
    }
    changes |= {"step_offsets": ends(lengths), "step_time": sequences.step_time[steps]}
    for offset, names in (("code_offsets", ["codes"]), ("value_offsets", ["channels", "values"])):
        offsets = getattr(sequences, offset)
        counts = offsets[steps + 1] - offsets[steps]  # (step,)
        children = spans(offsets[steps], counts)
        changes[offset] = ends(counts)
        changes |= {name: getattr(sequences, name)[children] for name in names}
    return replace(sequences, **changes)


def ends(counts: ArrayLike) -> NDArray[np.int64]:
    """Return the start of each of so many entries, and the end of the last: int64 (count + 1,)."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def content_of(sequences: Sequences, how: Pseudonyms) -> Content:
    """Compute the marks of the codes and measurements of each subject, over all examples.

    A code counts with the days since the subject's step before: shifting all dates by the same time
    gives the same marks. Codes that the vocabulary lacks do not count. Marks under two keys never
    agree.
    """
    order = np.argsort(sequences.subject_id, kind="stable")
    another = np.append(np.diff(sequences.subject_id[order]) != 0, True)
    last = np.flatnonzero(another) + 1  # the end of each subject's examples in this order
    size = np.diff((sequences.code_offsets + sequences.value_offsets)[sequences.step_offsets])
    block = np.cumsum(size[order])[last - 1] // _MARKED_AT_ONCE
    # A block ends with a subject: the days since the step before are counted within a subject.
    ends = [0, *last[np.diff(block, append=-1) != 0].tolist()]
    blocks = [order[first:end] for first, end in pairwise(ends)]
    return joined([_content_of_block(examples_of(sequences, rows), how) for rows in blocks])


def _content_of_block(sequences: Sequences, how: Pseudonyms) -> Content:
    subjects, subject = np.unique(sequences.subject_id, return_inverse=True)
    of_step = np.repeat(subject, sequences.lengths)
    days = _days_since(of_step, sequences.step_time)  # (step,)
    step = np.repeat(np.arange(len(of_step)), np.diff(sequences.code_offsets))
    measured = np.repeat(np.arange(len(of_step)), np.diff(sequences.value_offsets))
    in_vocabulary = sequences.codes > 0
    step = step[in_vocabulary]
    codes = sequences.codes[in_vocabulary].astype(np.int64)
    # Equal values have equal bits; a value as text would depend on its rounding.
    bits = np.ascontiguousarray(sequences.values).view(np.int32).astype(np.int64)
    channels = sequences.channels.astype(np.int64)
    of_codes = tokens(sequences.vocabulary, codes, days[step], how=how)
    of_values = tokens(sequences.channel_names, channels, days[measured], bits, how=how)
    owner = np.concatenate([of_step[step], of_step[measured]])
    ids = how.each(subjects.astype(np.str_)).tolist()
    return of_records(ids, owner, np.concatenate([of_codes, of_values]))


def _days_since(subject: NDArray[np.int64], time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Count whole days since the subject's step before at another time; -1 where there is none."""
    order = np.lexsort((time, subject))
    subject, time = subject[order], time[order]
    new = np.ones(len(time), np.bool_)
    new[1:] = (subject[1:] != subject[:-1]) | (time[1:] != time[:-1])  # sorted by subject and time
    first = np.flatnonzero(new)  # first row of each time of each subject
    gap = np.full(len(first), -1)
    same = subject[first[1:]] == subject[first[:-1]]
    gap[1:][same] = ((time[first[1:]] - time[first[:-1]]) // _DAY)[same]  # days
    days = np.empty(len(time), np.int64)
    days[order] = gap[np.cumsum(new) - 1]
    return days
