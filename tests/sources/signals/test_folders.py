from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError
from sequela.sources.signals.channels import Montage
from sequela.sources.signals.edf import EdfFile
from sequela.sources.signals.reading import read

Edf = Callable[..., Path]
SEIZURES = SignalSettings(events="annotations", classes=("seizure",), background="none", window=2)


def test_windows_have_the_class_of_their_events(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf", annotations=[(3, 3, "seizure"), (0, None, "note")])
    edf("b.edf")
    found = read(tmp_path, SEIZURES)
    assert found.classes == ("none", "seizure")
    assert found.label.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found.recording_id.tolist() == ["a"] * 5 + ["b"] * 5
    assert (found.channels, found.sfreq, found.signal.shape) == (("C3", "C4"), 128, (10, 2, 256))
    assert "events of no class are not used: others (1)" in found.notes


def test_samples_are_those_of_the_file(edf: Edf, tmp_path: Path) -> None:
    path = edf("a.edf", annotations=[(3, 3, "seizure")], unit="mV")
    file = EdfFile.open(path)
    whole = file.read([0, 1], 0, 1280) * 1000
    found = read(path, SEIZURES.model_copy(update={"stride": 0.5}))
    for n, start in enumerate(found.start):
        first = round(start * 128)
        np.testing.assert_allclose(found.signal[n], whole[:, first : first + 256], rtol=1e-6)


def test_resampled_in_pieces_is_resampled_whole(
    edf: Edf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = edf("a.edf", annotations=[(3, 3, "seizure")])
    asked = SEIZURES.model_copy(update={"resample": 100, "window": 1, "stride": 0.5})
    whole = read(path, asked)
    monkeypatch.setattr("sequela.sources.signals.windows._BLOCK", 1)  # window by window
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
    assert found.site is not None
    assert set(found.site.tolist()) == {"north", "south"}
    assert found.subject_id is not None
    assert set(found.subject_id.tolist()) == {"p1"}
    header = read(tmp_path, asked.model_copy(update={"subject": "header"}))
    assert header.subject_id is not None
    assert set(header.subject_id.tolist()) == {"c1"}


def test_files_of_one_recording_follow_each_other(edf: Edf, tmp_path: Path) -> None:
    for n in (1, 2):
        edf(f"n1_{n}.edf", annotations=[(0, 2, "seizure")])
    found = read(tmp_path, SEIZURES.model_copy(update={"recording": "(n1)_"}))
    assert found.recording_id.tolist() == ["n1"] * 10
    assert found.start.tolist() == [2.0 * n for n in range(10)]
    assert found.label.tolist() == [1, 0, 0, 0, 0] * 2


def test_events_of_a_summary(edf: Edf, tmp_path: Path) -> None:
    edf("chb01_03.edf")
    text = "File Name: chb01_03.edf\nNumber of Seizures in File: 1\n"
    times = "Seizure 1 Start Time: 4 seconds\nSeizure 1 End Time: 6 seconds\n"
    summary = tmp_path / "chb01-summary.txt"
    summary.write_text(text + times, "utf-8")
    found = read(tmp_path, SignalSettings(events="summary", window=2))
    assert found.classes == ("background", "seizure")
    assert found.label.tolist() == [0, 0, 1, 0, 0]
    summary.write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"0 seizures of chb01_03.edf .* expected 1"):
        read(tmp_path, SignalSettings(events="summary", window=2))
    edf("chb01_04.edf")
    summary.write_text(text + times, "utf-8")
    with pytest.raises(DataError, match=r"no entry for chb01_04.edf"):
        read(tmp_path, SignalSettings(events="summary", window=2))


def test_events_of_seizeit(edf: Edf, tmp_path: Path) -> None:
    edf("P_ID1_r1.edf")
    place = tmp_path / "P_ID1_r1_a1.tsv"
    place.write_text("# Source: SeizeIt1\n\n2\t4\tFIA\tHem:L\n6\tNone\tFIA\t\n", "utf-8")
    found = read(tmp_path, SignalSettings(events="seizeit", window=2))
    assert (found.label.tolist(), found.start.tolist()) == ([0, 1, 0], [0, 2, 4])
    assert any("1 events have no end" in note for note in found.notes)


def test_events_of_a_table(edf: Edf, tmp_path: Path) -> None:
    edf("a.edf")
    edf("b.edf")
    table = tmp_path / "events.csv"
    table.write_text("file,onset,end,label\na.edf,0,4,W\na,4,10,N\nb,0,10,N\n", "utf-8")
    asked = SignalSettings(events="events.csv", classes=("W", "N"), window=2)
    assert read(tmp_path, asked).label.tolist() == [0, 0, 1, 1, 1] + [1] * 5
    with pytest.raises(SettingError, match=r"found: others \(3\)\); name them"):
        read(tmp_path, asked.model_copy(update={"classes": ()}))
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
    asked = SignalSettings(classes=("sz",), background="none", window=2, site="hospital")
    # A background needs to know where events are; BIDS says it.
    found = read(tmp_path, asked.model_copy(update={"events": "bids"}))
    assert found.label.tolist() == [1, 1, 0, 0, 0] * 2
    assert found.subject_id is not None
    assert found.site is not None
    assert found.subject_id.tolist() == ["sub-01"] * 5 + ["sub-02"] * 5
    assert found.site.tolist() == ["A"] * 5 + ["B"] * 5
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
        (patched(192, b"EDF+D"), r"is discontinuous \(EDF\+D\)"),
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
