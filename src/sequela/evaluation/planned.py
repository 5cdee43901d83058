"""The plan of a run: the patients that training and evaluation have, need, and would gain from."""

from collections.abc import Mapping
from dataclasses import dataclass

from sequela.evaluation.learning_curve import LearningCurve
from sequela.evaluation.sample_size import Need


@dataclass(frozen=True)
class Purpose:
    """Patients and events of the set for a purpose, and its needs, or why there are none."""

    name: str  # such as "To train it"
    part: str  # such as "training set"
    patients: int
    events: int
    needs: tuple[Need, ...]
    why: str


@dataclass(frozen=True)
class Plan:
    """The plan of a run (``plan.json``).

    People are independent: patients, sessions or recordings, with the event or ``in the rarest
    class``. The ``cells`` are the people of each class in each set, some of which may be too few
    to be shown; ``no_curve`` is why there is no curve.
    """

    people: str
    event: str
    purposes: tuple[Purpose, ...]
    cells: tuple[int, ...]
    curve: LearningCurve | None = None
    no_curve: str = ""
    stability: Mapping[str, object] | None = None

    @property
    def sentences(self) -> list[str]:
        """The needs and the learning curve, in a sentence each."""
        sentences = []
        for purpose in self.purposes:
            needed = f"the number needed is unknown ({purpose.why})"
            if purpose.needs:
                most = max(purpose.needs, key=lambda need: need.patients)
                needed = f"{most.patients:,} {self.people} are needed ({most.events:,} {self.event}"
                needed += f"; {most.criterion} decides)"
            has = f"{purpose.patients:,} ({purpose.events:,} {self.event})"
            sentences.append(f"{purpose.name}, {needed}; the {purpose.part} has {has}.")
        learning = f"No learning curve: {self.no_curve}."
        return [*sentences, self.curve.sentence(self.people) if self.curve else learning]
