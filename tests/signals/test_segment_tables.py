import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.signal import resample_poly

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError
from sequela.signals.reading import read
from sequela.signals.segments import Segments
from sequela.signals.window_classes import Classes

ROWS = [
    ("p1", "r1", "W", [1.0, 2.0, 3.0, 4.0]),
    ("p2", "r2", "N", [5.0, 6.0, 7.0, 8.0]),
    ("p1", "r1", "N", [9.0, 8.0, 7.0, 6.0]),
]


def said(**changes: Any) -> SignalSettings:
    return SignalSettings(**{"label": "stage", "subject": "who", "recording": "rec", **changes})


def csv_file(folder: Path, rows: Any = ROWS) -> Path:
    lines = ["who,rec,stage,X1,X2,X3,X10"]
    lines += [",".join([*map(str, first), *map(str, samples)]) for *first, samples in rows]
    path = folder / "own.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def same(found: Segments) -> None:
    """The windows of ``ROWS`` by recording, each sample in its place."""
    np.testing.assert_array_equal(found.signal[:, 0], [ROWS[0][3], ROWS[2][3], ROWS[1][3]])
    assert found.recording_id.tolist() == ["r1", "r1", "r2"]
    np.testing.assert_array_equal(found.subject_id, ["p1", "p1", "p2"])
    assert [found.classes[each] for each in found.label] == ["W", "N", "N"]
    assert found.classes == ("N", "W")


def test_csv_of_one_column_a_sample(tmp_path: Path) -> None:
    same(read(csv_file(tmp_path), said(samples="X*", rate=4)))


def test_columns_of_samples_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("stage,X10,X9,X1\nW,10,9,1\nN,10,9,1\n", "utf-8")
    found = read(path, SignalSettings(label="stage", samples="X*", rate=4))
    assert found.signal[0, 0].tolist() == [1, 9, 10]


def test_parquet_of_lists(tmp_path: Path) -> None:
    rows = [dict(zip(("who", "rec", "stage", "C3"), each, strict=True)) for each in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    same(read(tmp_path / "own.parquet", said(rate=4)))
    same(read(tmp_path, said(rate=4, channels="C3")))  # the one table of a folder


def test_npz_and_npy(tmp_path: Path) -> None:
    who, rec, stage, signal = (np.array(each) for each in zip(*ROWS, strict=True))
    np.savez(tmp_path / "own.npz", X=signal, who=who, rec=rec, stage=stage)
    same(read(tmp_path / "own.npz", said(rate=4)))
    for name, array in {"signal": signal, "who": who, "rec": rec, "stage": stage}.items():
        np.save(tmp_path / f"{name}.npy", array[:, None] if name == "signal" else array)
    asked = SignalSettings(rate=4, label="stage.npy", subject="who.npy", recording="rec.npy")
    same(read(tmp_path / "signal.npy", asked))


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", X=np.zeros((2, 4)), stage=np.array(["a", None], object))
    with pytest.raises(DataError, match=r"without Python objects"):
        read(tmp_path / "own.npz", SignalSettings(label="stage", rate=4))


def test_resampling_is_scipys_and_is_said(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(2, 400)).astype(np.float32)
    np.savez(tmp_path / "own.npz", X=signal, stage=np.array(["a", "b"]))
    asked = SignalSettings(label="stage", rate=100, resample=64)
    found = read(tmp_path / "own.npz", asked)
    expected = resample_poly(signal.astype(float), 16, 25, axis=1)
    np.testing.assert_allclose(found.signal[:, 0, 30:-30], expected[:, 30:-30], atol=1e-5)
    assert found.sfreq == 64
    assert any("resampled from 100 Hz to 64 Hz" in note for note in found.notes)


def test_units_and_classes_and_what_is_left_out(tmp_path: Path) -> None:
    rows = [*ROWS, ("p3", "r3", "?", [1, 1, 1, 1])]
    asked = said(samples="X*", rate=4, unit="mV", classes=("wake=W", "sleep=N"), omit=("?",))
    found = read(csv_file(tmp_path, rows), asked)
    assert found.classes == ("wake", "sleep")
    assert found.label.tolist() == [0, 1, 1]
    assert found.signal[0, 0].tolist() == [1000, 2000, 3000, 4000]
    assert "1 rows of classes to omit are left out" in found.notes


def test_gaps_are_left_out_and_flat_lines_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, ("p3", "r3", "N", ["", 1, 2, 3]), ("p3", "r3", "N", [5, 5, 5, 5])]
    found = read(csv_file(tmp_path, rows), said(samples="X*", rate=4))
    assert found.signal[3].tolist() == [[5, 5, 5, 5]]
    assert any("1 windows with a gap" in note for note in found.notes)
    assert any("1 windows have a flat channel" in note for note in found.notes)


def test_the_declaration_beside_the_data_and_options_before_it(tmp_path: Path) -> None:
    path = csv_file(tmp_path)
    (tmp_path / "signals.toml").write_text(
        'label = "stage"\nsubject = "who"\nrecording = "rec"\nsamples = "X*"\nrate = 99\n'
        'window = 0.5\n[classes]\nwake = "W"\nsleep = ["N", "R"]\n',
        "utf-8",
    )
    found = read(path, SignalSettings(rate=4))
    assert (found.sfreq, found.signal.shape) == (4, (6, 1, 2))
    assert found.classes == ("wake", "sleep")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('labl = "stage"', r"signals.toml: key 'labl': unknown key 'labl': did you mean 'label'"),
        ('rate = "fast"', r"signals.toml: key 'rate' is 'fast': .*Samples|samples per second"),
        ("rate = -1", r"signals.toml: key 'rate' is -1: .*greater than 0"),
        ("rate = ", r"signals.toml: not TOML"),
        ('unit = "mm"', r"signals.toml: key 'unit' is 'mm': .*'µV'"),
        ("stride = 1", r"signals.toml: a stride of 1 s without a window"),
        ('label = "a"\nevents = "b"', r"signals.toml: both label"),
        ('classes = ["a", "a"]', r"class 'a' is named twice"),
        ('classes = ["a"]', r"there is one class, a"),
    ],
)
def test_a_wrong_declaration(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "signals.toml").write_text(text, "utf-8")
    with pytest.raises(SequelaError, match=match) as caught:
        read(csv_file(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "rows", "match"),
    [
        ({"label": "stages"}, ROWS, "no column 'stages' .* is it 'stage'"),
        ({"label": None}, ROWS, "name its column with --label"),
        ({"rate": None}, ROWS, "give --rate"),
        ({"samples": "Y*"}, ROWS, r"no column is named 'Y\*'"),
        ({"samples": None}, ROWS, "name them with --samples"),
        ({"channels": "C3,C4"}, ROWS, r"expected '\{channel\}' in it"),
        ({"time": "rec"}, ROWS, "row 1: a time of the form 'a9'; expected seconds"),
        (
            {"samples": None, "channels": "X1"},
            ROWS,
            "column 'X1' holds one sample a row",
        ),
        ({"window": 2}, ROWS, "row 1: 4 samples, fewer than the 8 of a window"),
        ({"classes": "W,R"}, ROWS, "row 2: class 'N' in column stage; expected W, R"),
        ({}, [*ROWS, ("p3", "r3", "", [1, 2, 3, 4])], "row 4: class '' in column stage"),
        ({}, [*ROWS, ("", "r3", "N", [1, 2, 3, 4])], "row 4: nothing in column who"),
        ({}, [*ROWS, ("p3", "r1", "N", [1, 2, 3, 4])], "recording r1 is of several subjects"),
        (
            {},
            [*ROWS, ("p3", "r3", "N", [1, "2;5", 3, 4])],
            "line 5: column X2 holds a value of the form '9;9'",
        ),
        ({}, [*ROWS, ("p3", "r3", "N", [1, 2, 3])], "line 5: 6 fields; expected 7"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, changes: Any, rows: Any, match: str) -> None:
    asked = said(**{"samples": "X*", "rate": 4, **changes})
    with pytest.raises((DataError, SettingError), match=match) as caught:
        read(csv_file(tmp_path, rows), asked)
    assert "\n" not in str(caught.value)


def test_a_fault_below_a_blank_line_is_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [*ROWS, ("p3", "r3", "N", [1, "2;5", 3, 4])])
    path.write_text(path.read_text("utf-8").replace("X10\n", "X10\n\n"), "utf-8")
    with pytest.raises(DataError, match="line 6: column X2 holds a value of the form '9;9'"):
        read(path, said(samples="X*", rate=4))


def test_lists_of_other_lengths(tmp_path: Path) -> None:
    rows = [{"stage": s, "C3": [1.0] * n} for s, n in (("a", 4), ("b", 6))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    with pytest.raises(DataError, match=r"row 2: 1 channels of 6 samples .* expected 1 of 4"):
        read(tmp_path / "own.parquet", SignalSettings(label="stage", rate=4))
    found = read(tmp_path / "own.parquet", SignalSettings(label="stage", rate=4), segment=2)
    assert found.signal.shape == (5, 1, 2)


def test_notes_are_sentences_for_a_run(tmp_path: Path) -> None:
    found = read(csv_file(tmp_path), SignalSettings(label="stage", samples="X*", rate=4))
    text = json.dumps(found.notes)
    for part in (
        "no unit is declared",
        "subjects are not known",
        "each row is a separate recording",
    ):
        assert part in text
    assert not read(csv_file(tmp_path), said(samples="X*", rate=4, unit="mV")).notes


def test_sessions_are_read_if_they_are_named(tmp_path: Path) -> None:
    path, columns = csv_file(tmp_path), {"samples": "X*", "rate": 4}
    assert read(path, said(**columns)).session_id is None
    sessions = read(path, said(session="who", **columns)).session_id
    np.testing.assert_array_equal(sessions, ["p1", "p1", "p2"])


def test_classes_are_in_the_order_of_their_numbers_and_words_after_them() -> None:
    names = ["b", "10", "9.5", "a", "-1"]
    assert Classes.of(SignalSettings(), names).names == ("-1", "9.5", "10", "a", "b")
