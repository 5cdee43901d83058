"""The codes that affect a model of visits most, over many examples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.config import SMALLEST_CELL
from sequela.evaluation.attribution import STEPS, Attribution, attribute_visits
from sequela.sequences.flat import Sequences
from sequela.sequences.visit_batches import VisitDataset, visit_loader

_BATCH = 64
Explained = tuple[int, NDArray[np.integer], Attribution]
"""Subject, places of the inputs among their names, and attributions."""


@dataclass(frozen=True)
class CodeImportance:
    """The effect of a code on the predictions for the test set.

    ``mean_absolute`` is over all test examples, ``mean`` over those that have the code.
    """

    code: str
    subjects: int
    mean_absolute: float
    mean: float


@dataclass(frozen=True)
class Importance:
    """The codes of the test set by importance, and the relative completeness error of the examples.

    ``codes`` has the most important first; codes of fewer than 10 subjects are only counted.
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
    weights: Tensor,
    smallest: int = SMALLEST_CELL,
) -> Importance:
    """Compute mean absolute attributions of the codes over the examples ``rows`` (row,).

    ``what`` is the explained number in words, with its ``weights`` (class,) of the logits; codes of
    fewer subjects are counted, not named.
    """

    def explained() -> Iterator[Explained]:
        for batch in visit_loader(VisitDataset(sequences, rows), batch_size=_BATCH):
            attributions = attribute_visits(model, batch, weights, STEPS)
            examples = rows[batch.order.numpy()].tolist()
            for example, attribution in zip(examples, attributions, strict=True):
                first, last = sequences.code_offsets[sequences.step_offsets[[example, example + 1]]]
                places = np.asarray(sequences.codes[first:last])
                yield int(sequences.subject_id[example]), places, attribution

    return ranked(sequences.vocabulary, explained(), len(rows), what, smallest)


def ranked(
    names: Sequence[str],
    explained: Iterable[Explained],
    examples: int,
    what: str,
    smallest: int,
) -> Importance:
    """Rank names of codes or inputs by their mean absolute attribution over ``examples`` examples.

    ``explained`` has for each example its subject, the places (input,) of its inputs among the
    names, and the attribution of each. Inputs of fewer subjects are counted, not named.
    """
    size = len(names)
    absolute, summed, present = np.zeros(size), np.zeros(size), np.zeros(size)
    subject_places: set[tuple[int, int]] = set()
    errors = []
    for subject, places, attribution in explained:
        # A code in several visits counts together.
        at = np.bincount(places, attribution.values, size)
        distinct = np.unique(places)
        absolute[distinct] += np.abs(at[distinct])
        summed[distinct] += at[distinct]
        present[distinct] += 1
        subject_places.update((subject, place) for place in distinct.tolist())
        errors.append(attribution.relative_error)
    subjects = np.bincount([place for _, place in subject_places], minlength=size)
    frequent = np.flatnonzero(subjects >= smallest)
    order = frequent[np.argsort(-absolute[frequent], kind="stable")]
    codes = []
    for i in order:
        means = float(absolute[i] / examples), float(summed[i] / present[i])
        codes.append(CodeImportance(names[i], int(subjects[i]), *means))
    hidden = int(((subjects > 0) & (subjects < smallest)).sum())
    ends = float(np.median(errors)), float(np.max(errors))
    return Importance(what, tuple(codes), hidden, examples, *ends)
