"""Filters, references and rejection, next to MNE's."""

from pathlib import Path
from typing import Any

import edfio
import mne
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import RobustScaler

import sequela
from sequela.config import SignalSettings
from sequela.errors import SequelaError
from sequela.sequences.scaling import Scaling
from sequela.signals.reading import declared, read
from sequela.signals.segments import Segments

RATES = {"a": 128, "b": 256, "c": 200}
CHANNELS = ("EEG Fp1-REF", "EEG C3-REF", "EEG M1-REF")
WINDOWS: dict[str, Any] = {"events": "annotations", "classes": ("rest", "task"), "window": 1}
BAND: dict[str, Any] = {"filter": (0.5, 40), "notch": 50}
Signal = NDArray[np.float64]


def noise(rate: int, seconds: int = 40) -> Signal:
    """Slow drifts, an offset, a rhythm, hum, and noise in µV: (channel, time)."""
    rng = np.random.default_rng(rate)
    t = np.arange(seconds * rate) / rate
    drift = np.cumsum(rng.normal(size=(3, len(t))), axis=1) * 2
    waves = 30 * np.sin(2 * np.pi * 10 * t) + 40 * np.sin(2 * np.pi * 50 * t)
    return np.asarray(drift + waves + rng.normal(scale=10, size=(3, len(t))) + [[900], [-50], [5]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of 40 s at three rates."""
    path = tmp_path_factory.mktemp("eeg")
    for name, rate in RATES.items():
        signals = [
            edfio.EdfSignal(
                samples, rate, label=label, physical_dimension="uV", physical_range=(-3000, 3000)
            )
            for label, samples in zip(CHANNELS, noise(rate), strict=True)
        ]
        halves = [edfio.EdfAnnotation(0, 20, "rest"), edfio.EdfAnnotation(20, 20, "task")]
        edfio.Edf(signals, annotations=halves).write(path / f"{name}.edf")
    return path


def whole(found: Segments) -> NDArray[np.float32]:
    """Join windows: (channel, time)."""
    return found.signal.swapaxes(0, 1).reshape(found.signal.shape[1], -1)


def by_mne(path: Path, settings: dict[str, Any]) -> Signal:
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    raw.rename_channels({name: name[4:-4] for name in CHANNELS})
    if "reference" in settings:
        raw.set_eeg_reference(settings["reference"], verbose="error")
    if "filter" in settings:
        low, high = (edge or None for edge in settings["filter"])
        raw.filter(low, high, method="iir", verbose="error")
    if "notch" in settings:
        raw.notch_filter(settings["notch"], method="iir", verbose="error")
    return np.asarray(raw.get_data() * 1e6)


def filtered(signal: Signal, rate: float) -> Signal:
    """Return what MNE makes of samples with ``BAND``."""
    kept = mne.filter.filter_data(signal, rate, *BAND["filter"], method="iir", verbose="error")
    found = mne.filter.notch_filter(kept, rate, BAND["notch"], method="iir", verbose="error")
    return np.asarray(found)


@pytest.mark.parametrize(
    "settings",
    [
        {"filter": (0.5, 40)},
        {"filter": (1, 0), "notch": 50},
        {"filter": (0, 30), "reference": "average"},
        {"filter": (0.5, 40), "notch": 50, "reference": ["M1"]},
    ],
)
@pytest.mark.parametrize("name", RATES)
def test_windows_are_those_of_mne(folder: Path, name: str, settings: dict[str, Any]) -> None:
    path = folder / f"{name}.edf"
    found = read(path, SignalSettings.of(**WINDOWS, **settings))
    n_chans = 2 if settings.get("reference") == ["M1"] else 3
    assert found.channels == ("FP1", "C3", "M1")[:n_chans]
    np.testing.assert_allclose(whole(found), by_mne(path, settings)[:n_chans], atol=1e-4, rtol=0)


def test_filtered_in_blocks_is_filtered_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SignalSettings(**WINDOWS, **BAND, stride=0.5, resample=100)
    expected = read(folder / "b.edf", settings)
    monkeypatch.setattr("sequela.signals.cutting._BLOCK", 1)  # window by window
    found = read(folder / "b.edf", settings)
    np.testing.assert_allclose(found.signal, expected.signal, atol=1e-5)


def csv_files(path: Path, signal: Signal) -> None:
    """Write two recordings with an empty cell at 25 s; one lacks 7 s from 15 s on."""
    seconds = np.arange(signal.shape[1]) / 128
    rows = [[f"{t:.6f}", *map(str, values)] for t, *values in zip(seconds, *signal, strict=True)]
    gap = rows[: 15 * 128] + rows[22 * 128 :]
    rows[25 * 128][2] = ""
    for name, table in (("gap", gap), ("empty", rows)):
        lines = "\n".join(map(",".join, [["time [s]", "C3 [uV]", "C4 [uV]"], *table]))
        (path / f"{name}.csv").write_text(lines + "\n", "utf-8")


def test_a_filter_sees_neither_across_a_gap_nor_missing_samples(tmp_path: Path) -> None:
    signal = noise(128)[:2].round(3)
    csv_files(tmp_path, signal)
    found = read(tmp_path, SignalSettings(label="(gap|empty)", window=1, **BAND))
    # In both the second with the empty cell; in one also the 3 s before it, too short to filter.
    assert "5 windows with a gap (missing samples) are left out" in found.notes
    assert "1 gaps in time; no window spans one" in found.notes
    assert found.start is not None
    for name, first, last, begin in (
        ("gap", 0, 15, 0),
        ("gap", 25 + 1 / 128, 40, 26),
        ("empty", 0, 25, 0),
        ("empty", 25 + 1 / 128, 40, 26),
    ):
        expected = filtered(signal[:, round(first * 128) : last * 128], 128)
        rows = (found.recording_id == name) & (found.start >= begin) & (found.start < last)
        joined = found.signal[rows].swapaxes(0, 1).reshape(2, -1)
        np.testing.assert_allclose(joined, expected[:, -joined.shape[1] :], atol=1e-3, rtol=0)


def test_tables_are_filtered_by_row(tmp_path: Path) -> None:
    signal = noise(128)
    path = tmp_path / "own.npz"
    np.savez(path, x=np.stack([signal, signal * 2]), stage=["a", "b"])
    asked = SignalSettings(
        label="stage", samples="x", channels=("C3", "C4", "M1"), rate=128, window=1, **BAND
    )
    referenced = asked.model_copy(update={"reference": ("M1",)})
    found = read(path, referenced)
    expected = filtered(signal[:2] - signal[2], 128)
    assert found.channels == ("C3", "C4")
    np.testing.assert_allclose(found.signal[:40].swapaxes(0, 1).reshape(2, -1), expected, atol=1e-3)
    single = asked.model_copy(update={"window": None, "segment": None})
    np.savez(tmp_path / "own.npz", x=signal[np.newaxis, :, :128], stage=["a"])
    with pytest.raises(SequelaError, match=r"row 1: 1 s without a gap; the filter needs more than"):
        read(tmp_path / "own.npz", single)


def test_large_windows_are_counted_by_class(folder: Path) -> None:
    plain = read(folder / "a.edf", SignalSettings(**WINDOWS, filter=(0.5, 40)))
    ranges = np.ptp(plain.signal, axis=2).max(1)
    most = float(np.median(ranges))
    found = read(folder / "a.edf", SignalSettings(**WINDOWS, filter=(0.5, 40), reject=most))
    np.testing.assert_array_equal(found.signal, plain.signal[ranges <= most])
    assert found.start is not None
    assert plain.start is not None
    np.testing.assert_array_equal(found.start, plain.start[ranges <= most])
    rest, task = (int((ranges > most)[plain.label == label].sum()) for label in (0, 1))
    assert rest + task == 20
    said = f"are left out: {rest} of 20 of rest, {task} of 20 of task"
    assert any(note.endswith(said) for note in found.notes)
    assert found.notes[0] == f"prepared with filter 0.5, 40.0; reject {most}"
    with pytest.raises(SequelaError, match=r"no window has a class.*20 of 20 of rest, 20 of 20 of"):
        read(folder / "a.edf", SignalSettings(**WINDOWS, reject=1))


def test_classes_of_a_table_are_counted_by_their_final_number(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(6, 128))
    signal[[1, 3, 4]] *= 100
    path = tmp_path / "own.npz"
    np.savez(path, x=signal, stage=["b", "b", "a", "a", "a", "a"])
    found = read(path, SignalSettings(label="stage", samples="x", rate=128, reject=50))
    said = "windows with more than 50 µV from peak to peak are left out: 2 of 4 of a, 1 of 2 of b"
    assert said in found.notes
    assert found.label.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"notch": 64}, r"a.edf: --filter and --notch .* half of the rate, 64 Hz"),
        ({"filter": (0.5, 64)}, r"a.edf: --filter and --notch .* half of the rate, 64 Hz"),
        ({"filter": (0, 0.05)}, r"a.edf: 40 s without a gap; the filter needs more than 59.2 s"),
        ({"reference": ("M9",)}, r"a.edf: no channel 'M9'.* --reference"),
        ({"reference": ("average",), "channels": ("C3",)}, "a reference is not possible for C3;"),
        (
            {"reference": ("average",), "channels": ("C3-M1", "Fp1-C3")},
            "a reference is not possible for C3-M1, Fp1-C3; expected several channels",
        ),
        ({"filter": (40, 0.5)}, "setting filter = .* the lower one first"),
        ({"filter": (0, 0)}, "setting filter = .* the lower one first"),
        ({"filter": (0.5,)}, "setting filter = .* the lower one first"),
        ({"reject": -5}, "setting reject = -5 .* greater than 0"),
        ({"standardise": "z"}, "setting standardise = 'z' .* 'robust'"),
    ],
)
def test_a_mistake_has_one_line(folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SequelaError, match=message) as refused:
        read(folder / "a.edf", SignalSettings.of(**WINDOWS, **changes))
    assert "\n" not in str(refused.value)


def test_the_file_declares_them(folder: Path, tmp_path: Path) -> None:
    text = 'filter = [0.5, 40]\nnotch = 50\nreference = "average"\nreject = 500\n'
    (tmp_path / "signals.toml").write_text(text + 'standardise = "robust"\n', "utf-8")
    found = declared(tmp_path, SignalSettings(reference=("M1", "M2")))
    assert found.filter == (0.5, 40)
    assert (found.notch, found.reject, found.standardise) == (50, 500, "robust")
    assert found.reference == ("M1", "M2")
    words = 'prepared with reference "M1", "M2"; filter 0.5, 40.0; notch 50.0; reject 500.0'
    assert found.in_words == (f'{words}; standardise "robust"',)
    (tmp_path / "signals.toml").write_text("filter = [40, 0.5]\n", "utf-8")
    with pytest.raises(SequelaError, match=r"signals\.toml.*filter"):
        declared(tmp_path)


def test_robust_scaling_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = np.random.default_rng(0).normal(5, 20, size=(60, 2, 32)).astype(np.float32)
    signal[:10] *= 40  # artefacts
    rows = np.arange(5, 45)
    samples = signal[rows].swapaxes(1, 2).reshape(-1, 2).astype(np.float64)
    expected = RobustScaler(unit_variance=True).fit(samples)
    found = Scaling.fit(signal, rows, robust=True)
    np.testing.assert_allclose(found.mean, expected.center_, rtol=1e-6)
    np.testing.assert_allclose(found.std, expected.scale_, rtol=1e-4)
    assert max(found.std) < min(Scaling.fit(signal, rows).std)
    monkeypatch.setattr("sequela.sequences.scaling._SAMPLES", 20 * 64)
    part = Scaling.fit(signal, rows, robust=True)
    assert part == Scaling.fit(signal, rows[::2], robust=True)
    assert part != found


def test_arrays_are_prepared_but_not_scaled(folder: Path) -> None:
    signals = {**WINDOWS, **BAND}
    found = sequela.load("signals", root=folder / "a.edf", signals=signals)
    np.testing.assert_array_equal(
        found.segments.signal, read(folder / "a.edf", SignalSettings.of(**signals)).signal
    )
    with pytest.raises(SequelaError, match="standardise is for `sequela train`"):
        sequela.load("signals", root=folder / "a.edf", signals={**signals, "standardise": "robust"})
