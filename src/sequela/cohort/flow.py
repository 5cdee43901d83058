"""The flow of a cohort: the number of candidates, and how many each rule removed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class FlowStep:
    """One rule of a cohort: the candidates that it removed, of them the positives, and those left.

    A candidate that fails several rules counts at the first.
    """

    rule: str
    sentence: str
    removed: int
    left: int
    positives: int = 0


@dataclass(frozen=True)
class Flow:
    """From candidates to examples, in the manner of a CONSORT diagram.

    A candidate is a ``unit``: ``hospital stays``, ``rows``, ``subjects`` or ``labels``. Rules that
    removed nothing are among the steps too. ``notes`` are needed to interpret the counts.
    """

    unit: str
    candidates: int
    steps: tuple[FlowStep, ...]
    examples: int
    subjects: int
    positives: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        unit: str,
        removed: Mapping[str, tuple[str, int, int]],
        *,
        counts: tuple[int, int, int],
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Build a flow from the counts each rule removed.

        ``removed`` holds for each rule, in order, its sentence, how many it removed and how many of
        these were positive; ``counts`` are the examples, subjects and positives at the end.
        """
        examples, subjects, positives = counts
        # Counts are of the examples at the end: candidates are these and all that rules removed.
        candidates = remaining = examples + sum(n for _, n, _ in removed.values())
        steps = []
        for rule, (sentence, n, positives_of_n) in removed.items():
            remaining -= n
            steps.append(FlowStep(rule, sentence, n, remaining, positives_of_n))
        return cls(unit, candidates, tuple(steps), examples, subjects, positives, notes)

    def then(
        self, removed: Mapping[str, tuple[str, int, int]], *, counts: tuple[int, int, int]
    ) -> Self:
        """Return the flow with further rules; see :meth:`of`."""
        # The steps are built anew, since each states how many are left after it.
        before = {s.rule: (s.sentence, s.removed, s.positives) for s in self.steps}
        return self.of(self.unit, {**before, **removed}, counts=counts, notes=self.notes)

    def __str__(self) -> str:
        lines = [f"{self.candidates} {self.unit}"]
        lines += [f"- {s.removed} {s.rule} ({s.sentence}): {s.left} left" for s in self.steps]
        lines.append(
            f"{self.examples} examples of {self.subjects} subjects, {self.positives} positive"
        )
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, object]:
        """Return the flow for a JSON file."""
        return {**asdict(self), "steps": [asdict(s) for s in self.steps], "notes": [*self.notes]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Restore the flow that :meth:`to_dict` wrote."""
        steps = tuple(FlowStep(**step) for step in record["steps"])
        return cls(**{**record, "steps": steps, "notes": tuple(record["notes"])})
