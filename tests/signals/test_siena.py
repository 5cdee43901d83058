"""Lists of seizures with all the slips of those that Siena publishes (CC BY 4.0)."""

from collections.abc import Callable
from datetime import time
from pathlib import Path

import numpy as np
import pytest

from sequela.config import SignalSettings
from sequela.errors import DataError
from sequela.intake.describe_signals import propose
from sequela.signals.edf import EdfFile
from sequela.signals.event_files import of_lists
from sequela.signals.reading import read

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
    found = of_lists(place, {file.path.name: file for file in opened}, siena=True)
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
    ("old", "new", "said"),
    [
        ("19.59.46", "20.59.46", r"line 13: a seizure of PN00-1.edf from 1143 s to 4813 s, and"),
        ("19.58.36", "1 9.58.36", r"line 12: a time of the form .* expected hours.minutes.seconds"),
        ("19.58.36", "19.58", r"line 12: a time of the form"),
        ("Seizure start time: 19.58.36\n", "", r"line 12: an end without a start before it"),
        ("PN00-1.edf", "PN00-7.edf", r"no entry for PN00-1.edf: expected 'File name: PN00-1.edf'"),
    ],
)
def test_what_cannot_be_is_named(edf: Edf, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        listed(edf, "PN00", USUAL.replace(old, new), PN00_1=(time(19, 39, 33), 2605))


def test_a_folder_of_siena_is_read(edf: Edf, tmp_path: Path) -> None:
    listed(edf, "PN00", USUAL, PN00_1=(time(19, 39, 33), 2605))
    asked = SignalSettings(events="siena", subject="folder", window=5)
    found = read(tmp_path, asked)
    assert found.classes == ("background", "seizure")
    np.testing.assert_array_equal(found.subject_id, "PN00")
    np.testing.assert_array_equal(found.where(found.label == 1).start, 5.0 * np.arange(229, 243))
    (tmp_path / "PN00" / "Seizures-list-PN00.txt").unlink()
    with pytest.raises(DataError, match=r"no Seizures-list-\*.txt"):
        read(tmp_path, asked)


def test_a_folder_of_siena_is_proposed_as_one(edf: Edf, tmp_path: Path) -> None:
    listed(edf, "PN00", USUAL, PN00_1=(time(19, 39, 33), 2605))
    assert 'events = "siena"' in propose(tmp_path)
