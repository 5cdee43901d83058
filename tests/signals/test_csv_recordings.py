"""Folders of csv files, one a recording, as other programs export them."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.cli.calls import refusal

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError
from sequela.formats import opened
from sequela.intake.describe import describe, holds_tables
from sequela.intake.describe_signals import propose
from sequela.signals.csv_recordings import start_of
from sequela.signals.edf import EdfFile
from sequela.signals.reading import declared, read
from sequela.signals.segments import Segments

Edf = Callable[..., Path]
RATE = 128
GERMAN = {"format": ("separator=;", "decimal=,", "encoding=latin-1")}
SEMICOLONS = ["--format", "separator=;"]
FOLDER = SignalSettings(label="folder", window=1)


def written(
    path: Path,
    signal: NDArray[np.float64] | None = None,
    *,
    names: str = "time,C3,C4",
    times: NDArray[np.float64] | list[str] | None = None,
    more: str = "",
    german: bool = False,
) -> Path:
    """Write a recording as a csv file; ``more`` is the end of each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    signal = rng.normal(scale=20, size=(2, 3 * RATE)) if signal is None else signal
    at = np.arange(signal.shape[1]) / RATE if times is None else times
    shown = [each if isinstance(each, str) else repr(float(each)) for each in at]
    rows = [
        ",".join([t, *map(repr, row)]) + more
        for t, row in zip(shown, signal.T.tolist(), strict=True)
    ]
    text = "\n".join([names, *rows]) + "\n"
    if german:
        text = text.replace(",", ";").replace(".", ",")
    content = text.encode("latin-1" if german else "utf-8")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def equal(one: Segments, other: Segments) -> bool:
    """Return whether two sets of windows have the same bytes."""
    arrays = ("signal", "label", "segment_id", "recording_id", "start")
    assert (one.sfreq, one.classes, one.n_dropped) == (other.sfreq, other.classes, other.n_dropped)
    return all((getattr(one, name) == getattr(other, name)).all() for name in arrays)


def folders(root: Path, *, german: bool = False, names: str = "time,C3,C4") -> Path:
    """Write two recordings of each of two classes."""
    for name in ("sick/p1", "sick/p2", "well/p3", "well/p4"):
        written(root / f"{name}.csv", german=german, names=names)
    return root


@pytest.mark.parametrize("resample", [None, 100])
def test_the_windows_are_those_of_the_same_data_as_edf_and_npz(
    edf: Edf, tmp_path: Path, resample: float | None
) -> None:
    asked = SignalSettings(label="folder", window=1.5, stride=0.5, resample=resample)
    signals = []
    for name in ("sick/p1", "well/p2"):
        path = edf(f"edf/{name}.edf", seconds=5)
        signals.append(EdfFile.open(path).read([0, 1], 0, 5 * RATE))
        written(tmp_path / f"csv/{name}.csv", signals[-1])
        written(tmp_path / f"german/{name}.csv", signals[-1], german=True)
    of_edf = read(tmp_path / "edf", asked)
    assert of_edf.signal.shape[0] == 16
    assert equal(read(tmp_path / "csv", asked), of_edf)
    assert equal(read(tmp_path / "german", asked.model_copy(update=GERMAN)), of_edf)
    y, ids = ["sick", "well"], ["sick/p1", "well/p2"]
    np.savez(tmp_path / "own.npz", X=np.stack(signals), y=y, id=ids)
    found = {"label": "y", "recording": "id", "rate": RATE, "channels": ("C3", "C4")}
    assert equal(read(tmp_path / "own.npz", asked.model_copy(update=found)), of_edf)


def test_the_class_and_the_patient_in_columns_and_in_a_table_of_files(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(2, 4 * RATE))
    stages = np.repeat(["W", "N"], 2 * RATE)
    for n in (1, 2):
        path = written(tmp_path / f"{n}.csv", signal, names="time,C3,C4,patient")
        lines = path.read_text("utf-8").splitlines()
        rows = [f"{line},p{n},{stage}" for line, stage in zip(lines[1:], stages, strict=True)]
        path.write_text("\n".join([f"{lines[0]},stage", *rows]) + "\n", "utf-8")
    found = read(tmp_path, SignalSettings(label="stage", subject="patient", window=1))
    assert found.classes == ("N", "W")
    assert found.label.tolist() == [1, 1, 0, 0] * 2
    np.testing.assert_array_equal(found.subject_id, ["p1"] * 4 + ["p2"] * 4)
    for n in (1, 2):
        written(tmp_path / "listed" / f"{n}.csv", signal)
    (tmp_path / "listed/labels.csv").write_text("name,dx,who\n2.csv,well,q\n1,sick,r\n", "utf-8")
    asked = SignalSettings(listing="labels.csv", label="dx", subject="who", window=1)
    found = read(tmp_path / "listed", asked)
    assert found.label.tolist() == [0] * 4 + [1] * 4
    np.testing.assert_array_equal(found.subject_id, ["r"] * 4 + ["q"] * 4)


def test_tables_next_to_recordings_may_have_another_form(tmp_path: Path) -> None:
    for name in ("p1", "p2", "p3"):
        written(tmp_path / f"{name}.csv", german=True)
    (tmp_path / "labels.csv").write_text("file,who\np1,q\np2,r\np3,s\n", "utf-8")
    text = "file;onset;duration;label\np1;0,5;1,0;seizure\np3;2;1;seizure\n"
    (tmp_path / "events.csv").write_text(text, "utf-8")
    asked = SignalSettings.of(
        listing="labels.csv", subject="who", events="events.csv", classes=("seizure",),
        background="none", window=1, **GERMAN,
    )  # fmt: skip
    found = read(tmp_path, asked)
    assert found.label.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1]
    draft = propose(tmp_path)
    for name in ('listing = "labels.csv"', 'events = "events.csv"', 'subject = "who"'):
        assert f"\n{name}\n" in draft


def test_no_file_is_opened_more_often_than_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start of a csv file is looked at, then its times and classes, then its samples."""
    counts, open_file = Counter[str](), opened._regular

    def count(path: Path, *rest: str) -> object:
        counts[path.name] += 1
        return open_file(path, *rest)

    monkeypatch.setattr(opened, "_regular", count)
    (tmp_path / "signals.toml").write_text('label = "folder"\nwindow = 1\n', "utf-8")
    for _ in range(2):
        settings = declared(folders(tmp_path))
    read(tmp_path, settings)
    assert counts == {"signals.toml": 1, "p1.csv": 3, "p2.csv": 3, "p3.csv": 3, "p4.csv": 3}


def test_units_of_channels(tmp_path: Path) -> None:
    folders(tmp_path / "uv", names="time,C3,C4")
    plain = read(tmp_path / "uv", FOLDER)
    for number, names in enumerate(("time,C3 [mV],C4_mV", "time,C3 mV,C4/mV")):
        found = read(folders(tmp_path / f"mv{number}", names=names), FOLDER)
        np.testing.assert_allclose(found.signal, 1000 * plain.signal, rtol=1e-6)
    note = "no unit is declared: the samples are assumed to be in µV"
    assert note in plain.notes
    assert note not in found.notes
    folders(tmp_path / "other", names="time,C3 [mm],C4")
    assert read(tmp_path / "other", FOLDER).channels == ("C4",)
    with pytest.raises(DataError, match="channel C3 is in 'mm'; expected a voltage"):
        read(tmp_path / "other", FOLDER.model_copy(update={"channels": ("C3",)}))


def test_an_amplitude_that_eeg_cannot_have_is_noted(tmp_path: Path) -> None:
    folders(tmp_path)  # 20 µV
    for unit, amplitude in (("mV", "2e+04"), ("nV", "0.02"), ("µV", "")):
        notes = str(read(tmp_path, FOLDER.model_copy(update={"unit": unit})).notes)
        assert (f"deviation of a window is {amplitude} µV" in notes) is bool(amplitude)
        assert ("is the unit right? --unit" in notes) is bool(amplitude)


def test_times_in_minutes_need_the_rate(tmp_path: Path) -> None:
    minutes = [repr(n / RATE / 60) for n in range(3 * RATE)]
    plain = read(folders(tmp_path / "seconds"), FOLDER)
    for name in ("sick/p1", "sick/p2", "well/p3", "well/p4"):
        written(tmp_path / f"minutes/{name}.csv", times=minutes)
    with pytest.raises(
        DataError, match=r"'time' rises by 0\.000130208 a row.*expected seconds, at"
    ):
        read(tmp_path / "minutes", FOLDER.model_copy(update={"resample": 100}))
    assert equal(read(tmp_path / "minutes", FOLDER.model_copy(update={"rate": RATE})), plain)


def times(rate: float, n: int, form: str) -> list[str]:
    at = np.arange(n) / rate
    if form == "moments":
        begin = np.datetime64("2026-01-31 23:59:59.000", "us")
        return [str(begin + np.timedelta64(round(1e6 * t), "us")).replace("T", " ") for t in at]
    scale, _, digits = form.partition(",")
    return [f"{t * float(scale) + 7:.{digits}f}" for t in at]


@pytest.mark.parametrize("rate", [128, 173.61, 200, 256, 512, 1000])
@pytest.mark.parametrize(
    ("names", "form"),
    [
        ("time,C3,C4", "1,6"),
        ("t (s),C3,C4", "1,3"),
        ("Zeit [ms],C3,C4", "1000,3"),
        ("time_us,C3,C4", "1000000,0"),
        ("Timestamp,C3,C4", "moments"),
    ],
)
def test_the_rate_is_found_from_times_as_they_are_rounded(
    tmp_path: Path, rate: float, names: str, form: str
) -> None:
    signal = np.random.default_rng(0).normal(size=(2, int(23 * rate)))
    for name in ("sick/1", "well/2"):
        written(
            tmp_path / f"{name}.csv", signal, names=names, times=times(rate, signal.shape[1], form)
        )
    found = read(tmp_path, FOLDER)
    assert found.sfreq == rate
    assert not [note for note in found.notes if "gaps" in note]


def test_gaps_and_missing_values_are_counted(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(2, 6 * RATE))
    at = np.arange(6 * RATE) / RATE
    at[3 * RATE :] += 10.25
    signal[1, 10] = np.nan
    for name in ("sick/1", "well/2"):
        written(tmp_path / f"{name}.csv", signal, times=at)
    found = read(tmp_path, FOLDER)
    assert "2 gaps in time; no window spans one" in found.notes
    assert "2 windows with a gap (missing samples) are left out" in found.notes
    np.testing.assert_array_equal(found.start, [1, 2, 13.25, 14.25, 15.25] * 2)


def test_the_draft_of_a_folder_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "Zeit [s],C3 [µV],C4 [µV]"
    for name in ("Z1", "Z2", "S1", "S2"):
        written(tmp_path / f"{name}.csv", names=names, german=True)
    assert not holds_tables(tmp_path)
    draft, place = describe(tmp_path)
    assert place == "signals.toml"
    for line in ('format.separator = ";"', 'format.decimal = ","',
                 'format.encoding = "latin-1"', 'time = "Zeit [s]"',
                 'label = "([A-Za-z]+)[^/]*$"', 'channels = ["C3", "C4"]'):  # fmt: skip
        assert f"\n{line}\n" in draft
    decided = draft.replace("# DECIDE: it is not", "# It is not").replace(
        "# window = ", "window = 1"
    )
    decided = decided.replace("# DECIDE: state how", "# State how")
    (tmp_path / "signals.toml").write_text(decided, "utf-8")
    assert read(tmp_path).classes == ("S", "Z")


def test_the_draft_names_a_table_of_files_and_columns(tmp_path: Path) -> None:
    for n in range(4):
        written(tmp_path / f"{n}.csv", names="time,C3,C4")
        lines = (tmp_path / f"{n}.csv").read_text("utf-8").splitlines()
        lines = [line.partition(",")[2] for line in lines]
        (tmp_path / f"{n}.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "labels.csv").write_text(
        "file,diagnosis,patient\n0,a,p\n1,b,q\n2,a,r\n3,b,s\n", "utf-8"
    )
    draft = propose(tmp_path)
    for line in ('listing = "labels.csv"', 'label = "diagnosis"', 'subject = "patient"'):
        assert f"\n{line}\n" in draft
    assert 'channels = ["C3", "C4"]' in draft
    assert "# rate = " in draft


def test_a_file_without_a_form_is_named(tmp_path: Path) -> None:
    root = folders(tmp_path, german=True)
    line(root / "sick/p1.csv", 200, "1;2")
    with pytest.raises(DataError, match=r"sick.p1\.csv line 200: 2 fields; expected 3"):
        describe(root)


def test_hospital_tables_stay_hospital_tables(tmp_path: Path) -> None:
    rows = [f"{n // 7},{n},{70 + n % 9}" for n in range(60)]
    for name in ("vitals", "labs"):
        text = "\n".join(["patient_id,hours,value", *rows]) + "\n"
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    assert holds_tables(tmp_path)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def line(path: Path, number: int, text: str | None) -> None:
    """Replace a line of a file, or remove it."""
    lines = path.read_text("utf-8").splitlines()
    lines[number - 1 : number] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def listed(root: Path, *rows: str) -> None:
    (root / "labels.csv").write_text("\n".join(["file,dx,who", *rows]) + "\n", "utf-8")


def recorded(name: str, **how: object) -> Callable[[Path], object]:
    return lambda root: written(root / name, **how)  # type: ignore[arg-type] # options of a test


ALL = ("p1,a,p", "p2,a,q", "p3,b,r")
TABLE = ["--listing", "labels.csv", "--label", "dx"]
SLOW = [str(4 * n) for n in range(3 * RATE)]
LATE = [str((n - (0.6 if n > 199 else 0)) / RATE) for n in range(3 * RATE)]
MISTAKES: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("no channel of EEG is in all files; name", recorded("well/p4.csv", names="time,F3,F4"), []),
    ("well/p4.csv: no channel 'C3', and no two of which it is the difference (found: F3, F4)",
     recorded("well/p4.csv", names="time,F3,F4"), ["--channels", "C3"]),
    ("p4.csv: 2 channels of 64 samples at 64 Hz; expected 2 of 128 at 128 Hz as in ",
     recorded("well/p4.csv", times=np.arange(3 * RATE) / 64), []),
    ("p4.csv: empty; expected a header", lambda r: (r / "well/p4.csv").write_bytes(b""), []),
    ("p4.csv: no row below the", lambda r: (r / "well/p4.csv").write_text("time,C3,C4\n"), []),
    ("labels.csv: no line for well/p4; expected one for", lambda r: listed(r, *ALL), TABLE),
    ("p4.csv: the table of files has nothing in col", lambda r: listed(r, *ALL, "p4,,s"), TABLE),
    ("labels.csv line 5: the file 'p1.csv' again", lambda r: listed(r, *ALL, "p1.csv,a,p"), TABLE),
    ("labels.csv line 5: no file 'p9' in the folder", lambda r: listed(r, *ALL, "p9,a,p"), TABLE),
    ("labels.csv line 5: 2 fields; expected 3", lambda r: listed(r, *ALL, "p4,a"), TABLE),
    ("labels.csv: a table of files, next to recordings; name it with --listing",
     lambda r: listed(r, *ALL, "p4,b,s"), []),
    ("and there is no such column (found: file, dx, who)",
     lambda r: listed(r, *ALL, "p4,b,s"), [*TABLE[:2], "--label", "diagnosis"]),
    ("labels.csv does not exist; expected the table of files", lambda _: None, TABLE),
    ("p4.csv.gz: a second file of the recording well/p4", recorded("well/p4.csv.gz"), []),
    ("p4.csv line 100: column C4 holds a value of the form 'aaa'; expected a number, with a point",
     lambda r: line(r / "well/p4.csv", 100, "0.765625,1,bad"), []),
    ("p4.csv line 100: 2 fields; expected 3",
     lambda r: line(r / "well/p4.csv", 100, "0.765625,1"), []),
    ("p4.csv row 99: its time is not after the time of the row before",
     lambda r: line(r / "well/p4.csv", 100, "0.5,1,1"), []),
    ("p4.csv row 99: a time of the form 'aaa'; expected a number",
     lambda r: line(r / "well/p4.csv", 100, "bad,1,1"), []),
    ("p4.csv row 201: irregular times: 0.003125 s after the row before; expected 0.0078 s",
     recorded("well/p4.csv", times=LATE), []),
    ("p1.csv row 2: irregular times", lambda _: None, ["--rate", "300"]),
    ("the columns are separated by semicolons", lambda r: folders(r, german=True), []),
    ("; expected a number, with a point; correct the file, or its declaration",
     lambda r: folders(r, german=True, names="x,C3,C4"), [*SEMICOLONS, "--rate", "128"]),
    ("p1.csv: not text in the declared encoding utf-8",
     lambda r: folders(r, german=True, names="time,C3 (µV),C4"), SEMICOLONS),
    ("unknown encoding: klingon", lambda _: None, ["--format", "encoding=klingon"]),
    ("p4.csv line 1: numbers; expected the names", lambda r: line(r / "well/p4.csv", 1, None), []),
    ("p4.csv: no column of the time (found: x, C3", recorded("well/p4.csv", names="x,C3,C4"), []),
    ("p4.csv: column 'time [h]' is in 'h'; expected s, ms or µs",
     recorded("well/p4.csv", names="time [h],C3,C4"), []),
    ("p4.csv: column 'time' rises by 4 a row, and no unit is given; expected seconds",
     recorded("well/p4.csv", times=SLOW), []),
    ("p1.csv: no column 'zeit' (found: time, C3, C4)", lambda _: None, ["--time", "zeit"]),
    ("p1.csv: its rows are of 384 subjects; expected one", lambda _: None, ["--subject", "C4"]),
    ("p1.csv: its path has no label as 'dx' finds it, and there is no such column (found: C3, C4)",
     lambda _: None, ["--label", "dx"]),
    ("p4.csv: no channel (found: time)",
     lambda r: (r / "well/p4.csv").write_text("time\n0\n0.01\n"), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "make", "more"), MISTAKES, ids=[each[0][:40] for each in MISTAKES]
)
def test_a_mistake_has_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: str,
    make: Callable[[Path], object],
    more: list[str],
) -> None:
    pytest.importorskip("torch")
    root = folders(tmp_path / "eeg")
    make(root)
    asked = ["--label", "folder"] * ("--label" not in more)
    root_of = ["--root", str(root), "--window", "1", "--out", str(tmp_path / "run")]
    train = ("train", "majority-class", "--data", "signals")
    assert said in refusal(capsys, *train, *root_of, *asked, *more)


def test_recordings_of_several_formats_in_a_folder(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf")
    (tmp_path / "patients.csv").write_text("age,sex\n70,f\n80,m\n", "utf-8")
    written(tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"several formats \(a.edf, b.csv\); expected one format"):
        read(tmp_path, FOLDER)
    with pytest.raises(SequelaError, match="several formats"):
        describe(tmp_path)


@pytest.mark.parametrize(
    ("columns", "rows", "recorded"), [(15, 17, True), (16, 17, False), (15, 16, False)]
)
def test_numbered_columns_are_channels_if_they_are_few(
    columns: int, rows: int, *, recorded: bool, tmp_path: Path
) -> None:
    """From sixteen on they are the samples of segments; a recording has 16 whole rows or more."""
    lines = [",".join(f"X{n}" for n in range(columns))]
    lines += [",".join(f"{row}.{n}" for n in range(columns)) for row in range(rows)]
    path = tmp_path / "some.csv"
    path.write_text("\n".join([*lines, ""]), "utf-8")
    assert start_of(path).is_recorded is recorded
