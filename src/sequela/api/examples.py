"""A data set of recordings as examples for a classifier, and its split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.api.parts import LabelledExamples
from sequela.config import SignalSettings, SplitUnit
from sequela.datasets.catalog import lookup
from sequela.errors import SettingError
from sequela.identity.pseudonyms import Ids
from sequela.runs.signals import ids_of, segments_of
from sequela.signals.segments import Segments


@dataclass(frozen=True, eq=False, repr=False)
class Examples(LabelledExamples):
    """Labelled segments of a data set, or one part of them, with all their ids."""

    segments: Segments

    @property
    def X(self) -> NDArray[np.float32]:  # noqa: N802 - scikit-learn's name
        """The samples in µV: float32 (example, n_times), or (example, n_chans, n_times)."""
        signal = self.segments.signal
        return signal[:, 0] if signal.shape[1] == 1 else signal

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.segments.classes

    @property
    def label(self) -> NDArray[np.int64]:
        """The class of each example: int64 (example,), index into ``classes``."""
        return self.segments.label

    @property
    def unit(self) -> SplitUnit:
        """The unit: subjects, or sessions or recordings where subjects are not identified."""
        return self.segments.unit

    @property
    def recordings(self) -> NDArray[np.str_]:
        """The recording of each example: str (example,)."""
        return self.segments.recording_id

    def ids(self) -> Mapping[str, Ids]:
        """Return the ids of rows, recordings and, where they are identified, subjects."""
        return ids_of(self.segments)

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the segments: rows is bool (example,)."""
        return replace(self, segments=self.segments.where(rows))

    def facts(self) -> dict[str, str]:
        """Return their shape."""
        _, n_chans, n_times = self.segments.signal.shape
        rate = f"{self.segments.sfreq:g} Hz"
        return {"each": f"{n_chans} channel(s), {n_times} samples at {rate}, in µV"}


def load(
    name: str,
    *,
    root: Path | str | None = None,
    n_times: int | None = None,
    signals: Mapping[str, Any] | None = None,
) -> Examples:
    """Load the recordings of a data set, cut into segments.

    Args:
        name: A data set of recordings: see ``sequela data list``.
        root: Its folder (default: the usual search path). Nothing is downloaded.
        n_times: Samples of a segment; about a second by default, as set by the data set.
        signals: A description of the user's own recordings, such as ``{"label": "stage", "rate":
            256}``, for the data set ``signals``: fields of :class:`sequela.config.SignalSettings`.

    Raises:
        UnknownNameError: If no data set has that name.
        SettingError: If it holds tables, or its recordings are shorter than a segment.
        DataNotFoundError: If it is not found.
        DataError: If a file does not follow its format.

    Example:
        >>> from sequela.datasets.catalog import EXCERPTS
        >>> bonn = load("bonn", root=EXCERPTS / "bonn.parquet")
        >>> train, held_out = bonn.split(seed=0)
        >>> train.X.shape, held_out.X.shape
        ((9338, 178), (2162, 178))
        >>> held_out.y[0], held_out.groups[0]
        (np.str_('tumour area'), np.str_('F003'))
    """
    given = SignalSettings.of(**signals) if signals else None
    if given and given.standardise:
        raise SettingError(
            "standardise is for `sequela train`; scale arrays yourself: leave it out"
        )
    place = None if root is None else Path(root)
    segments, origin = segments_of(lookup(name), place, given, n_times)
    return Examples(name, origin, segments)
