"""A model on other people: differences, halves and learning curves, against plain ones."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sequela.evaluation.external import (
    Learnt,
    difference,
    half_of_people,
    learning_curve,
    person,
)
from sequela.evaluation.intervals import Estimate, exact_interval
from sequela.evaluation.metrics import log_loss
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


def test_people_are_in_one_half_with_all_their_examples(make_predictions: Make) -> None:
    made = make_predictions(groups=31)
    whose = person(made)
    assert (whose == made.subject_id).all()
    half = half_of_people(whose, np.random.default_rng(3))
    assert {half[whose == one].mean() for one in np.unique(whose)} == {0.0, 1.0}
    assert len(np.unique(whose[half])) == len(np.unique(whose)) // 2
    unknown = replace(made, subject_id=np.full(made.n_examples, ""))
    assert (person(unknown) == made.group_id).all()


def test_a_learning_curve_learns_from_so_many_people_and_no_others(make_predictions: Make) -> None:
    made = make_predictions(groups=60)
    whose = made.group_id
    first = half_of_people(whose, np.random.default_rng(1))
    rows, rest = np.flatnonzero(first), made.where(~first)
    seen: list[tuple[int, bool]] = []

    def way(learnt: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Predictions | None:
        seen.append((len(np.unique(whose[learnt])), bool(np.isin(learnt, rows).all())))
        return None if len(learnt) < 100 else rest

    curves = learning_curve(whose, rows, {"way": way}, np.random.default_rng(0), draws=4)
    assert seen == [(10, True)] * 4 + [(20, True)] * 4 + [(30, True)]
    loss = log_loss(rest)
    assert curves == {"way": [Learnt(20, loss, loss, loss), Learnt(30, loss, loss, loss)]}
