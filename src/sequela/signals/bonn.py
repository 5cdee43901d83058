"""The Bonn EEG data: five sets of 100 single-channel recordings, as text files or their zip files.

Source: R. G. Andrzejak et al., Phys. Rev. E 64, 061907 (2001). Sets Z and O are scalp recordings of
volunteers with eyes open and closed; N, F and S are intracranial recordings of patients: opposite
the focus, in the epileptogenic area, and during a seizure. The identities of the subjects are not
published. Recordings of several electrodes at the same time are one session (decision 27).
"""

import csv
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.catalog import EXCERPTS, Recording, Signals
from sequela.errors import DataError, DataNotFoundError
from sequela.formats.opened import as_text, members
from sequela.signals import simultaneous

CLASSES = ("seizure", "tumour area", "healthy area", "eyes closed", "eyes open")
SETS = "SFNOZ"  # letter of each class's set, in the order of ``CLASSES``
PUBLISHED_ORDER = "ZONFS"
N_TIMES = 4097
SHARED = 4094  # samples of a recording that are in the UCI set too
SFREQ = 173.61
SIGNALS = Signals(CLASSES, n_chans=1, sfreq=SFREQ, n_times=178)
"""The segments: about one second, as in the UCI set."""

SESSIONS = EXCERPTS / "bonn_sessions.csv"
"""The session of each recording, by a hash of its content, from ``scripts/make_sessions.py``."""
BOUND = 0.3  # least correlation of recordings of one session; the audit has a higher one
LAG = 64 / SFREQ  # largest time difference of recordings of one session, in seconds

SAMPLE = "a whole number of microvolts from -32768 to 32767"
"""The form of a sample in the text file and in a csv file, in words."""

EXPECTED = f"a text file of {N_TIMES:,} numbers, or a set's zip file of them"
REMEDY = "put the file as published in its place"
_FILE_NAME = re.compile(r"([ZONFS])(\d{3})\.txt", re.IGNORECASE)
_WHOLE_NUMBER = re.compile("-?[0-9]{1,6}")
_NOT_OF_NUMBERS = b"0123456789-\r\n\t "


def recording(recording_id: str, values: NDArray[np.int16]) -> Recording:
    """Make a recording from its samples (n_times,) in µV, with the set in its id, if any."""
    letter = recording_id[:1]
    return Recording(
        recording_id=recording_id,
        subject_id=None,
        signal=values.astype(np.float32)[np.newaxis],  # (n_chans, n_times)
        sfreq=SFREQ,
        label=SETS.index(letter) if letter and letter in SETS else None,
    )


def content_key(signal: NDArray[np.float32]) -> str:
    """Hash the samples that a recording shares with its segments in the UCI set: the first ones."""
    return hashlib.sha256(signal[0, :SHARED].astype("<i2").tobytes()).hexdigest()[:16]


@cache
def _published_sessions() -> dict[str, str]:
    with SESSIONS.open(encoding="utf-8", newline="") as file:
        return {row["sha256"]: row["session"] for row in csv.DictReader(file)}


def with_sessions(recordings: Sequence[Recording]) -> list[Recording]:
    """Add the session of each recording, found by content and not by name.

    Recordings missing from the file of sessions are compared with all others, as when that file was
    made.
    """
    # By content, as copies of the data have other names, and UCI's are cut.
    published = _published_sessions()
    names = [published.get(content_key(recording.signal), "") for recording in recordings]
    new = np.array([not name for name in names], np.bool_)
    pairs = np.empty((0, 2), np.int64)
    if new.any():
        pairs = simultaneous.pairs(
            [recording.signal[0] for recording in recordings],
            SFREQ,
            lag=LAG,
            decimate=False,
            bound=BOUND,
            spreads=0,
            compared=lambda index: np.logical_or(new, new[index]),
        )
    ids = [name or rec.recording_id for name, rec in zip(names, recordings, strict=True)]
    sessions = zip(recordings, simultaneous.sessions(ids, pairs), strict=True)
    return [replace(recording, session_id=session) for recording, session in sessions]


def read(path: Path) -> list[Recording]:
    """Read all recordings under ``path``, sorted by id, each (1, 4097).

    Args:
        path: A folder that holds for each of the sets Z, O, N, F, S a folder (``Z/Z001.txt``...) or
            the published zip file (``Z.zip``); a folder has precedence over a zip file; or the
            Parquet file that ships with the package.
    """
    if path.suffix == ".parquet":
        return with_sessions(read_excerpt(path))
    places = tuple(_places(path))
    states = []
    for _, place in places:
        for file in (place, *sorted(place.rglob("*"))):
            state = file.stat()
            states.append((file, state.st_size, state.st_mtime_ns))
    return [*_read(places, tuple(states))]


@lru_cache(maxsize=1)  # the runs of a study read the same files
def _read(places: tuple[tuple[str, Path], ...], _: object) -> list[Recording]:
    """Read the recordings of sets whose files have these states."""
    recordings = chain.from_iterable(read_set(place, letter) for letter, place in places)
    return with_sessions(sorted(recordings, key=lambda recording: recording.recording_id))


def _places(root: Path) -> list[tuple[str, Path]]:
    """Return the letter of each of the five sets, and its place under ``root``."""
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise DataNotFoundError(
            f"{root} {problem}: expected a folder with the sets Z, O, N, F and S of the Bonn data, "
            f"each as a folder or as its zip file"
        )
    entries = {entry.name.lower(): entry for entry in sorted(root.iterdir())}
    places = [entries.get(s.lower(), entries.get(f"{s}.zip".lower())) for s in PUBLISHED_ORDER]
    missing = [s for s, place in zip(PUBLISHED_ORDER, places, strict=True) if place is None]
    if missing:
        names = ", ".join(missing)
        raise DataNotFoundError(
            f"{root} lacks set{'s' if len(missing) > 1 else ''} {names} of the Bonn data: expected "
            f"for each set a folder such as {missing[0]} with {missing[0]}001.txt in it, or the "
            f"published {missing[0]}.zip; put what is missing there"
        )
    return [(s, place) for s, place in zip(PUBLISHED_ORDER, places, strict=True) if place]


def read_set(place: Path, letter: str) -> list[Recording]:
    """Read the recordings of a set, from its folder or its zip file."""
    recordings: dict[str, Recording] = {}
    for name, content in members(place, EXPECTED, REMEDY, is_wanted=_is_shown):
        where = f"{place / name}"
        match = _FILE_NAME.fullmatch(PurePosixPath(name).name)
        if match is None or match[1].upper() != letter:
            raise DataError(
                f"{where} is not a recording of set {letter}: expected only files named "
                f"{letter}001.txt to {letter}100.txt; move it elsewhere"
            )
        recording_id = f"{letter}{match[2]}"
        if recording_id in recordings:
            raise DataError(f"{where} is a second {recording_id} in this set; remove one of them")
        recordings[recording_id] = recording(recording_id, parse_signal(content, where))
    if not recordings:
        raise DataError(
            f"{place} holds no recording: expected {letter}001.txt to {letter}100.txt of the Bonn "
            f"data; put them there"
        )
    return list(recordings.values())


def _is_shown(name: str) -> bool:
    """Return whether a file is not hidden: macOS adds hidden files."""
    return not PurePosixPath(name).name.startswith(".")


def parse_signal(content: bytes, where: str) -> NDArray[np.int16]:
    r"""Parse the samples of one text file, one whole number a line, in µV.

    Numbers with a decimal point are refused even where they are whole: the published files have
    none, so such a file was changed, perhaps in other ways too.

    Example:
        >>> parse_signal(b"12\n-7\n" + b"0\n" * 4095, "Z001.txt")[:3]
        array([12, -7,  0], dtype=int16)
    """
    lines = content.rstrip().splitlines()
    ended = content.endswith((b"\n", b"\r"))
    if len(lines) == N_TIMES and ended and not content.translate(None, _NOT_OF_NUMBERS):
        with suppress(ValueError, OverflowError):
            values = np.array(lines, dtype=np.int64)
            samples = values.astype(np.int16)
            if (samples == values).all():
                return samples
    raise _first_fault(content, where)


def _first_fault(content: bytes, where: str) -> DataError:
    """Find the first error in a text file, slowly, line by line."""
    limits = np.iinfo(np.int16)
    lines = as_text(content, where, SAMPLE, REMEDY, ended=True).rstrip().split("\n")
    for number, text in enumerate(map(str.strip, lines[:N_TIMES]), start=1):
        if not (_WHOLE_NUMBER.fullmatch(text) and limits.min <= int(text) <= limits.max):
            words = f"found {text[:30]!r}, expected {SAMPLE}"
            return DataError(f"{where} line {number}: {words}; {REMEDY}")
    ends = f"ends at line {len(lines)}" if len(lines) < N_TIMES else f"has {len(lines):,} lines"
    return DataError(f"{where} {ends}: expected {N_TIMES:,} samples, one a line; {REMEDY}")


def read_excerpt(file: Path) -> list[Recording]:
    """Read the recordings in the Parquet file from ``scripts/make_excerpts.py``, sorted by id."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(file, use_threads=False)
        signals = table["signal"].combine_chunks()
        values = signals.flatten().to_numpy().reshape(len(signals), N_TIMES)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{file} is not the excerpt of the Bonn data ({error}): expected a Parquet file with "
            f"columns recording_id and signal; install sequela again"
        ) from error
    return [
        recording(recording_id, row)
        for recording_id, row in zip(table["recording_id"].to_pylist(), values, strict=True)
    ]
