"""UCI 'Epileptic Seizure Recognition': the Bonn recordings cut into chunks of 178 samples.

A row is one chunk: its id, X1..X178 in µV, and y (1 seizure, 2 tumour area, 3 healthy area, 4 eyes
closed, 5 eyes open). The id is ``X{chunk}.{name}``, where the name is the text after the *first*
dot and belongs to one recording. The names are the output of R's ``make.unique(sep = "")`` for V1,
V1.1 .. V1.99 repeated for the sets in the order Z, O, N, F, S: ``V1.6`` is Z007, ``V1.791`` is
O080, ``V1.614`` is F007. So neither the number at the end nor any other part of a name identifies
the recording; only the whole name does.
"""

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

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


def recording_ids() -> dict[str, str]:
    """Return the recording that each of the 500 names belongs to.

    A name that comes again gets the smallest number, counted on from the last one it got, that
    makes a name not yet in use.

    Example:
        >>> ids = recording_ids()
        >>> ids["V1.6"], ids["V1.791"], ids["V1.614"]
        ('Z007', 'O080', 'F007')
    """
    # The publisher joined the five sets as columns V1 to V100, which R then made unique.
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
    file = table_of(path)
    names, _ = segment_tables.columns_of(file)
    settings = SignalSettings(label="y", samples="X*")
    settings = settings.model_copy(update={"id": names[0]})  # whose name may be empty
    layout = segment_tables.layout_of(file, settings)
    if [*layout.columns[0]] != _SAMPLES:
        missing = [name for name in _SAMPLES if name not in layout.columns[0]] or ["none"]
        raise DataError(
            f"{file}: {len(layout.columns[0])} columns of samples (missing: {missing[0]}); "
            f"expected an id, and X1 to X{CHUNK_TIMES}; {_REMEDY}"
        )
    parts = [*segment_tables.rows_of_table(file, settings, layout)]
    row_ids, labels = (
        [*chain.from_iterable(part.texts[key] for part in parts)] for key in ("id", "label")
    )
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
    recordings = []
    for recording_id, rows in _rows_by_recording(file, row_ids, labels).items():
        if len(rows) != N_CHUNKS:
            raise DataError(
                f"{file}: {len(rows)} rows of recording {recording_id}; expected all {N_CHUNKS}, "
                f"else its signal has a gap; {_REMEDY}"
            )
        signal = values[rows].reshape(-1).astype(np.int16)
        recordings.append(bonn.recording(recording_id, signal))
    return bonn.with_sessions(recordings)


def _rows_by_recording(
    file: Path, row_ids: Sequence[str], labels: Sequence[str]
) -> dict[str, list[int]]:
    """Return the rows of each recording, sorted, in the order of time, after a check of labels."""
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
        if labels[row - 1] != str(expected):
            raise DataError(
                f"{file} row {row}: y is '{labels[row - 1][:30]}'; expected {expected} for "
                f"'{row_id}'; {_REMEDY}"
            )
        first = rows.setdefault((recording_id, chunk), row)
        if first != row:
            raise DataError(
                f"{file} row {row}: id '{row_id}' again; expected it only in row {first}; {_REMEDY}"
            )
    by_recording: dict[str, list[int]] = {}
    for (recording_id, _), row in sorted(rows.items()):
        by_recording.setdefault(recording_id, []).append(row - 1)
    return by_recording
