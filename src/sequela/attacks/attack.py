"""One attack, and what became of it."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sequela.attacks.bench import Bench

Verdict = Literal["found", "blocked", "missed", "clean", "false alarm"]


@dataclass(frozen=True)
class Outcome:
    """What became of an attack.

    Attributes:
        verdict: ``found``: it is said. ``blocked``: it is refused or set aside. ``missed``: numbers
            come out as if nothing were wrong. Where nothing was planted, ``clean`` or ``false
            alarm``.
        by: What says it, or stops it.
    """

    verdict: Verdict
    by: str


@dataclass(frozen=True)
class Attack:
    """One way to numbers that are too good.

    Attributes:
        name: In words; unique.
        carry_out: Plants it, and sees what is said of it.
        planted: Whether there is anything to find.
    """

    name: str
    carry_out: "Callable[[Bench], Outcome]" = field(repr=False)
    planted: bool = True


@dataclass(frozen=True)
class Result:
    """What became of which attack.

    Attributes:
        attack: Its name.
        verdict: See :class:`Outcome`.
        by: What says it, or stops it.
    """

    attack: str
    verdict: Verdict
    by: str

    @property
    def stopped(self) -> bool:
        """Whether the numbers could not come out as if nothing were wrong."""
        return self.verdict in {"found", "blocked"}

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)
