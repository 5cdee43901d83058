"""A model on other people: differences, against plain ones."""

from collections.abc import Callable

import numpy as np
import pytest

from sequela.evaluation.intervals import Estimate, difference, exact_interval
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


def test_a_difference_of_shares_is_that_of_the_paper() -> None:
    """Zou and Donner (2008), equation 5, on 56 of 70 and 48 of 80, from their own two intervals."""
    one, other = (
        Estimate(k / n, exact_interval(k, n)) for k, n in ((56, 70), (48, 80))
    )  # fmt: skip
    found = difference(one, other)
    (a, b) = (each.interval for each in (one, other))
    assert a is not None
    assert b is not None
    assert found.interval is not None
    assert found.value == pytest.approx(0.2)
    low = 0.2 - ((0.8 - a.low) ** 2 + (b.high - 0.6) ** 2) ** 0.5
    high = 0.2 + ((a.high - 0.8) ** 2 + (0.6 - b.low) ** 2) ** 0.5
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert difference(one, Estimate(0.6, None)).interval is None


def test_an_interval_of_a_difference_contains_it_as_often_as_promised() -> None:
    rng, estimates = np.random.default_rng(0), dict[tuple[int, int], Estimate]()
    inside = 0
    for _ in range(600):
        one, other = (
            estimates.get((k, n))
            or estimates.setdefault((k, n), Estimate(k / n, exact_interval(k, n)))
            for k, n in ((int(rng.binomial(80, 0.7)), 80), (int(rng.binomial(200, 0.8)), 200))
        )
        found = difference(one, other).interval
        assert found is not None
        inside += found.low <= -0.1 <= found.high
    assert 0.94 <= inside / 600 <= 0.99  # exact intervals of each are a little too wide
