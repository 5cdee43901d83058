from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError, SplitError
from sequela.evaluation import comparison, metrics
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


def with_noise(made: Predictions, amount: float, seed: int = 0) -> Predictions:
    noise = np.random.default_rng(seed).uniform(0, amount, made.probabilities.shape)
    changed = made.probabilities + noise.astype(np.float32)
    return replace(made, probabilities=changed / changed.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", ["accuracy", "auroc", "log_loss"])
def test_a_model_does_not_differ_from_itself(make_predictions: Make, name: str) -> None:
    made = make_predictions()
    shuffled = made.where(np.random.default_rng(0).permutation(made.n_examples))
    found = comparison.paired_difference(name, made, shuffled, np.random.default_rng(0))
    assert (found.value, found.interval.low, found.interval.high, found.p_value) == (0, 0, 0, 1)


def test_the_difference_is_of_the_two_metrics(make_predictions: Make) -> None:
    made = make_predictions(groups=40)
    worse = with_noise(made, 2)
    found = comparison.paired_difference("auroc", made, worse, np.random.default_rng(0))
    assert found.value == pytest.approx(metrics.auroc(made) - metrics.auroc(worse), abs=1e-9)
    assert found.interval.low < found.value < found.interval.high
    assert found.interval.method == "paired BCa bootstrap over groups"
    back = comparison.paired_difference("auroc", worse, made, np.random.default_rng(0))
    assert back.value == pytest.approx(-found.value)
    assert back.interval.low == pytest.approx(-found.interval.high, abs=1e-3)


@pytest.mark.parametrize("method", ["BCa", "percentile"])
@pytest.mark.parametrize("amount", [0.3, 1, 3])
def test_the_p_value_is_where_the_interval_reaches_zero(
    make_predictions: Make, amount: float, method: Any
) -> None:
    made = make_predictions(groups=40)
    worse = with_noise(made, amount)

    def at(level: float) -> comparison.Difference:
        how = Bootstrap(level=level, method=method)
        return comparison.paired_difference("log_loss", made, worse, np.random.default_rng(0), how)

    p_value = at(0.95).p_value
    assert 0 < p_value < 1
    wider, narrower = at(1 - p_value * 0.9).interval, at(1 - min(p_value * 1.1, 0.999)).interval
    assert wider.low < 0 < wider.high
    assert not narrower.low < 0 < narrower.high


def test_paired_delong_is_a_z_test_of_the_difference(make_predictions: Make) -> None:
    made = make_predictions(groups=60, per_group=1)
    worse = with_noise(made, 2)
    found = comparison.paired_delong(made, worse)
    assert found.value == pytest.approx(metrics.auroc(made) - metrics.auroc(worse))
    error = (found.interval.high - found.value) / scipy.stats.norm.ppf(0.975)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(found.value) / error))
    # A jackknife of the difference is an independent estimate of the same error.
    left_out = [
        metrics.auroc(made.where(keep)) - metrics.auroc(worse.where(keep))
        for keep in ~np.eye(60, dtype=bool)
    ]
    assert error == pytest.approx(np.sqrt(np.var(left_out) * 59), rel=0.02)
    itself = comparison.paired_delong(made, made)
    assert (itself.value, itself.p_value, itself.interval.low) == (0, 1, 0)


def answers(right: list[bool]) -> Predictions:
    """Each is sure, and of the first class."""
    return two_classes(1.0 - np.array(right), np.zeros(len(right)))


def test_mcnemar_on_the_published_table() -> None:
    # Fagerland, Lydersen & Laake 2013, airway hyper-responsiveness of 21 children before and
    # after transplantation (1, 1, 7, 12): exact p 0.070, mid-p 0.039.
    before = answers([True] * 1 + [True] * 1 + [False] * 7 + [False] * 12)
    after = answers([True] * 1 + [False] * 1 + [True] * 7 + [False] * 12)
    found = comparison.mcnemar(before, after)
    assert (found.only_one, found.only_other) == (1, 7)
    assert round(found.exact_p, 3) == 0.070
    assert round(found.mid_p, 3) == 0.039


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_a_binomial_test(only_one: int, only_other: int) -> None:
    one = answers([True] * only_one + [False] * only_other + [True])
    other = answers([False] * only_one + [True] * only_other + [True])
    found = comparison.mcnemar(one, other)
    if only_one + only_other:
        exact = scipy.stats.binomtest(only_one, only_one + only_other).pvalue
        assert found.exact_p == pytest.approx(exact, abs=1e-12)
    assert 0 < found.mid_p <= found.exact_p <= 1


def test_mcnemar_refuses_examples_that_depend_on_each_other(make_predictions: Make) -> None:
    made = make_predictions(one_class_per_group=True)
    with pytest.raises(DataError, match="compare whole groups"):
        comparison.mcnemar(made, made)
    whole = comparison.mcnemar(made.by_recording(), with_noise(made, 5).by_recording())
    assert whole.only_one > 0


def test_holm_by_hand() -> None:
    # Each is at least as large as the one before it: 4 * 0.01, 3 * 0.02, 2 * 0.022, 0.9.
    assert comparison.holm([0.9, 0.022, 0.01, 0.02]) == pytest.approx([0.9, 0.06, 0.04, 0.06])
    assert comparison.holm([0.7, 0.6]).tolist() == [1, 1]
    assert comparison.holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p_values: list[float], level: float) -> None:
    corrected = comparison.holm(p_values)
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(corrected) if p <= level} == rejected


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda made: made.where(made.example_id != "e7"), "30 of them|different examples"),
        (lambda made: replace(made, classes=("a", "b")), "classes differ"),
        (lambda made: replace(made, label=1 - made.label), "another label"),
        (lambda made: replace(made, group_id=made.example_id), "another group_id"),
        (lambda made: replace(made, split=np.full(made.n_examples, "tuning")), "another split"),
    ],
)
@pytest.mark.parametrize(
    "compare",
    [
        lambda one, other: comparison.paired_difference(
            "accuracy", one, other, np.random.default_rng(0)
        ),
        comparison.paired_delong,
        comparison.mcnemar,
    ],
)
def test_different_splits_are_refused(
    make_predictions: Make,
    compare: Callable[[Predictions, Predictions], object],
    change: Callable[[Predictions], Predictions],
    complaint: str,
) -> None:
    made = make_predictions()
    with pytest.raises(SplitError, match=complaint):
        compare(made, change(made))


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_of_several_numbers_has_no_single_difference(make_predictions: Make) -> None:
    made = make_predictions()
    several = metrics.recall_statistic
    metrics.register(metrics.Metric("recalls", "recalls", "several", metrics.accuracy, several))
    with pytest.raises(DataError, match="so it has no difference"):
        comparison.paired_difference("recalls", made, made, np.random.default_rng(0))
