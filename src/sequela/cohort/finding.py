"""A finding of the audit: the problem, its place and a remedy."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["leak", "suspicion"]


@dataclass(frozen=True)
class Finding:
    """Something that inflates a result.

    Attributes:
        check: Name of the check, for example ``overlapping groups``.
        what: The problem, with numbers.
        where: Parts or columns.
        severity: ``leak``: numbers based on it must not be trusted. ``suspicion``: a person has to
            look.
        remedy: What to do.
    """

    check: str
    what: str
    where: str
    severity: Severity
    remedy: str
