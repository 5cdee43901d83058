import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError
from sequela.intake.describe_signals import propose
from sequela.signals.channels import Montage
from sequela.signals.cutting import Rates
from sequela.signals.edf import EdfFile
from sequela.signals.folders import events_by_recording
from sequela.signals.reading import read
from sequela.signals.segments import stretches
from sequela.signals.stretches import part_of
from sequela.signals.window_classes import Event

Edf = Callable[..., Path]
SEIZURES = SignalSettings(events="annotations", classes=("seizure",), background="none", window=2)


def test_windows_have_the_class_of_their_events(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf", annotations=[(3, 3, "seizure"), (0, None, "note"), (8, None, "note")])
    edf("b.edf")
    found = read(tmp_path, SEIZURES)
    assert found.classes == ("none", "seizure")
    assert found.label.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found.recording_id.tolist() == ["a"] * 5 + ["b"] * 5
    assert (found.channels, found.sfreq, found.signal.shape) == (("C3", "C4"), 128, (10, 2, 256))
    assert "events of no class are not used: others (2)" in found.notes


def test_samples_are_those_of_the_file(edf: Edf, tmp_path: Path) -> None:
    path = edf("a.edf", annotations=[(3, 3, "seizure")], unit="mV")
    file = EdfFile.open(path)
    whole = file.read([0, 1], 0, 1280) * 1000
    found = read(path, SEIZURES.model_copy(update={"stride": 0.5}))
    assert found.start is not None
    for n, start in enumerate(found.start):
        first = round(start * 128)
        np.testing.assert_allclose(found.signal[n], whole[:, first : first + 256], rtol=1e-6)


def test_resampled_in_pieces_is_resampled_whole(
    edf: Edf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = edf("a.edf", annotations=[(3, 3, "seizure")])
    asked = SEIZURES.model_copy(update={"resample": 100, "window": 1, "stride": 0.5})
    whole = read(path, asked)
    monkeypatch.setattr("sequela.signals.cutting._BLOCK", 1)  # window by window
    pieces = read(path, asked)
    np.testing.assert_allclose(pieces.signal, whole.signal, atol=1e-4)
    signal = EdfFile.open(path).read([0], 0, 1280)[0]
    expected = resample_poly(signal, 25, 32)
    np.testing.assert_allclose(whole.signal[4, 0], expected[200:300], atol=1e-3)


def test_channels_by_alias_and_pairs(edf: Edf, tmp_path: Path) -> None:
    path = edf("a.edf", ("EEG T3-REF", "EEG F7-REF", "ECG"), annotations=[(0, 5, "seizure")])
    file = EdfFile.open(path)
    t3, f7 = file.read([0, 1], 0, 256)
    found = read(path, SEIZURES.model_copy(update={"channels": ("T7", "F7-T7")}))
    np.testing.assert_allclose(found.signal[0], [t3, f7 - t3], atol=1e-4)
    assert read(path, SEIZURES).channels == ("T7", "F7")  # no ECG
    with pytest.raises(DataError, match=r"no channel 'F8'.*EEG F7-REF, ECG\); .*--channels"):
        read(path, SEIZURES.model_copy(update={"channels": ("F8",)}))


def test_a_pair_that_is_there_is_read_and_the_first_of_two() -> None:
    there = ("FP1-F7", "T8-P8", "T8-P8", "F7")
    montage = Montage(("Fp1-F7", "T4-T6", "F7"), there, "x")
    assert montage.needs == [0, 1, 3]
    assert montage.notes == ("several channels are called T8-P8: the first of them is read",)


def test_subjects_sites_and_classes_by_the_path(edf: Edf, tmp_path: Path) -> None:
    for site in ("north", "south"):
        for kind in ("sick", "well"):
            edf(f"{kind}/{site}_p1_1.edf", code="c1")
    asked = SignalSettings(label="folder", subject="_(p[0-9]+)_", site="/(north|south)_", window=5)
    found = read(tmp_path, asked)
    assert found.classes == ("sick", "well")
    np.testing.assert_array_equal(found.site, (["north"] * 2 + ["south"] * 2) * 2)
    np.testing.assert_array_equal(found.subject_id, "p1")
    header = read(tmp_path, asked.model_copy(update={"subject": "header"}))
    np.testing.assert_array_equal(header.subject_id, "c1")


def test_files_of_one_recording_follow_each_other(edf: Edf, tmp_path: Path) -> None:
    for n in (1, 2):
        edf(f"n1_{n}.edf", annotations=[(0, 2, "seizure")])
    found = read(tmp_path, SEIZURES.model_copy(update={"recording": "(n1)_"}))
    assert found.recording_id.tolist() == ["n1"] * 10
    np.testing.assert_array_equal(found.start, [2.0 * n for n in range(10)])
    assert found.label.tolist() == [1, 0, 0, 0, 0] * 2


def with_times(path: Path, change: Callable[[int, float], str], reserved: bytes) -> None:
    """Write other times of the data records into a file, and another word into its header."""
    content = bytearray(path.read_bytes())
    content[192:198] = reserved.ljust(6)
    for record, match in enumerate([*re.finditer(rb"\+([0-9.]+)\x14\x14\0", content)]):
        time = f"+{change(record, float(match[1]))}".encode() + b"\x14\x14"
        content[match.start() : match.start() + len(time)] = time
    path.write_bytes(content)


@pytest.mark.parametrize("reserved", [b"EDF+C", b""])
@pytest.mark.parametrize(
    "asked",
    [SEIZURES, SignalSettings(label="folder", window=2)],
    ids=["events", "folder"],
)
def test_a_gap_in_the_record_times_is_not_read_over(
    edf: Edf, tmp_path: Path, asked: SignalSettings, reserved: bytes
) -> None:
    path = edf("a/b.edf", annotations=[(1, 1, "seizure")])
    with_times(path, lambda record, time: f"{time + 3600 * (record > 4):.0f}", reserved)
    with pytest.raises(DataError, match=r"record 6 begins at 3605 s, and 5 s"):
        read(tmp_path, asked)


@pytest.mark.parametrize("reserved", [b"EDF+D", b" edf+d"])
def test_a_discontinuous_file_is_read_as_its_pieces(
    edf: Edf, tmp_path: Path, reserved: bytes
) -> None:
    path = edf("b.edf", seconds=8, annotations=[(1, 1, "seizure"), (8, 1, "seizure")])
    with_times(path, lambda record, time: f"{time + 2 * (record > 4):.0f}", reserved)
    file = EdfFile.open(path)
    assert file.pieces == ((0, 5, 0), (5, 8, 7))
    assert (file.seconds, file.gaps) == (10, 2)
    found = read(tmp_path, SEIZURES)
    np.testing.assert_array_equal(found.start, [0, 2, 7])
    assert found.label.tolist() == [1, 0, 1]
    assert set(found.recording_id) == {"b"}
    assert found.n_dropped == 2 * 128  # a second at the end of each piece
    assert "1 gaps in time; no window spans one" in found.notes
    whole = file.read([0, 1], 0, 1024)
    for window, first in zip(found.signal, (0, 2, 5), strict=True):
        expected = whole[:, first * 128 : (first + 2) * 128]
        np.testing.assert_allclose(window, expected, rtol=1e-6)
    assert stretches(replace(found, label=0 * found.label), np.arange(3)).tolist() == [0, 0, 1]


def test_each_piece_is_resampled_alone(edf: Edf, tmp_path: Path) -> None:
    path = edf("b.edf", annotations=[(0, 1, "seizure")])
    with_times(path, lambda record, time: f"{time + 0.5 * (record > 4):g}", b"EDF+D")
    found = read(path, SEIZURES.model_copy(update={"window": 1, "resample": 100}))
    whole = EdfFile.open(path).read([0, 1], 0, 1280)
    np.testing.assert_array_equal(found.start, [0, 1, 2, 3, 4, 5.5, 6.5, 7.5, 8.5, 9.5])
    for piece, first in ((found.signal[:5], 0), (found.signal[5:], 640)):
        expected = Rates.of(128, 100).part(part_of(whole[:, first : first + 640]), 640, 0, 500)
        np.testing.assert_allclose(np.concatenate(piece, 1), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, time: f"{time + 2:.0f}", "begins 2 s after the start in its header"),
        (lambda record, time: f"{time + 0.01 * record:.2f}", "record 2 begins at 1.01 s"),
        (lambda record, time: f"{time - 2 * (record == 4):.0f}", "record 5 begins at 2 s"),
        (lambda record, time: f"{time:.0f}" if record != 3 else "x", "record 4 has no time"),
        (lambda *_: "x", "no data record has a time"),
        (lambda _, time: f"{time + 0.5:.3f}", None),
        (lambda record, time: f"{time + 0.003 * (record % 2):.3f}", None),  # under half a sample
    ],
)
@pytest.mark.parametrize("reserved", [b"EDF+C", b"EDF+D"])
def test_record_times_that_are_not_those_of_the_samples(
    edf: Edf, change: Callable[[int, float], str], said: str | None, reserved: bytes
) -> None:
    path = edf("b.edf", annotations=[(1, 1, "seizure")])
    with_times(path, change, reserved)
    if reserved == b"EDF+D" and said == "record 2 begins at 1.01 s":  # nine gaps
        assert len(EdfFile.open(path).pieces) == 10
    elif said is None or (reserved == b"EDF+C" and said == "no data record has a time"):
        assert EdfFile.open(path).seconds == 10
    else:
        with pytest.raises(DataError, match=said):
            EdfFile.open(path)


def test_an_event_without_an_end(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf")
    text = "file,onset,end,label\na,2,4,seizure\na,6,None,seizure\n"
    (tmp_path / "events.csv").write_text(text, "utf-8")
    found = read(tmp_path, SEIZURES.model_copy(update={"events": "events.csv"}))
    assert found.label.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found.start, [0, 2, 4])
    assert "1 events have no end: the rest of their recordings is left out" in found.notes


def test_a_table_without_names_has_the_events_of_the_only_recording(tmp_path: Path) -> None:
    place = tmp_path / "events.csv"
    place.write_text("onset,duration,label\n2,4,seizure\n", "utf-8")
    assert events_by_recording(place, {"a": ["a.edf"]}) == {"a": [Event(2.0, 4.0, "seizure")]}
    with pytest.raises(DataError, match="an event of a recording that is not here"):
        events_by_recording(place, {"a": ["a.edf"], "b": ["b.edf"]})


def test_events_of_a_table(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf")
    edf("b.edf")
    table = tmp_path / "events.csv"
    table.write_text("file,onset,end,label\na.edf,0,4,W\na,4,10,N\nb,0,10,N\n", "utf-8")
    asked = SignalSettings(events="events.csv", classes=("W", "N"), window=2)
    assert read(tmp_path, asked).label.tolist() == [0, 0, 1, 1, 1] + [1] * 5
    with pytest.raises(SettingError, match=r"found: others \(3\)\); name them"):
        read(tmp_path, asked.model_copy(update={"classes": ()}))
    table.write_text("file,onset,end,label,label\na,0,4,W,N\n", "utf-8")
    with pytest.raises(DataError, match=r"line 1: the column label is there twice; expected it"):
        read(tmp_path, asked)
    for row, said in (
        ("c.edf,0,4,W", r"events.csv line 2: an event of a recording that is not here"),
        ("a.edf,12,14,W", r"a.edf: event 1 begins at 12 s, and .* has 10 s"),
        ('a.edf,"0,5",1,W', r"line 2: the onset is of the form '9,9'; expected seconds"),
    ):
        table.write_text(f"file,onset,end,label\n{row}\n", "utf-8")
        with pytest.raises(DataError, match=said):
            read(tmp_path, asked)


def bids(edf: Edf, folder: Path) -> None:
    (folder / "participants.tsv").write_text(
        "participant_id\tgroup\thospital\nsub-01\tsick\tA\nsub-02\twell\tB\n", "utf-8"
    )
    for who in ("01", "02"):
        stem = f"sub-{who}/eeg/sub-{who}_task-rest"
        edf(f"{stem}_eeg.edf")
        events = "onset\tduration\ttrial_type\n0\t4\tsz\n5\tn/a\tnote\n"
        (folder / f"{stem}_events.tsv").write_text(events, "utf-8")


def test_bids(edf: Edf, tmp_path: Path) -> None:
    bids(edf, tmp_path)
    assert 'events = "bids"' in propose(tmp_path)
    asked = SignalSettings(classes=("sz",), background="none", window=2, site="hospital")
    # A background needs to know where events are; BIDS says it.
    found = read(tmp_path, asked.model_copy(update={"events": "bids"}))
    assert found.label.tolist() == [1, 1, 0, 0, 0] * 2
    np.testing.assert_array_equal(found.subject_id, ["sub-01"] * 5 + ["sub-02"] * 5)
    np.testing.assert_array_equal(found.site, ["A"] * 5 + ["B"] * 5)
    whole = read(tmp_path, SignalSettings(label="group", window=2))
    assert (whole.classes, whole.label.tolist()) == (("sick", "well"), [0] * 5 + [1] * 5)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda p: next(p.rglob("sub-01*_events.tsv")).unlink(), "no sub-01_task-rest_events.tsv"),
        (
            lambda p: (p / "participants.tsv").write_text("participant_id\nsub-01\n"),
            "sub-02 is not in participants.tsv",
        ),
        (
            lambda p: (p / "participants.tsv").write_text("participant_id\tgroup\nsub-01\n"),
            "participants.tsv line 2: 1 fields; expected 2",
        ),
        (
            lambda p: (p / "sub-01/eeg/sub-01_task-rest_eeg.edf").rename(
                p / "sub-02/sub-01_eeg.edf"
            ),
            "the path names sub-01 and sub-02|no sub-01_events.tsv",
        ),
    ],
)
def test_bids_that_does_not_fit(
    edf: Edf, tmp_path: Path, spoil: Callable[[Path], Any], match: str
) -> None:
    bids(edf, tmp_path)
    spoil(tmp_path)
    asked = SignalSettings(events="bids", classes=("sz",), background="none", window=2)
    with pytest.raises(DataError, match=match):
        read(tmp_path, asked)


def patched(at: int, given: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:at] + given + whole[at + len(given) :]


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda b: b[:-100], "it was cut short"),
        (lambda b: b[:100], "ends at byte 100"),
        (lambda b: b + b"x" * 100, "its header is of another file"),
        (
            patched(184, b"9999"),
            "the header states that it has 9999 bytes, and 3 signals need 1024",
        ),
        (patched(252, b"xxxx"), "the number of signals is of the form 'aaaa', which is no"),
        (patched(236, b"-1      "), "it was not closed"),
        (
            lambda b: patched(192, b"EDF+D")(re.sub(rb"\+\d+\x14\x14", b"\0\0\0\0", b)),
            r"is discontinuous \(EDF\+D\), and no data record has a time",
        ),
        (patched(0, b"RIFF"), "begins as neither EDF nor BDF does"),
        (lambda b: b.replace(b"seizure", b"seiz\xff\xfee"), "byte 0xff, which is not UTF-8"),
        (lambda b: b.replace(b"\x14seizure\x14", b"\x11seizure\x14"), "an annotation is damaged"),
        (patched(256 + 3 * 104, b"x"), "physical minimum of signal 1 is of the form 'a999'"),
        (patched(256 + 3 * 104, b"200 "), "signal 1 has no scale"),
    ],
)
def test_damaged_files(
    edf: Edf, tmp_path: Path, spoil: Callable[[bytes], bytes], match: str
) -> None:
    path = edf("a.edf", annotations=[(3, 3, "seizure")])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=match) as caught:
        read(tmp_path, SEIZURES)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_differ(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf", annotations=[(3, 3, "seizure")])
    edf("b.edf", rate=256)
    with pytest.raises(DataError, match=r"b.edf: 2 channels of 512 samples at 256 Hz"):
        read(tmp_path, SEIZURES)
    assert read(tmp_path, SEIZURES.model_copy(update={"resample": 128})).sfreq == 128
    edf("b.edf", ("Fz",))
    with pytest.raises(DataError, match="no channel of EEG is in all files"):
        read(tmp_path, SEIZURES)


def test_other_units(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf", unit="mm", annotations=[(3, 3, "seizure")])
    asked = SEIZURES.model_copy(update={"channels": ("C3",)})
    with pytest.raises(DataError, match=r"channel C3 is in 'mm'; expected a voltage"):
        read(tmp_path, asked)
    assert read(tmp_path, asked.model_copy(update={"unit": "µV"})).channels == ("C3",)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"window": None}, "the length of a window is unknown"),
        ({"events": None, "background": None, "classes": ()}, "the class of a window is unknown"),
        ({"subject": "folder"}, "is not in its own folder"),
        ({"subject": "header"}, "the header names no patient"),
        ({"subject": "(x)"}, r"its path has no subject as '\(x\)' finds it"),
        ({"subject": "(x"}, "which is not a regular expression"),
        ({"classes": ("fit",)}, "no window is of class fit"),
    ],
)
def test_a_declaration_that_does_not_fit(
    edf: Edf, tmp_path: Path, changes: dict[str, Any], match: str
) -> None:
    edf("a.edf", annotations=[(3, 3, "seizure")])
    with pytest.raises(SequelaError, match=match) as caught:
        read(tmp_path, SignalSettings(**{**SEIZURES.model_dump(), **changes}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("first", "last"), [(0, 900), (50_000, 60_000), (67_000, 67_814)])
def test_a_part_at_another_rate_reads_little_more(first: int, last: int) -> None:
    rates, signal = Rates.of(256, 173.61), np.random.default_rng(0).normal(size=(1, 100_000))
    counts = []

    def read_part(begin: int, end: int) -> Any:
        counts.append(end - begin)
        return signal[:, begin:end]

    found = rates.part(read_part, 100_000, first, last)
    whole = rates.part(part_of(signal), 100_000, 0, rates.n_after(100_000))
    np.testing.assert_array_equal(found, whole[:, first:last])
    assert sum(counts) <= (last - first) * 256 / 173.61 + rates.down + 64
