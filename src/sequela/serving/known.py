"""Which of new recordings or patients a model was trained on.

They are known by the marks in its file, and, where a run folder is asked, by their hashed ids too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.fingerprint import Content, copies, of_signals
from sequela.cohort.pseudonyms import PLAIN, Pseudonyms, named
from sequela.errors import DataError
from sequela.sequences.content import content_of
from sequela.sequences.flat import Sequences

if TYPE_CHECKING:
    from sequela.cohort.split import Split


@dataclass(frozen=True)
class Known:
    """Marks of what a model has seen and of what it has not.

    Attributes:
        content: Marks; ``None`` where they cannot be compared.
        seen: bool (unit,), whether it was trained or tuned on each.
        how: How codes are hashed.
        why_not: Why they cannot be compared, as a sentence.
        listed: Kinds and hashed ids of what a run was trained or tuned on.
        named: How these are hashed; ``None`` where only the marks tell.
    """

    content: Content | None
    seen: NDArray[np.bool_]
    how: Pseudonyms
    why_not: str = ""
    listed: frozenset[tuple[str, str]] = frozenset()
    named: Pseudonyms | None = None

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Self:
        """The marks that a model carries.

        Raises:
            DataError: If they are damaged.
        """
        marks = about["fingerprint"]
        nothing = np.zeros(0, np.bool_)
        if marks["marks"] is None:
            why = "the model has no marks of its training data: whom it has seen is not known"
            return cls(None, nothing, PLAIN, why)
        how = PLAIN if about["kind"] == "signal" else named(marks["key"])
        if how is None:
            why = (
                "the marks of the training data are hashed with a key that is not here, so whom "
                "the model has seen is not known: name its file with SEQUELA_KEY"
            )
            return cls(None, nothing, PLAIN, why)
        try:
            content = Content.from_json(marks["marks"])
            seen = np.zeros(len(content.units), np.bool_)
            seen[marks["seen"]] = True
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"the marks of the training data are damaged ({error}): export the run again"
            ) from error
        return cls(content, seen, how)

    def by_name(self, split: "Split") -> Self:
        """The same, which knows the units of a run by their names too."""
        listed = frozenset(
            (kind, id_)
            for kind, each in split.ids.items()
            for id_ in each["train"] + each["tuning"]
        )
        return replace(self, listed=listed, named=split.pseudonyms)

    def names(self, ids: Sequence[str], kind: str = "subject") -> list[str]:
        """List those of some ids of a kind that the model has seen, by their names."""
        if self.named is None:
            return []
        return [id_ for id_ in dict.fromkeys(ids) if (kind, self.named.of(id_)) in self.listed]

    def signals(self, units: Sequence[str], signals: Sequence[NDArray[Any]]) -> list[str]:
        """The units of signals (n_chans, time) that the model has seen."""
        if self.content is None:
            return []
        asked = of_signals(units, signals)
        return self._seen(asked, asked.units)

    def records(self, sequences: Sequences) -> list[str]:
        """The subjects of records that the model has seen."""
        if self.content is None:
            return []
        asked = content_of(sequences, self.how)
        return self._seen(asked, np.unique(sequences.subject_id).astype(np.str_).tolist())

    def _seen(self, asked: Content, names: Sequence[str]) -> list[str]:
        if self.content is None or not len(asked.mark):
            return []
        found = copies(self.content, self.seen, ~self.seen, asked)
        return [name for name, each in zip(names, found.tolist(), strict=True) if each]
