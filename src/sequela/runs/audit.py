"""The leak audit of a run, and its findings as stored: by design or unexpected, in words."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import joblib
from pydantic import TypeAdapter

from sequela.audit import overlaps
from sequela.audit.finding import Finding, check_named, without_numbers
from sequela.audit.input import AuditInput
from sequela.audit.searches import AuditOutcome, run_checks
from sequela.datasets.codes import CELL
from sequela.identity.pseudonyms import own
from sequela.runs.data import Examples
from sequela.runs.folder import StoredRun

KINDS = ("leaks", "suspicions")
"""The keys of findings in ``metrics.json``."""
NOTHING = 0  # exit status of sequela audit without a finding
LEAK = 3  # exit status for a leak, with suspicions or without
SUSPICION = 4  # exit status for suspicions only
REVEALING_CELL = 0.99  # AUROC that what is known before the outcome hardly reaches alone
_STORED = TypeAdapter(Finding)
_AUDITED: dict[str, AuditOutcome] = {}  # by hash of the data and sets, in this process


def audit_once(data: Examples) -> AuditOutcome:
    """Return the outcome of :func:`check_examples`, once in a process for the same data and sets.

    Runs of a study differ in the model, which the audit does not read.
    """
    facts = (data.digest, data.unit, data.leaks, own().name, data.header, data.ids)
    times = getattr(data.arrays, "step_time", data.part)  # which the digest leaves out
    key = joblib.hash((facts, data.part, times, data.groups, data.marked))
    if key not in _AUDITED:
        _AUDITED[key] = check_examples(data)
    return _AUDITED[key]


def audit(data: Examples) -> list[Finding]:
    """Run all checks that fit the data; an empty list means that nothing was found.

    The sets must share no subject or recording, also under other names, and no identical or nearly
    identical example. Each set must have each class. No column, code or small model may reveal the
    class. Scaling and vocabulary must come from the training set, and inputs must be available at
    prediction time.
    """
    return [finding for finding, _ in check_examples(data).findings]


def check_examples(data: Examples, ignored: Sequence[str] = ()) -> AuditOutcome:
    """Run the checks without ignored codes on the examples of a run."""
    return run_checks(data.audit_input(), ignored)


def find_in_parts(data: AuditInput) -> Iterator[Finding]:
    """Find units of a run in two parts, under one name or two."""
    ((unit, ids),), (parts,) = data.units.items(), data.splits
    yield from overlaps.overlapping_groups({n: ids[rows] for n, rows in parts.items()}, unit)
    if data.content is not None:
        whose = "subject" if unit == "site" else unit  # sites share people, and are not copies
        yield from overlaps.same_content(data.content, data.content_ids, whose)


def sentences(findings: Iterable[Mapping[str, Any]], smallest: int = 1) -> list[dict[str, str]]:
    """Return the sentences of stored findings, without counts of people below ``smallest``."""
    return [
        _earlier(finding, smallest)
        if "what" in finding
        else _STORED.validate_python(finding).in_words(smallest)
        for finding in findings
    ]


def _earlier(finding: Mapping[str, str], smallest: int) -> dict[str, str]:
    """Return a finding of version 0.2.0 and earlier, which is stored as sentences."""
    if smallest == 1:
        return {**finding}
    where = "(hidden)" if "(" in finding["where"] else finding["where"]  # codes, with counts
    return {**finding, "what": without_numbers(finding["what"]), "where": where}


def findings_of(run: StoredRun, smallest: int = 1) -> list[dict[str, str]]:
    """Return the leaks and suspicions of all folds in words, leaks first, each listed once."""
    stored: list[Mapping[str, object]] = []
    for kind in KINDS:
        stored += chain.from_iterable(folder.metrics[kind] for folder in run.runs)
    return once_each(sentences(stored, smallest))


def revealing_columns(run: StoredRun) -> list[str]:
    """Return the columns of a table with one row per patient that alone tell the outcome."""
    columns: dict[str, None] = {}
    for finding in chain.from_iterable(folder.metrics["suspicions"] for folder in run.runs):
        for code in finding.get("codes", ()):
            column = re.match(rf"{CELL}//(\w+)", code["name"])
            if column and (code["auroc"] or 0) >= REVEALING_CELL:
                columns[column[1]] = None
    return [*columns]  # in the order of the folds


def once_each(findings: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first finding of each check, with the number of other findings of that check."""
    by_check: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    for finding in findings:
        alike = by_check.setdefault(finding["check"], {})
        alike[finding["what"], finding["where"]] = finding  # folds share most findings
    firsts = []
    for first, *more in (alike.values() for alike in by_check.values()):
        what = first["what"]
        if more:
            what += f"; {len(more)} more finding{'s' if len(more) > 1 else ''} of this kind"
        firsts.append({**first, "what": what})
    return firsts


@dataclass(frozen=True)
class Leaks:
    """The leaks and suspicions of a run.

    It shows a leak ``by_design`` if its task declares one, or it is split by rows. The
    ``unexpected`` findings do not follow from this: in words, leaks first, each once.
    """

    by_design: bool
    unexpected: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, run: StoredRun) -> Self:
        """Collect the findings of a run, or of all folds."""
        findings = findings_of(run)
        designs = set[str]()
        if any(finding["check"] == "declared leak" for finding in findings):
            designs.add("task")
        if any(folder.metrics.split.leaks for folder in run.runs):
            designs.add("rows")
        unexpected = (f for f in findings if check_named(f["check"]).by_design not in designs)
        return cls(bool(designs), tuple(unexpected))

    def lines(self) -> list[str]:
        """Return one line for each unexpected leak."""
        return [in_one_line(finding) for finding in self.unexpected]


def in_one_line(finding: Mapping[str, str]) -> str:
    """Write severity, code, problem and place of a finding."""
    code = check_named(finding["check"]).code
    severity = finding["severity"].upper()
    return f"{severity} {code}: {finding['what']} ({finding['where']})"


def status_of(severities: Iterable[str]) -> int:
    """Return the exit status of the command for findings of these severities."""
    kinds = {*severities}
    if "leak" in kinds:
        return LEAK
    return SUSPICION if kinds else NOTHING
