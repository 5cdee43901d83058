"""Hospital tables in other forms than comma-separated UTF-8: the same events, or one clear line."""

import csv
import gzip
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.calls import refusal
from tests.tables import hospital
from tests.tables.conftest import Built
from tests.tables.test_declared import changed, digest, without_marks

from sequela.config import SignalSettings
from sequela.errors import DataError, MissingExtraError, UnknownNameError
from sequela.formats.csv_files import Format
from sequela.intake.describe import holds_tables
from sequela.intake.describe_tables import propose
from sequela.intake.one_row import described, inspected
from sequela.tables.build import build
from sequela.tables.declarations import Kind
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.source import declared_in

GERMAN = '[format]\nseparator = ";"\ndecimal = ","\nencoding = "latin-1"\ndate = "%d.%m.%Y"\n\n'
WORDS = {"medicine": "Medizin Süd", "surgery": "Chirurgie 5 µ"}


def with_letters(folder: Path) -> Path:
    """Write letters beyond ASCII into the hospital of the docs."""
    text = (folder / "stays.csv").read_text("utf-8")
    for word, other in WORDS.items():
        text = text.replace(word, other)
    (folder / "stays.csv").write_text(text, "utf-8")
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hospital of the docs, with letters beyond ASCII."""
    return with_letters(hospital.write(tmp_path, monkeypatch))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SHA-256 of the events of this hospital."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        own = with_letters(hospital.write(folder, patch))
    build(declared_in(own), own, folder / "events")
    return digest(folder / "events")


def cell(text: str, form: Format) -> str:
    """A cell of the usual form in another one."""
    if re.fullmatch(r"[+-]?\d*\.\d+", text):
        return text.replace(".", form.decimal)
    if (time := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(.*)", text)) and "%d" in form.date:
        year, month, day, clock = time.groups()
        date = form.date.replace("%Y", year).replace("%m", month).replace("%d", day)
        return date + clock
    return text


def rewritten(folder: Path, form: Format, kinds: Mapping[str, Mapping[str, Kind]]) -> None:
    """Write the numbers and times of all csv files of a folder in another form, as Windows does."""
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        of = kinds[path.stem]
        typed = [of.get(name.lower(), Kind.TEXT) is not Kind.TEXT for name in head]
        rows = [
            [cell(text, form) if yes else text for text, yes in zip(row, typed, strict=True)]
            for row in rows
        ]
        with path.open("w", encoding=form.encoding, newline="") as file:
            writer = csv.writer(file, delimiter=form.separator, quotechar=form.quote)
            writer.writerows([head, *rows])


def in_form(own: Path, form: Format) -> None:
    declared = Declaration.read(own / "tables.toml").tables
    rewritten(own, form, {name: table.columns for name, table in declared.items()})


@pytest.mark.slow(but="german")
@pytest.mark.parametrize(
    "form",
    [
        Format(";", ",", encoding="latin-1", date="%d.%m.%Y"),
        Format("\t", encoding="utf-16", date="%d/%m/%Y"),
        Format("|", ",", quote="'", encoding="cp1252", date="%m/%d/%Y"),
        Format(decimal=",", date="%d-%m-%Y"),
        Format(";", ",", encoding="utf-8-sig", date="%Y/%m/%d"),
    ],
    ids=["german", "unicode-text", "us", "quoted", "year-first"],
)
def test_a_proposal_finds_the_form_and_gives_the_same_events(
    form: Format, own: Path, plain: str, tmp_path: Path
) -> None:
    in_form(own, form)
    said = propose(own)
    assert f"date = '{form.date}'" in said or f'date = "{form.date}"' in said
    assert 'result = "number" # 49 values, 0.1 to 5' in said
    without_marks(own, said)
    build(declared_in(own), own, tmp_path / "proposed")
    assert digest(tmp_path / "proposed") == plain


def test_letters_of_dos_are_shown(own: Path) -> None:
    stays = own / "stays.csv"
    stays.write_bytes(stays.read_text("utf-8").encode("cp850"))
    assert "Read as cp850, its letters beyond ASCII are µ ü: are these right?" in propose(own)


def as_zip(path: Path, name: str | None = None, *more: str) -> None:
    """Replace a file by a zip of it, as Windows makes one."""
    with zipfile.ZipFile(path.with_name(f"{path.name}.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, name or path.name)
        for other in more:
            archive.writestr(other, "a,b\n1,2\n")
    path.unlink()


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_spark_reads_the_same_forms(own: Path, plain: str, tmp_path: Path) -> None:
    in_form(own, Format(";", ",", encoding="latin-1", date="%d.%m.%Y"))
    as_zip(own / "labs.csv")
    changed(own, "tables.toml", "[people]", f"{GERMAN}[people]")
    build(declared_in(own), own, tmp_path / "spark", engine="spark")
    assert digest(tmp_path / "spark") == plain


def test_zip_and_gzip_files_are_found_and_read(own: Path, plain: str, tmp_path: Path) -> None:
    as_zip(own / "labs.csv")
    stays = own / "stays.csv"
    (own / "stays.csv.gz").write_bytes(gzip.compress(stays.read_bytes()))
    stays.unlink()
    without_marks(own, propose(own))
    build(declared_in(own), own, tmp_path / "packed")
    assert digest(tmp_path / "packed") == plain


SHEET = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    'main"><sheetData>{}</sheetData></worksheet>'
)
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
FAR_CELL = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
EPOCH = datetime(1899, 12, 30)


def sheet(rows: list[list[str]]) -> str:
    """A sheet with numbers, times (of the style 1), texts, and cells in XML."""
    lines = []
    for row in rows:
        cells = []
        for text in row:
            if text.startswith("<"):
                cells.append(text)
            elif re.fullmatch(r"\d+\.\d+", text):
                cells.append(f"<c><v>{text}</v></c>")
            elif re.match(r"\d{4}-\d\d-\d\d", text):
                days = (datetime.fromisoformat(text) - EPOCH) / timedelta(days=1)
                cells.append(f'<c s="1"><v>{days!r}</v></c>')
            else:
                cells.append(f'<c t="inlineStr"><is><t>{text}</t></is></c>' if text else "<c/>")
        lines.append(f"<row>{''.join(cells)}</row>")
    return SHEET.format("".join(lines))


def workbook(path: Path, sheets: Mapping[str, list[list[str]]]) -> None:
    """Write an Excel workbook."""
    named = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1)
    )
    parts = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/{n}.xml"/>'
        for n, _ in enumerate(sheets, 1)
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
        f'main" xmlns:r="{OFFICE}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{parts}'
        f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
        'main"><cellXfs><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/>'
        '<xf numFmtId="46" applyNumberFormat="1"/></cellXfs>'
        "</styleSheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for n, rows in enumerate(sheets.values(), 1):
            archive.writestr(f"xl/worksheets/{n}.xml", sheet(rows))


def other_zip(own: Path) -> None:
    """Name a zip of something else as a workbook."""
    as_zip(own / "hospital.xlsx", "a.txt")
    (own / "hospital.xlsx.zip").rename(own / "hospital.xlsx")


def edited(path: Path, part: str, old: bytes, new: bytes) -> None:
    """Replace bytes in a part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            assert not name.endswith(part) or old in content
            archive.writestr(name, content.replace(old, new) if name.endswith(part) else content)


def in_excel(own: Path) -> None:
    """Replace two csv files by a workbook with two sheets, and one by a workbook with one."""
    tables = {}
    for path in own.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            tables[path.stem] = list(csv.reader(file))
        path.unlink()
    workbook(own / "hospital.xlsx", {"Patients": tables["patients"], "Stays": tables["stays"]})
    workbook(own / "labs.xlsx", {"Tabelle1": tables["labs"]})


def test_sheets_of_excel_are_tables(own: Path, plain: str, tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    in_excel(own)
    said = propose(own)
    assert 'result = "number" # 49 values, 0.1 to 5' in said
    without_marks(own, said)
    account = build(declared_in(own), own, tmp_path / "excel")
    assert digest(tmp_path / "excel") == plain
    assert [each.place for each in account.tables][1] == "hospital.xlsx/Stays"
    assert not account.not_read
    (own / "labs.xlsx").unlink()
    assert holds_tables(own)  # one workbook of two sheets


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: workbook(own / "labs.xlsx", {"One": []}), "labs.xlsx/One: empty; expected a"),
        (lambda own: (own / "labs.xlsx").write_bytes(b"no zip"), "labs.xlsx is damaged"),
        (other_zip, "hospital.xlsx is not readable"),
        (lambda own: edited(own / "labs.xlsx", "1.xml", b"<v>", b"<v"),
         "labs.xlsx is not readable (Expecting"),
        (lambda own: edited(own / "labs.xlsx", "1.xml", b"</sheetData>", FAR_CELL),
         "labs.xlsx: a sheet reaches to column XFD and row 1,048,576 with "),
        (lambda own: workbook(own / "more.xlsx", {"Labs": [["a"]], "Stays": [["a"]]}),
         "there are two sheets"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["patient", "test"], ["P1", "x"]]}),
         "labs.xlsx/L: no column 'stay'"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["a", "A"], ["1", "2"]]}),
         "labs.xlsx/L: line 1 names the column 'a' twice"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["id"], ["<c><v>1e16</v></c>"]]}),
         "labs.xlsx/L: column 'id' has a duration, or a number of more than 15 d"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["x"], ['<c t="e"><v>#N/A</v></c>']]}),
         "labs.xlsx: cells with an error, such as #N/A: 1 in a sheet"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["x"], ["<c><f>1+1</f><v></v></c>"]]}),
         "labs.xlsx: formulas without a stored value: 1 in a sheet"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["x"], ['<mergeCell ref="A2:A3"/>']]}),
         "labs.xlsx: merged cells: 1 in a sheet"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["x"], ['<c s="2"><v>1.5</v></c>']]}),
         "labs.xlsx/L: column 'x' has a duration, or a number of more than 15 d"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["x"], ["2.5"], ["1,234"]]}),
         "labs.xlsx/L: column 'x' has numbers, and texts such as 1.234"),
        (lambda own: workbook(own / "labs.xlsx", {"L": [["Labs", "", ""], ["id", "test", "x"]]}),
         "labs.xlsx/L: expected the names of the columns in row 1"),
    ],
    ids=["empty-sheet", "no-workbook", "other-zip", "no-xml", "far-cell", "two-sheets", "no-column",
         "column-twice", "long-ids", "error", "formula", "merged", "duration", "texts", "title"],
)  # fmt: skip
def test_a_wrong_workbook_gives_one_line(
    change: Callable[[Path], object], said: str, own: Path, tmp_path: Path
) -> None:
    pytest.importorskip("python_calamine")
    in_excel(own)
    change(own)
    with pytest.raises(DataError) as caught:
        build(declared_in(own), own, tmp_path / "out")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_excel_without_its_library_names_the_extra(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_excel(own)
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtraError, match=r"sequela\[excel\]"):
        build(declared_in(own), own, tmp_path / "out")


def declared(old: str, new: str) -> Callable[[Path], object]:
    return lambda own: changed(own, "tables.toml", old, new)


def written(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(own: Path) -> None:
        text = (own / name).read_bytes().decode("latin-1")
        assert old in text
        (own / name).write_bytes(text.replace(old, new, 1).encode("latin-1"))

    return change


def above(own: Path) -> None:
    """Write two lines above the names of the columns."""
    path = own / "labs.csv"
    path.write_bytes(b"Laboratory;;;;;;\r\n;;;;;;\r\n" + path.read_bytes())


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "separator": (declared('";"', '"|"'), "by semicolons; expected vertical bars: correct"),
    "not-declared": (declared(GERMAN, ""), "separated by semicolons; expected commas: write"),
    "unknown-separator": (declared('";"', '":"'), "key 'format.separator' is ':': Input should be"),
    "unknown-decimal": (declared('","', '"comma"'), "key 'format.decimal' is 'comma': Input"),
    "unknown-encoding": (declared("latin-1", "ansi-1"), "unknown encoding: ansi-1; expected a"),
    "no-text-encoding": (declared("latin-1", "rot13"), "key 'format.encoding' is 'rot13'"),
    "unknown-date": (declared("%d.%m.%Y", "dd.mm.yyyy"), "key 'format.date' is 'dd.mm.yyyy'"),
    "unknown-key": (declared("separator", "seperator"), "'seperator': did you mean 'separator'?"),
    "same-marks": (declared('","', '","\nthousands = ","'), "decimal and thousands are both ','"),
    "no-table": (declared(GERMAN, 'format = ";"\n'), "key 'format' is ';'"),
    "wrong-encoding": (declared("latin-1", "utf-8"), "not text in the declared encoding utf-8 ("),
    "utf-16": (declared("latin-1", "utf-16"), "not text in the declared encoding utf-16"),
    "other-mark": (written("labs.csv", "2,9", "2.9"),
                   "not above 3.4e38, with decimal ',', thousands '', as declared"),
    "limit": (written("labs.csv", "2,9", "<0,1"), "value of the form '<9,9'; expected a number"),
    "date": (written("patients.csv", "01.03.1930", "03/13/1930"),
             "patients.csv, line 2: column 'born' holds a value of the form '99/99/9999'; "),
    "two-header-lines": (written("labs.csv", "\r\n", "\r\n;;;Uhrzeit;;mg;\r\n"),
                         "labs.csv, line 2"),
    "lines-above": (above, "labs.csv: no column 'patient'"),
    "column": (written("labs.csv", "result", "value"), "no column 'result'"),
    "column-twice": (written("labs.csv", "unit", "test"), "names the column 'test' twice"),
    "cells": (written("labs.csv", ";2,9;", ";2;9;"), "line 2: 8 columns; expected 7"),
    "quote": (written("labs.csv", ";lactate;", ';"lactate;'), "a quotation mark is never closed"),
    "empty": (lambda own: (own / "labs.csv").write_bytes(b""), "labs.csv: empty; expected a"),
    "cut": (lambda own: (own / "labs.csv").write_bytes((own / "labs.csv").read_bytes()[:-3]),
            "the last line has no end"),
    "zip-of-two": (lambda own: as_zip(own / "labs.csv", None, "b.csv"), "2 entries, not one"),
    "no-zip": (lambda own: (own / "labs.csv").rename(own / "labs.csv.zip"), "zip is damaged"),
    "twice": (lambda own: shutil.copy(own / "labs.csv", own / "labs.csv.gz"), "more than once"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_gives_one_line_and_nothing_is_written(
    name: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_form(own, Format(";", ",", encoding="latin-1", date="%d.%m.%Y"))
    changed(own, "tables.toml", "[people]", f"{GERMAN}[people]")
    change, said = WRONG[name]
    change(own)
    command = ("build", "tables", "--root", own, "--out", "out")
    assert said in refusal(capsys, *command, silent=False)
    assert not Path("out").exists()


LABS = "patient;taken;reported;test;result;unit\n"


def proposed(folder: Path, *rows: str, head: str = LABS) -> str:
    """The proposal for three patients and their results."""
    (folder / "patients.csv").write_text("patient;sex\n1;f\n2;m\n3;f\n", "utf-8")
    (folder / "labs.csv").write_text(head + "".join(f"{row}\n" for row in rows), "utf-8")
    return propose(folder)


def test_what_the_numbers_do_not_show_is_asked(tmp_path: Path) -> None:
    times = "01/02/2020;01/02/2020"
    said = proposed(tmp_path, f"1;{times};crp;1.234;mg", f"2;{times};crp;2.345;mg")
    assert "DECIDE: is the mark in the numbers of result a decimal mark? Then decimal = " in said
    assert "Else it is between thousands: decimal = " in said
    assert "DECIDE: is the day first in taken, reported?" in said
    assert "> end_of_day(reported) else end_of_day(reported)" in said
    said = proposed(tmp_path, f"1;{times};crp;1.234;mg", f"2;{times};crp;2.345,5;mg")
    assert 'decimal = ","\nthousands = "."\n' in said
    assert "decimal mark?" not in said
    assert 'result = "number" # 2 values, 1234 to 2345.5' in said
    said = proposed(tmp_path, f"1;{times};crp;1.234;mg", f"2;{times};crp;2.5;mg")
    assert "decimal" not in said
    said = proposed(tmp_path, f"1;{times};crp;1.5;2,5", f"2;{times};crp;2.5;3,5")
    assert "DECIDE: result, unit have several decimal marks: declare one" in said


def test_cells_that_are_not_numbers_are_counted_and_named(own: Path, tmp_path: Path) -> None:
    lines = (own / "labs.csv").read_text("utf-8").splitlines()
    for row, text in enumerate(["<0.1", "> 5", "5 mg", "positiv", "<0.1"], 1):
        lines[row] = ",".join([*lines[row].split(",")[:5], text, "mmol/L"])
    (own / "labs.csv").write_text("\n".join(lines) + "\n", "utf-8")
    said = propose(own)
    assert "limits: 3 (<0.1), numbers with a unit: 1 (5 mg), words: 1 (positiv)" in said
    assert "result holds 3 limits and 1 numbers with a unit and 1 words besides numbers" in said
    assert 'value = "number_in(result)"' in said
    without_marks(own, said)
    account = build(declared_in(own), own, tmp_path / "out")
    notes = next(each.notes for each in account.tables if each.table == "labs")
    assert notes == {"text that is not a number in result: no value": 5}


def test_a_result_is_known_at_the_last_time_of_its_row(tmp_path: Path) -> None:
    early, late = "2020-01-01 08:00", "2020-01-01 09:00"
    said = proposed(tmp_path, f"1;{early};{late};crp;1.5;mg", f"2;{late};{early};crp;2;mg")
    assert 'time = "(taken) if reported is None or (taken) > reported else reported"' in said
    assert "DECIDE: could this be read at taken or reported, or later? State which" in said
    without_marks(tmp_path, said)
    account = build(declared_in(tmp_path), tmp_path, tmp_path / "out")
    events = Built(tmp_path / "out", account).rows
    assert {row["time"] for row in events if row["code"].startswith("LAB")} == {
        datetime.fromisoformat(late)
    }
    one = "patient;taken;test;result;unit\n"
    said = proposed(tmp_path, f"1;{early};crp;1.5;mg", f"2;{late};crp;2;mg", head=one)
    assert "DECIDE: is taken the time of the report, or of the sample? A result is known" in said


def test_several_times_of_a_role_are_asked(tmp_path: Path) -> None:
    rows = "1,f,1950-01-01,2020-01-01,2020-01-02\n"
    (tmp_path / "patients.csv").write_text(f"patient,sex,born,dod,dod_hosp\n{rows}", "utf-8")
    said = propose(tmp_path)
    assert "DECIDE: which is the time of 'death': dod or dod_hosp? dod comes first" in said


def test_a_sheet_is_named(tmp_path: Path) -> None:
    """Of several, the one with one row per patient; the only one of new rows needs no name."""
    patients = [["id", "age", "died"]]
    patients += [[f"P{n}", f"{40 + n}", ("no", "yes")[n % 2]] for n in range(8)]
    path = tmp_path / "study.xlsx"
    workbook(path, {"Notes": [["a"], ["b"]], "Patients": patients})
    with pytest.raises(DataError, match=r"2 sheets \(notes, patients\): name .*--sheet NAME"):
        inspected(path)
    with pytest.raises(UnknownNameError, match="did you mean 'Patients'"):
        inspected(path, ["sheet=Patient"])
    found = described(path, SignalSettings(label="died", id="id", sheet="Patients"))
    assert (found.title, found.format) == ("study", ("sheet=Patients",))
    workbook(path, {"New": patients})
    assert inspected(path, found.format).rows == 8


def test_a_draft_of_tables_with_german_columns(tmp_path: Path) -> None:
    faelle = (
        "FallNr,PatNr,Aufnahme,Entlassung\n8,1,2020-01-01,2020-01-02\n9,1,2020-02-01,2020-02-03\n"
    )
    (tmp_path / "faelle.csv").write_text(f"{faelle}\n", "utf-8")
    (tmp_path / "tod.csv").write_text("case_no,Todesdatum\n9,2020-02-03\n", "utf-8")
    draft = propose(tmp_path)
    assert '[stays]\ntable = "faelle"\nid = "fallnr"\nsubject = "patnr"\n' in draft
    assert "# No column is called fallnr. Is another one? visit = COLUMN" in draft
    assert "DECIDE: tod has no column like a code: write its facts, or delete it" in draft
