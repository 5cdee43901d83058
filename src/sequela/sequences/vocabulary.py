"""The vocabulary of a model, from training data: codes as recorded or cut to a level, and bins.

The bins of a measurement are quantiles of its training values, equal values in one bin.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.config import SequenceSettings
from sequela.datasets.codes import AGE, body_of, family_of

if TYPE_CHECKING:
    from sequela.cohort.tasks import Task

UNKNOWN = "UNKNOWN"  # index 0 of every vocabulary
AGE_DECADES = tuple(f"{AGE}//{decade}" for decade in range(0, 130, 10))


def cut_code(code: str, digits: int | None) -> str:
    """Cut an ICD code to a level; other codes, and ICD-10 procedures, are unchanged.

    The dot of an ICD-9 diagnosis follows three characters (numeric and V codes) or four (E codes).

    Example:
        >>> [cut_code(f"ICD9CM//{c}", 0) for c in ("4280", "0042", "042", "V4581", "E8781")]
        ['ICD9CM//428', 'ICD9CM//004', 'ICD9CM//042', 'ICD9CM//V45', 'ICD9CM//E878']
        >>> cut_code("ICD10CM//I50.9", 1), cut_code("ICD9PROC//3961", 0), cut_code("LAB//50912", 0)
        ('ICD10CM//I509', 'ICD9PROC//39', 'LAB//50912')
    """
    family, body = family_of(code), body_of(code)
    if digits is None or family.dot is None:
        return code
    bare = body.replace(".", "")  # MIMIC writes no dots, eICU does
    of_e = bare[:1] == "E" and family.dot_of_e is not None
    dot = family.dot_of_e if of_e else family.dot
    return code[: len(code) - len(body)] + bare[: (dot or 0) + digits]


def levels_of(code: str) -> tuple[str, ...]:
    """Return the groups that a code belongs to, from the widest to the code itself.

    The groups of a path are its beginnings; the group of an ICD code is its category.

    Example:
        >>> levels_of("EICU_DX//renal|failure"), levels_of("LAB//50912")
        (('EICU_DX//renal', 'EICU_DX//renal|failure'), ('LAB//50912',))
        >>> levels_of("ICD9CM//4280")
        ('ICD9CM//428', 'ICD9CM//4280')
    """
    between = family_of(code).path
    if not between:
        return tuple(dict.fromkeys((cut_code(code, 0), code)))
    return tuple(accumulate(code.split(between), lambda *parts: between.join(parts)))


def known(names: Sequence[str], subjects: NDArray[np.int64], min_subjects: int) -> list[int]:
    """Choose the names of a vocabulary: those of enough training subjects, sorted.

    Index 0 of a vocabulary is ``UNKNOWN``, for all other names. The result is the places of these
    names, in the order of the vocabulary.

    Example:
        >>> known(["b", "a", "c"], np.array([2, 1, 1]), 1), known(["b", "a"], np.array([2, 1]), 2)
        ([1, 0, 2], [0])
    """
    enough = np.flatnonzero(subjects >= min_subjects).tolist()
    return sorted((i for i in enough if names[i] != UNKNOWN), key=names.__getitem__)


@dataclass(frozen=True)
class Vocabulary:
    """The codes and measurements of a model by index, learnt from its training set.

    The first code is for all others. ``edges`` are for each channel the upper ends of all its bins
    but the last; none without bins.
    """

    vocabulary: tuple[str, ...]
    channels: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> Self:
        """Read the vocabulary in the header of sequences, or of a model."""
        edges = tuple(tuple(ends) for ends in header["edges"])
        return cls(tuple(header["vocabulary"]), tuple(header["channels"]), edges)

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary for a header, where :meth:`of` finds it."""
        return dict(vars(self))  # asdict copies each code


@dataclass(frozen=True)
class Terms:
    """The terms, sorted, and the number of the term that each code of the events counts as.

    It is ``None`` for admissions and discharges that are not inputs but show that a visit took
    place. Codes that make labels, and births, are not here, so a join of events excludes them.
    """

    names: tuple[str, ...]
    of_code: Mapping[str, int | None]


def terms_of(codes: Iterable[str], task: "Task", settings: SequenceSettings) -> Terms:
    """Select the codes that a model may see."""
    allowed: dict[str, str | None] = {}
    extra = AGE_DECADES if settings.demographics else ()
    for code in (*codes, *extra):
        family = family_of(code)
        if family.label_only:
            continue
        is_input = family.name in task.families if task.inputs else not family.answer
        if task.hindsight and family.ending:  # it reveals the outcome
            is_input = False
        if family.demographic:
            is_input = settings.demographics and (family.name != AGE or code in AGE_DECADES)
        if is_input:
            allowed[code] = cut_code(code, settings.icd_digits)
        elif family.visit_mark:
            allowed[code] = None
    names = tuple(sorted({term for term in allowed.values() if term is not None}))
    number = {name: i for i, name in enumerate(names)}
    of_code = {code: None if term is None else number[term] for code, term in allowed.items()}
    return Terms(names, of_code)


def bin_edges(
    kind: NDArray[np.int64], values: NDArray[np.floating], counts: NDArray[np.int64], bins: int
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Compute the upper ends of all bins but the last, for each kind of measurement.

    The end of bin ``k`` is the least value that at least ``k / bins`` of the training values do not
    exceed: the inverse of their distribution function, in whole numbers throughout. Kinds rise, and
    so do the distinct values (value,) within a kind. The result is the kinds (kind,) and the ends
    (kind, bins - 1), of the type of the values.

    Example:
        >>> kind, values = np.array([4, 4, 4, 7]), np.array([1.0, 2, 3, 5])
        >>> kinds, ends = bin_edges(kind, values, np.ones(4, int), 3)
        >>> kinds.tolist(), ends.tolist()
        ([4, 7], [[1.0, 2.0], [5.0, 5.0]])
    """
    kinds, first = np.unique(kind, return_index=True)
    so_far = np.cumsum(counts)  # of all kinds, so that one search serves them
    before = so_far[first] - counts[first]  # (kind,)
    total = np.diff(before, append=counts.sum())
    rank = -(-total[:, None] * np.arange(1, bins) // bins)  # rounded up: (kind, bins - 1)
    return kinds, values[np.searchsorted(so_far, before[:, None] + rank)]


def bin_name(name: str, number: int) -> str:
    """Return the code of a measurement in a bin, counted from 1: ``LAB//50912//Q3``."""
    return f"{name}//Q{number}"
