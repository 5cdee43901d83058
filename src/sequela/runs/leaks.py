"""What the audit found in a run: leaks by design, and unexpected ones."""

from dataclasses import dataclass
from typing import Any, Self

from sequela.runs.find import Run

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
_OF_ROWS = ("overlapping groups",)


@dataclass(frozen=True)
class Leaks:
    """What makes the numbers of a run too good.

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
        """Those of a run, or of all folds."""
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
        once = {(each["check"], each["what"], each["where"]): each for each in found}
        return cls(declared or by_rows, tuple(once.values()))

    def lines(self) -> list[str]:
        """Unexpected leaks, one line each."""
        return [f"{f['severity'].upper()}: {f['what']} ({f['where']})" for f in self.found]
