"""Recognition of recordings or patients of a model's training or validation set.

They are recognised by hashes of their exact content in its file and, for a run folder, by their
hashed ids too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.identity.exact import Exact, of_windows
from sequela.identity.pseudonyms import PLAIN, Pseudonyms, named
from sequela.sequences.content import exact_of
from sequela.sequences.flat import Sequences
from sequela.serving.about import About

if TYPE_CHECKING:
    from sequela.cohort.split import Split


@dataclass(frozen=True)
class Known:
    """Hashes of the data of a model.

    Attributes:
        content: The hashes; ``None`` if they cannot be compared.
        seen: bool (unit,), whether each is in the training or validation set.
        how: The hash of codes.
        why_not: Why units cannot be compared, as the end of a sentence.
        listed: Kinds and hashed ids of a run's training and validation set.
        named: The hash of these ids; ``None`` for content only.
    """

    content: Exact | None
    seen: NDArray[np.bool_]
    how: Pseudonyms
    why_not: str = "which change too little, or have too few codes, to be recognised"
    listed: frozenset[tuple[str, str]] = frozenset()
    named: Pseudonyms | None = None

    @classmethod
    def of(cls, about: About) -> Self:
        """Read the hashes of a model."""
        given = about.fingerprint
        nothing = np.zeros(0, np.bool_)
        how = named(given.key) if about.takes.keyed else PLAIN
        if given.marks is not None and how is None:
            why = "as the key of the hashes is missing (name its file with SEQUELA_KEY)"
            return cls(None, nothing, PLAIN, why)
        try:
            content = given.marks and Exact.from_json(given.marks)
            if not content or how is None:
                return cls(None, nothing, PLAIN, "as the model has no hashes of exact content")
            seen = np.zeros(len(content.units), np.bool_)
            seen[given.seen] = True
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"the hashes of the training data are damaged ({error}): export the run again"
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
        self, units: Sequence[str], windows: NDArray[np.float32]
    ) -> tuple[list[str], list[str]]:
        """List the units of windows (window, n_chans, time) in the training or validation set.

        The second list has all units with enough content to be recognised.
        """
        return self._compared(of_windows(units, [windows]) if self.content else None)

    def records(self, sequences: Sequences) -> tuple[list[str], list[str]]:
        """List the subjects of records, as ``signals`` does its units."""
        names = np.unique(sequences.subject_id).astype(np.str_).tolist()
        asked = replace(exact_of(sequences, self.how), units=tuple(names)) if self.content else None
        return self._compared(asked)

    def _compared(self, asked: Exact | None) -> tuple[list[str], list[str]]:
        if self.content is None or asked is None:
            return [], []
        copied = self.content.copied(self.seen, asked)
        return [*compress(asked.units, copied)], [*compress(asked.units, asked.recognisable)]
