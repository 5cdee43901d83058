"""A finding of the audit as data, and its sentences."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal, Self, TypeAlias

from sequela.audit.check import check_named

_SEPARATION = 0.216  # mean distance of the classes of a hospital column, in deviations
_SMALLEST_PERCENT = 0.01  # rarer columns are written as "below 0.01 %"
_MOST_NAMED = 5  # codes or columns whose names a finding lists
Severity = Literal["leak", "suspicion"]
SET_NAMES = {"train": "training set", "tuning": "validation set", "held_out": "test set"}
SET_NAMES |= {"val": "validation set", "validation": "validation set", "test": "test set"}
"""The names of the parts of a split for readers; a part with another name keeps it."""


def counted(count: int, smallest: int) -> str:
    """Write a count of people, without its value if it is small.

    Example:
        >>> [counted(n, 10) for n in (0, 9, 10)]
        ['0', 'fewer than 10', '10']
    """
    return f"fewer than {smallest}" if 0 < count < smallest else str(count)


def rarity(auroc: float, columns: int) -> str:
    """Describe how often an honest measurement is as strong, alone and among some columns.

    Of 809 columns of open hospital data (decision 18) the strongest has an AUROC
    of 0.79, and the separation of the classes in deviations has an exponential distribution.

    Example:
        >>> rarity(0.9, 39)
        'an honest measurement is as strong in about 1 of 4,400 columns (with 39 columns: 0.9 %)'
    """
    apart = math.sqrt(2) * NormalDist().inv_cdf(min(auroc, 0.999))
    chance = math.exp(-apart / _SEPARATION)
    among = 100 * (1 - (1 - chance) ** columns)
    percent = f"{among:.1g} %" if among >= _SMALLEST_PERCENT else f"below {_SMALLEST_PERCENT} %"
    count = float(f"{1 / chance:.2g}")
    return (
        f"an honest measurement is as strong in about 1 of {count:,.0f} columns (with {columns} "
        f"columns: {percent})"
    )


def without_numbers(text: str) -> str:
    """Hide all numbers of a text whose counts are not known as data.

    Example:
        >>> without_numbers("3 of 1,040 labels")
        '(hidden) of (hidden) labels'
    """
    return re.sub(r"\d[\d,.]*", "(hidden)", text)


@dataclass(frozen=True)
class Code:
    """A code or column in a finding.

    ``people`` is the number of subjects who have the code, ``auroc`` the AUROC that it reaches
    alone; ``shares`` are the subjects with the code and all subjects, of the class and of the
    other.
    """

    name: str
    people: int | None = None
    auroc: float | None = None
    shares: tuple[tuple[int, int], ...] = ()

    def in_words(self, smallest: int) -> str:
        """Return its name and numbers; the name only if enough people have it.

        The number of subjects is not published next to an AUROC: both together reveal the number
        in each class.

        Example:
            >>> [Code("B//2", 18, 0.931).in_words(smallest) for smallest in (1, 10)]
            ['B//2 (0.931 in 18 subjects)', 'B//2 (0.931)']
        """
        few = 0 < (self.people or 0) < smallest
        name = f"a code of fewer than {smallest} subjects" if few else self.name
        if self.shares:
            pairs = [[counted(n, smallest) for n in pair] for pair in self.shares]
            return f"{name} (in {' and '.join(map(' of '.join, pairs))})"
        if self.auroc is None:
            return name
        people = "" if self.people is None or smallest > 1 else f" in {self.people} subjects"
        return f"{name} ({self.auroc:.3f}{people})"


Counts: TypeAlias = Mapping[str, int]
Codes: TypeAlias = Sequence[Code]


@dataclass(frozen=True)
class Finding:
    """Something that inflates a result.

    Attributes:
        check: Name of the check, one of :data:`sequela.audit.check.CHECKS`.
        severity: ``leak``: do not trust numbers based on it. ``suspicion``: a person has to look.
        place: The two parts that share examples, or the part, task or input.
        counts: Numbers of people, or of their examples, rows and steps, by their name in the
            sentence. Small ones are not published.
        facts: Names and other numbers in the sentence.
        codes: The codes or columns, the strongest first.
    """

    check: str
    severity: Severity
    place: tuple[str, ...] = ()
    counts: Counts = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[Code, ...] = ()

    @classmethod
    def suspected(
        cls, check: str, *place: str, counts: Counts | None = None, codes: Codes = (), **facts: Any
    ) -> Self:
        """Return a suspicion with these facts."""
        return cls(check, "suspicion", place, counts or {}, facts, tuple(codes))

    def in_words(self, smallest: int = 1) -> dict[str, str]:
        """Return check, problem, place, severity and remedy; counts below ``smallest`` hidden."""
        check = check_named(self.check)
        words: dict[str, Any] = {name: counted(n, smallest) for name, n in self.counts.items()}
        places = [SET_NAMES.get(name, name) for name in self.place]
        of_sets = [f"the {name}" if name in SET_NAMES.values() else name for name in places]
        words |= {**self.facts, "place": of_sets, "named": len(self.codes)}
        if smallest > 1 and "log" in words:
            words["log"] = without_numbers(words["log"])
        what = (check.missing if "missing" in words else check.what).format(**words)
        if {"columns", "least"} <= words.keys():
            what += f"; {rarity(words['least'], words['columns'])}"
        columns = [code.in_words(smallest) for code in self.codes] or places
        where = ", ".join(columns[:_MOST_NAMED])
        if len(columns) > _MOST_NAMED:
            where += f" and {len(columns) - _MOST_NAMED} more"
        return {
            "check": self.check,
            "what": what,
            "where": where,
            "severity": self.severity,
            "remedy": check.remedy.format(**words),
        }

    @property
    def what(self) -> str:
        """The problem, with numbers."""
        return self.in_words()["what"]

    @property
    def where(self) -> str:
        """The parts or columns."""
        return self.in_words()["where"]
