"""The leaks of a finished run, by design and unexpected, as stored or from a second audit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from sequela.audit.finding import Finding, without_numbers
from sequela.datasets.codes import CELL
from sequela.runs.audit import audit, looked_for
from sequela.runs.data import Examples, load_again
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import work_beside

_OF_A_TASK = (
    "declared leak", "known outcome", "codes from the future", "undeclared codes",
    "times that tell the outcome", "columns that reveal the outcome", "codes that tell the outcome",
    "inputs that tell the outcome", "an input that outweighs the others", "times before the end",
    "destinations before the discharge", "words of the outcome",
    "codes dated at the beginning of the stay",
)  # fmt: skip
_OF_ROWS = ("overlapping groups", "simultaneous recordings")
KINDS = ("leaks", "suspicions")
"""The keys of findings in ``metrics.json``."""
NOTHING, LEAK, SUSPICION = 0, 3, 4
"""Exit statuses of ``sequela audit``: nothing found, a leak, or suspicions only."""
TELLING = 0.99  # AUROC of a column alone that what is known before the outcome hardly reaches
_STORED = TypeAdapter(Finding)


def sentences(findings: Iterable[Mapping[str, Any]], smallest: int = 1) -> list[dict[str, str]]:
    """Return the sentences of stored findings, without counts of people below ``smallest``."""
    return [
        _earlier(each, smallest)
        if "what" in each
        else _STORED.validate_python(each).in_words(smallest)
        for each in findings
    ]


def _earlier(finding: Mapping[str, str], smallest: int) -> dict[str, str]:
    """Return a finding of version 0.2.0 and earlier, which is stored as sentences."""
    if smallest == 1:
        return {**finding}
    where = "(hidden)" if "(" in finding["where"] else finding["where"]  # codes, with counts
    return {**finding, "what": without_numbers(finding["what"]), "where": where}


def findings_of(run: Run, smallest: int = 1) -> list[dict[str, str]]:
    """Return the leaks and suspicions of all folds in words, leaks first, each listed once."""
    found = [f for kind in KINDS for r in run.runs for f in r.metrics[kind]]
    return each_once(sentences(found, smallest))


def telling_columns(run: Run) -> list[str]:
    """Return the columns of a table with one row per patient that alone tell the outcome."""
    columns: dict[str, None] = {}
    for finding in chain.from_iterable(folder.metrics["suspicions"] for folder in run.runs):
        for code in finding.get("codes", ()):
            column = re.match(rf"{CELL}//(\w+)", code["name"])
            if column and (code["auroc"] or 0) >= TELLING:
                columns[column[1]] = None
    return [*columns]


def each_once(findings: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first finding of each check, with the number of other findings of that check."""
    alike: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    for each in findings:
        alike.setdefault(each["check"], {})[each["what"], each["where"]] = each
    found = []
    for first, *others in (each.values() for each in alike.values()):
        more = f"; {len(others)} more finding{'s' * (len(others) > 1)} of this kind"
        found.append({**first, "what": first["what"] + more * bool(others)})
    return found


@dataclass(frozen=True)
class Leaks:
    """The leaks and suspicions of a run.

    It is ``planned`` to show a leak if its task declares one, or it is split by rows. ``found`` are
    the findings that do not follow from such a plan in words, leaks first, each once.
    """

    planned: bool
    found: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Collect the findings of a run, or of all folds."""
        found = findings_of(run)
        declared = any(finding["check"] == "declared leak" for finding in found)
        by_rows = any(each.metrics.split.leaks for each in run.runs)
        expected = _OF_A_TASK * declared + _OF_ROWS * by_rows
        return cls(declared or by_rows, tuple(f for f in found if f["check"] not in expected))

    def lines(self) -> list[str]:
        """Return one line for each unexpected leak."""
        return [f"{f['severity'].upper()}: {f['what']} ({f['where']})" for f in self.found]


def status_of(findings: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit status of the command for these findings."""
    kinds = {each["severity"] for each in findings}
    return LEAK if "leak" in kinds else SUSPICION if kinds else NOTHING


@dataclass(frozen=True)
class Audited:
    """The result of an audit of a run or folder, leaks first; ``planned`` if it is made to leak."""

    run: Path
    origin: str
    looked_for: str
    planned: bool
    found: tuple[Finding, ...]

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """The findings in words, each once."""
        return self.in_words(1)

    def in_words(self, smallest: int) -> list[Mapping[str, Any]]:
        """Return the findings; counts below ``smallest`` are hidden."""
        words = [each.in_words(smallest) for each in self.found]
        return [*{str(each): each for each in words}.values()]

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return status_of(self.findings)

    @property
    def head(self) -> list[str]:
        """The lines before the findings."""
        return [f"{self.run}: data: {self.origin}"]

    @property
    def summary(self) -> str:
        """The number of findings, and what was looked for."""
        n = len(self.findings)
        return f"{n or 'no'} finding{'s' * (n != 1)}; checked for: {self.looked_for}"

    @property
    def foot(self) -> list[str]:
        """The lines after the findings."""
        nothing = f"nothing found; checked for: {self.looked_for}"
        return ["leaks by design"] * self.planned + [nothing] * (not self.found)

    def to_dict(self) -> dict[str, object]:
        """Return the result for JSON."""
        facts = {"origin": self.origin, "looked_for": self.looked_for, "planned": self.planned}
        return {"run": str(self.run), **facts, "findings": self.findings}


def audit_run(path: Path, root: Path | None = None) -> Audited:
    """Audit the data of a finished run again, or of each fold of a cross-validation."""
    (run,) = named_runs([path])
    found: list[Finding] = []
    with work_beside(path) as work:
        for folder in run.runs:
            data = load_again(folder, root, work)
            found += audit(data)
    return audited(path, data, found, planned=Leaks.of(run).planned)


def audited(
    path: Path, data: Examples, found: Iterable[Finding], *, planned: bool = False
) -> Audited:
    """Return the result of an audit of some data, leaks first."""
    leaks_first = sorted(found, key=lambda each: each.severity != "leak")
    origin = "; ".join([data.origin, *getattr(data.arrays, "notes", ())])
    return Audited(path, origin, looked_for(data), planned, tuple(leaks_first))
