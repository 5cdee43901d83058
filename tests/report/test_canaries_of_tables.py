"""Canaries in tables of MIMIC-IV, NAFLD and OMOP, and in what shows an ensemble of records."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.canaries import Planted, called
from tests.report.test_canaries import EPOCH, TASK, assert_none_found, shown_of

from sequela.cli.app import main

PEOPLE = 160
LANDMARK = ("--task", "landmark", "--days", 1000, "--demographics")


def text_of(person: int, place: str) -> str:
    return f"Canary {person:03d}{place} Mrs Vogel fell"


def written(root: Path, tables: Mapping[str, Sequence[Mapping[str, object]]]) -> Planted:
    """The tables as csv files, and what in them must not be found."""
    texts = set[str]()
    for name, rows in tables.items():
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path = root / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(out.getvalue(), "utf-8")
        texts |= set(re.findall(r"Canary \w+ Mrs Vogel fell", out.getvalue()))
    assert len(texts) > PEOPLE
    values = [str(v) for rows in tables.values() for row in rows for v in row.values()]
    ids = {v for v in values if re.fullmatch(r"-?\d{7,}", v)}
    days = {v[:10] for v in values if re.match(r"\d{4}-\d\d-\d\d", v)}
    return Planted(root, frozenset(ids), frozenset(days), frozenset(texts))


def stay_of(person: int) -> tuple[datetime, datetime, bool]:
    """When a stay begins and ends, and whether it ends in death."""
    begin = datetime(2150 + person % 7, 1 + person % 12, 1 + person % 27, 8, 15)
    return begin, begin + timedelta(days=3 + person % 9), person % 3 == 0


def mimic4(root: Path) -> Planted:
    patients, admissions, coded, labs = [], [], [], []
    for n in range(PEOPLE):
        subject, stay = 10_731_000 + 13 * n, 28_410_000 + 17 * n
        begin, end, died = stay_of(n)
        patients.append(
            {"subject_id": subject, "gender": "FM"[n % 2], "anchor_age": 40 + n % 40,
             "anchor_year": begin.year, "anchor_year_group": "2011 - 2013",
             "dod": end.date() if died else ""}
        )  # fmt: skip
        admissions.append(
            {"subject_id": subject, "hadm_id": stay, "admittime": begin, "dischtime": end,
             "deathtime": end if died else "", "admission_type": "EW EMER.",
             "admission_location": text_of(n, "a"),
             "discharge_location": "DIED" if died else "HOME",
             "insurance": text_of(n, "b"), "language": text_of(n, "c"),
             "marital_status": text_of(n, "d"),
             "race": text_of(n, "e"), "edregtime": "",
             "edouttime": "", "hospital_expire_flag": int(died)}
        )  # fmt: skip
        coded += [
            {"subject_id": subject, "hadm_id": stay, "seq_num": i, "icd_code": code,
             "icd_version": 9}
            for i, code in enumerate(("4280", f"25{n % 10}00"))
        ]  # fmt: skip
        labs += [
            {"labevent_id": 52_000_000 + 10 * n + i, "subject_id": subject, "hadm_id": stay,
             "specimen_id": 61_000_000 + n, "itemid": 50912 + i,
             "charttime": begin + timedelta(hours=2), "storetime": begin + timedelta(hours=3),
             "value": text_of(n, "f") if i == 3 else f"{i}.{n % 7}",
             "valuenum": "" if i == 3 else f"{i}.{n % 7}", "valueuom": "mg/dL"}
            for i in range(4)
        ]  # fmt: skip
    tables = {"patients": patients, "admissions": admissions, "diagnoses_icd": coded}
    return written(root, {f"hosp/{n}": rows for n, rows in {**tables, "labevents": labs}.items()})


def omop(root: Path) -> Planted:
    persons, visits, conditions, deaths = [], [], [], []
    for n in range(PEOPLE):
        person, visit = 5_773_100_000_000 + 13 * n, 6_841_000_000_000 + 17 * n
        begin, end, died = stay_of(n)
        persons.append(
            {"person_id": person, "gender_concept_id": (8507, 8532)[n % 2],
             "year_of_birth": 2080 + n % 20, "gender_source_value": text_of(n, "a"),
             "race_source_value": text_of(n, "b")}
        )  # fmt: skip
        visits.append(
            {"visit_occurrence_id": visit, "person_id": person, "visit_concept_id": 9201,
             "visit_start_date": begin.date(), "visit_start_datetime": begin,
             "visit_end_date": end.date(), "visit_end_datetime": end,
             "admitted_from_source_value": text_of(n, "c"),
             "discharged_to_source_value": "Died" if died else text_of(n, "d")}
        )  # fmt: skip
        conditions += [
            {"condition_occurrence_id": 7_000_000_000 + 10 * n + i, "person_id": person,
             "condition_concept_id": (n + i) % 9, "condition_start_date": begin.date(),
             "condition_start_datetime": begin + timedelta(hours=i),
             "condition_type_concept_id": 32817, "visit_occurrence_id": visit,
             "condition_source_value": text_of(n, "e") if i == 2 else f"42{n % 9}.{i}"}
            for i in range(3)
        ]  # fmt: skip
        if died:
            deaths.append({"person_id": person, "death_date": end.date()})
    return written(
        root,
        {"person": persons, "visit_occurrence": visits, "condition_occurrence": conditions,
         "death": deaths},
    )  # fmt: skip


def nafld(root: Path) -> Planted:
    people, values, events = [], [], []
    for n in range(PEOPLE):
        one = 7_310_000 + 13 * n
        people.append(
            {"id": one, "age": 40 + n % 40, "male": n % 2, "weight": 70 + n % 30,
             "height": 160 + n % 30, "bmi": 20 + n % 15, "case.id": one,
             "futime": 1200 + 20 * n if n % 3 else 100 + 5 * n, "status": int(n % 3 == 0)}
        )  # fmt: skip
        tests = ("hdl", "chol", text_of(n, "a"))
        values += [{"id": one, "days": -i, "test": t, "value": 40 + n} for i, t in enumerate(tests)]
        events += [
            {"id": one, "days": -1, "event": event} for event in ("diabetes", text_of(n, "b"))
        ]
    return written(root, {"nafld1": people, "nafld2": values, "nafld3": events})


@pytest.mark.slow(but="mimic4")
@pytest.mark.parametrize("make", [mimic4, nafld, omop])
def test_no_canary_of_tables_is_shown(
    make: Callable[[Path], Planted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = make(tmp_path / "data")
    task = LANDMARK if make is nafld else TASK
    said = shown_of(make.__name__, canaries.root, tmp_path, capsys, task)
    assert_none_found(canaries, tmp_path, said)


@pytest.mark.slow
def test_no_canary_is_shown_beside_another_model_or_in_an_ensemble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = mimic4(tmp_path / "data")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    outside.mkdir()
    members = (inside / "visits-baseline", inside / "logistic-regression")
    for run, more in zip(members, (EPOCH, ()), strict=True):
        asked = ("--data", "mimic4", "--root", canaries.root, *TASK, *more, "--out", run)
        assert called(main, "train", run.name, *asked) == 0
    both, hidden = inside / "ensemble", ("--hide-below", "10")
    assert called(main, "ensemble", *members, "--out", both) == 0
    assert called(main, "report", *members, *hidden, "--out", outside / "report.html") == 0
    assert called(main, "compare", *members, *hidden, "--out", outside / "compare.html") == 0
    assert called(main, "compare", *members, "--json") == 0
    assert called(main, "evaluate", members[0], "--json") == 0
    assert called(main, "share", both, "--out", outside / "shared") == 0
    printed = capsys.readouterr()
    shown = {"report.html": [run.name for run in members], "shared/report.html": [both.name]}
    assert_none_found(canaries, tmp_path, printed.out + printed.err, shown)
