"""What makes a result too good: what was found, where, and what to do."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["leak", "suspicion"]


@dataclass(frozen=True)
class Finding:
    """Something that makes a result too good.

    Attributes:
        check: What was looked for, for example ``overlapping groups``.
        what: What was found, with numbers.
        where: Parts or columns.
        severity: ``leak``: numbers that rest on it must not be trusted. ``suspicion``: a person has
            to look.
        remedy: What to do.
    """

    check: str
    what: str
    where: str
    severity: Severity
    remedy: str
