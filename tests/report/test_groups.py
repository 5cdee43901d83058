"""Differences between groups: on a page, in a card, and in what is shared."""

from typing import Any

import pytest

from sequela.report.entry import Entry
from sequela.report.page import render
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.runs.record import AttributeDifferences
from sequela.runs.released import released_numbers


def of_sex(p_value: float = 0.01, **counts: dict[str, int]) -> AttributeDifferences:
    """Women and men, who differ in AUROC, and other groups."""
    of_two = {"units": 300, "events": 100, "others": 200, "alarms": 90, "silent": 210}
    pair = {"worst": "women", "best": "men", "difference_ci": [-0.2, -0.05]}
    numbers = {"worst_value": 0.7, "best_value": 0.8, "difference": -0.1, "corrected_p": p_value}
    metrics = ("auroc", "o_e", "calibration_slope", "alarm_rate")
    return AttributeDifferences.model_validate(
        {
            "attribute": "sex",
            "counts": {"women": of_two, "men": dict(of_two), **counts},
            "compared": ["women", "men"],
            "differences": {metric: {**pair, **numbers} for metric in metrics},
        }
    )


def of_nobody() -> AttributeDifferences:
    counts = {"units": 40, "events": 14, "others": 26, "alarms": 12, "silent": 28}
    record = {"attribute": "unit", "counts": {"MICU": counts}, "compared": [], "differences": {}}
    return AttributeDifferences.model_validate(record)


def entry_with(run: Run, *records: AttributeDifferences, hide_below: int | None = None) -> Entry:
    """The entry of a run whose test set has these differences."""
    entry = Entry(run, hide_below=hide_below)
    test = run.test.replace(group_differences=[*records])
    entry.__dict__["test"] = released_numbers(test, entry.smallest)  # a cached property
    return entry


def block(entry: Entry) -> str:
    content = entry.test.group_differences
    html = render("blocks/groups.html.j2", content=content, best=entry, study=entry.run.data)
    return " ".join(html.split())


@pytest.fixture(scope="module")
def run(record_runs: list[Run]) -> Run:
    return record_runs[0]


def test_the_significant_differences_come_first(run: Run) -> None:
    text = block(entry_with(run, of_sex(), of_nobody()))
    assert "<p>Significant differences: AUROC by sex, 0.70 (women) against 0.80 (men); obs" in text
    assert "<summary>Worst and best group by sex</summary>" in text
    assert "0.70 (women)</td>" in text
    assert "Cannot be judged, with fewer than 20: unit MICU (14 deaths)." in text
    assert "No difference" in block(entry_with(run, of_sex(0.2)))
    nobody = block(entry_with(run, of_nobody()))
    assert "No two groups of an attribute are large enough" in nobody
    assert "<table" not in nobody


def test_the_reason_why_a_group_cannot_be_judged_is_the_smallest_count(run: Run) -> None:
    unit = of_nobody()
    unit.counts["SICU"] = {"units": 90, "events": 80, "others": 3, "alarms": 70}
    unit.counts["CCU"] = {"units": 2, "events": 80, "others": 30, "alarms": 70}
    unit.counts["unknown"] = {"units": 1, "events": 1, "others": 0, "alarms": 0}
    text = block(entry_with(run, unit, of_sex()))
    assert "unit MICU (14 deaths), unit SICU (3 without), unit CCU (2 subjects)." in text
    assert "unknown" not in text


def test_the_checklist_names_what_differs(run: Run) -> None:
    answers = {a.item.number: a.text for a in checklist(entry_with(run, of_sex())).answers}
    assert "The worst and best group by sex are compared." in answers["14"]
    assert "AUROC by sex, 0.70 (women) against 0.80 (men)" in answers["23a"]
    answers = {a.item.number: a.text for a in checklist(entry_with(run, of_nobody())).answers}
    assert "compared" not in answers["14"]
    assert "differences" not in answers["23a"]


def shared(run: Run, record: AttributeDifferences, hide_below: int = 10) -> dict[str, Any]:
    (released,) = entry_with(run, record, hide_below=hide_below).test.group_differences
    return dict(released)


def test_large_groups_are_shared_with_all_their_differences(run: Run) -> None:
    assert shared(run, of_sex()) == of_sex()


def test_a_small_group_has_no_name_and_cannot_be_worked_out(run: Run) -> None:
    few = {"units": 8, "events": 3, "others": 5, "alarms": 2, "silent": 6}
    released = shared(run, of_sex(intersex=few))
    # The total minus women is men and others together: one more group is without a count.
    assert set(released["counts"]) == {"men"}
    # These and the numbers by subgroup give counts of two groups, and so that of the third.
    assert set(released["differences"]) == {"auroc", "calibration_slope"}
    assert "intersex" not in str(released)


def test_few_alarms_of_a_large_group_are_not_shared(run: Run) -> None:
    quiet = {"units": 100, "events": 15, "others": 85, "alarms": 4, "silent": 96}
    released = shared(run, of_sex(intersex=quiet))
    assert "alarm_rate" not in released["differences"]
    assert "intersex" not in released["counts"]


def test_a_limit_above_the_size_of_a_group_hides_all_differences(run: Run) -> None:
    assert shared(run, of_sex(), 30)["differences"] == {}
    assert "large enough to show" in block(entry_with(run, of_sex(), hide_below=30))
