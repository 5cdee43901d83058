"""A step of training, and measurements: what does not depend on the clock."""

import itertools

import pytest
import torch
from torch import nn

from sequela.cost import account, measure
from sequela.cost.network import registered
from sequela.cost.training import OPTIMISERS, render_training, training_step
from sequela.errors import UnknownNameError


def test_a_step_of_training() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    step = training_step(account(model, torch.zeros(5, 4)), "adam")
    forward = [5 * 3 * 8, 5 * 3, 5 * 2 * 6]
    assert step.forward == sum(forward)
    # The first layer needs no gradient of its input; ReLU holds no weights.
    assert list(step.factors.values()) == [1, 1, 2]
    assert step.backward == forward[0] + forward[1] + 2 * forward[2]
    assert step.update == 14 * (15 + 8)
    assert step.total == step.forward + step.backward + step.update
    assert "Kaplan" in render_training(step)


def test_only_trainable_parameters_are_updated() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].requires_grad_(requires_grad=False)
    assert training_step(account(model, torch.zeros(1, 4)), "sgd").update == 2 * 8


def test_a_first_recurrent_layer_carries_the_gradient_of_its_state() -> None:
    step = training_step(account(nn.GRU(2, 3), torch.zeros(4, 1, 2)))
    assert list(step.factors.values()) == [2]


def test_an_optimiser_that_is_not_known() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'adam'"):
        training_step(account(nn.Linear(1, 1), torch.zeros(1, 1)), "adan")
    assert {"sgd", "adam", "adamw"} <= set(OPTIMISERS)


def test_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0.001)
    monkeypatch.setattr(measure, "MATRIX", 32)
    network = registered("visits-baseline", steps=2, codes=3)
    one, many = measure.measure(network, (1, 4))
    assert many.operations == 4 * one.operations
    assert one.operations == 2 * 3 * 32 + 2 * 4960 + 64
    assert one.weight_bytes == 4 * 31618
    # At least the embedded visits (2, 32) are held at once.
    assert one.peak_bytes >= 4 * 2 * 32
    assert many.peak_bytes > one.peak_bytes
    assert one.rate == pytest.approx(one.operations / one.microseconds * 1e6)
    text = measure.render_measurements([one, many])
    assert "batch size   4" in text
    peak, weights = one.peak_bytes / 1024, one.weight_bytes / 1024
    assert f"peak {peak:,.0f} KiB and {weights:,.0f} KiB of weights" in text


@pytest.mark.parametrize(("seconds", "calls"), [(0.0001, 31), (0.02, 8)])
def test_a_slow_prediction_is_measured_fewer_times(
    seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("sequela.cost.measure.time.perf_counter", lambda: next(ticks) * seconds)
    called: list[int] = []
    assert measure.microseconds_of_one(called.append, [1]) == pytest.approx(seconds * 1e6)
    assert len(called) == calls
