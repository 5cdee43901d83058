"""The codes that affect a model of visits most, over many examples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sequela.config import SMALLEST_CELL
from sequela.evaluation.attribution import STEPS, Attribution, attribute_visits, contrast
from sequela.sequences.flat import Sequences
from sequela.sequences.visit_batches import VisitDataset, visit_loader

_BATCH = 64
_TWO = 2
Of = tuple[int, NDArray[np.integer], Attribution]
"""Subject, places of the inputs among their names, and attributions."""


@dataclass(frozen=True)
class CodeImportance:
    """The effect of a code on the predictions for the test set.

    Attributes:
        code: Its name.
        subjects: Test subjects who have it.
        mean_absolute: Mean absolute attribution over all test examples.
        mean: Mean attribution over the examples that have it.
    """

    code: str
    subjects: int
    mean_absolute: float
    mean: float


@dataclass(frozen=True)
class Importance:
    """The codes of the test set by importance.

    Attributes:
        what: The number that is explained.
        codes: The most important first; without codes of fewer than 10 subjects.
        suppressed: Number of codes of fewer subjects.
        examples: Number of test examples.
        median_error: Median relative completeness error of the examples.
        largest_error: The largest.
    """

    what: str
    codes: tuple[CodeImportance, ...]
    suppressed: int
    examples: int
    median_error: float
    largest_error: float


def importance_of_codes(
    model: nn.Module,
    sequences: Sequences,
    rows: NDArray[np.int64],
    what: str,
    smallest: int = SMALLEST_CELL,
) -> Importance:
    """Compute mean absolute attributions of the codes over some examples.

    Args:
        model: A model of visits, of two classes.
        sequences: The examples.
        rows: int64 (row,), the examples to use.
        what: The number that is explained, in words.
        smallest: Codes of fewer subjects are counted, not named.
    """

    def found() -> Iterator[Of]:
        for batch in visit_loader(VisitDataset(sequences, rows), batch_size=_BATCH):
            attributions = attribute_visits(model, batch, contrast(_TWO, 1), STEPS)
            examples = rows[batch.order.numpy()].tolist()
            for example, one in zip(examples, attributions, strict=True):
                first, last = sequences.code_offsets[sequences.step_offsets[[example, example + 1]]]
                places = np.asarray(sequences.codes[first:last])
                yield int(sequences.subject_id[example]), places, one

    return ranked(sequences.vocabulary, found(), len(rows), what, smallest)


def ranked(
    names: Sequence[str], found: Iterable[Of], examples: int, what: str, smallest: int
) -> Importance:
    """Rank names by their mean absolute attribution.

    Args:
        names: Names of all codes or inputs.
        found: For each example: its subject, the places (input,) of its inputs among the names, and
            the attribution of each.
        examples: Number of examples.
        what: The number that is explained, in words.
        smallest: Inputs of fewer subjects are counted, not named.
    """
    size = len(names)
    absolute, summed, present = np.zeros(size), np.zeros(size), np.zeros(size)
    whose: set[tuple[int, int]] = set()
    errors = []
    for subject, places, one in found:
        at = np.bincount(places, one.values, size)  # a code in several visits counts together
        there = np.unique(places)
        absolute[there] += np.abs(at[there])
        summed[there] += at[there]
        present[there] += 1
        whose.update((subject, place) for place in there.tolist())
        errors.append(one.relative_error)
    subjects = np.bincount([place for _, place in whose], minlength=size)
    shown = np.flatnonzero(subjects >= smallest)
    order = shown[np.argsort(-absolute[shown], kind="stable")]
    return Importance(
        what,
        tuple(
            CodeImportance(
                names[i],
                int(subjects[i]),
                float(absolute[i] / examples),
                float(summed[i] / present[i]),
            )
            for i in order
        ),
        int(((subjects > 0) & (subjects < smallest)).sum()),
        examples,
        float(np.median(errors)),
        float(np.max(errors)),
    )
