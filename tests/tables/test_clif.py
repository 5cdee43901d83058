"""CLIF 2.1: times of knowledge, units, zones and ids of text, from the files to the audit."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran, refusal, status
from tests.tables import clif

from sequela.runs.folder import RunFolder

Row = dict[str, Any]
FIRST = datetime(2023, 1, 1, 0, 30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clif.write(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def built(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "events"
    ran("build", "clif", "--root", site, "--out", out)
    return out


def rows_of(out: Path) -> list[Row]:
    files = sorted((out / "data").rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_when_facts_were_known(built: Path) -> None:
    first = [row for row in rows_of(built) if row["subject_id"] == 1]
    times = defaultdict[str, list[datetime]](list)
    for row in sorted(first, key=lambda row: str(row["time"])):
        times[row["code"]].append(row["time"])
    # A result is known when it is reported, two hours after the sample was taken.
    reported = [FIRST + timedelta(hours=hour + 2) for hour in (4, 10, 16, 23)]
    for code in ("LAB//lactate//mmol/L", "LAB//platelet_count//10^3/uL", "LAB//ph_arterial//none"):
        assert times[code] == reported
    assert times["VITAL//map"] == [time - timedelta(hours=2) for time in reported]
    (left,) = times["HOSPITAL_DISCHARGE//Missing"]
    assert times["ICD10CM//A419"] == times["ICU_DISCHARGE//medical_icu"] == [left]
    assert times["ICU_ADMISSION//medical_icu"] == [FIRST + timedelta(hours=3)]
    assert times["INFUSION//norepinephrine//mcg/kg/min"] == [FIRST + timedelta(hours=5)]
    assert times["INFUSION//norepinephrine//stopped"] == [FIRST + timedelta(hours=9)]
    # The discharge is Missing: whether this patient died is not known.
    assert not any("OUTCOME" in code for code in times)


def test_deaths_are_those_that_the_discharge_records(site: Path, built: Path) -> None:
    stays = pq.read_table(site / "clif_hospitalization.parquet").to_pylist()
    expired = {stay["patient_id"] for stay in stays if stay["discharge_category"] == "Expired"}
    # Ids are text with leading zeros; their place in sorted order is the subject.
    numbers = {int(person) + 1 for person in expired}
    rows = rows_of(built)
    for code in ("HOSPITAL_OUTCOME//expired", "MEDS_DEATH"):
        assert {row["subject_id"] for row in rows if row["code"] == code} == numbers
    # Half of them have no death_dttm.
    patients = pq.read_table(site / "clif_patient.parquet").to_pylist()
    assert 0 < sum(row["death_dttm"] is not None for row in patients) < len(numbers)
    alive = {row["subject_id"] for row in rows if row["code"] == "HOSPITAL_OUTCOME//alive"}
    assert len(alive) + len(numbers) == 200 - sum(
        stay["discharge_category"] == "Missing" for stay in stays
    )


@pytest.mark.slow(but="America/Chicago")
@pytest.mark.parametrize("zone", ["America/Chicago", None])
def test_files_of_another_zone_or_of_none(built: Path, tmp_path: Path, zone: str | None) -> None:
    root = clif.write(tmp_path, zone=zone, patients=20)
    ran("build", "clif", "--root", root, "--out", tmp_path / "events")
    assert rows_of(tmp_path / "events") == [r for r in rows_of(built) if r["subject_id"] <= 20]


def as_csv(site: Path, root: Path, offset: str) -> Path:
    """Write the tables as csv, with times as the data dictionary shows them."""
    root.mkdir()
    for path in site.glob("*.parquet"):
        pc.write_csv(pq.read_table(path), root / f"{path.stem}.csv")
        text = (root / f"{path.stem}.csv").read_text("utf-8")
        (root / f"{path.stem}.csv").write_text(text.replace(".000000Z", offset), "utf-8")
    return root


def test_csv_files_name_utc_and_no_other_zone(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = clif.write(tmp_path, patients=20)
    root = as_csv(site, tmp_path / "in", "+00:00")
    assert "2023-01-01 00:30:00+00:00" in (root / "clif_adt.csv").read_text("utf-8")
    ran("build", "clif", "--root", root, "--out", tmp_path / "events")
    assert rows_of(tmp_path / "events") == [r for r in rows_of(built) if r["subject_id"] <= 20]
    root = as_csv(site, tmp_path / "other", "-06:00")
    line = refusal(capsys, "data", "check", "clif", "--root", root)
    assert "holds a value of the form '9999-99-99 99:99:99-99:99'; expected a time" in line
    assert "zone 'UTC', as declared" in line


def few(table: str, every: int, **values: object) -> clif.Change:
    """Change some rows of a table."""

    def change(tables: clif.Rows) -> None:
        for row in tables[table][::every]:
            row.update(values)

    return change


def each(table: str, column: str, value: Callable[[Row], object]) -> clif.Change:
    def change(tables: clif.Rows) -> None:
        for row in tables[table]:
            row[column] = value(row)

    return change


def test_values_in_other_units_are_set_aside_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [
        few("labs", 100, reference_unit="umol/L"),
        few("labs", 101, lab_specimen_category="urine"),
        few("labs", 103, lab_category="bnp", reference_unit="pg/mL"),
        few("labs", 107, lab_value="<0.2"),
    ]
    root = clif.write(tmp_path, *odd)
    ran("build", "clif", "--root", root, "--out", tmp_path / "events")
    printed = capsys.readouterr().out
    assert "32 set aside: its unit is not the reference unit of CLIF" in printed
    assert "32 set aside: its specimen is not blood" in printed
    codes = {row["code"] for row in rows_of(tmp_path / "events")}
    assert {"LAB_OTHER//bnp//pg/mL", "LAB//lactate//mmol/L//<"} <= codes
    assert not any("umol" in code for code in codes)


def without_others(tables: clif.Rows) -> None:
    """Leave out the tables that no test here changes."""
    for name in ("hospital_diagnosis", "medication_admin_continuous", "code_status"):
        del tables[name]


def twice(table: str) -> clif.Change:
    return lambda tables: tables[table].append(tables[table][0])


SI = {"creatinine": "umol/L", "platelet_count": "10^9/L"}
WRONG: dict[str, tuple[clif.Change, str]] = {
    "mmol": (
        each("labs", "reference_unit", lambda row: SI.get(row["lab_category"], "mmol/L")),
        "80 of 321 rows would be set aside, most of them since its unit is not the reference",
    ),
    "swapped": (
        each("labs", "lab_result_dttm", lambda row: row["lab_collect_dttm"] - clif.HOUR),
        "lab_result_dttm before lab_collect_dttm",
    ),
    "death": (
        each("hospitalization", "discharge_category", lambda _: "Home"),
        "neither Expired nor Hospice",
    ),
    "no result": (each("labs", "lab_result_dttm", lambda _: None), "blank lab_result_dttm"),
    "percent": (each("respiratory_support", "fio2_set", lambda _: 40.0), "fio2_set above 1"),
    "F": (
        each("vitals", "vital_value", lambda row: 98.6 if "t" in row["vital_category"] else 80),
        "temp_c above 50",
    ),
    "patient": (twice("patient"), "2 rows have the same patient_id"),
    "stay": (twice("hospitalization"), "2 rows have the same hospitalization_id"),
    "table": (lambda tables: tables.pop("hospitalization"), "no table clif_hospitalization"),
}
ALWAYS = ["mmol", "swapped", "death", "table"]  # a unit, an order, a check, what is needed


@pytest.mark.parametrize(
    "name",
    ALWAYS + [pytest.param(name, marks=pytest.mark.slow) for name in WRONG if name not in ALWAYS],
)
def test_what_cannot_be_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = WRONG[name]
    root = clif.write(tmp_path, change, without_others, patients=20)
    assert words in refusal(capsys, "data", "check", "clif", "--root", root)


def test_a_run_and_its_audit(built: Path, tmp_path: Path) -> None:
    data = ("--data", "clif", "--root", built, "--task", "in-hospital", "--hours", "24")
    ran("train", "summaries-logistic-regression", *data, "--out", tmp_path / "run")
    assert RunFolder(tmp_path / "run").metrics["parts"]["tuning"]["auroc"] > 0.6
    assert status("audit", tmp_path / "run", "--root", built) == 0


def late(hours: int) -> clif.Change:
    """Add a test that only patients who die have, taken before the prediction."""

    def change(tables: clif.Rows) -> None:
        for stay in tables["hospitalization"]:
            taken = stay["admission_dttm"] + timedelta(hours=20)
            value = 9.0 if stay["discharge_category"] == "Expired" else 1.0
            row = clif.lab(stay["hospitalization_id"], taken, "procalcitonin", value, "ng/mL")
            row["lab_result_dttm"] = taken + timedelta(hours=hours)
            tables["labs"].append(row)

    return change


@pytest.mark.slow(but="at once")
@pytest.mark.parametrize(("hours", "expected"), [(30, 0), (0, 4)], ids=["late", "at once"])
def test_a_leak_is_found_where_a_result_has_the_time_of_its_sample(
    hours: int, expected: int, tmp_path: Path
) -> None:
    root = clif.write(tmp_path, late(hours), without_others)
    ran("build", "clif", "--root", root, "--out", tmp_path / "events")
    data = ("--data", "clif", "--root", tmp_path / "events", "--task", "in-hospital")
    ran("train", "prevalence", *data, "--hours", "24", "--out", tmp_path / "run")
    assert status("audit", tmp_path / "run") == expected
