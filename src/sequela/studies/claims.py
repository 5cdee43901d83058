"""What the 2019 report claims: statements to be judged on runs."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """One claim of the 2019 report.

    Attributes:
        key: Names the judgement in ``sequela.studies.verdicts``.
        models: The models that it is about.
        text: What the report says.
        where: Its section.
        number: For a claim of a level: the name of a metric.
        relation: For a claim of a level: what the number is to ``value``.
        value: For a claim of a level.
        classes: For a claim of some classes: which.
    """

    key: str
    models: tuple[str, ...]
    text: str
    where: str
    number: str = "accuracy"
    relation: Literal["about", "below", "above"] = "about"
    value: float = 0.0
    classes: tuple[str, ...] = ()
