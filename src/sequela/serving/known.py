"""Recognition of recordings or patients of a model's training or validation set.

They are recognised by the fingerprints in its file and, for a run folder, by their hashed ids too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.identity.fingerprint import Content, copies, of_signals
from sequela.identity.pseudonyms import PLAIN, Pseudonyms, named
from sequela.sequences.content import content_of
from sequela.sequences.flat import Sequences
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
        why_not: A sentence on why they cannot be compared.
        listed: Kinds and hashed ids of a run's training and validation set.
        named: The hash of these ids; ``None`` for fingerprints only.
    """

    content: Content | None
    seen: NDArray[np.bool_]
    how: Pseudonyms
    why_not: str = ""
    listed: frozenset[tuple[str, str]] = frozenset()
    named: Pseudonyms | None = None

    @classmethod
    def of(cls, about: About) -> Self:
        """Read the fingerprints of a model."""
        given = about.fingerprint
        nothing = np.zeros(0, np.bool_)
        if given.marks is None:
            why = "overlap with the training data: not checked, as the model has no fingerprints"
            return cls(None, nothing, PLAIN, why)
        how = named(given.key) if about.takes.keyed else PLAIN
        if how is None:
            why = (
                "overlap with the training data: not checked, as the key of the fingerprints is "
                "missing: name its file with SEQUELA_KEY"
            )
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

    def signals(self, units: Sequence[str], signals: Sequence[NDArray[Any]]) -> list[str]:
        """List the units of signals (n_chans, time) in the training or validation set."""
        if self.content is None:
            return []
        asked = of_signals(units, signals)
        return self._seen(asked, asked.units)

    def records(self, sequences: Sequences) -> list[str]:
        """List the subjects of records in the training or validation set."""
        if self.content is None:
            return []
        asked = content_of(sequences, self.how)
        return self._seen(asked, np.unique(sequences.subject_id).astype(np.str_).tolist())

    def _seen(self, asked: Content, names: Sequence[str]) -> list[str]:
        if self.content is None or not len(asked.mark):
            return []
        found = copies(self.content, self.seen, ~self.seen, asked)
        return [name for name, each in zip(names, found.tolist(), strict=True) if each]
