"""Recordings larger than memory: what a run on recordings holds at once."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from sequela.config import RunSettings, SignalSettings, TrainingSettings
from sequela.runs.audit import audit
from sequela.runs.signals import Recordings, SignalInputs, load
from sequela.sequences.scaling import Scaling
from sequela.signals.cutting import in_blocks, release, stored

CHANNELS, RATE, SECONDS = 8, 128, 240
SIGNALS = SignalSettings(
    events="annotations", classes=("seizure",), background="background", window=1
)
SMALL = {
    "sequela.signals.cutting._READ": 1 << 15,
    "sequela.signals.cutting._BLOCK": 1 << 16,
    "sequela.audit.overlaps._CELLS": 1 << 15,
    "sequela.audit.column_checks._CELLS": 1 << 15,
    "sequela.audit.overlaps._BLOCK": 32,
    "sequela.audit.overlaps._MOST_ROWS": 20,
    "sequela.audit.column_checks._JUDGED": 60,
    "sequela.audit.window_checks._MEASURED": 60,
    "sequela.audit.window_checks._FEWEST": 60,
    "sequela.audit.window_checks._COMPARED": 60,
    "sequela.identity.fingerprint._TOGETHER": 1 << 12,
    "sequela.runs.signals._PREDICTION_BATCH": 16,
}
"""What is read at once, smaller than the windows by as much as on a machine with many nights."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings of noise, each with an event."""
    folder = tmp_path_factory.mktemp("nights")
    rng = np.random.default_rng(0)
    for number in range(8):
        signals = [
            edfio.EdfSignal(
                20 * rng.normal(size=RATE * SECONDS).clip(-9, 9),
                RATE,
                label=f"C{channel}",
                physical_dimension="uV",
                physical_range=(-200, 200),
            )
            for channel in range(CHANNELS)
        ]
        events = [edfio.EdfAnnotation(60, 60, "seizure")]
        edfio.Edf(signals, annotations=events).write(folder / f"night{number}.edf")
    return folder


def used(data: Recordings) -> Iterator[Any]:
    """All that a run does with its windows."""
    given = data.inputs(("signal",))
    assert isinstance(given, SignalInputs)
    training, order = TrainingSettings(crops=True, gain=0.1), torch.Generator().manual_seed(0)
    for loader in (given.loader("train", 16, order, training), given.loader("tuning", 16)):
        for batch in loader:
            yield float(batch.signal.sum())
    linear = torch.nn.Linear(CHANNELS * RATE, 2)
    model = torch.nn.Sequential(torch.nn.Flatten(), linear)
    torch.nn.init.constant_(linear.weight, 0.01)
    torch.nn.init.zeros_(linear.bias)
    yield given.probabilities(model).tobytes()
    yield data.digest, data.content.mark.tobytes(), data.scaling.to_json()
    yield [finding.check for finding in audit(data)]


@pytest.mark.slow
def test_nothing_as_large_as_all_windows_is_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RunSettings(model="spectral-mlp", data="signals", signals=SIGNALS)
    whole = list(used(load(settings, folder, tmp_path)))  # and all is imported
    for place, size in SMALL.items():
        monkeypatch.setattr(place, size)
    tracemalloc.start()
    try:
        data = load(settings, folder, tmp_path)
        assert isinstance(data.arrays.signal, np.memmap)
        found = list(used(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data.arrays.signal.nbytes == 8 * SECONDS * CHANNELS * RATE * 4
    assert peak < data.arrays.signal.nbytes / 2
    blocked, at_once = (each[-2][2] for each in (found, whole))
    np.testing.assert_allclose(blocked["std"], at_once["std"], rtol=1e-12)
    assert found[-1] == whole[-1]
    assert found[-2][:2] == whole[-2][:2]
    np.testing.assert_allclose(found[:-3], whole[:-3], rtol=1e-4)


def test_a_few_of_the_windows_stay_on_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequela.signals.cutting._READ", 1 << 13)
    settings = RunSettings(model="spectral-mlp", data="signals", signals=SIGNALS)
    segments = load(settings, folder, tmp_path).arrays
    keep = segments.recording_id != "night3"
    kept = segments.where(keep, tmp_path)
    assert isinstance(kept.signal, np.memmap)
    np.testing.assert_array_equal(kept.signal, segments.where(keep).signal)
    assert kept.recording_id.tolist() == segments.recording_id[keep].tolist()
    assert not list(tmp_path.iterdir())  # its file has no name


@pytest.mark.parametrize("n_rows", [0, 1, 7, 20])
def test_blocks_are_the_rows_in_their_order(n_rows: int, tmp_path: Path) -> None:
    signal = np.arange(60, dtype=np.float32).reshape(20, 1, 3)
    rows = np.random.default_rng(0).permutation(20)[:n_rows]
    there = stored(signal, np.arange(20), tmp_path)
    for source in (signal, there):
        blocks = list(in_blocks(source, rows, size=9))
        assert [len(each) for each in blocks[:-1]] == [3] * (len(blocks) - 1)
        np.testing.assert_array_equal(np.concatenate(blocks), signal[rows])
    np.testing.assert_array_equal(np.concatenate([*in_blocks(there, size=9)]), signal)
    release(there)
    np.testing.assert_array_equal(there, signal)


@pytest.mark.parametrize("size", [3, 30, 1000])
def test_the_scaling_of_blocks_is_that_of_all(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequela.signals.cutting._READ", size)
    signal = np.random.default_rng(0).normal(50, 9, (23, 2, 5)).astype(np.float32)
    rows = np.arange(1, 23, 2)
    found = Scaling.fit(signal, rows)
    np.testing.assert_allclose(found.mean, signal[rows].mean((0, 2), np.float64), rtol=1e-13)
    np.testing.assert_allclose(found.std, signal[rows].std((0, 2), np.float64), rtol=1e-13)
    if size == 1000:  # one block: the same to the last bit
        assert found.mean == tuple(signal[rows].mean((0, 2), np.float64).tolist())
        assert found.std == tuple(signal[rows].std((0, 2), np.float64).tolist())
