"""Files of continuous recordings that MNE reads: FIF, BrainVision and EEGLAB."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, extra, without_values
from sequela.formats.opened import opened
from sequela.signals.stretches import Piece, SampledFile
from sequela.signals.window_classes import Event

SUFFIXES = (".fif", ".fif.gz", ".vhdr", ".set")
_EXPECTED = "a continuous recording that MNE reads, not epochs"
# The kinds of channels that MNE gives in V.
_VOLTS = ("eeg", "seeg", "ecog", "dbs", "eog", "ecg", "emg")
_BOUNDARY = "boundary"  # word in an annotation of EEGLAB or MNE where recordings were joined


def is_mne(path: Path) -> bool:
    """Return whether a file has the name of a recording that MNE reads."""
    return path.name.lower().endswith(SUFFIXES)


def open_mne(path: Path) -> SampledFile:
    """Read the header and annotations of a file by MNE; its samples are read later."""
    with opened(path, _EXPECTED), extra("mne", f"reading {path.name}"):
        import mne
    with _translated(path):
        raw = mne.io.read_raw(path, verbose="error")
    sfreq, n_times, annotations = float(raw.info["sfreq"]), int(raw.n_times), raw.annotations
    fields = zip(annotations.onset, annotations.duration, annotations.description, strict=True)
    events = [
        Event(max(0.0, float(onset) - raw.first_time), float(duration), str(label))
        for onset, duration, label in fields
    ]
    cuts = {round(e.onset * sfreq) for e in events if _BOUNDARY in e.label.lower()}
    bounds = sorted({0, n_times, *(cut for cut in cuts if 0 < cut < n_times)})

    def read(signals: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        with _translated(path):
            samples: NDArray[np.float64] = raw.get_data([*signals], first, last, verbose="error")
        return samples

    return SampledFile(
        path=path,
        labels=tuple(raw.ch_names),
        # MNE gives voltages in V, and other channels without a unit.
        units=tuple("V" if kind in _VOLTS else "" for kind in raw.get_channel_types()),
        sfreq=sfreq,
        pieces=tuple(Piece(a, b, a / sfreq) for a, b in pairwise(bounds)),
        reader=lambda signals: partial(read, signals),
        annotations=tuple(event for event in events if _BOUNDARY not in event.label.lower()),
        patient=str((raw.info["subject_info"] or {}).get("his_id") or ""),
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate MNE's errors about a file; its warnings are about headers that are not used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise DataError(
            f"{path}: reading it needs the package {error.name}; install it with pip"
        ) from error
    except Exception as error:  # MNE raises any, also bare ones, for a damaged file
        raise DataError(
            f"{path} cannot be read ({without_values(error)}); expected {_EXPECTED}; export it "
            "again"
        ) from error
