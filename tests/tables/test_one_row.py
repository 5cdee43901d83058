"""A table with one row per patient: its description, its events, and what is not read."""

import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tables.one_row import Row, changed, rows, without, write

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError
from sequela.intake.describe import describe
from sequela.intake.one_row import Rows, coded, described, inspected, with_task
from sequela.tables.built_events import events_of
from sequela.tables.declarations import Kind

GIVEN = SignalSettings(label="died", id="patient", time="admitted", site="site")
WORDS = ("", "CELL//age", "CELL//crp_mg_l_", "CELL//sex//F", "CELL//ward//surgery")


def events(path: Path, work: Path, given: SignalSettings = GIVEN) -> list[tuple[object, ...]]:
    """The events of a table, sorted."""
    located = events_of("table", path, work, rows=Rows(described(path, given)))
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT subject_id, visit_id, time, code, numeric_value "  # noqa: S608
            f"FROM read_parquet('{located.path}/data/**/*.parquet') ORDER BY ALL"
        )
        return found.fetchall()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "patients.csv", rows(60))


def test_cells_become_events(table: Path, tmp_path: Path) -> None:
    first = rows(60)[0]
    found = [e for e in events(table, tmp_path / "work") if e[1] == 1]
    codes = {str(code): value for _, _, _, code, value in found}
    assert codes["CELL//age"] == float(first["age"]) == codes["AGE"]
    assert codes["CELL//crp_mg_l_"] == pytest.approx(float(first["CRP (mg/L)"]))
    assert {f"CELL//sex//{first['sex']}", f"HOSPITAL//{first['site']}"} <= codes.keys()
    gap = datetime.fromisoformat(first["admitted"]) - datetime.fromisoformat(first["last visit"])
    assert codes["CELL//last_visit//days"] == pytest.approx(gap / timedelta(days=1))
    assert not [code for code in codes if "remark" in code or "died" in code or "patient" in code]


@pytest.mark.slow
def test_other_forms_give_the_same_events(table: Path, tmp_path: Path) -> None:
    def german(row: Row) -> Row:
        day, _, hour = row["admitted"].partition(" ")
        crp = row["CRP (mg/L)"].replace(".", ",")
        times = {
            "admitted": ".".join(day.split("-")[::-1]) + f" {hour}",
            "last visit": ".".join(row["last visit"].split("-")[::-1]),
        }
        return {**row, **times, "CRP (mg/L)": crp}

    wanted = events(table, tmp_path / "csv")
    other = [german(row) for row in rows(60)]
    excel = write(tmp_path / "excel.csv", other, delimiter=";", encoding="latin-1")
    assert events(excel, tmp_path / "excel") == wanted
    settings = described(excel, GIVEN)
    assert settings.format == ("decimal=,", "date=%d.%m.%Y")
    columns: dict[str, list[Any]] = {n: [row[n] or None for row in rows(60)] for n in rows(1)[0]}
    columns["age"] = [int(age) for age in columns["age"]]
    pq.write_table(pa.table(columns), tmp_path / "patients.parquet")
    found = events(tmp_path / "patients.parquet", tmp_path / "parquet")
    assert [e[:3] for e in found] == [e[:3] for e in wanted]


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    some = changed(changed(rows(60), "died", "", "", "yes", "no"), "admitted", "", "2021-01-01")
    some = changed(some, "last visit", "2020-01-01", "2020-01-02", "2023-05-05", "2020-01-03")
    some = [{**row, "constant": "1", "empty": "", "mrn": str(9000 + 7 * i)}
            for i, row in enumerate(some)]  # fmt: skip
    path = write(tmp_path / "a.csv", changed(some, "CRP (mg/L)", "<0.1", "positiv", "3", "4"))
    rest = SignalSettings(**GIVEN.model_dump(exclude_defaults=True), omit=("ward",))
    located = events_of("table", path, tmp_path / "work", rows=Rows(described(path, rest)))
    assert set(located.notes) == {
        "not read: remark (nearly all texts differ, as in free text or ids)",
        "not read: constant (all cells are equal)",
        "not read: empty (all cells are blank)",
        "not read: mrn (numbers of rows or people)",
        "not read: ward (--omit)",
        "rows without a label (died), left out: 2",
        "rows without a time (admitted), left out: 1",
        "cells of crp_mg_l_ that are not a number, read as words: 2",
        "dates of last_visit after the time of the row, not read: 1",
    }


def test_rows_of_one_patient_have_times_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", changed(rows(9), "Patient", "008", "7", "7", "P1"))
    given = SignalSettings(label="died", id="PATIENT")
    times = {
        (e[0], e[2]) for e in events(path, tmp_path / "w", given) if e[3] == "HOSPITAL_ADMISSION"
    }
    assert len(times) == 9
    assert sorted(Counter(subject for subject, _ in times).values()) == [1, 2, 6]
    assert 7 in {subject for subject, _ in times}
    assert {str(time)[:17] for _, time in times} == {"2000-01-01 00:00:"}


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (("0", "1"), ("not died=0", "died=1")),
        (("Died", "Alive"), ("Alive=Alive", "Died=Died")),
        (("nein", "ja"), ("not died=nein", "died=ja")),
    ],
)
def test_the_event_is_known(
    values: tuple[str, str], classes: tuple[str, str], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", changed(rows(30), "died", *values))
    settings = described(path, GIVEN)
    assert settings.classes == classes
    assert described(path, settings) == settings
    assert with_task({}, settings)["task"] == "died"


def test_an_unclear_form_is_asked(tmp_path: Path) -> None:
    some = changed(rows(30), "last visit", "03/04/2019", "05/06/2019")
    path = write(tmp_path / "a.csv", some)
    with pytest.raises(DataError, match="a person must still decide: is the day first in last_vis"):
        described(path, GIVEN)
    said = GIVEN.model_copy(update={"format": ("date=%d/%m/%Y",)})
    assert described(path, said).format == ("date=%d/%m/%Y",)
    other = [{**row, "seen": "13/02/2018"} for row in some]
    with pytest.raises(DataError, match="is the date %d/%m/%Y in last_visit, as in other columns"):
        described(write(tmp_path / "b.csv", other), GIVEN)
    assert described(tmp_path / "b.csv", said).format == ("date=%d/%m/%Y",)
    with pytest.raises(SettingError, match="--format: key 'dat': unknown key 'dat': did you"):
        described(path, GIVEN.model_copy(update={"format": ("dat=%d/%m/%Y", "date=%d/%m/%Y")}))


def test_codes_for_missing_are_blank(tmp_path: Path) -> None:
    some = changed(changed(rows(60), "age", "k.A.", "NULL", "unknown", "50"), "ward", "n/a", "A")
    some = changed(some, "CRP (mg/L)", *["-99"] * 12, "-99.0", *(f"{n}.5" for n in range(47)))
    path = write(tmp_path / "a.csv", some)
    with pytest.raises(DataError, match=r"is -99 in 'crp_mg_l_' a code .* --format missing=-99"):
        described(path, GIVEN)
    for codes, blanks in (("missing=-99,Unknown", (3, 13)), ("missing=", (2, 0))):
        rest = GIVEN.model_copy(update={"format": (codes,)})
        located = events_of("table", path, tmp_path / codes, rows=Rows(described(path, rest)))
        notes = [note for note in located.notes if "mean missing" in note]
        counts = {"age": blanks[0], "ward": 1, "crp_mg_l_": blanks[1]}
        assert notes == [
            f"cells of {name} that mean missing, such as NULL: {count}"
            for name, count in counts.items()
            if count
        ]
        words = {str(e[3]) for e in events(path, tmp_path / codes, rest)}
        assert not words & {"CELL//age//k.A.", "CELL//age//NULL", "CELL//ward//n/a"}
        assert ("CELL//age//unknown" in words) is (codes == "missing=")


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (["999", "999", *(str(n) for n in range(200, 240))], "999"),
        (["9999,0", "9999,0", *(f"{n},5" for n in range(200, 240))], "9999"),
        (["999", *(str(n) for n in range(200, 240))], ""),  # once: a high value
        (["-9", "-9", *(str(n) for n in range(-12, 28))], ""),
    ],
)
def test_numbers_far_from_the_others_are_asked_about(
    cells: list[str], code: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", changed(rows(len(cells)), "age", *cells), delimiter=";")
    text, _ = describe(path)
    assert (f"is {code} in 'age' a code for missing?" in text) is bool(code)


def test_numbers_with_a_unit_are_asked_about(tmp_path: Path) -> None:
    some = [{**row, "CRP (mg/L)": f"0.{n} mg/dl"} for n, row in enumerate(rows(60))]
    path = write(tmp_path / "a.csv", some)
    with pytest.raises(DataError, match=r"the words in 'crp_mg_l_' numbers with a unit\? 60 of 60"):
        described(path, GIVEN)
    described(path, GIVEN.model_copy(update={"omit": ("CRP (mg/L)",)}))
    dates = [{**row, "last visit": f"{n % 28 + 1:02}.05.19"} for n, row in enumerate(rows(60))]
    path = write(tmp_path / "c.csv", dates)
    with pytest.raises(DataError, match="the words in 'last_visit' dates with two digits of the y"):
        described(path, GIVEN)
    stages = [{**row, "CRP (mg/L)": f"{n % 4}{'abcdef'[n % 6]}"} for n, row in enumerate(rows(60))]
    described(write(tmp_path / "b.csv", stages), GIVEN)


def test_two_encodings_in_one_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", changed(rows(30), "ward", "Höhe"))
    lines = path.read_bytes().split(b"\n")
    lines[7] = lines[7].decode().encode("latin-1")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"a\.csv, line 8: not UTF-8 \(such lines: 1\);.* 29;"):
        described(path, GIVEN)


def test_other_data_are_read_by_the_words_of_a_model(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", rows(30))
    model = Rows(described(path, GIVEN), WORDS, ("CELL//age", "CELL//crp_mg_l_"))
    other = without(rows(3, seed=2), "died", "remark", "last visit")
    found = coded(write(tmp_path / "new.csv", changed(other, "ward", "attic")), model)
    assert {row["code"] for row in found if row["subject_id"] == "P001"} == {
        "AGE", "CELL//age", "CELL//crp_mg_l_", f"CELL//sex//{other[1]['sex']}", "CELL//ward//attic",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"no column ward \(found: patient, admitted, age"):
        coded(write(tmp_path / "less.csv", without(other, "ward")), model)
    commas = changed(other, "CRP (mg/L)", "3,5")
    with pytest.raises(DataError, match="no cell of column 'crp_mg_l_' is a number in the form"):
        events_of(
            "table", write(tmp_path / "c.csv", commas), tmp_path / "w", labelled=False, rows=model
        )


def test_describe_proposes_the_command(table: Path, tmp_path: Path) -> None:
    text, name = describe(table)
    assert not name
    assert "# ward: word, 3 values: Höhe, medicine, surgery\n" in text
    assert "# age: number, " in text
    assert "# last_visit: date, " in text
    assert "# DECIDE: which is the outcome: died, sex?" in text
    assert text.endswith(
        f"sequela train auto --data table --root {table} --label died --id patient --time admitted "
        "--site site\n"
    )
    samples = [{f"x{n}": "1.5" for n in range(20)} | {"patient": str(i), "stage": "ab"[i % 2]}
               for i in range(6)]  # fmt: skip
    assert describe(write(tmp_path / "samples.csv", samples))[1] == "signals.toml"


def test_describe_proposes_no_label_at_random(tmp_path: Path) -> None:
    some = [{"Geschlecht": row["sex"], **without([row], "sex", "died")[0]} for row in rows(30)]
    path = write(tmp_path / "a table.csv", some)
    command = describe(path)[0].splitlines()[-1]
    assert f"--root '{path}' --label COLUMN --id patient" in command
    for name in ("verstorben", "Tod", "Exitus", "deceased"):
        died = [{**row, name: other["died"]} for row, other in zip(some, rows(30), strict=True)]
        assert f"--label {name.lower()} " in describe(write(path, died))[0]


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    some = [{"v": row.pop("age"), "n": row.pop("ward"), **row} for row in rows(30)]
    seen = inspected(write(tmp_path / "a.csv", some))
    assert [column.kind for column in seen.columns[:2]] == [Kind.INTEGER, Kind.TEXT]


@pytest.mark.parametrize(
    ("cells", "answers"),
    [
        (("1.234", "1.235"), ("decimal=.", "decimal=, and --format thousands=.")),
        (("1.234", "12,5"), ("thousands=.",)),
    ],
)
def test_the_answers_to_a_question_on_numbers(
    cells: tuple[str, ...], answers: tuple[str, ...], tmp_path: Path
) -> None:
    some = changed(rows(30), "CRP (mg/L)", cells[0])
    path = write(tmp_path / "a.csv", changed(some, "age", cells[1]), ";")
    for answer in answers:
        with pytest.raises(DataError, match=re.escape(f"--format {answer}")):
            described(path, GIVEN)
        form = tuple(answer.split(" and --format "))
        assert set(form) <= {*described(path, GIVEN.model_copy(update={"format": form})).format}


def test_two_of_three_values_are_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", changed(rows(40), "died", "ja", "unbekannt", "nein"))
    with pytest.raises(DataError, match="as in --classes 'nein,ja' \\(rows with another value are"):
        described(path, GIVEN)
    settings = described(path, GIVEN.model_copy(update={"classes": ("nein", "ja")}))
    located = events_of("table", path, tmp_path / "work", rows=Rows(settings))
    assert "rows with another died than --classes, left out: 1" in located.notes
    path = write(tmp_path / "x.csv", changed(rows(40), "died", "x", ""))
    with pytest.raises(DataError, match=r"has 1 values \(x\): .* write 'no' into it"):
        described(path, GIVEN)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"label": None},
            "--label is missing: name the column of the outcome, one of patient, adm",
        ),
        ({"id": None}, "--id is missing: name the column of the patient"),
        ({"label": "dead"}, "unknown column of --label: 'dead': did you mean 'died'?"),
        ({"id": "died"}, "name one column twice"),
        ({"time": "age"}, "column 'age' of --time does not hold times alone"),
        ({"omit": ("no",)}, "unknown column of --omit: 'no'"),
        ({"label": "ward"}, "column 'ward' of --label has 3 values"),
        ({"label": "sex"}, "the values F and M, and it is not clear which is the event"),
        ({"classes": ("no", "maybe")}, "expected two classes with values of died (no, yes)"),
        ({"classes": ("a=no|yes",)}, "there is one class, a"),
        ({"rate": 100.0}, "--rate is for recordings: expected options of a table with one row"),
        ({"format": ("decimal=x",)}, "--format: key 'decimal' is 'x': Input should be '.' or ','"),
    ],
)
def test_wrong_options(given: dict[str, object], words: str, table: Path) -> None:
    with pytest.raises(SequelaError) as caught:
        described(table, GIVEN.model_copy(update=given))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_tables(tmp_path: Path) -> None:
    def refused(some: list[Row], given: SignalSettings = GIVEN) -> str:
        path = write(tmp_path / "a.csv", some)
        with pytest.raises(SequelaError) as caught:
            events_of("table", path, tmp_path / "w", rows=Rows(described(path, given)))
        return str(caught.value)

    assert "column 'patient' of --id is blank in 1 of 30 rows" in refused(
        changed(rows(30), "Patient", "", "P2")
    )
    for other in ("0123", "123.0"):
        some = changed(rows(30), "Patient", "123", other, "A1", "a1", "A2")
        assert "2 of 5 ids in column 'patient' of --id are also written in" in refused(some)
    said = refused(changed(rows(30), "died", "well, alive", "dead"))
    assert "has the values dead, well, alive: write them without , | and =" in said
    assert "has 1 values (no)" in refused(changed(rows(30), "died", "no"))
    assert "has 0 values" in refused(changed(rows(30), "died", ""))
    only = without(rows(30), "age", "sex", "ward", "CRP (mg/L)", "last visit")
    assert "no column is left to learn from" in refused(only)
    path = write(tmp_path / "none.csv", rows(1))
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    with pytest.raises(DataError, match="has no row below its header"):
        described(path, GIVEN)
    with pytest.raises(DataError, match="is a folder: name the file"):
        described(tmp_path, GIVEN)
    with pytest.raises(SettingError, match="--hours is for hospital tables"):
        with_task({"hours": 2}, SignalSettings(label="died", classes=("no", "yes")))
