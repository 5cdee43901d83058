"""The leaks of a run: leaks by design, and unexpected ones."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from sequela.config import SMALLEST_CELL
from sequela.runs.find import Run
from sequela.runs.released import released_findings

_OF_A_TASK = (
    "declared leak",
    "known outcome",
    "codes from the future",
    "undeclared codes",
    "times that tell the outcome",
    "columns that reveal the outcome",
    "codes that tell the outcome",
    "inputs that tell the outcome",
)
_OF_ROWS = ("overlapping groups", "simultaneous recordings")


def each_once(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first finding of each check, with the number of other findings of that check."""
    once = list({(each["check"], each["what"], each["where"]): each for each in findings}.values())
    alike = Counter(each["check"] for each in once)
    first = {each["check"]: each for each in reversed(once)}
    found = []
    for each in once:
        more = alike[each["check"]] - 1
        if first[each["check"]] is each:
            others = f"; {more} more finding{'s' * (more > 1)} of this kind" * bool(more)
            found.append({**each, "what": each["what"] + others})
    return found


@dataclass(frozen=True)
class Leaks:
    """The leaks and suspicions of a run.

    Attributes:
        planned: Whether the run was made to show a leak: its task declares one, or it is split by
            rows.
        found: Findings (as in ``metrics.json``) that do not follow from such a plan, leaks first;
            of all folds, each once.
    """

    planned: bool
    found: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Collect the findings of a run, or of all folds."""
        metrics = [each.metrics for each in run.runs]
        leaks = [finding for each in metrics for finding in each["leaks"]]
        declared = any(finding["check"] == "declared leak" for finding in leaks)
        by_rows = any(each["split"]["leaks"] for each in metrics)
        expected = _OF_A_TASK * declared + _OF_ROWS * by_rows
        found = [
            finding
            for finding in leaks + [finding for each in metrics for finding in each["suspicions"]]
            if finding["check"] not in expected
        ]
        shown = released_findings(found, run.data, SMALLEST_CELL)
        return cls(declared or by_rows, tuple(each_once(shown)))

    def lines(self) -> list[str]:
        """Return one line for each unexpected leak."""
        return [f"{f['severity'].upper()}: {f['what']} ({f['where']})" for f in self.found]
