"""Overlap of new data with a model's training or validation set: recordings or patients.

They are recognised by the fingerprints in its file and, for a run folder, by their hashed ids too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.formats.arrays import Array
from sequela.identity.fingerprint import Content, copies, matches, of_signals, recognisable
from sequela.identity.pseudonyms import PLAIN, Pseudonyms, named
from sequela.sequences.flat import Sequences, content_of
from sequela.serving.model_facts import ModelFacts

if TYPE_CHECKING:
    from sequela.cohort.split import Split


@dataclass(frozen=True)
class Overlap:
    """Fingerprints of the data of a model, which new data are compared with.

    ``why_not`` is why units cannot be compared, as the end of a sentence; ``listed`` are kinds and
    hashed ids of a run's training and validation set.
    """

    content: Content | None  # the fingerprints; ``None`` if they cannot be compared
    trained: NDArray[np.bool_]  # bool (unit,), whether each is in the training or validation set
    how: Pseudonyms  # the hash of codes
    why_not: str = "which are too short, or have too few values, to be recognised"
    listed: frozenset[tuple[str, str]] = frozenset()
    hash_of_ids: Pseudonyms | None = None  # the hash of listed ids; ``None`` without a run

    @classmethod
    def of(cls, about: ModelFacts) -> Self:
        """Read the fingerprints of a model."""
        stored = about.fingerprint
        nothing = np.zeros(0, np.bool_)
        if stored.marks is None:
            return cls(None, nothing, PLAIN, "as the model has no fingerprints")
        # Codes can be guessed without a key, samples of EEG cannot.
        how = named(stored.key) if about.takes.keyed else PLAIN
        if how is None:
            why = "as the key of the fingerprints is missing (name its file with SEQUELA_KEY)"
            return cls(None, nothing, PLAIN, why)
        try:
            content = Content.from_json(stored.marks)
            trained = np.zeros(len(content.units), np.bool_)
            trained[stored.seen] = True
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"the fingerprints of the training data are damaged ({error}): export the run again"
            ) from error
        return cls(content, trained, how)

    def by_name(self, split: "Split") -> Self:
        """Add the ids of a run's units."""
        listed: set[tuple[str, str]] = set()
        for kind, ids in split.ids.items():
            listed.update((kind, id_) for id_ in ids["train"] + ids["tuning"])
        return replace(self, listed=frozenset(listed), hash_of_ids=split.pseudonyms)

    def names(self, ids: Sequence[str], kind: str = "subject") -> list[str]:
        """List the ids of a kind that are in the training or validation set."""
        if self.hash_of_ids is None:
            return []
        # A set: Split.named compares arrays, which is slow for one id at a time.
        hashed = {id_: (kind, self.hash_of_ids.of(id_)) for id_ in ids}
        return [id_ for id_, pair in hashed.items() if pair in self.listed]

    def signals(
        self, units: Sequence[str], signals: Sequence[Array]
    ) -> tuple[list[str], list[str]]:
        """List the units of signals (n_chans, time) in the training or validation set.

        The second list has all units with enough content to be recognised.
        """
        if self.content is None:
            return [], []
        new = of_signals(units, signals)
        return self._compared(self.content, new, new.units)

    def records(self, sequences: Sequences) -> tuple[list[str], list[str]]:
        """List the subjects of records, as ``signals`` does its units."""
        if self.content is None:
            return [], []
        names = np.unique(sequences.subject_id).astype(np.str_).tolist()
        return self._compared(self.content, content_of(sequences, self.how), names)

    def _compared(
        self, content: Content, new: Content, names: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        # A copy of a test unit is no copy of a training unit, even if it resembles one.
        pairs = matches(content, new)
        copied = copies(pairs, self.trained, ~self.trained, len(names))  # bool (unit,)
        checked = recognisable(content, new, pairs)  # bool (unit,): with enough marks
        return [*compress(names, copied)], [*compress(names, checked)]
