"""The base of labelled examples that show themselves and can be split."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sequela.api.facts import as_html, as_text
from sequela.cohort.split import PARTS, Split, draw
from sequela.config import SplitUnit
from sequela.datasets import catalog
from sequela.identity.pseudonyms import Ids


@dataclass(frozen=True, eq=False, repr=False)
class LabelledExamples(ABC):
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
        judged = part == PARTS.index("held_out")
        return (
            replace(self.where(~judged), part="train", proof=proof),
            replace(self.where(judged), part="held_out", proof=proof),
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

    def __repr__(self) -> str:
        return as_text(*self._shown())

    def _repr_html_(self) -> str:
        return as_html(*self._shown())
