"""Published EEG read as anybody's: by a declaration, and the headers of five corpora."""

import warnings
from datetime import date, time
from pathlib import Path

import edfio
import mne
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequela.config import SignalSettings
from sequela.datasets.catalog import load_recordings, lookup
from sequela.errors import DataError
from sequela.formats.opened import text
from sequela.intake.describe_signals import propose
from sequela.runs.signals import segments_of
from sequela.signals import uci_seizure
from sequela.signals.bonn import CLASSES, SETS
from sequela.signals.edf import EdfFile
from sequela.signals.reading import read
from sequela.signals.segments import Segments

FILES = (
    "PN00-5_sample.edf",
    "P_ID10_r5_sample.edf",
    "P_ID64_r1.edf",
    "SC4001EC-Hypnogram.edf",
    "aaaaaaac_s001_t000_sample.edf",
    "chb01_01_sample.edf",
    "chb08_02.edf",
    "mne_test.edf",
    "short_psg.bdf",
    "short_psg.edf",
    "test_subsecond.edf",
)


def assert_same(own: Segments, published: Segments) -> None:
    assert own.classes == published.classes
    assert own.sfreq == published.sfreq
    for field in ("label", "segment_id", "recording_id", "signal"):
        np.testing.assert_array_equal(getattr(own, field), getattr(published, field))


def test_bonn_by_a_declaration(real_data: Path, tmp_path: Path) -> None:
    recordings, _ = load_recordings("bonn", real_data / "bonn")
    rows = [
        {"name": each.recording_id, "set": each.recording_id[0], "eeg": each.signal[0].tolist()}
        for each in recordings
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    classes = ", ".join(f'"{name}" = "{s}"' for name, s in zip(CLASSES, SETS, strict=True))
    (tmp_path / "signals.toml").write_text(
        'label = "set"\nrecording = "name"\nrate = 173.61\nwindow = 1.0253\nunit = "µV"\n'
        f"classes = {{{classes}}}\n",
        "utf-8",
    )
    own = read(tmp_path)
    assert_same(own, segments_of(lookup("bonn"), real_data / "bonn")[0])
    assert own.n_dropped == len(recordings) * 3


def test_uci_by_a_declaration(real_data: Path, tmp_path: Path) -> None:
    """The file as published, with a column for what its ids mean."""
    (file,) = (real_data / "uci-seizure").glob("*.csv*")
    known = uci_seizure.recording_ids()
    header, *lines = text(file, "the published file").splitlines()
    rows = [f"recording,chunk,{header}"]
    for line in lines:
        chunk, _, name = line.partition(",")[0].strip('"').partition(".")
        rows.append(f"{known[name]},{chunk[1:]},{line}")
    (tmp_path / "own.csv").write_text("\n".join(rows) + "\n", "utf-8")
    classes = ", ".join(f'"{name}" = {y}' for y, name in enumerate(CLASSES, start=1))
    (tmp_path / "signals.toml").write_text(
        'label = "y"\nrecording = "recording"\ntime = "chunk"\nsamples = "X*"\nrate = 173.61\n'
        f'unit = "µV"\nclasses = {{{classes}}}\n',
        "utf-8",
    )
    own = read(tmp_path / "own.csv")
    assert_same(own, segments_of(lookup("uci-seizure"), real_data / "uci-seizure")[0])


@pytest.mark.parametrize("name", FILES)
def test_headers_and_samples_are_those_that_mne_reads(real_data: Path, name: str) -> None:
    path = real_data / "edf-samples" / name
    file = EdfFile.open(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers; they are what is compared
        reads = mne.io.read_raw_bdf if name.endswith("bdf") else mne.io.read_raw_edf
        raw = reads(path, preload=False, verbose="ERROR", stim_channel=False)
        said = mne.read_annotations(path) if name.endswith("edf") else raw.annotations
    names = [*file.labels]
    # mne tells channels of one name apart by a number.
    assert [
        each.rpartition("-")[0] if each not in names else each for each in raw.ch_names
    ] == names
    assert file.start == raw.info["meas_date"].strftime("%d.%m.%y%H.%M.%S")
    assert [e.label for e in file.annotations] == said.description.tolist()
    np.testing.assert_allclose([e.onset for e in file.annotations], said.onset, atol=1e-6)
    durations = [e.duration or 0 for e in file.annotations]
    np.testing.assert_allclose(durations, said.duration, atol=1e-6)
    for signal in range(len(names)):
        if file.rate(signal) != raw.info["sfreq"]:
            continue  # mne resamples the slower ones
        n_times = round(file.seconds * file.rate(signal))
        read_here = file.read([signal], 3, n_times - 1)[0]
        scale = 1e6 if file.units[signal] == "uV" else 1
        expected = raw.get_data(picks=[signal])[0][3 : n_times - 1] * scale
        np.testing.assert_allclose(read_here, expected, atol=1e-6)
    rates = {file.rate(signal) for signal in range(len(names))}
    assert max(rates, default=raw.info["sfreq"]) == raw.info["sfreq"]


def test_one_montage_for_five_corpora(real_data: Path, tmp_path: Path) -> None:
    for name in FILES[:2] + FILES[4:6]:
        place = tmp_path / name.partition("_")[0] / name
        place.parent.mkdir()
        place.symlink_to(real_data / "edf-samples" / name)
    pairs = ("Fp1-F7", "F7-T3", "T3-T5", "Fp2-F8")
    asked = SignalSettings(label="folder", channels=pairs, resample=200, window=1)
    found = read(tmp_path, asked)
    assert found.signal.shape == (8, 4, 200)
    assert len(found.classes) == 4


def test_the_hypnogram_next_to_a_recording(real_data: Path, tmp_path: Path) -> None:
    name = "SC4001EC-Hypnogram.edf"
    (tmp_path / name).symlink_to(real_data / "edf-samples" / name)
    with pytest.raises(DataError, match="no file has a signal"):
        propose(tmp_path)
    signal = np.sin(np.arange(86_400.0))
    channel = edfio.EdfSignal(signal, 1, label="EEG Fpz-Cz", physical_dimension="uV")
    for place, start in (("SC4001E0-PSG.edf", time(16, 13)), ("SC4002E0-PSG.edf", time(16, 14))):
        recording = edfio.Recording(startdate=date(1989, 4, 24))
        edfio.Edf([channel], recording=recording, starttime=start).write(tmp_path / place)
    proposed = propose(tmp_path)
    assert "2 recordings, 48.00 hours, 1 files of annotations" in proposed
    assert 'events = "annotations"' in proposed
    stages = ("Sleep stage W", "Sleep stage R")
    found = read(tmp_path, SignalSettings(events="annotations", classes=stages, window=30))
    hypnogram = mne.read_annotations(tmp_path / name)
    for label, stage in enumerate(stages):
        seconds = hypnogram.duration[hypnogram.description == stage].sum()
        assert (found.label == label).sum() == seconds / 30
    assert set(found.recording_id) == {"SC4001E0-PSG"}
