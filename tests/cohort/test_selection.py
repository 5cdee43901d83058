from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.cohort.conftest import stay

from sequela.cohort.events import Events
from sequela.cohort.flow import Flow
from sequela.cohort.selection import Cohort, select_cohort
from sequela.cohort.tasks import (
    Task,
    in_hospital,
    landmark,
    post_discharge,
    report_2019,
    task_named,
    with_hindsight,
)
from sequela.errors import DataError

Row = tuple[Any, ...]
Rows = Callable[[], list[Row]]
Make = Callable[..., Events]
Stay = Callable[..., list[Row]]


@pytest.fixture(autouse=True)
def nobody_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a handful of people, who died early stays in; see ``test_censoring.py``."""
    monkeypatch.setattr("sequela.cohort.censoring._draws", lambda *_: 0.0)


def labels_of(cohort: Cohort) -> list[tuple[int, str, bool]]:
    return [
        (row["subject_id"], f"{row['prediction_time']:%m-%d %H:%M}", row["boolean_value"])
        for row in cohort.labels.to_pylist()
    ]


def removed(flow: Flow) -> dict[str, int]:
    return {step.rule: step.removed for step in flow.steps if step.removed}


@pytest.mark.parametrize("visits", [True, False])
def test_in_hospital_each_rule_has_its_count(
    rows: Rows, make_events: Make, *, visits: bool
) -> None:
    # Without numbers of stays nobody can be discharged before the admission.
    kept = [row for row in rows() if visits or row[0] != 5]
    cohort = select_cohort(make_events(kept, visits=visits), in_hospital())
    assert labels_of(cohort) == [
        (1, "01-02 10:00", False),
        (1, "03-02 10:00", False),
        (2, "01-02 10:00", False),
        (2, "02-02 10:00", True),
        (4, "01-02 10:00", True),
    ]
    expected = {
        "minors": 1,
        "organ-donors": 1,
        "negative-stays": 1,
        "deaths-before-admission": 1,
        "blank-status": 1,
        "shorter-than-window": 2,
    }
    assert removed(cohort.flow) == {k: n for k, n in expected.items() if visits or k[:3] != "neg"}
    assert (cohort.flow.examples, cohort.flow.subjects, cohort.flow.positives) == (5, 3, 2)
    assert cohort.leaks == ()


def test_the_flow_adds_up_and_reads_back(rows: Rows, make_events: Make) -> None:
    flow = select_cohort(make_events(rows()), in_hospital()).flow
    lefts = [flow.candidates, *(step.left for step in flow.steps)]
    assert lefts[-1] == flow.examples
    assert [a - b for a, b in pairwise(lefts)] == [step.removed for step in flow.steps]
    assert Flow.from_dict(flow.to_dict()) == flow
    assert "1 minors (younger than 18 years): 11 left" in str(flow)


def test_at_the_door_a_short_stay_is_asked_about(rows: Rows, make_events: Make) -> None:
    cohort = select_cohort(make_events(rows()), in_hospital(0))
    assert {7, 9} <= {subject for subject, _, _ in labels_of(cohort)}
    assert "shorter-than-window" not in removed(cohort.flow)


def test_a_rule_left_out_keeps_its_people(rows: Rows, make_events: Make) -> None:
    rules = tuple(rule for rule in in_hospital().exclude if rule != "minors")
    cohort = select_cohort(make_events(rows()), task_named("in-hospital", exclude=rules))
    assert 3 in {subject for subject, _, _ in labels_of(cohort)}


def test_post_discharge_sees_the_death_a_year_away(rows: Rows, make_events: Make) -> None:
    cohort = select_cohort(make_events(rows()), post_discharge())
    assert labels_of(cohort) == [
        (1, "01-04 10:00", False),
        (1, "03-09 10:00", False),
        (2, "01-03 10:00", True),
        (7, "01-02 10:00", False),
    ]
    assert any("no FOLLOW_UP_END" in note for note in cohort.flow.notes)


FOLLOW_UPS = [
    ("followed beyond the horizon", [("2022-01-01", "FOLLOW_UP_END")], False),
    ("lost before it", [("2020-06-01", "FOLLOW_UP_END")], None),
    ("died within it", [("2020-06-01", "MEDS_DEATH")], True),
    (
        "died, which ended the follow-up",
        [("2020-06-01", "MEDS_DEATH"), ("2020-06-01 12:00", "FOLLOW_UP_END")],
        True,
    ),
    (
        "died, but would not have been followed to the horizon",
        [("2020-03-01", "MEDS_DEATH"), ("2020-04-01", "FOLLOW_UP_END")],
        None,
    ),
    (
        "died after the end of a short follow-up",
        [("2020-06-01", "MEDS_DEATH"), ("2020-04-01", "FOLLOW_UP_END")],
        None,
    ),
    ("died after the horizon", [("2021-06-01", "MEDS_DEATH")], False),
    ("not followed at all", [], None),
    ("died on the day of discharge, by date only", [("2020-01-03", "MEDS_DEATH")], True),
    ("dead before the discharge, says a typing error", [("2020-01-02 08:00", "MEDS_DEATH")], None),
]


def test_censoring(make_events: Make, one_stay: Stay) -> None:
    rows = [
        *one_stay(8, 80, "2020-01-01", "2020-01-03", "alive"),
        (8, "2020-02-01", "MEDS_DEATH"),
        *one_stay(9, 90, "2020-01-01", "2020-01-03", "alive"),
        (9, "2023-01-01", "FOLLOW_UP_END"),
    ]
    subjects = dict(enumerate(FOLLOW_UPS, 10))
    for subject, (_, extra, _) in subjects.items():
        rows += one_stay(subject, 10 * subject, "2020-01-01 10:00", "2020-01-03 10:00", "alive")
        rows += [(subject, time, code) for time, code in extra]
    labels = labels_of(select_cohort(make_events(rows), post_discharge()))
    assert {
        case: [label for labelled, _, label in labels if labelled == subject]
        for subject, (case, *_) in subjects.items()
    } == {case: [] if expected is None else [expected] for case, _, expected in FOLLOW_UPS}


def test_landmark(make_events: Make) -> None:
    def person(subject: int, last: str, end: str) -> list[Row]:
        return [
            (subject, "1960-01-01", "MEDS_BIRTH"),
            (subject, "2000-01-01", "ENTRY"),
            (subject, "1999-06-01", "BMI", None, 30.0),
            (subject, end, last),
        ]

    rows = [
        *person(1, "FOLLOW_UP_END", "2010-01-01"),
        *person(2, "MEDS_DEATH", "2003-01-01"),
        *person(3, "MEDS_DEATH", "2000-06-01"),
        *person(4, "FOLLOW_UP_END", "2000-06-01"),
        *person(5, "FOLLOW_UP_END", "2003-01-01"),
    ]
    cohort = select_cohort(make_events(rows), landmark(entry_code="ENTRY"))
    assert labels_of(cohort) == [(1, "12-31 00:00", False), (2, "12-31 00:00", True)]
    assert removed(cohort.flow) == {
        "dead-at-prediction": 1,
        "follow-up-ended": 1,
        "censored-before-horizon": 1,
    }
    earlier = select_cohort(make_events(rows), landmark())
    assert labels_of(earlier)[0] == (1, "05-31 00:00", False)
    named = [(*row[:2], row[2].replace("ENTRY", "COHORT_ENTRY"), *row[3:]) for row in rows]
    assert select_cohort(make_events(named), landmark()).labels.equals(cohort.labels)


def test_the_report_asks_after_the_last_visit_and_is_caught(rows: Rows, make_events: Make) -> None:
    cohort = select_cohort(make_events(rows()), report_2019())
    assert labels_of(cohort)[:2] == [(1, "03-09 10:00", False), (2, "02-05 12:00", True)]
    assert removed(cohort.flow) == {"blank-status": 1}
    assert "diagnoses of the last visit" in cohort.leaks[0].what
    assert "4 of 4 positive labels are after the death" in cohort.leaks[1].what


def test_two_stays_at_one_time_are_one_example(make_events: Make, one_stay: Stay) -> None:
    rows = [
        *one_stay(1, 10, "2020-01-01 10:00", "2020-01-08 10:00", "alive"),
        *one_stay(1, 11, "2020-01-01 10:00", "2020-01-08 10:00", "expired"),
        *one_stay(2, 20, "2020-01-01 10:00", "2020-01-08 10:00", "alive"),
    ]
    cohort = select_cohort(make_events(rows), in_hospital())
    assert labels_of(cohort) == [(1, "01-02 10:00", True), (2, "01-02 10:00", False)]
    assert removed(cohort.flow) == {"duplicates": 1}


def unordered(make_events: Make, rows: list[Row]) -> Events:
    events = make_events(rows)
    (events.root / "account.json").write_text('{"stays_in_order": false}')
    return make_events(rows)


def test_stays_of_unknown_order_are_used_alone(make_events: Make, one_stay: Stay) -> None:
    rows = [
        *one_stay(1, 10, "2000-01-01", "2000-01-09", "expired"),
        (1, "2000-01-01", "AGE", 10, 80.0),
        (1, "2000-01-09", "MEDS_DEATH", 10),
        *one_stay(1, 11, "2010-01-01", "2010-01-09", "expired"),
        (1, "2010-01-01", "AGE", 11, 79.0),
        *one_stay(2, 20, "2000-01-01", "2000-01-09", "alive"),
        (2, "2000-01-01", "AGE", 20, 17.0),
        *one_stay(2, 21, "2010-01-01", "2010-01-09", "alive"),
        (2, "2010-01-01", "AGE", 21, 18.0),
    ]
    cohort = select_cohort(unordered(make_events, rows), in_hospital())
    assert cohort.task.history == "stay"
    assert any("only the current stay is used" in note for note in cohort.flow.notes)
    # The made-up years decide nothing: neither who is dead already nor who is a minor.
    assert [row["subject_id"] for row in cohort.labels.to_pylist()] == [1, 1, 2]
    assert removed(cohort.flow) == {"minors": 1}
    assert cohort.leaks == ()


@pytest.mark.parametrize("task", [landmark(), report_2019()])
def test_a_whole_record_of_unknown_order_cannot_be_asked_about(
    make_events: Make, rows: Rows, task: Task
) -> None:
    with pytest.raises(DataError, match="do not give the order"):
        select_cohort(unordered(make_events, rows()), task)


def test_an_age_that_is_told_makes_a_minor(make_events: Make, one_stay: Stay) -> None:
    rows = [
        *one_stay(1, 10, "2020-01-01", "2020-01-09", "expired"),
        (1, "2019-07-01", "AGE", None, 17.0),
        *one_stay(2, 20, "2020-01-01", "2020-01-09", "expired"),
        (2, "2018-01-01", "AGE", None, 17.0),
        *one_stay(3, 30, "2020-01-01", "2020-01-09", "alive"),
    ]
    cohort = select_cohort(make_events(rows), in_hospital())
    assert [row["subject_id"] for row in cohort.labels.to_pylist()] == [2, 3]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            stay(1, 10, "2020-01-01", "2020-01-01 08:00", "alive"),
            "of 1 hospital stays, the rules removed 1 by shorter-than",
        ),
        ([(1, "2020-01-01", "BMI", None, 30.0)], "of 0 hospital stays, the rules removed none"),
        (
            stay(1, 10, "2020-01-01", "2020-01-09", "alive"),
            "labels of one class only: all 1 are false",
        ),
    ],
)
def test_nobody_or_one_class_is_refused(make_events: Make, rows: list[Row], said: str) -> None:
    with pytest.raises(DataError, match=said):
        select_cohort(make_events(rows), in_hospital())


@pytest.mark.parametrize("visits", [True, False])
def test_hindsight_looks_back_from_the_end_of_the_same_stays(
    rows: Rows, make_events: Make, *, visits: bool
) -> None:
    kept = [row for row in rows() if visits or row[0] != 5]
    events = make_events(kept, visits=visits)
    honest = select_cohort(events, in_hospital())
    back = select_cohort(events, with_hindsight(in_hospital()))
    assert [(s, label) for s, _, label in labels_of(back)] == [
        (s, label) for s, _, label in labels_of(honest)
    ]
    assert back.flow == honest.flow
    assert [time for _, time, _ in labels_of(back)] == [
        "01-04 10:00",
        "03-09 10:00",
        "01-03 10:00",
        "02-05 12:00",
        "01-05 10:00",
    ]
    assert [leak.check for leak in back.leaks] == ["declared leak", "known outcome"]
    assert honest.leaks == ()


def test_a_stay_whose_end_is_not_known_is_looked_back_on_from_its_prediction(
    make_events: Make, one_stay: Stay
) -> None:
    rows = [
        *one_stay(1, 10, "2020-01-01", None, None),
        (1, "2020-01-03", "HOSPITAL_OUTCOME//alive", 10),
        *one_stay(2, 20, "2020-01-01", "2020-01-08", "expired"),
    ]
    cohort = select_cohort(make_events(rows), with_hindsight(in_hospital()))
    assert labels_of(cohort) == [(1, "01-02 00:00", False), (2, "01-08 00:00", True)]


@pytest.mark.parametrize("visits", [True, False])
def test_the_first_icu_admission_of_a_stay_is_counted_from(
    make_events: Make, one_stay: Stay, *, visits: bool
) -> None:
    rows = [
        *one_stay(1, 10, "2020-01-01 10:00", "2020-01-09 10:00", "alive"),
        (1, "2020-01-02 06:00", "ICU_ADMISSION//MICU", 10),
        (1, "2020-01-05 06:00", "ICU_ADMISSION//SICU", 10),
        *one_stay(1, 11, "2020-02-01 10:00", "2020-02-09 10:00", "expired"),
        (1, "2020-02-01 10:00", "ICU_ADMISSION//MICU", 11),
        # never in an ICU; and discharged within the day after it
        *one_stay(2, 20, "2020-01-01 10:00", "2020-01-09 10:00", "alive"),
        *one_stay(3, 30, "2020-01-01 10:00", "2020-01-04 10:00", "alive"),
        (3, "2020-01-03 12:00", "ICU_ADMISSION//MICU", 30),
    ]
    task = task_named("in-hospital", trigger="ICU admission")
    cohort = select_cohort(make_events(rows, visits=visits), task)
    assert labels_of(cohort) == [(1, "01-03 06:00", False), (1, "02-02 10:00", True)]
    assert removed(cohort.flow) == {"no-trigger-time": 1, "shorter-than-window": 1}
