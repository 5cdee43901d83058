"""Lists of seizures as CHB-MIT, Siena and SeizeIT publish them, with all the slips of Siena's."""

from collections.abc import Callable
from datetime import time
from pathlib import Path

import numpy as np
import pytest

from sequela.config import SignalSettings
from sequela.errors import DataError
from sequela.intake.describe_signals import propose
from sequela.signals.edf import EdfFile
from sequela.signals.reading import read
from sequela.signals.seizure_lists import seizures_of

Edf = Callable[..., Path]

USUAL = """PN00

Data Sampling Rate: 512 Hz

Channels in EDF files:
Channel 1: Fp1

Seizure n 1
File name: PN00-1.edf
Registration start time: 19.39.33
Registration end time:  20.22.58
Seizure start time: 19.58.36
Seizure end time: 19.59.46

Seizure n 2 (in sleep):
File name: PN00-2.edf
Registration start time:  02.18.17
Seizure start time: 02.38.37
Seizure end time:02.39.31
"""
SLIPS = """PN01
File name: PN01.edf
Registration start time:1 9.00.44

Seizure n 1
Start time: 21:51:02
End time: 21.51.56

Seizure n 2
Start time: 07.53.17 (CLINICAL ONSET); 07.53.27 (ELECTRIC ONSET)
End time: 07.54.31 opure 07.54.21
"""


def listed(edf: Edf, folder: str, text: str, **files: tuple[time, int]) -> dict[str, list[object]]:
    """Onset and end of the seizures of each file."""
    opened = [
        EdfFile.open(edf(f"{folder}/{name.replace('_', '-')}.edf", ("C3",), seconds=n, rate=1,
                         start=start))
        for name, (start, n) in files.items()
    ]  # fmt: skip
    place = opened[0].path.parent
    (place / f"Seizures-list-{folder}.txt").write_text(text, "utf-8")
    found = seizures_of("siena", {file.path.name: file for file in opened})
    return {
        name: [(e.onset, e.onset + (e.duration or 0)) for e in events]
        for name, events in found.items()
    }


def test_times_of_the_clock_become_seconds_of_the_file(edf: Edf) -> None:
    found = listed(
        edf, "PN00", USUAL, PN00_1=(time(19, 39, 33), 2605), PN00_2=(time(2, 18, 17), 2282)
    )
    assert found == {"PN00-1.edf": [(1143, 1213)], "PN00-2.edf": [(1220, 1274)]}


def test_the_slips_of_the_lists(edf: Edf) -> None:
    """No number in the name, a damaged start, colons, midnight, two onsets, two ends."""
    found = listed(edf, "PN01", SLIPS, PN01_1=(time(19, 0, 44), 48_540))
    assert found == {"PN01-1.edf": [(10_218, 10_272), (46_363, 46_427)]}


def test_a_letter_for_a_zero(edf: Edf) -> None:
    text = USUAL.replace("PN00-1", "PNO6-1")
    assert listed(edf, "PN06", text, PN06_1=(time(19, 39, 33), 2605)) == {
        "PN06-1.edf": [(1143, 1213)]
    }


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("19.59.46", "20.59.46", r"line 13: a seizure of PN00-1.edf from 1143 s to 4813 s, and"),
        ("19.58.36", "1 9.58.36", r"line 12: a time of the form .* expected hours.minutes.seconds"),
        ("19.58.36", "19.58", r"line 12: a time of the form"),
        ("Seizure start time: 19.58.36\n", "", r"line 12: an end without a start before it"),
        ("PN00-1.edf", "PN00-7.edf", r"no entry for PN00-1.edf: expected 'File name: PN00-1.edf'"),
    ],
)
def test_what_cannot_be_is_named(edf: Edf, old: str, new: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        listed(edf, "PN00", USUAL.replace(old, new), PN00_1=(time(19, 39, 33), 2605))


def test_a_folder_of_siena_is_read(edf: Edf, tmp_path: Path) -> None:
    listed(edf, "PN00", USUAL, PN00_1=(time(19, 39, 33), 2605))
    asked = SignalSettings(events="siena", subject="folder", window=5)
    found = read(tmp_path, asked)
    assert found.classes == ("background", "seizure")
    np.testing.assert_array_equal(found.subject_id, "PN00")
    np.testing.assert_array_equal(found.where(found.label == 1).start, 5.0 * np.arange(229, 243))
    assert 'events = "siena"' in propose(tmp_path)
    (tmp_path / "PN00" / "Seizures-list-PN00.txt").unlink()
    with pytest.raises(DataError, match=r"no Seizures-list-\*.txt"):
        read(tmp_path, asked)


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
    assert 'events = "summary"' in propose(tmp_path)
    summary.unlink()
    with pytest.raises(DataError, match=r"no \*-summary.txt"):
        read(tmp_path, SignalSettings(events="summary", window=2))


def test_events_of_seizeit(edf: Edf, tmp_path: Path) -> None:
    edf("P_ID1_r1.edf")
    place = tmp_path / "P_ID1_r1_a1.tsv"
    rows = "2\t4\tFIA\tHem:L\n", "4\t5\tFIA\tHem:L\n", "6\tNone\tFIA\t\n"
    place.write_text(f"# Source: SeizeIt1\n\n{''.join(rows)}", "utf-8")
    asked = SignalSettings(events="seizeit", window=2)
    found = read(tmp_path, asked)
    assert found.label.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(found.start, [0, 2, 4])
    assert "1 events have no end: the rest of their recordings is left out" in found.notes
    assert 'events = "seizeit"' in propose(tmp_path)
    for row, match in (
        ("4\t2", "ends before it begins"),
        ("4 s\t5", "start and the end of a seiz"),
    ):
        place.write_text(f"# Source: SeizeIt1\n{row}\n", "utf-8")
        with pytest.raises(DataError, match=f"line 2: .*{match}"):
            read(tmp_path, asked)
    place.unlink()
    with pytest.raises(DataError, match=r"no P_ID1_r1_a\*.tsv"):
        read(tmp_path, asked)
