"""Sources that files declare: the published ones as before, and a hospital's own."""

import csv
import hashlib
import io
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from tests.tables import hospital
from tests.tables.conftest import Built

from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, SettingError
from sequela.intake import inspection
from sequela.intake.describe import describe
from sequela.intake.describe_tables import propose
from sequela.tables.build import build
from sequela.tables.declarations import Kind, Table
from sequela.tables.declared.expressions import expression
from sequela.tables.declared.source import declared_in
from sequela.tables.engine import open_engine
from sequela.tables.sources.physionet2012 import read
from sequela.tables.tables import typed_blanks

# SHA-256 of the events of the excerpts as the readers in Python wrote them, before both were
# declared in files (commit 1a9bcce, eICU a408ab20); see ``digest``.
# Of PhysioNet 2012, of its first stays.
STAYS = 200
BY_PYTHON = {
    "mimic3": "19457b6a163f7018d05f0e869f500bbde1c9c352defb8d5cb310030f6a0065e9",
    "eicu": "05dbb0cef3b23f7bac64adde7fbf3535d2388bbfe20531df8261638710a80cba",
    "physionet2012": "7abc05ee7884e017c6dc0764db50ce428795ccf65a7f092406ad4dcee31caa75",
}


def digest(out: Path) -> str:
    """SHA-256 of all events in their order, as CSV."""
    total = hashlib.sha256()
    for file in sorted((out / "data").rglob("*.parquet")):
        text = io.BytesIO()
        pacsv.write_csv(pq.read_table(file), text)
        total.update(text.getvalue())
    return total.hexdigest()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hospital of the docs."""
    return hospital.write(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What is built of this hospital; nobody may change it."""
    folder = tmp_path_factory.mktemp("decided")
    with pytest.MonkeyPatch.context() as patch:
        own = hospital.write(folder, patch)
    return Built(folder / "events", build(declared_in(own), own, folder / "events"))


@pytest.mark.parametrize("name", ["mimic3", pytest.param("eicu", marks=pytest.mark.slow)])
def test_a_published_declaration_beside_the_tables(name: str, tmp_path: Path) -> None:
    """The declaration that ``sequela data describe mimic3`` shows."""
    folder = tmp_path / "own"
    shutil.copytree(EXCERPTS / name, folder)
    (folder / "tables.toml").write_text(describe(Path(name))[0], "utf-8")
    build(declared_in(folder), folder, tmp_path / "out")
    assert digest(tmp_path / "out") == BY_PYTHON[name]


def test_physionet2012_by_a_file_beside_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    pq.write_table(
        pq.read_table(EXCERPTS / "physionet2012.parquet").slice(0, STAYS), tmp_path / "some.parquet"
    )
    for name, batches in read(tmp_path / "some.parquet") or ():
        assert isinstance(batches, pa.RecordBatchReader)
        pq.write_table(batches.read_all(), folder / f"{name}.parquet")
    (folder / "tables.toml").write_text(describe(Path("physionet2012"))[0], "utf-8")
    build(declared_in(folder), folder, tmp_path / "out")
    assert digest(tmp_path / "out") == BY_PYTHON["physionet2012"]


def test_text_ids_are_numbered_in_their_order(own: Path, decided: Built) -> None:
    assert decided.account.title == "Our hospital, 2020 and 2021"
    assert (decided.account.subjects, decided.account.dated_by_row) == (400, True)
    rows = decided.rows
    with (own / "stays.csv").open() as file:
        stays = list(csv.DictReader(file))
    order = {stay: n for n, stay in enumerate(sorted(row["stay"] for row in stays), start=1)}
    died = [row for row in stays if row["outcome"] == "died"]
    expired = [row for row in rows if row["code"] == "HOSPITAL_OUTCOME//expired"]
    assert {(row["subject_id"], row["visit_id"]) for row in expired} == {
        (int(row["patient"][1:]) + 1, order[row["stay"]]) for row in died
    }
    labs = [row for row in rows if row["code"] == "LAB//lactate//mmol/L"]
    assert len(labs) == 3 * len(stays)
    assert all(row["numeric_value"] > 0 and row["time"].minute == 0 for row in labs)


def test_short_forms_mean_what_is_written_out(own: Path, decided: Built, tmp_path: Path) -> None:
    """Columns by kind, keys that all tables or the facts of one share, and blocks of facts."""
    text = (own / "tables.toml").read_text("utf-8")
    start, end = text.index("[tables.stays.columns]"), text.index("[tables.labs.columns]")
    columns = "[tables.stays.columns]\ntext = ['stay', 'patient', 'ward', 'outcome']\n"
    short = text[:start] + SHORT_STAYS + columns + "time = ['admitted', 'left']\n" + text[end:]
    short = short.replace('code = "LAB//{test}//{unit|UNKNOWN}"\n', "")
    short = short.replace('value = "result"', 'values.result = "LAB//{test}//{unit|UNKNOWN}"')
    short = short.replace('known = "at birth"\nwhy = "dated then"\n', "")
    (own / "tables.toml").write_text(SHARED + short, "utf-8")
    tables = {table.name: table for table in declared_in(own).tables}
    birth, sex, *_ = tables["patients"].facts
    assert (birth.known, birth.why, sex.known) == ("then", "dated then", "always (static)")
    assert tables["labs"].ranges == {"result": (0, 10000)}
    assert all(table.usual == {"it was not given"} for table in tables.values())
    build(declared_in(own), own, tmp_path / "short")
    assert digest(tmp_path / "short") == digest(decided.out)


SHARED = """usual = ["it was not given"]
ranges."res*" = [0, 10000]
times.born = { known = "then", why = "dated then" }

"""
SHORT_STAYS = """[tables.stays]
time = "left"
known = "at discharge"
why = "a label, never an input"
facts = [
  { code = "HOSPITAL_ADMISSION//{ward|UNKNOWN}", time = "admitted", known = "at admission" },
  { codes.discharge = "HOSPITAL_DISCHARGE" },
  { why = "a label", facts = [
    { code = "HOSPITAL_OUTCOME//expired", where = "outcome == 'died'" },
    { code = "HOSPITAL_OUTCOME//alive", where = "outcome == 'home'" },
  ] },
]

"""


def changed(own: Path, name: str, old: str, new: str) -> Path:
    """The hospital with the first occurrence of a text replaced in a file."""
    text = (own / name).read_text("utf-8")
    assert old in text
    (own / name).write_text(text.replace(old, new, 1), "utf-8")
    return own


def with_results(own: Path, change: Callable[[int, str], str], value: str) -> Path:
    """The hospital whose results are texts, read by an expression."""
    lines = (own / "labs.csv").read_text("utf-8").splitlines()
    place = lines[0].split(",").index("result")
    for number, line in enumerate(lines[1:]):
        cells = next(csv.reader([line]))
        cells[place] = change(number, cells[place])
        lines[number + 1] = ",".join(f'"{cell}"' for cell in cells)
    (own / "labs.csv").write_text("\n".join(lines) + "\n", "utf-8")
    changed(own, "tables.toml", 'result = "number"', 'result = "text"')
    return changed(own, "tables.toml", 'value = "result"', f'value = "{value}"')


def numbers(out: Path) -> list[float]:
    rows = (
        row for file in out.rglob("data/**/*.parquet") for row in pq.read_table(file).to_pylist()
    )
    return sorted(row["numeric_value"] for row in rows if row["code"].startswith("LAB//lactate"))


def test_decimal_commas_are_declared_and_never_lost(
    own: Path, decided: Built, tmp_path: Path
) -> None:
    with_results(own, lambda _, text: f" {text.replace('.', ',')}", "number_in(result)")
    with pytest.raises(DataError, match=r"text that is not a number in result in .*decimal mark"):
        build(declared_in(own), own, tmp_path / "lost")
    changed(own, "tables.toml", "number_in(result)", "number_in(result, ',')")
    build(declared_in(own), own, tmp_path / "commas")
    assert numbers(tmp_path / "commas") == numbers(decided.out)
    changed(own, "tables.toml", "number_in(result, ',')", "number_in(result, ';')")
    with pytest.raises(DataError, match=r"the decimal mark is '\.' or ',', not ';'"):
        declared_in(own)


def test_few_texts_that_are_not_numbers_are_counted(own: Path, tmp_path: Path) -> None:
    forms = ["1e-5", ".5", "5.", " +2.9 ", "<0.1", "1e99", ""]
    with_results(own, lambda n, text: forms[n] if n < len(forms) else text, "number_in(result)")
    account = build(declared_in(own), own, tmp_path / "out")
    (labs,) = (each for each in account.tables if "labs" in each.table)
    assert labs.notes == {"text that is not a number in result: no value": 2}
    # Two facts that read the same texts are counted together.
    text = (own / "tables.toml").read_text("utf-8")
    start = text.index("[[tables.labs.facts]]")
    end = text.index("number_in(result)", start) + len('number_in(result)"')
    nine = "contains(result, '9')"  # as 1e99 has and <0.1 has not
    halves = [f'\n{text[start:end]}\nwhere = "{each}"\n' for each in (nine, f"not {nine}")]
    (own / "tables.toml").write_text(text[:start] + "".join(halves) + text[end:], "utf-8")
    account = build(declared_in(own), own, tmp_path / "halves")
    (labs,) = (each for each in account.tables if "labs" in each.table)
    assert labs.notes == {"text that is not a number in result: no value": 2}


LABS = "[tables.labs.columns]"
JOINS = "[[tables.labs.joins]]\ntable = 'patients'\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('born = "time"', 'born = "tme"', "key 'tables.patients.columns.born' is 'tme': Input"),
        ("[people]", "[peple]", "key 'peple': unknown key 'peple': did you mean 'people'?"),
        ("[people]", "times.left = 3\n[people]", "key 'times.left' is 3: Input should be"),
        ("[people]", "times.lft.why = 'x'\n[people]", "key 'times.lft': no fact has this time"),
        ("[people]", "times.left.wy = 'x'\n[people]", "key 'times.left.wy' is 'wy': Input"),
        ("[people]", "ranges.'res*' = 3\n[people]", "key 'ranges.res*' is 3"),
        ("[people]", "ranges.'rs*' = [0, 1]\n[people]", "'ranges.rs*': no column of a table has"),
        ('known = "at birth"\n', "", "facts (MEDS_BIRTH).known': missing; state in words"),
        ('why = "dated then"\n', "", "facts (MEDS_BIRTH).why': missing; state why"),
        ('time = "born"', 'time = "bron"', "unknown column 'bron': did you mean 'born'?"),
        ("outcome == 'died'", "outcome = 'died'", "write == for 'equals'"),
        ("outcome == 'died'", "open('x')", "unknown function 'open'"),
        ("outcome == 'died'", "rank(left) == 1", "expected a value, and the column whose rows"),
        ("outcome == 'died'", "outcome.upper()", "is not allowed; expected columns"),
        ("outcome == 'died'", "outcme == 'died'", "'outcme': did you mean 'outcome'?"),
        ('id = "stay"', 'id = "sty"', "key 'stays.id': unknown column of stays 'sty'"),
        ('patient = "text", sex', 'patient = "integer", sex', "of kind text, expected integer"),
        ('subject = "patient"', 'subject = "ptient"', "key 'stays.subject': unknown column of"),
        ('subject = "patient"', 'subject = "patient"\nvisit = "sty"', "key 'stays.visit': unknown"),
        ('subject = "patient"', 'subject = "patient"\nvisit = "ward"',
         "'ward' is of kind text, expected integer"),
        ("[stays]", "# DECIDE: which?\n[stays]", "line 7: a person must still decide: which?"),
        ("[stays]", "[stays", "not TOML"),
        ('table = "patients"', 'table = "patient"', "did you mean 'patients'?"),
        ('subject = "patient"', 'subject = "patient"\ngives.end = "lft"', "key 'stays.gives.end'"),
        ('time = "left"', 'time = "ward"', "'ward' is of another kind; expected a time"),
        ('value = "result"', 'value = "test"', "'test' is of another kind; expected a number"),
        ("left < admitted", "left", "'left' is of another kind; expected a condition"),
        ("left < admitted", "left < 3", "does not fit the kinds of its columns"),
        ("left < admitted", "1 == 1", "expected a condition over columns"),
        ("left < admitted", "left < 1 / 0", "cannot be computed (division by zero)"),
        ("outcome == 'died'", "outcome == 'a' * 1000000000", "a text is not computed with"),
        ('value = "result"', f'value = "result * {10**30}"', "holds a number that is too large"),
        ('value = "result"', 'value = "result * (1e300 * 1e300)"', "that is too large"),
        ("{test}//{unit|UNKNOWN}", "{test}//{result}",
         "the text of the number result has several forms"),
        ("{test}//", "{lower(test)}//", "expected a column in {}, as {unit}"),
        ("{test}//", "{test//", "expected a column in {}, as {unit}"),
        ("outcome == 'died'", "text(whole(1) / 2) == outcome", "several forms (3, 3.0, 3e0)"),
        ("left < admitted", "left < admitted + days(1e300)", "days does not accept"),
        ("left < admitted", "left < moment('2020-01-01 12:00+02:00')", "leave the zone out"),
        (LABS, f"{JOINS}on = 'nope'\ntake.x = 'sex'\n{LABS}", "column 'nope'"),
        (LABS, f"{JOINS}on = 'patient'\ntake.x = 'sx'\n{LABS}", "column 'sx'"),
        (LABS, f"{JOINS}on = 'patient'\ntake.x = 'min()'\n{LABS}", "min needs"),
        (LABS, f"{JOINS}on.result = 'patient'\ntake.x = 'sex'\n{LABS}",
         "'result' is of kind number, expected text, as patients.patient"),
        (LABS, f"[tables.labs]\nranges.test = [1, 2]\n{LABS}",
         "'test' is of kind text, expected a number"),
        (LABS, f"[tables.labs.describes]\n'LAB//{{tst}}' = 'test'\n{LABS}",
         "unknown column 'tst'"),
        (LABS, f"[tables.labs.derived]\nsubject_id = '1'\n{LABS}",
         "the program's own name"),
        (LABS, f"[tables.labs]\nname = 'x'\n{LABS}",
         "key 'tables.labs.name': unknown key 'name' (known: aside"),
        (LABS, f"[tables.labs]\nprepare = 'x'\n{LABS}", "unknown key 'prepare'"),
        ("[[tables.stays.checks]]", "[[tables.stays.checks]]\namong = 'left'",
         "unknown key 'among' (known: problem"),
        ("[[tables.labs.facts]]", "[tables.labs.facts]", "key 'tables.labs.facts' is {"),
        ('value = "result"', 'values = "result"', "codes and values are tables of codes"),
        ('value = "result"', 'facts = ["result"]', "facts are a list of facts"),
        ('value = "result"', 'facts = [{ code = "LAB//{tst}" }]', "unknown column 'tst'"),
        (LABS, f"[tables.labs]\nafter.taken = 'x'\n{LABS}", "labs.after.taken': expected {"),
        ('value = "result"', 'values.result = "LAB//{tst}"', "unknown column 'tst'"),
        ('value = "result"', 'values = ["rsult"]\nwhere = "tst > 1"', "unknown column 'tst'"),
        ('value = "result"', "missing = -1", "unknown key 'missing'"),
        ('value = "result"', 'value = "result +"', "labs.facts.0.value' is 'result +': 'result +'"),
        (LABS, f"[tables.labs.derived]\nq = 'min(result)'\n{LABS}",
         "key 'tables.labs.derived.q' is 'min(result)'"),
        (LABS, f"{JOINS}on = 'patient'\ntake.x = 'min(sex)'\ntake.y = 'sex'\n{LABS}",
         "either all columns are totals"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_names_file_and_key(old: str, new: str, said: str, own: Path) -> None:
    with pytest.raises(DataError) as caught:
        declared_in(changed(own, "tables.toml", old, new))
    words = str(caught.value)
    assert words.startswith(str(own / "tables.toml"))
    assert said in words
    assert "\n" not in words


def test_a_time_after_another_is_a_check_with_its_remedy(own: Path) -> None:
    short = '[tables.stays]\nafter.left = { than = "admitted", share = 0.5, show = "ward" }'
    changed(own, "tables.toml", "[tables.stays.columns]", f"{short}\n\n[tables.stays.columns]")
    stays = next(table for table in declared_in(own).tables if table.name == "stays")
    written, added, *_ = stays.checks
    assert (added.problem, added.share, added.show) == ("left before admitted", 0.5, "ward")
    assert (added.problem, str(added.where)) == (written.problem, str(written.where))
    assert added.remedy.endswith("whether the names admitted and left were swapped")


def test_a_check_reads_a_column_that_is_called_reason(own: Path, tmp_path: Path) -> None:
    for name in ("stays.csv", "tables.toml"):
        (own / name).write_text(
            (own / name).read_text("utf-8").replace("outcome", "reason"), "utf-8"
        )
    changed(own, "tables.toml", "left < admitted", "reason == 'died'")
    with pytest.raises(DataError, match="in 98 of 754 rows"):
        build(declared_in(own), own, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("patients.csv", "1930-03-01", "01.03.1930", "patients.csv, line 2: column 'born' holds"),
        ("labs.csv", ".", ",", "labs.csv, line 2: 8 columns; expected 7"),
        ("stays.csv", "S0-0", "", "blank stay"),
        ("patients.csv", "P0001", "P0000", "2 rows have the same patient (the first is line 2)"),
        ("patients.csv", "born", "birthday", "no column 'born'"),
    ],
)
def test_rows_that_do_not_fit_stop_the_build(
    name: str, old: str, new: str, said: str, own: Path, tmp_path: Path
) -> None:
    changed(own, name, old, new)
    with pytest.raises(DataError) as caught:
        build(declared_in(own), own, tmp_path / "out")
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [",", ",,", ',""'])
def test_a_row_with_a_blank_column_too_many_stops_the_build(
    more: str, own: Path, tmp_path: Path
) -> None:
    head, first, *rest = (own / "labs.csv").read_text("utf-8").splitlines()
    (own / "labs.csv").write_text("\n".join([head, first + more, *rest, ""]), "utf-8")
    with pytest.raises(DataError, match=r"labs\.csv, line 2: 8 columns; expected 7"):
        build(declared_in(own), own, tmp_path / "out")


def without_marks(own: Path, proposal: str) -> None:
    """Write the proposal without what a person must decide as the declaration."""
    lines = [line for line in proposal.splitlines() if "DECIDE" not in line]
    (own / "tables.toml").write_text("\n".join(lines).replace("LABS//", "LAB//") + "\n", "utf-8")


def test_a_proposal_is_a_declaration_once_its_marks_are_gone(
    own: Path, decided: Built, tmp_path: Path
) -> None:
    proposal = propose(own)
    (own / "tables.toml").write_text(proposal, "utf-8")
    with pytest.raises(DataError, match="a person must still decide"):
        declared_in(own)
    without_marks(own, proposal)
    build(declared_in(own), own, tmp_path / "proposed")
    assert digest(tmp_path / "proposed") == digest(decided.out)


def test_times_in_a_form_of_a_country_are_proposed_as_such(
    own: Path, decided: Built, tmp_path: Path
) -> None:
    for path in own.glob("*.csv"):
        text = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", path.read_text("utf-8"))
        head, *rows = csv.reader(text.splitlines())
        columns = [pa.array([row[i] or None for row in rows]) for i in range(len(head))]
        pq.write_table(pa.table(columns, head), path.with_suffix(".parquet"))
        path.unlink()
    said = propose(own)
    assert '[format]\ndate = "%d.%m.%Y"\n' in said
    assert 'reported = "time" # 2,038 values\n' in said
    without_marks(own, said)
    build(declared_in(own), own, tmp_path / "proposed")
    assert digest(tmp_path / "proposed") == digest(decided.out)


def test_whether_the_day_or_the_month_is_first_is_asked(tmp_path: Path) -> None:
    place = tmp_path / "patients.csv"
    place.write_text("patient,born\n1,03/04/1950\n2,05/06/1960\n", "utf-8")
    said = propose(tmp_path)
    assert 'date = "%d/%m/%Y"' in said
    answers = 'Then date = "%d/%m/%Y". Else date = "%m/%d/%Y"'
    assert f"DECIDE: is the day first in born? {answers}" in said
    place.write_text("patient,born\n1,03/14/1950\n2,05/06/1960\n", "utf-8")
    said = propose(tmp_path)
    assert 'date = "%m/%d/%Y"' in said
    assert "is the day first" not in said


def test_rows_of_a_table_without_subjects_have_those_of_their_stays(
    own: Path, tmp_path: Path
) -> None:
    (own / "diagnoses.csv").write_text("stay,icd\nS0-0,E11.9\nS1-0,I50.9\n,J18.9\n", "utf-8")
    with (own / "tables.toml").open("a") as file:
        file.write(DIAGNOSES)
    changed(
        own,
        "tables.toml",
        'subject = "patient"\n',
        'subject = "patient"\ngives.discharge = "left"\n',
    )
    account = build(declared_in(own), own, tmp_path / "out", allow_set_aside=["diagnoses"])
    assert account.tables[-1].set_aside == {"no hospital stay is named": 1}
    rows = Built(tmp_path / "out", account).rows
    found = {r["code"]: (r["subject_id"], r["time"]) for r in rows if r["code"].startswith("ICD")}
    left = {r["visit_id"]: r["time"] for r in rows if r["code"] == "HOSPITAL_DISCHARGE"}
    assert {code: subject for code, (subject, _) in found.items()} == {
        "ICD10CM//E119": 1,
        "ICD10CM//I509": 2,
    }
    assert {time for _, time in found.values()} <= set(left.values())


DIAGNOSES = """
[tables.diagnoses]
columns = { stay = "text", icd = "text" }
derived.undotted = "without(icd, '.')"

[[tables.diagnoses.facts]]
code = "ICD10CM//{undotted}"
time = "discharge"
known = "at discharge"
"""


COMPUTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a": ("whole(x)", "number", {"3.5": 3, "-3.5": -3, "45000000.9": 45_000_000, "": None}),
    "b": ("whole(x)", "text", {"3.5": 3, " 03": 3, "9007199254740993": 2**53 + 1, "": None}),
    "c": ("whole(x)", "integer", {"9007199254740993": 2**53 + 1, "-7": -7}),
    "d": ("6 / x", "number", {"0": None, "4": 1.5, "-0.0": None, "": None}),
    "e": ("6 / x", "integer", {"0": None, "4": 1.5}),
    "f": (
        "end_of_day(x)",
        "time",
        {
            "2020-01-01 10:00:00": datetime(2020, 1, 1, 23, 59, 59),
            "2020-01-01": datetime(2020, 1, 1, 23, 59, 59),
        },
    ),
    "g": ("text(whole(x))", "number", {"45000000": "45000000", "0.0001": "0"}),
    "h": ("rank(x, g)", "integer", {"7": 1, "3": 1, "9": 2, "8": 1, "": None}),
}


def computed(folder: Path, engine: str) -> dict[str, list[object]]:
    """Values of expressions over columns of a table of text, in the order of its rows."""
    texts = {name: [*values] for name, (_, _, values) in COMPUTED.items()}
    most = max(map(len, texts.values()))
    lines = [",".join(["row", *COMPUTED])]
    lines += [
        ",".join([str(i), *((each[i] if i < len(each) else "") for each in texts.values())])
        for i in range(most)
    ]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", "utf-8")
    kinds = {"row": Kind.INTEGER} | {c: Kind[k.upper()] for c, (_, k, _) in COMPUTED.items()}

    def handed_on(copy: BinaryIO | None) -> str:
        if copy:
            copy.write((folder / "rows.csv").read_bytes())
        return ""

    with closing(open_engine(engine, folder)) as opened:
        read = opened.read_csv(folder / "rows.csv", [*kinds], kinds)
        files = {"rows": folder / "rows.csv"}
        kept, _ = opened.keep_all({"rows": read}, files, {"rows": handed_on})
        frame = typed_blanks(kept["rows"], Table("rows", kinds))
        made = {c: expression(re.sub(r"\bx\b", c, text)) for c, (text, _, _) in COMPUTED.items()}
        rows = frame.with_columns(**made).sort("row").collect("pyarrow").to_native().to_pylist()
    for row in rows:  # Spark hands over times in UTC
        row["f"] = row["f"] and row["f"].replace(tzinfo=None)
    return {c: [row[c] for row in rows][: len(texts[c])] for c in COMPUTED}


MEANING = {name: [*values.values()] for name, (_, _, values) in COMPUTED.items()}


def test_an_expression_has_one_meaning(tmp_path: Path) -> None:
    assert computed(tmp_path, "duckdb") == MEANING


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_an_expression_has_this_meaning_in_spark(tmp_path: Path) -> None:
    assert computed(tmp_path, "spark") == MEANING


def test_computed_values_have_the_bounds_of_columns(own: Path, tmp_path: Path) -> None:
    changed(own, "tables.toml", 'value = "result"', 'value = "result * 1e38 * 100"')
    with pytest.raises(
        DataError, match=r"result \* 1e38 \* 100 out of bounds in .*; expected none"
    ):
        build(declared_in(own), own, tmp_path / "out")
    changed(own, "tables.toml", 'value = "result * 1e38 * 100"', 'value = "result"')
    changed(own, "tables.toml", 'time = "reported"', 'time = "reported + days(300000)"')
    with pytest.raises(DataError, match="out of bounds"):
        build(declared_in(own), own, tmp_path / "out")


def test_two_files_of_one_table_are_refused(own: Path, tmp_path: Path) -> None:
    (own / "copy").mkdir()
    pq.write_table(pacsv.read_csv(own / "labs.csv").slice(0, 5), own / "copy" / "labs.parquet")
    account = build(declared_in(own), own, tmp_path / "out")
    assert "copy/labs.parquet" in account.not_read, "a copy in another folder is named"
    (own / "copy").rename(own / "labs")
    with pytest.raises(DataError, match=r"labs is there more than once: .*labs.csv and .*labs;"):
        build(declared_in(own), own, tmp_path / "again")
    shutil.move(own / "labs" / "labs.parquet", own / "labs.parquet")
    with pytest.raises(DataError, match=r"labs is there more than once: .*labs.parquet; keep"):
        build(declared_in(own), own, tmp_path / "again")


def test_a_join_on_a_repeated_key_is_refused(own: Path, tmp_path: Path) -> None:
    changed(own, "tables.toml", LABS, f"{JOINS}on = 'patient'\ntake.x = 'ward'\n{LABS}")
    changed(own, "tables.toml", "table = 'patients'", "table = 'stays'")
    with pytest.raises(DataError, match=r"labs.csv: joined to another table, its .* take min"):
        build(declared_in(own), own, tmp_path / "out")


@pytest.mark.parametrize(
    "text", ["(" * 300 + ")" * 300, "a" + " + 1" * 5000, "a" + " + 1" * 300, "x if", "a is 1"]
)
def test_no_expression_is_a_bug(text: str) -> None:
    with pytest.raises(SettingError):
        expression(text)


def test_a_large_table_shows_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_LARGE", 200_000)
    rows = "".join(
        f"{row},L{row % 400},{row % 97}.5,01.02.20{row % 30 + 10}\n" for row in range(9_000)
    )
    (tmp_path / "labs.csv").write_text("lab_id,code,value,taken\n" + rows, "utf-8")
    (tmp_path / "sexes.csv").write_text("patient_id,sex\n1,f\n", "utf-8")
    shown: list[str] = []
    lines = propose(tmp_path, shown.append).splitlines()
    assert shown[:2] == ["labs: reading", "labs: 9,000 rows, column 1 of 4"]
    assert len(shown) == 5
    assert 'lab_id = "integer" # 9,000 values, 0 to 8999' in lines
    assert 'code = "text" # 400 values' in lines
    assert 'value = "number" # 97 values, 0.5 to 96.5' in lines
    assert 'taken = "time" # 30 values' in lines
    assert 'date = "%d.%m.%Y"' in lines
