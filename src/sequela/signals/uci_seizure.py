"""UCI 'Epileptic Seizure Recognition': the Bonn recordings cut into chunks of 178 samples.

A row is one chunk: its id, X1..X178 in µV, and y (1 seizure, 2 tumour area, 3 healthy area, 4 eyes
closed, 5 eyes open). The id is ``X{chunk}.{name}``, where the name is the text after the *first*
dot and belongs to one recording. The names are the output of R's ``make.unique(sep = "")`` for V1,
V1.1 .. V1.99 repeated for the sets in the order Z, O, N, F, S: ``V1.6`` is Z007, ``V1.791`` is
O080, ``V1.614`` is F007. So neither the number at the end nor any other part of a name identifies
the recording; only the whole name does.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.datasets.catalog import Recording
from sequela.errors import DataError
from sequela.signals import bonn, segment_tables
from sequela.signals.segment_tables import table_of

CHUNK_TIMES = 178
N_CHUNKS = 23

_SAMPLES = [f"X{sample}" for sample in range(1, CHUNK_TIMES + 1)]
_ROW_ID = re.compile(r"X([0-9]{1,4})\.(.+)")
_REMEDY = "use the file as published"


@dataclass(frozen=True)
class Chunks:
    """The rows of a table, in its order."""

    recording_id: NDArray[np.str_]  # (row,)
    chunk: NDArray[np.int64]  # (row,), number in its recording, from 1
    values: NDArray[np.int16]  # (row, 178), in µV

    def joined(self) -> dict[str, NDArray[np.int16]]:
        """Join the chunks of each recording in the order of time: (n_times,) by recording."""
        order = np.lexsort((self.chunk, self.recording_id))
        names, first = np.unique(self.recording_id[order], return_index=True)
        signals = np.split(self.values[order], first[1:])
        return {str(name): signal.reshape(-1) for name, signal in zip(names, signals, strict=True)}


def recording_ids() -> dict[str, str]:
    """Return the recording that each of the 500 names belongs to.

    A name that comes again gets the smallest number, counted on from the last one it got, that
    makes a name not yet in use.

    Example:
        >>> ids = recording_ids()
        >>> ids["V1.6"], ids["V1.791"], ids["V1.614"]
        ('Z007', 'O080', 'F007')
    """
    a_set = ["V1", *(f"V1.{number}" for number in range(1, 100))]
    ids = {
        name: f"{bonn.PUBLISHED_ORDER[0]}{number:03d}" for number, name in enumerate(a_set, start=1)
    }
    suffix = dict.fromkeys(a_set, 1)
    for letter in bonn.PUBLISHED_ORDER[1:]:
        for number, name in enumerate(a_set, start=1):
            while f"{name}{suffix[name]}" in ids:
                suffix[name] += 1
            ids[f"{name}{suffix[name]}"] = f"{letter}{number:03d}"
    return ids


def read(path: Path) -> list[Recording]:
    """Read all recordings of a csv file, each (1, 4094), sorted by id."""
    signals = read_chunks(path, label="y").joined()
    for recording_id, signal in signals.items():
        if len(signal) != N_CHUNKS * CHUNK_TIMES:
            raise DataError(
                f"{path}: {len(signal) // CHUNK_TIMES} rows of recording {recording_id}; expected "
                f"all {N_CHUNKS}, else its signal has a gap; {_REMEDY}"
            )
    return bonn.with_sessions([bonn.recording(name, signal) for name, signal in signals.items()])


def read_chunks(path: Path, *, label: str | None = None) -> Chunks:
    """Read the rows of a csv file, of which some may be missing; a ``label`` is checked."""
    file = table_of(path)
    names, _ = segment_tables.columns_of(file)
    settings = SignalSettings(label=label, samples="X*")
    settings = settings.model_copy(update={"id": names[0]})  # whose name may be empty
    layout = segment_tables.layout_of(file, settings)
    if [*layout.columns[0]] != _SAMPLES:
        missing = [name for name in _SAMPLES if name not in layout.columns[0]] or ["none"]
        raise DataError(
            f"{file}: {len(layout.columns[0])} columns of samples (missing: {missing[0]}); "
            f"expected an id, and X1 to X{CHUNK_TIMES}; {_REMEDY}"
        )
    parts = [*segment_tables.rows_of_table(file, settings, layout)]
    row_ids = [*chain.from_iterable(part.texts["id"] for part in parts)]
    if not row_ids:
        raise DataError(f"{file}: no row below the header; expected one a chunk; {_REMEDY}")
    values = np.concatenate([*chain.from_iterable(part.signal for part in parts)])  # (row, 178)
    limits = np.iinfo(np.int16)
    fits = (values >= limits.min) & (values <= limits.max) & (values == np.rint(values))
    for row, column in np.argwhere(~fits)[:1]:
        raise DataError(
            f"{file} row {row + 1}: {values[row, column]:g} in column {_SAMPLES[column]}; expected "
            f"{bonn.SAMPLE}; {_REMEDY}"
        )
    labels = [*chain.from_iterable(part.texts.get("label", ()) for part in parts)]
    recording_id, chunk = map(np.array, zip(*_keys(file, row_ids, labels), strict=True))
    return Chunks(recording_id, chunk, values.astype(np.int16))


def _keys(file: Path, row_ids: Sequence[str], labels: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Return the recording and the chunk of each row, no two alike, after a check of any labels."""
    recordings = recording_ids()
    rows: dict[tuple[str, int], int] = {}
    for row, row_id in enumerate(row_ids, start=1):
        match = _ROW_ID.fullmatch(row_id)
        if match is None or match[2] not in recordings or not 1 <= int(match[1]) <= N_CHUNKS:
            raise DataError(
                f"{file} row {row}: id '{row_id[:30]}'; expected X1 to X{N_CHUNKS}, a dot, and the "
                f"name of a recording, such as 'X21.V1.791'; {_REMEDY}"
            )
        recording_id, chunk = recordings[match[2]], int(match[1])
        expected = bonn.SETS.index(recording_id[0]) + 1
        if labels and labels[row - 1] != str(expected):
            raise DataError(
                f"{file} row {row}: y is '{labels[row - 1][:30]}'; expected {expected} for "
                f"'{row_id}'; {_REMEDY}"
            )
        first = rows.setdefault((recording_id, chunk), row)
        if first != row:
            raise DataError(
                f"{file} row {row}: id '{row_id}' again; expected it only in row {first}; {_REMEDY}"
            )
    return rows
