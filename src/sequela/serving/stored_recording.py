"""A long recording on disk, read piece by piece as a model needs it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, SettingError
from sequela.serving.model_facts import SignalFacts
from sequela.signals.channels import Montage, to_microvolts, without
from sequela.signals.cutting import Rates
from sequela.signals.edf import EdfFile
from sequela.signals.stretches import stretches_of

_MOST = 1_000_000
"""Largest term of the ratio of two rates, which is the length of the filter."""


@dataclass(frozen=True)
class StoredRecording:
    """A recording with the channels and rate of a model.

    Attributes:
        n_chans: Number of channels that the model reads at once.
        n_times: Number of samples at the model's rate.
        sfreq: That rate, in Hz.
        read: Returns samples in µV, (channel, time), from one sample up to another; NaN in gaps.
        gaps: Seconds without signal between the pieces of a discontinuous file.
    """

    names: tuple[str, ...]
    n_chans: int
    n_times: int
    sfreq: float
    read: Callable[[int, int], NDArray[np.float64]]
    notes: tuple[str, ...]
    gaps: float = 0.0

    @property
    def n_asked(self) -> int:
        """The number of predictions for one window."""
        return len(self.names) // self.n_chans

    @classmethod
    def of(cls, file: EdfFile, signal: SignalFacts, channels: Sequence[str]) -> "StoredRecording":
        """Open a recording with the channels and rate of a model."""
        in_training, n_chans = tuple(signal.channels), signal.n_chans
        units = zip(file.labels, file.units, strict=True)
        voltage = [label for label, unit in units if to_microvolts(unit)]
        names = tuple(channels) or (in_training if n_chans > 1 else ()) or tuple(voltage)
        if not names:
            raise DataError(f"{file.path}: no channel is a voltage: expected signals in µV or mV")
        prepared = signal.preparation
        names = without(prepared.reference, names)
        montage = Montage(names, file.labels, str(file.path), prepared.reference)
        if len(names) != n_chans and n_chans > 1:
            raise SettingError(
                f"{file.path}: {len(names)} channels are chosen, but the model reads {n_chans}: "
                "name them with --channels, in its order"
            )
        pieces = stretches_of(file, montage, prepared, "name other channels with --channels")
        before, after = pieces[0].sfreq, signal.sfreq
        rates = Rates.of(before, after) if 0 < before < math.inf else None
        if rates is None or max(rates.up, rates.down) > _MOST:
            raise DataError(
                f"{file.path}: has {before:g} Hz, which cannot be resampled to {after:g} Hz here: "
                "resample it first"
            )
        begins = [round(piece.offset * after) for piece in pieces]
        n_times = begins[-1] + rates.n_after(pieces[-1].n_times)

        def read(first: int, last: int) -> NDArray[np.float64]:
            samples = np.full((len(montage.names), last - first), np.nan)
            # Pieces are resampled each for itself, so that no filter reaches over a gap.
            for begin, piece in zip(begins, pieces, strict=True):
                a, b = max(first, begin), min(last, begin + rates.n_after(piece.n_times))
                if a < b:
                    part = rates.part(piece.read, piece.n_times, a - begin, b - begin)
                    samples[:, a - first : b - first] = part
            return samples

        notes = (*prepared.in_words, *montage.notes)
        if len(pieces) > 1:
            notes = (*notes, f"{len(pieces) - 1:,} gaps in time, of {file.gaps:,.0f} s in all")
        if before != after:
            notes = (*notes, f"resampled from {before:g} Hz to {after:g} Hz")
        return cls(montage.names, n_chans, n_times, after, read, notes, file.gaps)
