"""A recording: one stretch of signal as it was published."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Signals:
    """The properties of a data set's recordings, and the default length of segments.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        n_chans: Channels of a recording.
        sfreq: Samples per second, in Hz.
        n_times: Samples of a segment.
    """

    classes: tuple[str, ...]
    n_chans: int
    sfreq: float
    n_times: int


@dataclass(frozen=True)
class Recording:
    """One continuous recording.

    Attributes:
        recording_id: Unique in its data set, for example ``Z007``.
        subject_id: The person recorded, or ``None`` where subjects are not identified.
        signal: float32 (n_chans, n_times), in µV.
        sfreq: Samples per second, in Hz.
        label: Index of the class, or ``None`` where it is not known.
        session_id: Shared by recordings made at the same time, or ``None`` where that is not known.
    """

    recording_id: str
    subject_id: str | None
    signal: NDArray[np.float32]
    sfreq: float
    label: int | None
    session_id: str | None = None
