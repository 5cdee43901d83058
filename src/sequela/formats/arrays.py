"""Files of arrays: npy and npz, without Python objects."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError
from sequela.formats import opened

KEYS = ("id", "subject", "session", "recording", "site", "label", "time")
REMEDY = "correct the file, or its declaration"
# The usual names of arrays of signals, where none is named.
_ARRAYS = ("X", "signal", "signals", "data", "x")
_DIMENSIONS = (2, 3)  # the numbers of dimensions that an array of signals may have
DOZEN = 12  # the number of names that a message lists
Array: TypeAlias = NDArray[Any]


def arrays_of(path: Path, settings: SignalSettings) -> dict[str, Array]:
    """Read the arrays of an npz file, or of an npy file and its neighbours, by declared key."""
    names = {key: name for key in KEYS if (name := getattr(settings, key)) is not None}
    arrays = {}
    if path.suffix.lower() == ".npz":
        with _loaded(path) as archive:
            usual = next((name for name in _ARRAYS if name in archive.files), "")
            names = {"signal": settings.samples or usual, **names}
            for key, name in names.items():
                if name not in archive.files:
                    setting = "samples" if key == "signal" else key
                    raise missing(path, name or _ARRAYS[0], archive.files, setting)
                arrays[key] = _array(path, name, archive)
    else:
        places = {"signal": path, **{key: path.parent / name for key, name in names.items()}}
        for key, place in places.items():
            with _loaded(place) as array:
                arrays[key] = array
    signal = arrays["signal"]
    if signal.ndim not in _DIMENSIONS or not np.issubdtype(signal.dtype, np.number):
        raise DataError(
            f"{path}: signals of shape {signal.shape} and type {signal.dtype}; expected numbers "
            "(segment, n_times) or (segment, n_chans, n_times)"
        )
    for key, array in arrays.items():
        if key != "signal" and array.shape != signal.shape[:1]:
            raise DataError(
                f"{path}: {getattr(settings, key)} ({key}) has shape {array.shape}; expected "
                f"({len(signal)},), one for each segment"
            )
    return arrays


def _array(path: Path, name: str, archive: NpzFile) -> Array:
    try:
        array: Array = archive[name]
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: array {name} cannot be read ({error}); expected numbers or text, without "
            f"Python objects; {REMEDY}"
        ) from error
    return array


@contextmanager
def _loaded(path: Path) -> Iterator[Any]:
    """Load an npy or npz file; Python objects are refused, because they may run code."""
    import zipfile

    content = opened.content(path, "an npy or npz file of arrays", REMEDY)
    try:
        # A pickled object runs code when it is loaded.
        yield np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} cannot be read ({error}); expected arrays of numbers or text, without Python "
            f"objects; {REMEDY}"
        ) from error


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of an npz file, or of the one of an npy file."""
    with _loaded(path) as archive:
        if path.suffix.lower() == ".npy":
            return {path.stem: archive.shape}
        return {name: _array(path, name, archive).shape for name in archive.files}


def missing(path: Path, column: str, names: Sequence[str], key: str) -> DataError:
    """Return the error about a declared column or array that a file lacks."""
    from difflib import get_close_matches

    near = get_close_matches(column, names, n=1)
    hint = f"; is it '{near[0]}'?" if near else ""
    return DataError(f"{path}: no column '{column}' (found: {few(names)}){hint}; correct {key}")


def of_epochs(signals: object) -> Any:
    """Return MNE's Epochs as an array (epoch, n_chans, n_times) in µV; anything else unchanged."""
    if not hasattr(signals, "get_data") or not hasattr(signals, "ch_names"):
        return signals
    if not hasattr(signals, "events"):
        raise SettingError(
            f"{type(signals).__name__} is one recording; expected examples: cut it by "
            "mne.make_fixed_length_epochs, or save it as .fif and train on its folder"
        )
    # MNE holds volts, and models read microvolts.
    return signals.get_data(copy=False) * 1e6


def few(names: Sequence[str]) -> str:
    """List the first dozen of many names."""
    rest = f" and {len(names) - DOZEN} more" if len(names) > DOZEN else ""
    return ", ".join(names[:DOZEN]) + rest
