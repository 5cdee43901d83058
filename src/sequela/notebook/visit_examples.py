"""A task on hospital records as examples for a classifier, and its split."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.events import open_events
from sequela.cohort.selection import Cohort
from sequela.cohort.split import Split
from sequela.errors import SettingError
from sequela.notebook.card import as_html, as_text
from sequela.notebook.parts import proof_in_words, two_parts
from sequela.runs import records
from sequela.sequences.build import build_sequences
from sequela.sequences.flat import Sequences
from sequela.sources import catalog, events
from sequela.studies import mortality


@dataclass(frozen=True, eq=False, repr=False)
class VisitExamples:
    """Who is asked about, what was known of each by then, and what came true; or one part of it.

    Attributes:
        name: The data set.
        origin: Where it was found, in words.
        cohort: The task, its labels, and how many were left out by which rule.
        sequences: What was known, on disk.
        rows: int64 (example,), which examples of the sequences these are.
        part: ``all``, ``train`` or ``held_out``.
        proof: Of a part, the split that it comes from, which lists who is where.
    """

    name: str
    origin: str
    cohort: Cohort
    sequences: Sequences
    rows: NDArray[np.int64]
    part: str = "all"
    proof: Split | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def X(self) -> list[list[list[str]]]:  # noqa: N802 - scikit-learn's name
        """Each example's visits in the order of time, each a list of codes."""
        return [self.sequences.codes_of(int(row)) for row in self.rows]

    @property
    def y(self) -> NDArray[np.str_]:
        """Str (example,), the class by its name: ``died`` or ``survived``."""
        return np.array(self.cohort.task.outcome.classes)[
            self.sequences.label[self.rows].astype(np.int64)
        ]

    @property
    def groups(self) -> NDArray[np.str_]:
        """Str (example,), the subject."""
        return self.sequences.subject_id[self.rows].astype(np.str_)

    def split(
        self, *, seed: int = 0, held_out: float = 0.2
    ) -> tuple["VisitExamples", "VisitExamples"]:
        """Draw a part to learn from and one to judge by, by subject and proven disjoint.

        With the same seed, the held-out part is that of ``sequela train``.

        Args:
            seed: Decides the draw.
            held_out: Share of the held-out part.

        Raises:
            SplitError: If there are too few subjects.
        """
        times = self.sequences.prediction_time[self.rows]
        ids = records.example_ids(self.sequences.subject_id[self.rows], times)
        split, is_held_out = two_parts(
            self.sequences.label[self.rows].astype(np.int64),
            {"row": ids, "subject": self.groups},
            unit="subject",
            seed=seed,
            held_out=held_out,
        )
        train, judged = (
            replace(self, rows=self.rows[keep], part=part, proof=split)
            for part, keep in (("train", ~is_held_out), ("held_out", is_held_out))
        )
        return train, judged

    def _facts(self) -> dict[str, str]:
        entry = catalog.lookup(self.name)
        negative, positive = self.cohort.task.outcome.classes
        n_positive = int(self.sequences.label[self.rows].sum())
        facts = {
            "asked": self.cohort.task.describe(),
            "examples": f"{len(self):,} of {len(np.unique(self.groups)):,} subjects",
            "classes": f"{positive} {n_positive:,}, {negative} {len(self) - n_positive:,}",
            "visits": f"{self.sequences.lengths[self.rows].mean():.1f} an example on average",
            "from": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
        }
        for finding in self.cohort.leaks:
            facts[f"{finding.severity.upper()}: {finding.check}"] = finding.what
        if self.proof is not None:
            facts["split"] = proof_in_words(self.proof)
        return facts

    def __repr__(self) -> str:
        return as_text(self._title, self._facts())

    def _repr_html_(self) -> str:
        return as_html(self._title, self._facts())

    @property
    def _title(self) -> str:
        title = catalog.lookup(self.name).title
        return title if self.part == "all" else f"{title}: {self.part.replace('_', '-')} part"


def load_visits(
    name: str, *, work: Path | str, root: Path | str | None = None, **cohort: Any
) -> VisitExamples:
    """A task on a data set of hospital records, as lists of visits.

    Args:
        name: One that holds tables or MEDS events: see ``sequela data list``.
        work: Folder for events and sequences that are made of them; what it holds already is used
            again if it was made from the same.
        root: Where the data set lies, if not where it is looked for by itself.
        cohort: Settings of :class:`sequela.config.CohortSettings`, for example
            ``task="in-hospital"`` and ``hours=24``; what is not given is as ``sequela train`` has
            it for these data. Of a measurement the examples say that it was made, not its value.

    Raises:
        SettingError: If a setting is not known or does not fit, among them ``bins`` and
            ``min_subjects``, for they are learnt in training: give them to the classifier.
        SequelaError: If the data cannot be found or read, or the task not be asked.
    """
    if {"bins", "min_subjects"} & set(cohort):
        raise SettingError(
            "bins and min_subjects are learnt from training examples, which are not drawn yet: "
            "leave them out here, and give VisitClassifier its min_subjects"
        )
    asked = mortality.asked_of(name, cohort).model_copy(update={"bins": 0, "min_subjects": 1})
    folder = Path(work)
    located = None if root is None else Path(root)
    found, origin = events.events_of(name, located, folder / "events", asked.tables)
    who = records.cohort_of(open_events(found), asked)
    everybody = np.zeros(len(who.labels), np.int64)
    made = folder / "sequences" / f"{name}-{asked.task}-all"
    sequences = build_sequences(who, everybody, made, records.sequence_settings(asked))
    return VisitExamples(name, origin, who, sequences, np.arange(len(sequences)))
