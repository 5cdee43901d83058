"""The checks of the audit by code, and their findings as data and in words.

The package declares its own in ``checks.toml`` and adds them as a plugin does.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from sequela.errors import SettingError
from sequela.plugins import Registry

DECLARED = tomllib.loads(Path(__file__).with_name("checks.toml").read_text("utf-8"))
_SEPARATION = 0.216  # mean distance of the classes of a hospital column, in deviations
_SMALLEST_PERCENT = 0.01  # rarer columns are written as "below 0.01 %"
_MOST_NAMED = 5  # codes or columns whose names a finding lists
Severity = Literal["leak", "suspicion"]
SET_NAMES = {"train": "training set", "tuning": "validation set", "held_out": "test set"}
SET_NAMES |= {"val": "validation set", "validation": "validation set", "test": "test set"}
"""The names of the parts of a split for readers; a part with another name keeps it."""


class Effect(NamedTuple):
    """The AUROC of a baseline model with a problem, without it, and the difference's interval."""

    auroc: float
    without: float
    low: float
    high: float


Measured: TypeAlias = "tuple[Finding, Effect | None]"
Found: TypeAlias = "Finding | Measured"


@dataclass(frozen=True)
class LeakCheck:
    """One kind of leak, and its sentences, into which a finding puts counts, facts and places."""

    code: str  # such as SQ001; it stays the same
    name: str  # of its findings
    what: str  # the problem
    remedy: str
    severity: Severity = "suspicion"
    missing: str = ""  # the problem of a part that lacks some classes
    reference: str = ""  # the literature
    by_design: str = ""  # it follows from a "task" that is declared to leak, or a split by "rows"


def _check_new(code: str, check: LeakCheck) -> None:
    if code in CHECKS or any(check.name == registered.name for registered in CHECKS.values()):
        raise SettingError(
            f"a check '{code}' or '{check.name}' is registered already: choose another code and "
            "name"
        )
    if not re.fullmatch(r"[A-Z]{2,8}\d{3}", code):
        raise SettingError(
            f"a check cannot have the code '{code}': expected capital letters and three digits, "
            "such as LAB001"
        )


CHECKS: Registry[LeakCheck] = Registry("check", LeakCheck, _check_new)
"""All checks by code; :func:`sequela.register.check` adds others."""
_UNKNOWN = LeakCheck(
    code="",
    name="",
    what="a check of a plugin that is not loaded reports something",
    remedy="name the plugin in SEQUELA_PLUGINS to read the sentence",
)


def check_named(name: str) -> LeakCheck:
    """Return the check whose findings have a name; one without a code for an unknown name."""
    return next((check for check in CHECKS.values() if check.name == name), _UNKNOWN)


class _Count(str):
    """A count in words, which chooses between two forms in a sentence: ``{n} {n:is|are}``."""

    __slots__ = ()

    def __format__(self, forms: str) -> str:
        singular, _, several = forms.partition("|")
        if several:
            return singular if self == "1" else several
        return format(float(self), forms) if forms else str(self)


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
    # Two normal classes d deviations apart have an AUROC of Phi(d / sqrt 2).
    apart = math.sqrt(2) * NormalDist().inv_cdf(min(auroc, 0.999))
    chance = math.exp(-apart / _SEPARATION)
    among = 100 * (1 - (1 - chance) ** columns)  # in percent: at least one of them
    percent = f"{among:.1g} %" if among >= _SMALLEST_PERCENT else f"below {_SMALLEST_PERCENT} %"
    count = float(f"{1 / chance:.2g}")
    return (
        f"an honest measurement is as strong in about 1 of {count:,.0f} columns (with {columns} "
        f"column{'' if columns == 1 else 's'}: {percent})"
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
        few = 0 < (self.people or 0) < smallest  # then the code itself may name someone
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
    """Something that inflates a result: a leak, or a suspicion that a person has to check."""

    check: str  # the name of one of the checks
    severity: Severity
    place: tuple[str, ...] = ()  # two parts that share examples; or a part, task or input
    counts: Counts = field(default_factory=dict)  # of people and their rows; few are not published
    facts: Mapping[str, Any] = field(default_factory=dict)  # names and other numbers
    codes: tuple[Code, ...] = ()  # or columns, the strongest first

    @classmethod
    def of(
        cls, check: str, *place: str, counts: Counts | None = None, codes: Codes = (), **facts: Any
    ) -> Self:
        """Return a finding of a check, with its severity and these facts."""
        return cls(check, check_named(check).severity, place, counts or {}, facts, tuple(codes))

    def in_words(self, smallest: int = 1) -> dict[str, str]:
        """Return check, problem, place, severity and remedy; counts below ``smallest`` hidden."""
        check = check_named(self.check)
        words: dict[str, Any] = {n: _Count(counted(c, smallest)) for n, c in self.counts.items()}
        places = [SET_NAMES.get(name, name) for name in self.place]
        of_sets = [f"the {name}" if name in SET_NAMES.values() else name for name in places]
        numbers = {n: _Count(fact) if type(fact) is int else fact for n, fact in self.facts.items()}
        words |= {**numbers, "place": of_sets, "named": _Count(len(self.codes))}
        if smallest > 1 and "log" in words:
            words["log"] = without_numbers(words["log"])
        what = (check.missing if "missing" in words else check.what).format(**words)
        if {"columns", "least"} <= self.facts.keys():
            what += f"; {rarity(self.facts['least'], self.facts['columns'])}"
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


def _declare() -> None:
    """Add the checks of the package."""

    def listed(section: str, code: str) -> str:
        return next((key for key, codes in DECLARED[section].items() if code in codes), "")

    for heading, sentences in DECLARED["checks"].items():
        code, _, name = heading.partition(" ")
        severity: Severity = "leak" if listed("certain", code) else "suspicion"
        origin = {key: listed(key, code) for key in ("reference", "by_design")}
        CHECKS.add(LeakCheck(code, name, severity=severity, **origin, **sentences), code)


_declare()
