"""Examples of visits in memory, from nested lists of codes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequela.errors import DataError
from sequela.sequences.vocabulary import UNKNOWN, known


@dataclass(frozen=True, eq=False)
class VisitLists:
    """Examples of visits of codes, as flat arrays that nest like stored sequences.

    Attributes:
        names: The codes by index.
        codes: int64 (code,), indices into ``names``, those of one visit distinct and rising.
        code_offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end.
        step_offsets: int64 (example + 1,), the start of each example in the visits, and the end.
        label: int64 (example,), index of the class; 0 where it is not known.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    code_offsets: NDArray[np.int64]
    step_offsets: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.step_offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The number of visits of each example: int64 (example,)."""
        return np.diff(self.step_offsets)

    @classmethod
    def of(cls, examples: Sequence[Any]) -> Self:
        """Convert examples that are sequences of visits, which are sequences of codes."""
        for i, example in enumerate(examples):
            if not _is_many(example) or not len(example) or not all(map(_is_many, example)):
                raise DataError(
                    f"example {i} is {_shown(example)}: expected a list of one visit or more, each "
                    "a list of codes, for example [['I50', 'E11'], ['I21']]"
                )
        visits = [*chain.from_iterable(examples)]
        number: dict[str, int] = {}
        flat = [number.setdefault(_code(c), len(number)) for c in chain.from_iterable(visits)]
        lists = cls(
            names=tuple(number),
            codes=np.array(flat, np.int64),
            code_offsets=_offsets([len(visit) for visit in visits]),
            step_offsets=_offsets([len(example) for example in examples]),
            label=np.zeros(len(examples), np.int64),
        )
        return lists.under(lists.names, lists.label)

    def vocabulary(
        self, rows: NDArray[np.int64], group: NDArray[Any], min_subjects: int
    ) -> tuple[str, ...]:
        """Learn the vocabulary of some rows: index 0 for unknown codes, then the sorted names.

        ``group`` (example,) is the subject of each example; codes in examples of fewer than
        ``min_subjects`` are dropped.
        """
        counts = np.diff(self.code_offsets)  # codes of each visit
        example = np.repeat(np.repeat(np.arange(len(self)), self.lengths), counts)  # of each code
        learnt = np.isin(example, rows)  # codes of training examples
        subject = np.unique(group, return_inverse=True)[1][example[learnt]]
        # A subject and a code become one number, so that each pair counts once.
        pairs = np.unique(subject * max(1, len(self.names)) + self.codes[learnt])
        subjects = np.bincount(pairs % max(1, len(self.names)), minlength=len(self.names))
        places = known(self.names, subjects, min_subjects)
        if not places:
            raise DataError(
                f"no code occurs in training examples of {min_subjects} subject(s) or more: give "
                "examples with codes, or lower min_subjects"
            )
        return (UNKNOWN, *dict.fromkeys(self.names[i] for i in places))

    def under(self, vocabulary: Sequence[str], label: NDArray[np.int64]) -> Self:
        """Return the examples with indices into a vocabulary, and their labels."""
        place = {name: i for i, name in enumerate(vocabulary)}
        index = np.array([place.get(name, 0) for name in self.names], np.int64)
        n_visits = len(self.code_offsets) - 1
        visit = np.repeat(np.arange(n_visits), np.diff(self.code_offsets))
        # So are a visit and a code: codes of one visit become distinct and sorted.
        pairs = np.unique(visit * max(1, len(vocabulary)) + index[self.codes])
        visit, codes = np.divmod(pairs, max(1, len(vocabulary)))
        offsets = _offsets(np.bincount(visit, minlength=n_visits))
        return replace(
            self, names=tuple(vocabulary), codes=codes, code_offsets=offsets, label=label
        )


def as_lists(X: Any) -> list[Any] | None:
    """Return the examples where they are nested lists of codes; ``None`` where they are a table."""
    examples = X
    if hasattr(X, "to_list"):  # a series of pandas or polars
        examples = X.to_list()
    elif isinstance(X, np.ndarray) and X.dtype.kind in "OU":
        examples = X.tolist()
    if not isinstance(examples, list | tuple):
        return None
    first = next((example for example in examples if _is_many(example) and len(example)), None)
    nested = first is not None and (isinstance(first[0], str) or _is_many(first[0]))
    return list(examples) if nested else None


def _is_many(value: object) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _code(value: object) -> str:
    if isinstance(value, str | int | np.integer):
        return str(value)
    raise DataError(f"a code is {_shown(value)}: expected text or a whole number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


def _offsets(counts: ArrayLike) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
