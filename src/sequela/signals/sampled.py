"""Recordings whose samples a csv file or MNE gives, in the form of EDF files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.signals.edf import EdfFile, Piece
from sequela.signals.events import Event


@dataclass(frozen=True)
class SampledFile:
    """A recording of one rate, with the attributes and methods of an ``EdfFile``.

    Attributes:
        sfreq: Samples per second, in Hz.
        pieces: The pieces without a gap, in samples.
        reads: Function that returns float64 (signal, time) in these units: of some signals, from
            a sample up to another.
        annotations: The annotations, by onset in seconds from the start.
        patient: The patient's code; empty where it is not recorded.
        attributes: What its columns state about the whole recording, by key of the declaration.
        labelled: True if the annotations are the classes of its samples.
        epochs: True if each piece is an epoch that was cut before.
        assumed: True if the unit of a signal is not recorded.
        start: None: the start of the recording is not read.
        header: Empty, as there is no header of EDF.
    """

    path: Path
    labels: tuple[str, ...]
    units: tuple[str, ...]
    sfreq: float
    pieces: tuple[Piece, ...]
    reads: Callable[[Sequence[int], int, int], NDArray[np.float64]]
    annotations: tuple[Event, ...] = ()
    patient: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    labelled: bool = False
    epochs: bool = False
    assumed: bool = False
    start: None = None
    header: bytes = b""

    @property
    def signals(self) -> tuple[int, ...]:
        """The indices of the signals."""
        return tuple(range(len(self.labels)))

    @property
    def samples(self) -> tuple[int, ...]:
        """The samples of each signal in a data record: a record is a sample."""
        return (1,) * len(self.labels)

    @property
    def seconds(self) -> float:
        """The length of the recording in seconds, gaps included."""
        first, last, start = self.pieces[-1]
        return start + (last - first) / self.sfreq

    @property
    def gaps(self) -> float:
        """The seconds between the pieces, which have no signal."""
        return self.seconds - sum(last - first for first, last, _ in self.pieces) / self.sfreq

    def rate(self, _: int) -> float:
        """Return the sampling rate of a signal, in Hz."""
        return self.sfreq

    def read(self, signals: Sequence[int], first: int, last: int) -> NDArray[np.float64]:
        """Read signals in their units: (signal, time), between two samples."""
        return self.reads(signals, first, last)


SignalFile = EdfFile | SampledFile
