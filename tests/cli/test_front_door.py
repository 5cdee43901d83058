"""Plausible mistakes with files that somebody else made: one true line each, and status 2."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.calls import Refused, refusal
from tests.tables.one_row import rows, write

Made = Callable[[Path], object]
OPTIONS = ("--label", "died", "--id", "patient", "--time", "admitted")
EEG = ("--label", "([ab])[0-9]", "--window", "1")


def text(name: str, content: str | bytes) -> Made:
    raw = content.encode() if isinstance(content, str) else content
    return lambda root: (root / name).write_bytes(raw)


def table(encoding: str = "utf-8") -> Made:
    return lambda root: write(root / "p.csv", rows(30), encoding=encoding)


def zipped(root: Path) -> None:
    with zipfile.ZipFile(root / "p.csv.zip", "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "patient,died\n")


def eeg(root: Path) -> None:
    """Make four csv files of one second."""
    (root / "e").mkdir()
    for number, name in enumerate(("a0", "b1", "a2", "b3")):
        lines = [f"{i / 64},{i % 5},{i * number % 7}" for i in range(64)]
        (root / f"e/{name}.csv").write_text("\n".join(["time,C3,C4", *lines]) + "\n", "utf-8")


ROWS: list[tuple[str, Made, str, tuple[str, ...]]] = [
    ("p.csv does not exist", lambda _: None, "p.csv", OPTIONS),
    ("p.csv: empty; expected a header", text("p.csv", ""), "p.csv", OPTIONS),
    ("p.csv, line 3: 4 columns; expected 3",
     text("p.csv", "patient,died,age\n1,0,5\n2,1,6,7\n" + "3,0,5\n" * 9), "p.csv", OPTIONS),
    ("names the column 'age' twice", text("p.csv", "patient,died,age,Age\n1,0,5,5\n2,1,6,6\n"),
     "p.csv", OPTIONS),
    ("p.csv: its lines are not rows of one table",
     text("p.csv", "Export;;;\n\npatient;died;age\n" + "1;0;5\n2;1;6\n" * 20), "p.csv", OPTIONS),
    ("such as .txt or .tsv, to .csv", text("p.tsv", "patient\tdied\n1\t0\n"), "p.tsv", OPTIONS),
    ("p.csv.zip is damaged (it has 2 entries", zipped, "p.csv.zip", OPTIONS),
    ("p.csv.gz is damaged (Not a gzipped", text("p.csv.gz", "patient,died\n" * 9), "p.csv.gz",
     OPTIONS),
    ("unknown column of --time: 'admission'", table(), "p.csv", (*OPTIONS[:4], "--time=admission")),
    ("unknown column of --site: 'ste': did you mean 'site'?", table(), "p.csv",
     (*OPTIONS, "--site", "ste")),
    ("are separated by commas; expected semicolons", table(), "p.csv",
     (*OPTIONS, "--format", "separator=;")),
    ("--format: key 'separator' is ':': Input should be", table(), "p.csv",
     (*OPTIONS, "--format=separator=:")),
    ("--format: key 'encoding' is 'ansi': unknown encoding", table(), "p.csv",
     (*OPTIONS, "--format", "encoding=ansi")),
    ("p.csv: not UTF-8 text", table(encoding="latin-1"), "p.csv",
     (*OPTIONS, "--format", "encoding=utf-8")),
    ("is a number in the form of --format", table(), "p.csv", (*OPTIONS, "--format", "decimal=,")),
    ("unknown data set 'csv'", table(), "p.csv", ("--data", "csv", *OPTIONS)),
    ("tables.toml is not there: expected the decl", table(), "p.csv", ("--data", "tables")),
]  # fmt: skip
# Files with mistakes in them are in tests/signals/test_csv_recordings.py.
SIGNALS: list[tuple[str, Made, tuple[str, ...]]] = [
    ("e: found none; expected one table", lambda root: (root / "e").mkdir(), EEG),
    ("the length of a window is unknown", eeg, EEG[:2]),
    ("the class of a window is unknown", eeg, EEG[2:]),
    ("which is not a regular expression", eeg, ("--label", "([ab)[0-9]", *EEG[2:])),
    ("has no label as '[ab]' finds it", eeg, ("--label", "[ab]", *EEG[2:])),
    ("there is one class, a: expected two", eeg, (*EEG, "--classes", "a")),
    ("e: no window has a class", eeg, (*EEG[:2], "--window", "100")),
    ("unknown key 'sep': did you mean 'separator'", eeg, (*EEG, "--format=sep=;")),
    ("samples have no sign between thousands", eeg, (*EEG, "--format=thousands='")),
    ("a time of the form '9.9'; expected a number with the decimal mark ','", eeg,
     (*EEG, "--format=decimal=,")),
    ('Invalid value "microvolt" for --unit', eeg, (*EEG, "--unit", "microvolt")),
    ("has no subject as '(p[0-9]+)_' finds it", eeg, (*EEG, "--subject", "(p[0-9]+)_")),
]  # fmt: skip
DATABASES = [
    ("a connection string without its prefix: write odbc:", ("data", "describe"), "DSN=x;PWD=hush"),
    ("a connection string without its prefix: write odbc:", ("build", "tables", "--out", "o",
     "--root"), "obdc:Driver=SQLite3;PWD=hush"),
    ("host/db is not read: name a folder", ("build", "omop", "--out", "o", "--root"),
     "mssql://me:hush@host/db"),
    ("does not read this database", ("train", "auto", "--data", "omop", "--root"),
     "mssql://me:hush@host/db"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "make", "name", "options"), ROWS)
def test_a_table(
    words: str,
    make: Made,
    name: str,
    options: tuple[str, ...],
    tmp_path: Path,
    refused: Refused,
) -> None:
    make(tmp_path)
    data = () if "--data" in options else ("--data", "table")
    command = ("train", "prevalence", *data, "--root", tmp_path / name, *options)
    was_read = "in the form of" in words  # then the columns are listed first
    assert words in refused(*command, "--out", tmp_path / "run", silent=not was_read)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("words", "make", "options"), SIGNALS)
def test_recordings(
    words: str, make: Made, options: tuple[str, ...], tmp_path: Path, refused: Refused
) -> None:
    make(tmp_path)
    command = ("train", "majority-class", "--data", "signals", "--root", tmp_path / "e", *options)
    assert words in refused(*command, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("words", "command", "address"), DATABASES)
def test_an_address(
    words: str, command: tuple[str, ...], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, *command, address, silent=False)
    assert words in line
    assert "hush" not in line
