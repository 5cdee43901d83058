"""An attack and its outcome."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["found", "blocked", "missed", "clean", "false alarm"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of an attack.

    Attributes:
        verdict: ``found``: the audit reports it. ``blocked``: it is refused or set aside.
            ``missed``: numbers are computed as if nothing were wrong. Where nothing was planted,
            ``clean`` or ``false alarm``.
        by: The check that reports it, or what stops it.
    """

    verdict: Verdict
    by: str


@dataclass(frozen=True)
class Attack:
    """One way to inflate scores.

    Attributes:
        name: In words; unique.
        carry_out: Plants the flaw in a ``Bench``, and returns what the checks report.
        planted: Whether there is a flaw to find.
    """

    name: str
    carry_out: Callable[[Any], Outcome] = field(repr=False)
    planted: bool = True


@dataclass(frozen=True)
class Result:
    """The outcome of one attack.

    Attributes:
        attack: Name of the attack.
        verdict: See :class:`Outcome`.
        by: The check that reports it, or what stops it.
    """

    attack: str
    verdict: Verdict
    by: str

    @property
    def stopped(self) -> bool:
        """True unless numbers are computed as if nothing were wrong."""
        return self.verdict in {"found", "blocked"}

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return asdict(self)
