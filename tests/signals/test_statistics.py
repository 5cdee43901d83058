"""Simple statistics of signals are what a plain computation gives."""

import numpy as np
import pytest

from sequela.signals.statistics import statistics


def test_a_sine_with_an_offset_and_hum() -> None:
    time = np.arange(512) / 256
    rng = np.random.default_rng(0)
    plain = 30 * np.sin(2 * np.pi * 10 * time) + rng.normal(size=512)
    hum = np.round(plain + 8 * np.sin(2 * np.pi * 50 * time) + 60)
    signal = np.stack([plain, hum])[:, None].astype(np.float32)
    found = statistics(signal, np.arange(2), 256, ["C3"])
    assert found["amplitude", "C3"] == pytest.approx(np.log(signal.std(axis=2)).ravel(), rel=1e-5)
    assert found["offset", "C3"][1] == pytest.approx(60 / hum.std(), rel=0.01)
    assert found["resolution", "C3"][1] == 0  # a step of 1 µV
    quiet, loud = found["power at 50 Hz", "C3"]
    assert quiet < -20 < 5 < loud
    assert (found["power at 60 Hz", "C3"] < -20).all()
    assert (np.exp(found["power of 8 to 13 Hz", "C3"]) > 0.8).all()


def test_a_flat_signal_of_a_low_rate() -> None:
    found = statistics(np.zeros((3, 2, 100), np.float32), np.arange(3), 100, ["C3", "C4"])
    assert all(np.isfinite(each).all() and each.shape == (3,) for each in found.values())
    assert ("power at 50 Hz", "C3") not in found
