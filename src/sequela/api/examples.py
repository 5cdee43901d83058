"""Labelled examples of a data set for a classifier, which show themselves and can be split."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sequela.api.facts import Shown
from sequela.cohort.split import PARTS, Split, draw
from sequela.config import SignalSettings, SplitUnit
from sequela.datasets import catalog
from sequela.errors import SettingError
from sequela.evaluation.number import plural
from sequela.identity.pseudonyms import Ids

if TYPE_CHECKING:
    from sequela.cohort.selection import Cohort
    from sequela.sequences.flat import Sequences
    from sequela.signals import segments as signal_segments


@dataclass(frozen=True, eq=False, repr=False)
class LabelledExamples(Shown):
    """Labelled examples of a data set, or one part of them.

    Attributes:
        name: The data set.
        origin: Where it was found, in words.
        part: ``all``, ``train`` or ``held_out``.
        proof: For a part, the split it comes from, with the ids of all parts.
    """

    name: str
    origin: str
    part: str = field(default="all", kw_only=True)
    proof: Split | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    @abstractmethod
    def label(self) -> NDArray[np.int64]:
        """The class of each example: int64 (example,), index into ``classes``."""

    @property
    @abstractmethod
    def unit(self) -> SplitUnit:
        """The default unit of a split."""

    @abstractmethod
    def ids(self) -> Mapping[str, Ids]:
        """Return for each unit that the data can be split by, the ids (example,)."""

    @abstractmethod
    def where(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the examples: rows is bool (example,)."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return their main facts by name."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def y(self) -> NDArray[np.str_]:
        """The name of each example's class: str (example,)."""
        return np.array(self.classes)[self.label]

    @property
    def groups(self) -> NDArray[np.str_]:
        """The subject of each example, or the recording where unknown: str (example,)."""
        return self.ids()[self.unit].astype(np.str_)

    def split(
        self, *, by: SplitUnit | None = None, seed: int = 0, held_out: float = 0.2
    ) -> tuple[Self, Self]:
        """Draw a training set and a test set, stratified by class and proven disjoint.

        With the same seed and share, the test set is the one of ``sequela train``, whose training
        and validation sets are one set here: a classifier draws its own validation set.

        Args:
            by: Unit of the split; by default subjects, or recordings where subjects are not
                identified.
            seed: Seed of the draw.
            held_out: Share of the test set.
        """
        rest = 1 - held_out
        fractions = (0.75 * rest, 0.25 * rest, held_out)
        proof, part = draw(
            label=self.label, ids=self.ids(), unit=by or self.unit, seed=seed, fractions=fractions
        )
        is_test = part == PARTS.index("held_out")
        return (
            replace(self.where(~is_test), part="train", proof=proof),
            replace(self.where(is_test), part="held_out", proof=proof),
        )

    def _shown(self) -> tuple[str, dict[str, str]]:
        entry = catalog.lookup(self.name)
        part = "" if self.part == "all" else f": {self.part.replace('_', '-')} part"
        counts = np.bincount(self.label, minlength=len(self.classes))
        classes = zip(self.classes, counts, strict=True)
        facts = {
            "examples": f"{len(self):,} of {len(np.unique(self.groups)):,} {self.unit}s",
            "classes": ", ".join(f"{name} {count:,}" for name, count in classes),
            **self.facts(),
            "from": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
        }
        if self.proof is not None:
            shared = sum(sum(pairs.values()) for pairs in self.proof.shared().values())
            facts["split"] = f"by {self.proof.unit}, {shared:,} ids in two parts"
            if self.proof.leaks:
                facts["split"] += ": LEAKS, rows of one recording or subject are in several parts"
        return f"{entry.title}{part}", facts


@dataclass(frozen=True, eq=False, repr=False)
class SignalExamples(LabelledExamples):
    """Labelled segments of a data set, or one part of them, with all their ids."""

    segments: "signal_segments.Segments"

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
        from sequela.runs.signals import ids_of

        return ids_of(self.segments)

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the segments: rows is bool (example,)."""
        return replace(self, segments=self.segments.where(rows))

    def facts(self) -> dict[str, str]:
        """Return their shape."""
        _, n_chans, n_times = self.segments.signal.shape
        rate = f"{self.segments.sfreq:g} Hz"
        return {"each": f"{plural(n_chans, 'channel')}, {n_times} samples at {rate}, in µV"}


def load(
    name: str,
    *,
    root: Path | str | None = None,
    n_times: int | None = None,
    signals: Mapping[str, object] | None = None,
) -> SignalExamples:
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
    from sequela.runs.signals import segments_of

    settings = SignalSettings.of(**signals) if signals else None
    if settings and settings.standardise:
        raise SettingError(
            "standardise is for `sequela train`; scale arrays yourself: leave it out"
        )
    place = None if root is None else Path(root)
    segments, origin = segments_of(catalog.lookup(name), place, settings, n_times)
    return SignalExamples(name, origin, segments)


@dataclass(frozen=True, eq=False, repr=False)
class VisitExamples(LabelledExamples):
    """The examples of a task, with their records by the prediction time; or one part of them.

    Attributes:
        cohort: The task, its labels, and the number removed by each rule.
        sequences: The records, on disk.
        rows: int64 (example,), the examples of the sequences.
    """

    cohort: "Cohort"
    sequences: "Sequences"
    rows: NDArray[np.int64]

    unit = "subject"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes: the outcome is the second."""
        return self.cohort.task.outcome.classes

    @cached_property
    def X(self) -> list[list[list[str]]]:  # noqa: N802 - scikit-learn's name
        """Each example's visits in the order of time, each a list of codes."""
        return [self.sequences.codes_of(int(row)) for row in self.rows]

    @property
    def label(self) -> NDArray[np.int64]:
        """The class of each example: int64 (example,), index into ``classes``."""
        return self.sequences.label[self.rows].astype(np.int64)

    def ids(self) -> Mapping[str, Ids]:
        """Return the ids of subjects."""
        return {"subject": self.sequences.subject_id[self.rows].astype(np.str_)}

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the examples: rows is bool (example,)."""
        return replace(self, rows=self.rows[rows])

    def facts(self) -> dict[str, str]:
        """Return the task, the visits, and leaks."""
        facts = {
            "asked": self.cohort.task.describe(),
            "visits": f"{self.sequences.lengths[self.rows].mean():.1f} per example on average",
        }
        for finding in self.cohort.leaks:
            facts[f"{finding.severity.upper()}: {finding.check}"] = finding.what
        return facts


def load_visits(
    name: str, *, work: Path | str, root: Path | str | None = None, **cohort: object
) -> VisitExamples:
    """Load a task on a data set of hospital records, as lists of visits.

    Args:
        name: A data set of tables or MEDS events: see ``sequela data list``.
        work: Folder for derived events and sequences; those it holds already are used again if they
            were made from the same data.
        root: Folder of the data set (default: the usual search path).
        cohort: Settings of :class:`sequela.config.CohortSettings`, for example
            ``task="in-hospital"`` and ``hours=24``; the defaults are those of ``sequela train`` for
            these data. The examples have measurements without their values.

    Raises:
        SettingError: If a setting is unknown or does not fit, including ``bins`` and
            ``min_subjects``: these are learnt in training, so pass them to the classifier.
        SequelaError: If the data cannot be found or read, or do not fit the task.
    """
    if {"bins", "min_subjects"} & set(cohort):
        raise SettingError(
            "bins and min_subjects are learnt from training examples, which are not split off "
            "yet: leave them out here, and give min_subjects to VisitClassifier"
        )
    from sequela.cohort.cohort_settings import cohort_of_settings
    from sequela.runs.records import sequence_settings
    from sequela.sequences.build import build_sequences
    from sequela.studies.registry import records_of

    settings = records_of(name, cohort).model_copy(update={"bins": 0})  # bins are learnt, see above
    folder = Path(work)
    selected = cohort_of_settings(name, settings, None if root is None else Path(root), folder)
    part = np.zeros(len(selected.labels), np.int64)  # a single one, in which every code is known
    # The classifier drops rare codes itself, once the training examples are known.
    cutting = sequence_settings(settings).model_copy(update={"min_subjects": 1})
    stored = folder / "sequences" / f"{name}-{settings.task}-all"
    sequences = build_sequences(selected, part, stored, cutting)
    return VisitExamples(name, selected.origin, selected, sequences, np.arange(len(sequences)))
