"""Leaks by design are distinguished from unexpected ones."""

from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.records import part_of

from sequela.runs.audit import Leaks, once_each
from sequela.runs.record import RunRecord, SplitRecord

if TYPE_CHECKING:
    from sequela.runs.find import Run


def finding(check: str, severity: str = "leak") -> dict[str, Any]:
    return {"check": check, "what": "what", "where": "where", "severity": severity, "remedy": ""}


class Made:
    """A run with these findings."""

    def __init__(
        self, *checks: str, by_rows: bool = False, suspicions: tuple[str, ...] = ()
    ) -> None:
        self.metrics = part_of(
            RunRecord,
            leaks=[finding(check) for check in checks],
            suspicions=[finding(check, "suspicion") for check in suspicions],
            split=part_of(SplitRecord, leaks=by_rows),
        )
        self.runs = [self, self]  # as folds: each finding is said once


@pytest.mark.parametrize(
    ("run", "planned", "found"),
    [
        (Made(), False, []),
        (Made("declared leak", "known outcome"), True, []),
        (Made("known outcome"), False, ["known outcome"]),
        (Made("declared leak", "vocabulary of other parts"), True, ["vocabulary of other parts"]),
        (Made("overlapping groups", by_rows=True), True, []),
        (Made("overlapping groups"), False, ["overlapping groups"]),
        (Made("identical rows", by_rows=True), True, ["identical rows"]),
        (Made("known outcome", by_rows=True), True, ["known outcome"]),
        (
            Made(suspicions=("columns that reveal the outcome",)),
            False,
            ["columns that reveal the outcome"],
        ),
    ],
)
def test_planned_leaks_are_not_findings(run: Made, *, planned: bool, found: list[str]) -> None:
    leaks = Leaks.of(cast("Run", run))
    assert leaks.by_design is planned
    assert [each["check"] for each in leaks.unexpected] == found


def test_a_finding_is_a_line() -> None:
    run = Made("known outcome", suspicions=("columns that reveal the outcome",))
    lines = Leaks.of(cast("Run", run)).lines()
    assert lines == ["LEAK SQ018: what (where)", "SUSPICION SQ022: what (where)"]


def test_many_findings_of_one_check_are_one_line() -> None:
    """Five folds each find another number of the same thing."""
    found = [
        {"check": check, "what": f"{n} of 80", "where": "train", "severity": "suspicion"}
        for check, n in (("a", 1), ("a", 2), ("b", 3), ("a", 1), ("a", 4))
    ]
    assert [each["what"] for each in once_each(found)] == [
        "1 of 80; 2 more findings of this kind",
        "3 of 80",
    ]
