"""Recognition of recordings or patients of a model's training or validation set.

They are recognised by the fingerprints in its file and, for a run folder, by their hashed ids too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.identity.fingerprint import Content, copies, matches, of_signals, recognisable
from sequela.identity.pseudonyms import PLAIN, Pseudonyms, named
from sequela.sequences.flat import Sequences, content_of
from sequela.serving.about import About

if TYPE_CHECKING:
    from sequela.cohort.split import Split


@dataclass(frozen=True)
class Known:
    """Fingerprints of the data of a model.

    Attributes:
        content: The fingerprints; ``None`` if they cannot be compared.
        seen: bool (unit,), whether each is in the training or validation set.
        how: The hash of codes.
        why_not: Why units cannot be compared, as the end of a sentence.
        listed: Kinds and hashed ids of a run's training and validation set.
        named: The hash of these ids; ``None`` for fingerprints only.
    """

    content: Content | None
    seen: NDArray[np.bool_]
    how: Pseudonyms
    why_not: str = "which are too short, or have too few values, to be recognised"
    listed: frozenset[tuple[str, str]] = frozenset()
    named: Pseudonyms | None = None

    @classmethod
    def of(cls, about: About) -> Self:
        """Read the fingerprints of a model."""
        given = about.fingerprint
        nothing = np.zeros(0, np.bool_)
        if given.marks is None:
            return cls(None, nothing, PLAIN, "as the model has no fingerprints")
        how = named(given.key) if about.takes.keyed else PLAIN
        if how is None:
            why = "as the key of the fingerprints is missing (name its file with SEQUELA_KEY)"
            return cls(None, nothing, PLAIN, why)
        try:
            content = Content.from_json(given.marks)
            seen = np.zeros(len(content.units), np.bool_)
            seen[given.seen] = True
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"the fingerprints of the training data are damaged ({error}): export the run again"
            ) from error
        return cls(content, seen, how)

    def by_name(self, split: "Split") -> Self:
        """Add the ids of a run's units."""
        listed = frozenset(
            (kind, id_)
            for kind, each in split.ids.items()
            for id_ in each["train"] + each["tuning"]
        )
        return replace(self, listed=listed, named=split.pseudonyms)

    def names(self, ids: Sequence[str], kind: str = "subject") -> list[str]:
        """List the ids of a kind that are in the training or validation set."""
        if self.named is None:
            return []
        return [id_ for id_ in dict.fromkeys(ids) if (kind, self.named.of(id_)) in self.listed]

    def signals(
        self, units: Sequence[str], signals: Sequence[NDArray[Any]]
    ) -> tuple[list[str], list[str]]:
        """List the units of signals (n_chans, time) in the training or validation set.

        The second list has all units with enough content to be recognised.
        """
        if self.content is None:
            return [], []
        asked = of_signals(units, signals)
        return self._compared(self.content, asked, asked.units)

    def records(self, sequences: Sequences) -> tuple[list[str], list[str]]:
        """List the subjects of records, as ``signals`` does its units."""
        if self.content is None:
            return [], []
        names = np.unique(sequences.subject_id).astype(np.str_).tolist()
        return self._compared(self.content, content_of(sequences, self.how), names)

    def _compared(
        self, content: Content, asked: Content, names: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        pairs = matches(content, asked)
        copied = copies(pairs, self.seen, ~self.seen, len(names))
        checked = recognisable(content, asked, pairs)
        return [*compress(names, copied)], [*compress(names, checked)]
