"""Measurements of one prediction: what does not depend on the clock."""

import itertools

import pytest
import torch

from sequela.cost import measure


@pytest.mark.parametrize(("seconds", "calls"), [(0.0001, 31), (0.02, 8)])
def test_a_slow_prediction_is_measured_fewer_times(
    seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("sequela.cost.measure.time.perf_counter", lambda: next(ticks) * seconds)
    called: list[int] = []
    assert measure.microseconds_of_one(called.append, [1]) == pytest.approx(seconds * 1e6)
    assert len(called) == calls


def test_the_memory_of_a_prediction_holds_its_tensors() -> None:
    ten = torch.ones(10_000)
    assert measure.peak_of_one(lambda: ten * 2 + 1, tensors=True) >= 4 * 20_000
