"""A long recording on disk, read piece by piece as a model needs it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, SettingError
from sequela.sources.signals.channels import Montage, to_microvolts
from sequela.sources.signals.edf import EdfFile
from sequela.sources.signals.windows import Rates

_MOST = 1_000_000
"""Largest term of the ratio of two rates, which is the length of the filter."""


@dataclass(frozen=True)
class Recording:
    """A recording with the channels and rate of a model.

    Attributes:
        names: Names of the channels.
        n_chans: Number of channels that the model reads at once.
        n_times: Number of samples at the model's rate.
        sfreq: That rate, in Hz.
        read: Returns samples in µV, (channel, time), from one sample up to another.
        notes: Sentences on the preparation.
    """

    names: tuple[str, ...]
    n_chans: int
    n_times: int
    sfreq: float
    read: Callable[[int, int], NDArray[np.float64]]
    notes: tuple[str, ...]

    @property
    def n_asked(self) -> int:
        """The number of predictions for one window."""
        return len(self.names) // self.n_chans

    @classmethod
    def of(cls, file: EdfFile, signal: Mapping[str, Any], channels: Sequence[str]) -> "Recording":
        """Open a recording with the channels and rate of a model.

        Args:
            file: The file.
            signal: The model's description of its signal.
            channels: Names of channels (default: those of the model, or all voltages).

        Raises:
            SettingError: If the number of channels is not that of the model.
            DataError: If a channel is missing, is not a voltage, or has another rate.
        """
        there = [file.labels[i] for i in file.signals]
        known, n_chans, sfreq = tuple(signal["channels"]), signal["n_chans"], signal["sfreq"]
        voltage = [file.labels[i] for i in file.signals if to_microvolts(file.units[i])]
        asked = tuple(channels) or (known if n_chans > 1 else ()) or tuple(voltage)
        if not asked:
            raise DataError(f"{file.path}: no channel is a voltage: expected signals in µV or mV")
        montage = Montage(asked, there, str(file.path))
        if len(asked) != n_chans and n_chans > 1:
            raise SettingError(
                f"{file.path}: {len(asked)} channels are chosen, but the model reads {n_chans}: "
                "name them with --channels, in its order"
            )
        needed = [file.signals[i] for i in montage.needs]
        rates = {file.rate(i) for i in needed}
        if len(rates) > 1:
            each = ", ".join(f"{rate:g} Hz" for rate in sorted(rates))
            raise DataError(
                f"{file.path}: the channels have the rates {each}: expected one; name channels of "
                "one rate with --channels"
            )
        before = rates.pop()
        scales = np.array([[_scale(file, i)] for i in needed])
        rate = _rate(file, before, sfreq)
        n_before = file.n_records * file.samples[needed[0]]

        def at(first: int, last: int) -> NDArray[np.float64]:
            return montage.apply(file.read(needed, first, last) * scales)

        def read(first: int, last: int) -> NDArray[np.float64]:
            return rate.part(at, n_before, first, last)

        notes = montage.notes
        if before != sfreq:
            notes = (*notes, f"resampled from {before:g} Hz to {sfreq:g} Hz")
        return cls(montage.names, n_chans, rate.n_after(n_before), sfreq, read, notes)


def _rate(file: EdfFile, before: float, after: float) -> Rates:
    found = Rates.of(before, after) if 0 < before < math.inf else None
    if found is None or max(found.up, found.down) > _MOST:
        raise DataError(
            f"{file.path}: has {before:g} Hz, which cannot be resampled to {after:g} Hz here: "
            "resample it first"
        )
    return found


def _scale(file: EdfFile, signal: int) -> float:
    found = to_microvolts(file.units[signal])
    if found is None:
        raise DataError(
            f"{file.path}: channel {file.labels[signal]} is in '{file.units[signal]}': expected a "
            "voltage; name other channels with --channels"
        )
    return found
