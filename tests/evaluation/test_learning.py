"""Learning curves and the stability of risks find what was simulated."""

import numpy as np
import pytest

from sequela.errors import DataError
from sequela.evaluation.learning import fitted, gain_of_doubling
from sequela.evaluation.stability import stability

EVENTS = np.array([50.0, 100, 200, 400])


def test_the_curve_of_exact_values_is_found() -> None:
    values = 0.9 - 2 * EVENTS**-0.6
    limit, steepness, exponent = fitted(EVENTS, values[None])
    assert exponent[0] == pytest.approx(0.6, abs=0.02)
    assert limit[0] == pytest.approx(0.9, abs=0.003)
    assert steepness[0] == pytest.approx(2, rel=0.1)


def test_the_gain_of_doubling_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    curve = lambda n: 0.85 - 1.5 * n**-0.7  # noqa: E731
    for _ in range(200):
        values = curve(EVENTS) + rng.normal(0, 0.004, 4)
        draws = values + rng.normal(0, 0.004, (300, 4))
        gain = gain_of_doubling(EVENTS, values, draws)
        covered += gain.low <= curve(800) - curve(400) <= gain.high
    assert covered / 200 >= 0.9


def test_a_flat_curve_is_called_flat() -> None:
    rng = np.random.default_rng(0)
    values = 0.8 + rng.normal(0, 0.01, 4)
    gain = gain_of_doubling(EVENTS, values, values + rng.normal(0, 0.01, (300, 4)))
    assert gain.is_flat
    assert "cannot be told from a flat line" in gain.sentence


def test_a_curve_needs_three_sizes() -> None:
    with pytest.raises(DataError, match="2 sizes: expected 3 or more"):
        fitted(EVENTS[:2], np.zeros((1, 2)))


def test_a_stable_and_an_unstable_model_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.05, 0.6, 500)
    stable, unstable = (
        stability(risk, (risk + rng.normal(0, spread, (200, 500))).clip(0, 1), threshold=0.3)
        for spread in (0.01, 0.15)
    )
    assert stable.mean_difference == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.05)
    assert stable.mean_difference < unstable.mean_difference / 8
    assert stable.share_changed is not None
    assert unstable.share_changed is not None
    assert stable.share_changed < 0.02
    assert unstable.share_changed > 0.1
    assert (stable.low <= stable.high).all()


def test_stability_needs_several_models_of_the_same_persons() -> None:
    with pytest.raises(DataError, match="1 model: expected 2 or more"):
        stability(np.zeros(3), np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"expected \(model, 3\)"):
        stability(np.zeros(3), np.zeros((2, 4)))
