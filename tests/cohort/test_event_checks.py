from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cohort.conftest import born, stay
from tests.records import write_labels

from sequela import register
from sequela.audit.finding import Finding
from sequela.cohort import event_checks
from sequela.cohort.events import Events
from sequela.cohort.selection import cohort_of_labels, select_cohort
from sequela.cohort.tasks import in_hospital, post_discharge, task_named
from sequela.datasets import codes
from sequela.datasets.codes import FAMILIES, Family
from sequela.errors import SettingError
from sequela.tables.declarations import PLACEHOLDER
from sequela.tables.hospitals import hospitals, source_of

Row = tuple[Any, ...]
Rows = Callable[[], list[Row]]
Make = Callable[..., Events]


def planted(rows: list[Row]) -> list[Row]:
    """The discharge codes of each stay once more, at its admission."""
    admitted = {row[3]: row[1] for row in rows if row[2].startswith("HOSPITAL_ADMISSION")}
    codes = [row for row in rows if row[2].startswith("ICD9CM")]
    return rows + [(row[0], admitted[row[3]], row[2], row[3]) for row in codes]


@pytest.mark.parametrize("visits", [True, False])
def test_planted_discharge_codes_are_found(rows: Rows, make_events: Make, *, visits: bool) -> None:
    cohort = select_cohort(make_events(planted(rows()), visits=visits), in_hospital())
    assert len(cohort.leaks) == 1
    assert "4 of 5 examples see 4 codes of a stay" in cohort.leaks[0].what


# Under each name that a source here or another writer of MEDS data gives them.
CODED_LATER = [
    *("ICD9CM//4280", "ICD10CM//I509", "ICD9PROC//3961", "ICD10PCS//02100Z9"),
    *("CPT//99291", "HCPCS//C1769", "DRG//HCFA//127"),
    *("DIAGNOSIS//ICD//9//4280", "DIAGNOSIS//ICD//10//I509"),
    *("PROCEDURE//ICD//9//3961", "PROCEDURE//ICD//10//02100Z9"),
    *("ICD9CM/428.0", "ICD10CM/I50.9", "ICD9Proc/39.61", "ICD10PCS/02100Z9"),
    *("CPT4/99291", "HCPCS/C1769", "HCFA/127", "APR/194"),
    "BILLED//SNOMED//84114007",
]


def test_every_family_coded_later_is_found_an_hour_after_admission(
    rows: Rows, make_events: Make
) -> None:
    early = [(2, "2020-02-01 11:00", code, 22) for code in CODED_LATER]
    (leak,) = select_cohort(make_events([*rows(), *early]), in_hospital()).leaks
    assert leak.check == "codes from the future"
    assert f"1 of 5 examples sees {len(CODED_LATER)} codes of a stay" in leak.what


@pytest.mark.parametrize("code", ["ICD9CM//4280", "SNOMED/84114007", "DIAGNOSIS//SNOMED//84114007"])
def test_a_code_of_no_stay_belongs_to_the_stay_that_it_falls_into(
    code: str, rows: Rows, make_events: Make
) -> None:
    """Its time is that of the stay; 999 is no stay."""
    early = [
        (1, "2020-01-01 11:00", code, 11),
        (2, "2020-02-01 11:00", code, None),
        (4, "2020-01-01 11:00", code, 999),
    ]
    (found,) = select_cohort(make_events([*rows(), *early]), in_hospital()).leaks
    of_billing = code.startswith("ICD9CM")
    assert found.check == ("codes from the future" if of_billing else "undeclared codes")
    assert found.severity == ("leak" if of_billing else "suspicion")
    assert "3 of 5 examples see 3 codes of a stay" in found.what
    assert (
        of_billing
        or "sequela.register.family(Family(NAME, charted=True))" in found.in_words()["remedy"]
    )


def test_a_code_at_the_discharge_of_the_stay_before_belongs_to_that_stay(
    rows: Rows, one_stay: Callable[..., list[Row]], make_events: Make
) -> None:
    again = one_stay(1, 13, "2020-01-04 10:00", "2020-01-09 10:00", "alive")
    billed = (1, "2020-01-04 10:00", "ICD9CM//5990", None)
    assert select_cohort(make_events([*rows(), *again, billed]), in_hospital()).leaks == ()


def test_a_declared_family_is_not_suspected(
    rows: Rows, make_events: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "NAMED", copy(codes.NAMED))
    early = (2, "2020-02-01 11:00", "WOUND//clean", 22)
    events = make_events([*rows(), early])
    assert [found.check for found in select_cohort(events, in_hospital()).leaks] == [
        "undeclared codes"
    ]
    register.family(Family("WOUND", "state of a wound", charted=True))
    try:
        assert select_cohort(events, in_hospital()).leaks == ()
        with pytest.raises(SettingError, match="'WOUND' is declared already, as state of a wound"):
            register.family(Family("WOUND", charted=True))
    finally:
        codes.family_of.cache_clear()


def test_a_name_is_of_one_family() -> None:
    names = [name for family in FAMILIES for name in (family.name, *family.aliases)]
    assert [name for name in names if names.count(name) > 1] == []


def test_a_family_that_says_nothing_is_refused() -> None:
    with pytest.raises(SettingError, match="expected charted=True, or coded_later with the reason"):
        register.family(Family("WOUND"))


@pytest.mark.parametrize("name", hospitals())
def test_every_family_of_a_source_is_declared(name: str) -> None:
    facts = [fact for table in source_of(name).tables for fact in table.facts]
    heads = {PLACEHOLDER.split(fact.code)[0].split("//")[0] for fact in facts} - {""}
    assert [head for head in sorted(heads) if not codes.family_of(f"{head}//1").declared] == []


def question(hours_of_deaths: float, path: Path, events: Events) -> list[Finding]:
    """What is found where deaths are asked at another hour than survivors, 40 stays of each."""
    times = [f"2020-01-02T{10 + i % 5:02}:{i % 60:02}" for i in range(80)]
    asked = np.array(times, "datetime64[us]")
    died = np.arange(80) % 2 == 1
    asked[died] += np.timedelta64(round(hours_of_deaths * 60), "m")
    columns = {"subject_id": np.arange(100, 180), "prediction_time": asked, "boolean_value": died}
    pq.write_table(pa.table(columns), path)
    return list(cohort_of_labels(events, path).leaks)


@pytest.mark.parametrize(("hours", "found"), [(0, False), (-8, True), (8, True), (0.1, False)])
def test_classes_that_are_asked_at_other_hours(
    hours: float,
    found: bool,  # noqa: FBT001
    tmp_path: Path,
    one_stay: Callable[..., list[Row]],
    make_events: Make,
) -> None:
    stays = [
        one_stay(100 + i, i, "2020-01-01 10:00", "2020-01-09 10:00", "alive") for i in range(80)
    ]
    events = make_events([row for rows in stays for row in rows])
    leaks = question(hours, tmp_path / "labels.parquet", events)
    assert [leak.check for leak in leaks] == ["times that tell the outcome"] * found
    if found:
        assert "AUROC of 1.00 (hours since admission, median: 26" in leaks[0].what


def test_what_is_planted_is_every_family_that_a_source_declares_and_every_alias() -> None:
    declared = {
        PLACEHOLDER.split(fact.code)[0]
        for name in hospitals()
        for table in source_of(name).tables
        for fact in table.facts
        if "after discharge" in fact.why and "coders" in fact.why
    }
    # BILLED marks rows of OMOP that are dated as recorded on purpose; see test_omop.py.
    later = {f"{family.name}//" for family in FAMILIES if family.coded_later}
    assert declared == later - {"BILLED//"}
    names = [name for f in FAMILIES if f.coded_later for name in (f.name, *f.aliases)]
    assert [name for name in names if not any(c.startswith(name) for c in CODED_LATER)] == []


def test_codes_that_no_model_sees_do_not_leak(rows: Rows, make_events: Make) -> None:
    task = task_named("in-hospital", inputs=("LAB",))
    assert select_cohort(make_events(planted(rows())), task).leaks == ()


@pytest.mark.parametrize("task", [in_hospital(0), in_hospital(), post_discharge()])
def test_honest_tasks_do_not_leak(rows: Rows, make_events: Make, task: Any) -> None:
    assert select_cohort(make_events(rows()), task).leaks == ()


def test_labels_after_the_death_are_found(tmp_path: Path, rows: Rows, make_events: Make) -> None:
    events = make_events(rows())
    task = task_named("in-hospital", trigger="discharge", hours=0, exclude=("blank-status",))
    leaking = select_cohort(events, task)
    assert "positive labels are after the death is on record" in leaking.leaks[0].what
    write_labels(leaking.labels, tmp_path / "labels.parquet")
    from_file = cohort_of_labels(events, tmp_path / "labels.parquet")
    assert [leak.what for leak in from_file.leaks] == [leak.what for leak in leaking.leaks]


def test_a_stay_noted_within_another_does_not_make_its_outcome_known(make_events: Make) -> None:
    """As the demo of MIMIC-IV in OMOP has one: the long stay is asked, the short one has ended."""
    long = stay(1, 11, "2020-01-01 10:00", "2020-01-09 10:00", "alive")
    short = stay(1, 12, "2020-01-01 11:00", "2020-01-01 20:00", "alive")
    other = stay(2, 21, "2020-01-01 10:00", "2020-01-04 10:00", "alive")
    events = make_events([*born(1), *long, *short, *born(2), *other])
    cohort = select_cohort(events, task_named("length-of-stay-7d"))
    assert cohort.label.tolist() == [True, False]
    assert cohort.leaks == ()


@pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.9, True)])
def test_times_are_modelled_only_where_they_may_tell(share: float, told: bool) -> None:  # noqa: FBT001
    """A bound that a look at quartiles gives: no model of these times can pass it."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    hour = rng.uniform(0, 24, 200)
    moved = (label == 1) & (rng.random(200) < share)
    columns = np.column_stack([rng.normal(size=200), np.where(moved, hour % 4, hour)])
    assert (event_checks.highest_auroc(columns, label) >= event_checks.REVEALING_TIMES) == told
