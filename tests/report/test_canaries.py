"""What may leave the building holds no id, no date, no free text and no name of few."""

import base64
import csv
import gzip
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import edfio
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors import numpy as arrays_file
from tests.canaries import Planted, called, outputs, parts_of, planted
from tests.conftest import meds as write_meds

from sequela.cli.app import main
from sequela.datasets.catalog import EXCERPTS
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.studies.results import results

COUNTS = {"examples", "groups", "events", "count"}
PATIENTS = 300
PEOPLE = 160
TASK = ("--task", "in-hospital", "--demographics")
LANDMARK = ("--task", "landmark", "--days", 1000, "--demographics")
EPOCH = ("--epochs", 1)
SHOWN = {"shared/report.html": ["visits-baseline"], "external.html": ["visits-baseline"]}


def shown_of(
    data: str,
    root: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    task: tuple[object, ...] = TASK,
    hide_below: int = 10,
) -> str:
    """Make everything that shows a network; what was printed."""
    run, outside = out / "inside" / "visits-baseline", out / "outside"
    of_data = ("--data", data, "--root", root)
    assert called(main, "train", run.name, *of_data, *task, *EPOCH, "--out", run) == 0
    outside.mkdir()
    hiding = ("--hide-below", hide_below)
    page = outside / "external.html"
    assert called(main, "evaluate", run, *of_data, "--page", page, *hiding) == 0
    explained = (run, "--root", root, "--steps", 4, "--out", outside / "explanation.html", *hiding)
    assert called(main, "explain", *explained) == 0
    assert called(main, "audit", run, "--root", root) in (0, 3, 4)
    assert called(main, "explain", run, "--root", root, "--example", "nobody") == 2
    assert called(main, "verify", run) == 0
    (outside / "results.json").write_text(json.dumps(results([open_run(run)], hide_below)), "utf-8")
    assert called(main, "share", run, "--out", outside / "shared") == 0  # its page and its card
    # With a large test set, as a package needs ten events in it.
    parts = ("--fractions", 0.4, 0.2, 0.4, "--min-subjects", 10)
    trees = out / "inside" / "boosting"
    assert called(main, "train", trees.name, *of_data, *task, *parts, "--out", trees) == 0
    assert called(main, "share", trees, "--study", outside / "ward.zip") == 0
    printed = capsys.readouterr()
    return printed.out + printed.err


def csv_of(page: Path) -> dict[str, list[dict[str, str]]]:
    """The data of the figures of a page, by the name of their file."""
    text = page.read_text("utf-8")
    links = re.findall(r'download="([^"]+)\.csv" href="data:text/csv;charset=utf-8,([^"]*)"', text)
    return {name: list(csv.DictReader(unquote(each).splitlines())) for name, each in links}


def assert_no_count_of_few(page: Path, runs: Sequence[Path]) -> bool:
    """Neither a count in the data of a figure is small, nor one that net benefit gives away.

    Whether the page has figures with data.
    """
    found = csv_of(page)
    counted = [
        (name, row[column])
        for name, rows in found.items()
        for row in rows
        for column in COUNTS & row.keys()
        if row[column]
    ]
    # Where a class is of few, as in the MIMIC-III demo, no figure counts anybody.
    assert counted or not any(name.endswith("reliability") for name in found)
    assert [(name, count) for name, count in counted if 0 < int(count) < 10] == []
    decided = {
        float(row["threshold"])
        for name, rows in found.items()
        for row in rows
        # A curve has gaps; the line of acting on all tells the share of events alone.
        if name.endswith("decision") and row["model"] != "act on all" and row["net_benefit"]
    }
    for run in runs:
        held_out = RunFolder(run).predictions.part("held_out")
        for at in decided:
            cells = np.bincount(2 * held_out.label + (held_out.score >= at), minlength=4)
            assert not ((cells > 0) & (cells < 10)).any(), (run, at)
    return bool(found)


def assert_none_found(
    canaries: Planted, out: Path, said: str, shown: Mapping[str, Sequence[str]] = SHOWN
) -> None:
    """No canary is in what was made, and no page counts few of the runs that it shows."""
    predictions = RunFolder(out / "inside" / "visits-baseline").predictions
    internal = {*predictions.subject_id.tolist(), *predictions.example_id.tolist()}
    own = replace(canaries, ids=canaries.ids | {one for one in internal if len(one) >= 5})
    assert len(own.ids) >= 89
    drawn = [
        assert_no_count_of_few(out / "outside" / page, [out / "inside" / run for run in runs])
        for page, runs in shown.items()
    ]
    assert any(drawn)
    assert {
        name: found
        for name, content in outputs(out / "outside", said).items()
        if (found := own.found_in(content))
    } == {}


def mimic3(root: Path) -> Planted:
    return planted((EXCERPTS / "mimic3").glob("*.csv.gz"), EXCERPTS / "mimic3", root)


def eicu(root: Path) -> Planted:
    return planted((EXCERPTS / "eicu").glob("*.csv.gz"), EXCERPTS / "eicu", root)


def physionet2012(root: Path) -> Planted:
    """Some patients of the excerpt, which has no texts and no days."""
    table = pq.read_table(EXCERPTS / "physionet2012.parquet")
    ids = table[0].unique()[:PATIENTS]
    root.mkdir()
    file = root / "some.parquet"
    pq.write_table(table.filter(pc.is_in(table[0], ids)), file)
    return Planted(file, frozenset(map(str, ids.to_pylist())), frozenset(), frozenset())


def meds(root: Path) -> Planted:
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    for n in range(PEOPLE):
        subject, stay = 7_310_000 + 13 * n, 8_410_000 + 17 * n
        day = f"2031-{1 + n % 12:02d}-{1 + n % 27:02d}"
        end = f"2032-{1 + n % 12:02d}-{1 + n % 27:02d}T10:00"
        died = n % 3 == 0
        rows += [
            (subject, "1960-04-05T00:00", "MEDS_BIRTH"),
            (subject, f"{day}T01:00", "HOSPITAL_ADMISSION//EMERGENCY", stay),
            (subject, f"{day}T02:00", f"ETHNICITY//{text_of(n, 'q')}", stay),
            (subject, f"{day}T02:00", f"NOTE//{text_of(n, 'q')}", stay),
            (subject, f"{day}T03:00", "ICU_ADMISSION//MICU", stay),
            *[(subject, f"{day}T04:00", f"LAB//{code}", stay) for code in rng.choice(20, 6)],
            (subject, end, f"HOSPITAL_DISCHARGE//{'DIED' if died else 'HOME'}", stay),
        ]
        rows += [(subject, end, "MEDS_DEATH")] * died
    return Planted(
        write_meds(root, rows),
        frozenset(str(row[0]) for row in rows),
        frozenset(str(row[1])[:10] for row in rows),
        frozenset(text_of(n, "q") for n in range(PEOPLE)),
    )


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


def clif(root: Path) -> Planted:
    """Ids are text, so that they could be in any text."""
    patients, stays, coded, labs = [], [], [], []
    for n in range(PEOPLE):
        begin, end, died = stay_of(n)
        stay = {"hospitalization_id": text_of(n, "a")}
        patients.append(
            {"patient_id": text_of(n, "b"), "birth_date": f"{2080 + n % 20}-03-01",
             "death_dttm": end if died else "", "race_category": text_of(n, "c"),
             "ethnicity_category": "", "sex_category": ("Female", "Male")[n % 2],
             "language_category": text_of(n, "d"), "race_name": text_of(n, "e")}
        )  # fmt: skip
        stays.append(
            {**stay, "patient_id": text_of(n, "b"), "admission_dttm": begin,
             "discharge_dttm": end, "age_at_admission": 40 + n % 40,
             "discharge_category": "Expired" if died else "Home",
             "discharge_name": text_of(n, "f"), "admission_type_category": text_of(n, "g")}
        )  # fmt: skip
        coded += [
            {**stay, "diagnosis_code": code, "diagnosis_code_format": "ICD10CM"}
            for code in ("A419", text_of(n, "h"))
        ]
        labs += [
            {**stay, "lab_collect_dttm": begin, "lab_result_dttm": begin + timedelta(hours=2),
             "lab_category": test, "lab_value": text_of(n, "i"), "lab_value_numeric": 1 + n % 7,
             "reference_unit": "mg/dL"}
            for test in ("creatinine", text_of(n, "j"))
        ]  # fmt: skip
    tables: dict[str, Sequence[Mapping[str, object]]] = {
        "patient": patients,
        "hospitalization": stays,
        "hospital_diagnosis": coded,
    }
    return written(root, {f"clif_{n}": rows for n, rows in {**tables, "labs": labs}.items()})


@pytest.mark.slow(but="mimic4")
@pytest.mark.parametrize("make", [mimic3, mimic4, eicu, physionet2012, nafld, omop, clif, meds])
def test_no_canary_of_tables_is_shown(
    make: Callable[[Path], Planted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a demo has its row counts, so that its counts are hidden on request only."""
    canaries = make(tmp_path / "data")
    assert len(canaries.texts) > 10 or make is physionet2012
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


def recordings(path: Path) -> Planted:
    """Rows of two channels whose patients, hospitals and files have names and days."""
    rng, rows, time = np.random.default_rng(0), [], np.arange(128) / 128
    texts, days = set[str](), set[str]()
    for n in range(60):
        day = f"2031-{1 + n % 12:02d}-{1 + n % 27:02d}"
        names = [f"Canary {n:03d}{place} Mrs Vogel fell" for place in "pn"]
        texts.update(names)
        days.add(day)
        for number in range(6):
            stage = ("N2", "W")[number % 2]
            wave = 30 * np.sin(2 * np.pi * {"N2": 3, "W": 12}[stage] * time + rng.uniform(0, 6))
            signal = wave + rng.normal(scale=8, size=(2, 128))
            row = dict(zip(("C3", "C4"), signal.tolist(), strict=True))
            rows.append(
                {"patient": names[0], "night": names[1], "taken": day, "stage": stage, **row}
            )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return Planted(path, frozenset(), frozenset(days), frozenset(texts))


@pytest.mark.slow
def test_no_canary_of_recordings_is_shown(
    tmp_path: Path, no_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = recordings(tmp_path / "own.parquet")
    asked = ("--data", "signals", "--root", canaries.root, "--label", "stage", "--subject",
             "patient", "--recording", "night", "--channels", "C3,C4", "--rate", 128)  # fmt: skip
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    outside.mkdir()
    runs = [inside / "mlp-baseline", inside / "mlp-improved"]
    for run in runs:
        assert called(main, "train", run.name, *asked, "--epochs", 1, "--out", run) == 0
    both = inside / "ensemble"
    assert called(main, "ensemble", *runs, "--out", both) == 0
    assert called(main, "compare", *runs, "--out", outside / "compare.html") == 0
    for run in (runs[0], both):  # its page and its card too
        assert called(main, "share", run, "--out", outside / f"shared-{run.name}") == 0
    package, site = outside / "night.zip", inside / "site"
    assert called(main, "share", both, "--study", package) == 0
    assert called(main, "evaluate", package, "--root", canaries.root, "--out", site) == 0
    shutil.copytree(site / "release", outside / "release")
    explained = ("--root", canaries.root, "--steps", 4, "--out", outside / "explanation.html")
    assert called(main, "explain", runs[0], *explained) == 0
    model = outside / "model.onnx"
    assert called(main, "export", runs[0], "--root", canaries.root, "--out", model) == 0
    night = tmp_path / "night.edf"
    patient = edfio.Patient(name="Canary_Mrs_Vogel", code="7310013", birthdate=date(1960, 4, 5))
    of = edfio.Recording(startdate=date(2031, 5, 6), hospital_administration_code="Canary_house")
    signal = np.random.default_rng(0).normal(scale=30, size=128 * 60)
    channels = [
        edfio.EdfSignal(signal, 128, label=f"EEG {name}", physical_dimension="uV")
        for name in ("C3", "C4")
    ]
    said = [edfio.EdfAnnotation(3, 1, "Canary note of the nurse")]
    edfio.Edf(channels, patient=patient, recording=of, annotations=said).write(night)
    events, page = outside / "events.tsv", ("--page", outside / "night.html")
    assert called(main, "scan", model, night, "--event", "W", "--out", events, *page) == 0
    header = Planted(
        night,
        frozenset({"7310013"}),
        frozenset({"1960-04-05"}),
        frozenset({"Canary_Mrs_Vogel", "Canary_house", "Canary note of"}),
    )
    printed = capsys.readouterr()
    for source in (canaries, header):
        assert {
            name: found
            for name, content in outputs(outside, printed.out + printed.err).items()
            if (found := source.found_in(content))
        } == {}


def test_whatever_is_packed_is_searched() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.txt", "needle")
    packed = base64.b64encode(gzip.compress(archive.getvalue()))
    array = io.BytesIO()
    np.save(array, np.array([1.5, 7310013]))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("0.npy", array.getvalue())
        file.writestr("1.json", b"needle")
    weights = {"skops": np.frombuffer(archive.getvalue(), np.uint8), "ids": np.array([7310026])}
    stored = arrays_file.save(weights)
    for content in (packed, b"%6eeedle", zlib.compress(b"a needle" * 9), stored):
        assert any(b"needle" in part for part in parts_of(content))
    for number in (b"7310013", b"7310026"):
        assert any(number in part.split() for part in parts_of(stored))
