"""A second audit of the data of a finished run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sequela.cohort.finding import Finding
from sequela.config import SMALLEST_CELL
from sequela.runs.audit import audit, looked_for
from sequela.runs.data import load_again
from sequela.runs.find import named_runs
from sequela.runs.folder import work_beside
from sequela.runs.leaks import Leaks
from sequela.runs.released import released_findings

NOTHING, LEAK, SUSPICION = 0, 3, 4
"""Exit statuses of ``sequela audit``: nothing found, a leak, or suspicions only."""


@dataclass(frozen=True)
class Audited:
    """The result of an audit of a finished run.

    Attributes:
        run: The run folder.
        origin: The place of the data, in words.
        looked_for: The checks, in words.
        planned: Whether the run was made to show a leak.
        findings: Leaks first; of all folds, each once.
    """

    run: Path
    origin: str
    looked_for: str
    planned: bool
    findings: tuple[Finding, ...]

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if not self.findings:
            return NOTHING
        return LEAK if self.findings[0].severity == "leak" else SUSPICION

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "run": str(self.run),
            "origin": self.origin,
            "looked_for": self.looked_for,
            "planned": self.planned,
            "findings": [asdict(finding) for finding in self.findings],
        }


def audit_run(path: Path, root: Path | None = None) -> Audited:
    """Audit the data of a finished run again, or of each fold of a cross-validation.

    Args:
        path: Run folder, or folder of a cross-validation.
        root: Folder or file of the data (default: the usual search path).

    Raises:
        RunError: If the run is damaged or not finished, or the data differ.
        SequelaError: If the data cannot be found or read.
    """
    (run,) = named_runs([path])
    found: list[Finding] = []
    with work_beside(path) as work:
        for folder in run.runs:
            data = load_again(folder, root, work)
            found += audit(data)
    shown = released_findings([asdict(each) for each in found], run.data, SMALLEST_CELL)
    findings = _leaks_first([Finding(**each) for each in shown])
    return Audited(path, data.origin, looked_for(data), Leaks.of(run).planned, findings)


def _leaks_first(found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.severity != "leak"))
