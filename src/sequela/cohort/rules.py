"""Exclusion rules: each has a name, a sentence and a condition."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """One reason to leave out a candidate.

    Attributes:
        sentence: The text in the flow diagram.
        condition: SQL over the columns of the table ``candidates``; null counts as false.
        of: The kind of candidates: ``stays`` need a hospital stay as candidate, ``subjects`` do
            not.
        why: Why the rule is right although the candidates it leaves out have the outcome more or
            less often than others, as a part of a sentence; empty where the rule is unrelated to
            the outcome. The page shows it, and a test requires that every rule without it is
            unrelated.
        later: Whether the rule uses information from after the prediction time. Such rules are not
            applied to candidates without labels, who are only predicted.
    """

    sentence: str
    condition: str
    of: Literal["stays", "subjects"]
    why: str = ""
    later: bool = False


CENSORED = "censored-before-horizon"
"""The rule for candidates whose follow-up for the outcome was too short."""
ON_RECORD = "outcome-on-record"
"""The rule for candidates with such an event on record already."""
DUPLICATES = Rule(
    "a second stay of the subject with the same time of prediction",
    "false",
    "subjects",
    "two records of one stay count once, and a death that either of them has counts",
)
"""The rule that is applied after those of a task."""
_LISTED = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))
RULES: Mapping[str, Rule] = {name: Rule(**fields) for name, fields in _LISTED.items()}
"""The exclusion rules, by name."""
