"""A task on hospital records as examples for a classifier, and its split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.api.parts import LabelledExamples
from sequela.cohort.cohort_settings import cohort_of_settings
from sequela.cohort.selection import Cohort
from sequela.errors import SettingError
from sequela.identity.pseudonyms import Ids
from sequela.runs.records import sequence_settings
from sequela.sequences.build import build_sequences
from sequela.sequences.flat import Sequences
from sequela.studies.registry import asked_of


@dataclass(frozen=True, eq=False, repr=False)
class VisitExamples(LabelledExamples):
    """The examples of a task, with their records by the prediction time; or one part of them.

    Attributes:
        cohort: The task, its labels, and the number removed by each rule.
        sequences: The records, on disk.
        rows: int64 (example,), the examples of the sequences.
    """

    cohort: Cohort
    sequences: Sequences
    rows: NDArray[np.int64]

    unit = "subject"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes: the outcome is the second."""
        return self.cohort.task.outcome.classes

    @cached_property
    def X(self) -> list[list[list[str]]]:  # noqa: N802 - scikit-learn's name
        """Each example's visits in the order of time, each a list of codes."""
        return [self.sequences.codes_of(int(row)) for row in self.rows]

    @property
    def label(self) -> NDArray[np.int64]:
        """The class of each example: int64 (example,), index into ``classes``."""
        return self.sequences.label[self.rows].astype(np.int64)

    def ids(self) -> Mapping[str, Ids]:
        """Return the ids of subjects."""
        return {"subject": self.sequences.subject_id[self.rows].astype(np.str_)}

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the examples: rows is bool (example,)."""
        return replace(self, rows=self.rows[rows])

    def facts(self) -> dict[str, str]:
        """Return the task, the visits, and leaks."""
        return {
            "asked": self.cohort.task.describe(),
            "visits": f"{self.sequences.lengths[self.rows].mean():.1f} per example on average",
            **{f"{each.severity.upper()}: {each.check}": each.what for each in self.cohort.leaks},
        }


def load_visits(
    name: str, *, work: Path | str, root: Path | str | None = None, **cohort: Any
) -> VisitExamples:
    """Load a task on a data set of hospital records, as lists of visits.

    Args:
        name: A data set of tables or MEDS events: see ``sequela data list``.
        work: Folder for derived events and sequences; those it holds already are used again if they
            were made from the same data.
        root: Folder of the data set (default: the usual search path).
        cohort: Settings of :class:`sequela.config.CohortSettings`, for example
            ``task="in-hospital"`` and ``hours=24``; the defaults are those of ``sequela train`` for
            these data. The examples have measurements without their values.

    Raises:
        SettingError: If a setting is unknown or does not fit, including ``bins`` and
            ``min_subjects``: these are learnt in training, so pass them to the classifier.
        SequelaError: If the data cannot be found or read, or do not fit the task.
    """
    if {"bins", "min_subjects"} & set(cohort):
        raise SettingError(
            "bins and min_subjects are learnt from training examples, which are not split off "
            "yet: leave them out here, and give min_subjects to VisitClassifier"
        )
    asked = asked_of(name, cohort).model_copy(update={"bins": 0})
    folder = Path(work)
    who = cohort_of_settings(name, asked, None if root is None else Path(root), folder)
    everybody = np.zeros(len(who.labels), np.int64)  # a single part, in which every code is known
    settings = sequence_settings(asked).model_copy(update={"min_subjects": 1})
    kept = folder / "sequences" / f"{name}-{asked.task}-all"
    sequences = build_sequences(who, everybody, kept, settings)
    return VisitExamples(name, who.origin, who, sequences, np.arange(len(sequences)))
