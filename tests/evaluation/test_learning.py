"""Learning curves find what was simulated."""

import numpy as np
import pytest

from sequela.errors import DataError
from sequela.evaluation.learning import fitted, gain_of_doubling

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
