"""A data set of recordings as examples for a classifier, and its split."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.segments import Segments, cut
from sequela.cohort.split import Split
from sequela.config import SplitUnit
from sequela.notebook.card import as_html, as_text
from sequela.notebook.parts import proof_in_words, two_parts
from sequela.runs.signals import ids_of
from sequela.sources import catalog

_ONE_CHANNEL = 1


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Labelled segments of a data set, or one part of them.

    Attributes:
        name: The data set.
        origin: Where it was found, in words.
        segments: The segments with all their ids.
        part: ``all``, ``train`` or ``held_out``.
        proof: Of a part, the split that it comes from, which lists who is where.
    """

    name: str
    origin: str
    segments: Segments
    part: str = "all"
    proof: Split | None = None

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def X(self) -> NDArray[np.float32]:  # noqa: N802 - scikit-learn's name
        """In µV: float32 (example, n_times) of one channel, else (example, n_chans, n_times)."""
        signal = self.segments.signal
        return signal[:, 0] if signal.shape[1] == _ONE_CHANNEL else signal

    @property
    def y(self) -> NDArray[np.str_]:
        """Str (example,), the name of the class."""
        return np.array(self.segments.classes)[self.segments.label]

    @property
    def groups(self) -> NDArray[np.str_]:
        """Str (example,), the subject, or the recording where nobody is identified."""
        return ids_of(self.segments)[self._unit]

    def split(
        self, *, by: SplitUnit | None = None, seed: int = 0, held_out: float = 0.2
    ) -> tuple["Examples", "Examples"]:
        """Draw a part to learn from and one to judge by, stratified by class and proven disjoint.

        With the same seed, the held-out part is that of ``sequela train``.

        Args:
            by: What is kept whole; by default subjects, or recordings where nobody is identified.
            seed: Decides the draw.
            held_out: Share of the held-out part.

        Raises:
            SplitError: If the data have no such ids, or too few.
        """
        split, is_held_out = two_parts(
            self.segments.label,
            ids_of(self.segments),
            unit=by or self._unit,
            seed=seed,
            held_out=held_out,
        )
        train, judged = (
            replace(self, segments=self.segments.where(rows), part=name, proof=split)
            for name, rows in (("train", ~is_held_out), ("held_out", is_held_out))
        )
        return train, judged

    @property
    def _unit(self) -> SplitUnit:
        return "recording" if self.segments.subject_id is None else "subject"

    def _facts(self) -> dict[str, str]:
        segments, entry = self.segments, catalog.lookup(self.name)
        _, n_chans, n_times = segments.signal.shape
        counts = np.bincount(segments.label, minlength=len(segments.classes))
        classes = zip(segments.classes, counts, strict=True)
        units = len(np.unique(self.groups))
        facts = {
            "segments": f"{len(self):,} of {units:,} {self._unit}s",
            "each": f"{n_chans} channel(s), {n_times} samples at {segments.sfreq:g} Hz, in µV",
            "classes": ", ".join(f"{name} {count:,}" for name, count in classes),
            "from": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
        }
        if self.proof is not None:
            facts["split"] = proof_in_words(self.proof)
        return facts

    def __repr__(self) -> str:
        return as_text(self._title, self._facts())

    def _repr_html_(self) -> str:
        return as_html(self._title, self._facts())

    @property
    def _title(self) -> str:
        title = catalog.lookup(self.name).title
        return title if self.part == "all" else f"{title}: {self.part.replace('_', '-')} part"


def load(name: str, *, root: Path | str | None = None, n_times: int | None = None) -> Examples:
    """The recordings of a data set, cut into segments.

    Args:
        name: One that holds recordings: see ``sequela data list``.
        root: Where it lies, if not where it is looked for by itself. Nothing is downloaded.
        n_times: Samples of a segment; about a second by default, as the data set says.

    Raises:
        UnknownNameError: If no data set has that name.
        SettingError: If it holds tables, or its recordings are shorter than a segment.
        DataNotFoundError: If it is not found.
        DataError: If a file does not hold what its format promises.

    Example:
        >>> from sequela.sources.catalog import EXCERPTS
        >>> bonn = load("bonn", root=EXCERPTS / "bonn.parquet")
        >>> train, held_out = bonn.split(seed=0)
        >>> train.X.shape, held_out.X.shape
        ((7360, 178), (1840, 178))
        >>> held_out.y[0], held_out.groups[0]
        (np.str_('tumour area'), np.str_('F001'))
    """
    recordings, located = catalog.load_recordings(name, None if root is None else Path(root))
    signals = catalog.signals_of(name)
    segments = cut(recordings, n_times or signals.n_times, signals.classes)
    return Examples(name, located.origin, segments)
