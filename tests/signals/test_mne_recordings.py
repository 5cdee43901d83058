"""Files of MNE: FIF, BrainVision and EEGLAB."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequela.config import SignalSettings
from sequela.errors import DataError, MissingExtraError, SettingError
from sequela.intake.describe_signals import propose
from sequela.signals.reading import read
from sequela.signals.segments import Segments

mne = pytest.importorskip("mne")
RATE = 128
SEIZURES = SignalSettings(events="annotations", classes=("seizure",), background="none", window=1)


def joined(found: Segments) -> Any:
    """Join the four windows of the first recording: float32 (n_chans, time)."""
    return np.concatenate(list(found.signal[:4]), axis=1)


def raw(seed: int, **about: Any) -> Any:
    """Make four seconds of two channels in V, with a seizure in the second half."""
    signal = np.random.default_rng(seed).normal(scale=20e-6, size=(3, 4 * RATE))
    info = mne.create_info(["C3", "C4", "heart"], RATE, ["eeg", "eeg", "misc"])
    found = mne.io.RawArray(signal, info, verbose="error", **about)
    return found.set_annotations(mne.Annotations([2.0], [2.0], ["seizure"]))


def test_raw_files(tmp_path: Path) -> None:
    for seed in (1, 2):
        raw(seed, first_samp=640).save(tmp_path / f"{seed}_raw.fif", fmt="double", verbose="error")
    found = read(tmp_path, SEIZURES)
    assert (found.sfreq, found.channels) == (RATE, ("C3", "C4"))
    assert found.label.tolist() == [0, 0, 1, 1] * 2
    expected = (raw(1).get_data()[:2] * 1e6).astype(np.float32)
    assert (joined(found) == expected).all()
    assert '\nevents = "annotations"\n' in propose(tmp_path)


def test_a_file_of_epochs_is_refused(tmp_path: Path) -> None:
    epochs = mne.make_fixed_length_epochs(raw(1), 1.0, preload=True, verbose="error")
    epochs.save(tmp_path / "1-epo.fif", verbose="error")
    with pytest.raises(DataError, match=r"1-epo\.fif cannot be read .* not epochs"):
        read(tmp_path, SEIZURES)


BRAINVISION = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={name}.eeg
MarkerFile={name}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=2
SamplingInterval=10000
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
Ch1=C3,,1,µV
Ch2=C4,,1,µV
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={name}.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,20260101000000000000
Mk2=Comment,seizure,201,200,0
"""


def test_brainvision(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(2, 400)).astype(np.float32)
    for name in "ab":
        (tmp_path / f"{name}.vhdr").write_text(BRAINVISION.format(name=name), "utf-8")
        (tmp_path / f"{name}.vmrk").write_text(MARKERS.format(name=name), "utf-8")
        (tmp_path / f"{name}.eeg").write_bytes(signal.T.tobytes())
    found = read(tmp_path, SEIZURES.model_copy(update={"classes": ("seizure=Comment/seizure",)}))
    assert (found.sfreq, found.label.tolist()) == (100, [0, 0, 1, 1] * 2)
    np.testing.assert_allclose(joined(found), signal, rtol=1e-6)


def test_eeglab(tmp_path: Path) -> None:
    from scipy.io import savemat

    signal = np.random.default_rng(0).normal(scale=20, size=(2, 400))
    rows = [("seizure", 201.0, 200.0), ("boundary", 301.0, 0.0)]
    events = np.array(rows, [(name, object) for name in ("type", "latency", "duration")])
    channels = np.array([("C3",), ("C4",)], [("labels", object)])
    numbers = {"nbchan": 2, "srate": 100.0, "pnts": 400, "trials": 1, "xmin": 0.0, "xmax": 3.99}
    eeg: dict[str, Any] = {**numbers}
    eeg |= {"data": signal, "chanlocs": channels, "event": events, "epoch": [], "setname": "a"}
    eeg["ref"] = "common"
    for name in "ab":
        savemat(tmp_path / f"{name}.set", {"EEG": eeg})
    found = read(tmp_path, SEIZURES)
    assert found.label.tolist() == [0, 0, 1, 1] * 2
    np.testing.assert_allclose(joined(found), signal, rtol=1e-6)
    assert "2 gaps in time; no window spans one" in found.notes


def test_a_truncated_file_and_a_missing_one(tmp_path: Path) -> None:
    raw(1).save(tmp_path / "1_raw.fif", fmt="double", verbose="error")
    content = (tmp_path / "1_raw.fif").read_bytes()
    (tmp_path / "1_raw.fif").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"1_raw\.fif cannot be read"):
        read(tmp_path, SEIZURES)
    (tmp_path / "1_raw.fif").unlink()
    (tmp_path / "a.vhdr").write_text(BRAINVISION.format(name="a"), "utf-8")
    with pytest.raises(DataError, match=r"a\.vhdr cannot be read"):
        read(tmp_path, SEIZURES)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.fif").write_bytes(b"no recording at all")
    with pytest.raises(DataError, match=r"a\.fif cannot be read .* expected a continuous"):
        read(tmp_path, SEIZURES)
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r"reading a.fif needs an extra: .*sequela\[mne\]"):
        read(tmp_path, SEIZURES)


def test_epochs_are_examples_of_a_classifier_and_of_an_audit() -> None:
    pytest.importorskip("torch")
    import sequela

    signal = np.random.default_rng(0).normal(scale=20e-6, size=(40, 2, 50))
    signal[::2] *= 5
    events = np.column_stack([np.arange(40) * 50, np.zeros(40, int), [1, 2] * 20])
    info = mne.create_info(["C3", "C4"], 50, "eeg")
    names = {"left": 1, "right": 2}
    epochs = mne.EpochsArray(signal, info, events, event_id=names, verbose="error")
    fitted = [
        sequela.SignalClassifier("mlp-baseline", epochs=2, random_state=0).fit(
            each, events[:, 2], groups=np.arange(40)
        )
        for each in (epochs, signal * 1e6)
    ]
    first, second = (each.predict_proba(epochs) for each in fitted)
    assert (first == second).all()
    with pytest.raises(SettingError, match="RawArray is one recording; expected examples: cut it"):
        fitted[0].predict(raw(1))
    found = sequela.audit(epochs, splits=[[*range(20)], [*range(20, 40)]])
    assert "taken_for='40 rows: 8 other columns'" in str(found)
