"""Simple statistics of signals are what a plain computation gives."""

import numpy as np
import pytest

from sequela.signals.signal_statistics import statistics


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


def test_traces_of_devices_and_programs() -> None:
    rng = np.random.default_rng(0)
    plain = np.round(np.cumsum(rng.normal(size=(1, 2, 256)), axis=2) * 8, 1)
    held, ended, pulse = plain.copy(), plain.copy(), plain.copy()
    held[..., 8::8] = held[..., 7:-1:8]
    ended[..., -9:] = 0
    pulse[..., 100] += 4000
    scaled = (plain - plain.mean(2, keepdims=True)) / plain.std(2, keepdims=True)
    tapered = plain * np.hanning(256)
    signal = np.concatenate([plain, held, ended, pulse, scaled, plain[:, [0, 0]], tapered])
    found = statistics(signal.astype(np.float32), np.arange(7), None, ["C3", "C4"])
    marks = {"repeated samples": 1, "flat stretch": 2, "pulse": 3, "scaling": 4, "reference": 5}
    for name, row in marks.items():
        assert found[name, "C4"].argmax() == row
        assert found[name, "C4"][row] > found[name, "C4"][0] + 0.2
    assert np.exp(found["resolution", "C3"][[0, 3]]) == pytest.approx(0.1, rel=0.01)
    taper = found["taper", "C4"]
    assert taper.argmin() == 6
    assert taper[6] < taper[0] - 2
