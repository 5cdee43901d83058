"""Outcomes that are not death, against a slow plain reference, and an outcome of one's own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.records import write_labels

from sequela.cohort.events import Events
from sequela.cohort.outcomes import ANY_DEATH, OUTCOMES, Outcome, of_labels, stay_of_more_than
from sequela.cohort.selection import Cohort, cohort_of_labels, select_cohort
from sequela.cohort.tasks import TASKS, Task, icu_transfer, length_of_stay, readmission, task_named
from sequela.errors import DataError, SettingError, UnknownNameError

Row = tuple[Any, ...]
Make = Callable[..., Events]
Answers = dict[tuple[int, datetime], bool]
START = datetime(2020, 1, 1, 8)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def make_events(make_events: Make) -> Make:
    def make(rows: list[Row]) -> Events:
        return make_events([(row[0], str(row[1]), *row[2:]) for row in rows])

    return make


@dataclass(frozen=True)
class Stay:
    subject: int
    visit: int
    admitted: datetime
    discharged: datetime | None
    icu: datetime | None
    died: bool

    def rows(self) -> list[Row]:
        found: list[Row] = [(self.subject, self.admitted, "HOSPITAL_ADMISSION//E", self.visit)]
        if self.icu is not None:
            found.append((self.subject, self.icu, "ICU_ADMISSION//MICU", self.visit))
        if self.discharged is not None:
            outcome = "expired" if self.died else "alive"
            found.append((self.subject, self.discharged, "HOSPITAL_DISCHARGE//H", self.visit))
            found.append(
                (self.subject, self.discharged, f"HOSPITAL_OUTCOME//{outcome}", self.visit)
            )
            if self.died:
                found.append((self.subject, self.discharged, "MEDS_DEATH"))
        return found


def drawn(seed: int, subjects: int) -> tuple[list[Stay], dict[int, datetime]]:
    """Stays, some overlapping, open, fatal or with intensive care; and ends of follow-up."""
    rng = np.random.default_rng(seed)
    stays, followed = [], {}
    for subject in range(subjects):
        time, fatal = START + int(rng.integers(400)) * DAY, False
        for number in range(int(rng.integers(1, 5))):
            length = int(rng.integers(1, 12 * 24)) * HOUR
            icu = time + int(rng.integers(0, 72)) * HOUR
            fatal = bool(rng.random() < 0.15)
            stays.append(
                Stay(
                    subject,
                    subject * 10 + number,
                    time,
                    None if rng.random() < 0.05 else time + length,
                    icu if rng.random() < 0.5 and icu < time + length else None,
                    fatal,
                )
            )
            if fatal:
                break
            time += length + int(rng.integers(-48, 60 * 24)) * HOUR
        if not fatal:
            followed[subject] = time + int(rng.integers(5, 90)) * DAY
    return stays, followed


def rows_of(stays: list[Stay], followed: dict[int, datetime]) -> list[Row]:
    ends = [(subject, time, "FOLLOW_UP_END") for subject, time in followed.items()]
    return [row for stay in stays for row in stay.rows()] + ends


def times_of(stay: Stay) -> list[datetime]:
    return [time for time in (stay.admitted, stay.icu, stay.discharged) if time is not None]


def death_of(stays: list[Stay], subject: int) -> datetime | None:
    return next((s.discharged for s in stays if s.subject == subject and s.died), None)


def readmitted(stays: list[Stay], followed: dict[int, datetime], days: int) -> Answers:
    found: Answers = {}
    for stay in stays:
        if stay.discharged is None or stay.died:
            continue
        horizon = stay.discharged + days * DAY
        others = [s for s in stays if s.subject == stay.subject and s is not stay]
        later = [s.admitted for s in others if s.admitted > stay.admitted]
        open_still = [
            s
            for s in others
            if s.admitted < stay.admitted and s.discharged and s.discharged > stay.discharged
        ]
        death = death_of(stays, stay.subject)
        if open_still or any(time <= stay.discharged for time in later):
            continue
        if death is not None and death <= stay.discharged:
            continue
        seen = [time for s in stays if s.subject == stay.subject for time in times_of(s)]
        until = followed.get(stay.subject) or max(seen)
        if death is None and until < horizon:
            continue
        found[stay.subject, stay.discharged] = any(time <= horizon for time in later)
    return found


def in_hospital_after_a_day(stays: list[Stay]) -> dict[Stay, datetime]:
    asked = {}
    for stay in stays:
        death = death_of(stays, stay.subject)
        if stay.discharged is None or (death is not None and death < stay.admitted):
            continue
        if stay.discharged > stay.admitted + DAY:
            asked[stay] = stay.admitted + DAY
    return asked


def long_stays(stays: list[Stay], days: int) -> Answers:
    return {
        (stay.subject, time): bool(stay.discharged and stay.discharged - stay.admitted > days * DAY)
        for stay, time in in_hospital_after_a_day(stays).items()
    }


def transferred(stays: list[Stay]) -> Answers:
    return {
        (stay.subject, time): stay.icu is not None
        for stay, time in in_hospital_after_a_day(stays).items()
        if stay.icu is None or stay.icu > time
    }


def answers(cohort: Cohort) -> Answers:
    return {
        (row["subject_id"], row["prediction_time"]): row["boolean_value"]
        for row in cohort.labels.to_pylist()
    }


def test_each_task_is_its_plain_reference(make_events: Make) -> None:
    stays, followed = drawn(0, subjects=180)
    events = make_events(rows_of(stays, followed))
    for task, expected in (
        (readmission(), readmitted(stays, followed, 30)),
        (readmission(7), readmitted(stays, followed, 7)),
        (length_of_stay(), long_stays(stays, 7)),
        (length_of_stay(3), long_stays(stays, 3)),
        (icu_transfer(), transferred(stays)),
    ):
        cohort = select_cohort(events, task)
        assert answers(cohort) == expected, task.name
        assert len(set(expected.values())) == 2
        assert cohort.leaks == (), task.name


def small() -> list[Stay]:
    """A readmission, a death at home (given by the test), a fatal stay, a long one with an ICU."""
    return [
        Stay(1, 10, START, START + 3 * DAY, None, died=False),
        Stay(1, 11, START + 20 * DAY, START + 29 * DAY, START + 23 * DAY, died=False),
        Stay(2, 20, START, START + 2 * DAY, None, died=False),
        Stay(3, 30, START, START + 5 * DAY, None, died=True),
    ]


def test_who_dies_without_the_event_stays_in_and_the_flow_says_so(make_events: Make) -> None:
    dead = (2, START + 9 * DAY, "MEDS_DEATH")
    events = make_events([*rows_of(small(), {}), dead, (1, START + 99 * DAY, "FOLLOW_UP_END")])
    cohort = select_cohort(events, readmission())
    assert answers(cohort)[2, START + 2 * DAY] is False
    note = cohort.flow.notes[0]
    assert note == (
        "1 of the negative examples died within the horizon without a readmission, and count as "
        "not readmitted."
    )
    note = select_cohort(events, length_of_stay()).flow.notes[0]
    assert note.startswith("1 of the negative examples died in the stay by then")
    note = select_cohort(events, icu_transfer()).flow.notes[0]
    assert note.startswith("1 of the negative examples died in the stay outside")


def test_data_without_follow_up_say_what_is_assumed_of_this_outcome(make_events: Make) -> None:
    cohort = select_cohort(make_events(rows_of(small(), {})), readmission())
    assert (
        "without an admission on record by the horizon count as not readmitted"
        in cohort.flow.notes[0]
    )


TOO_LATE = [
    (
        readmission(),
        18.5 * 24,
        "coalesce(next_admission <= horizon, false)",
        "1 of 1 positive labels is",
    ),
    (length_of_stay(), 7 * 24, length_of_stay().outcome.found, "4 of 4 labels are"),
    (icu_transfer(), 72, "icu_admitted IS NOT NULL", "1 of 1 positive labels is"),
]


@pytest.mark.parametrize(("task", "hours", "found", "what"), TOO_LATE)
def test_an_outcome_that_is_known_is_found(
    task: Task, hours: float, found: str, what: str, make_events: Make
) -> None:
    """The same question, asked too late and without the rule that would have seen it."""
    outcome = replace(task.outcome, found=found)
    late = replace(task, hours=hours, outcome=outcome, exclude=("died-in-hospital",))
    late = late if task.name == "readmission-30d" else replace(late, exclude=("no-discharge",))
    (leak,) = select_cohort(make_events(rows_of(small(), {})), late).leaks
    assert leak.check == "known outcome"
    assert leak.what == f"{what} {task.outcome.known_words}"


def test_a_readmission_is_not_asked_where_stays_have_no_order(make_events: Make) -> None:
    events = make_events(rows_of(small(), {}))
    (events.root / "account.json").write_text('{"stays_in_order": false}')
    with pytest.raises(DataError, match="needs the time after a stay, and these data do not give"):
        select_cohort(make_events(rows_of(small(), {})), readmission())


SEPSIS = Outcome(
    "sepsis in the stay",
    "sepsis",
    "cases of sepsis",
    ("no sepsis", "sepsis"),
    events=("DX//sepsis",),
    of="stays",
)


@pytest.mark.parametrize("numbered", [True, False])
def test_events_decide_an_outcome_within_the_stay(make_events: Make, *, numbered: bool) -> None:
    sepsis = [
        (1, START + 21.5 * DAY, "DX//sepsis//late", 11 if numbered else None),
        (2, START + 9 * DAY, "DX//sepsis", None),  # at home
        (3, START + 2 * DAY, "DX//sepsisish", 30),
    ]
    task = Task("sepsis", "admission", SEPSIS, hours=24, exclude=("shorter-than-window",))
    rows = rows_of(small(), {})
    cohort = select_cohort(make_events([*rows, *sepsis]), task)
    assert [key for key, value in answers(cohort).items() if value] == [(1, START + 21 * DAY)]
    assert cohort.leaks == ()
    before = (1, START + 20.5 * DAY, "DX//sepsis", 11)
    leak, _ = select_cohort(make_events([*rows, *sepsis, before]), task).leaks
    assert leak.what == "1 of 1 positive labels is after the outcome is on record"


def test_events_decide_an_outcome_within_the_horizon(make_events: Make) -> None:
    falls = replace(SEPSIS, within="horizon", horizon=True, of="either", events=("FALL",))
    task = Task("falls", "discharge", falls, horizon_days=7, exclude=("died-in-hospital",))
    fell = [(2, START + 9 * DAY, "FALL//stairs"), (1, START + 10.1 * DAY, "FALL//bed")]
    cohort = select_cohort(make_events([*rows_of(small(), {}), *fell]), task)
    assert [key for key, value in answers(cohort).items() if value] == [(2, START + 2 * DAY)]


def test_a_label_that_nobody_knows_is_an_error(make_events: Make) -> None:
    unknown = replace(SEPSIS, events=(), found="CASE WHEN icu_admitted IS NOT NULL THEN true END")
    with pytest.raises(DataError, match="not known for 3 of the 4 candidates"):
        select_cohort(make_events(rows_of(small(), {})), Task("x", "admission", unknown))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_reads_back_and_so_does_one_of_an_own_outcome(name: str) -> None:
    task = task_named(name)
    assert Task.from_dict(task.to_dict()) == task
    assert "outcome" not in task.to_dict()
    assert task.to_dict()["label"] == task.outcome.label
    own = replace(task, outcome=replace(task.outcome, many="more"))
    assert own.to_dict()["outcome"]["many"] == "more"
    assert Task.from_dict(own.to_dict()) == own


def test_other_days_are_another_outcome() -> None:
    task = length_of_stay(3)
    assert task.outcome == stay_of_more_than(3)
    assert task.outcome.classes == ("at most 3 days", "more than 3 days")
    assert Task.from_dict(task.to_dict()) == task
    assert "readmission within 30 days" in readmission().describe()


def test_a_label_file_has_its_own_words_or_neutral_ones(tmp_path: Path, make_events: Make) -> None:
    events = make_events(rows_of(small(), {}))
    write_labels(select_cohort(events, length_of_stay()).labels, tmp_path / "labels.parquet")
    task = readmission()
    plain = cohort_of_labels(events, tmp_path / "labels.parquet", task).task.outcome
    named = cohort_of_labels(events, tmp_path / "labels.parquet", task, "long").task.outcome
    assert (plain.classes, plain.many) == (("no event", "event"), "events")
    assert (named.classes, named.label) == (("not long", "long"), "long")
    assert of_labels().known == ANY_DEATH.known


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"found": "true"}, "by SQL or by events, not by both"),
        ({"classes": ("a", "a")}, "expected two names"),
        ({"within": "horizon"}, "looks for events within a horizon"),
        ({"of": "either"}, "looks for events in stays"),
    ],
)
def test_outcomes_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(SEPSIS, **changes)


def test_words_of_an_outcome_and_of_a_declaration_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="within of an outcome"):
        replace(SEPSIS, within="year")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean 'any death'"):
        Task.from_dict({"name": "x", "trigger": "admission", "label": "any deaht"})
    with pytest.raises(SettingError, match="not an outcome"):
        Outcome.from_dict({"label": "x"})
    assert len({outcome.one for outcome in OUTCOMES.values()}) == 4
