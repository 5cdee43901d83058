"""The plain reference below shares with the package only the drawn weights and the formulas."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.evaluation import intervals, metrics, statistic
from sequela.evaluation.intervals import Bootstrap, Distribution
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]
AVERAGE_PRECISION = pytest.param("average_precision", marks=pytest.mark.slow)
Metric = Callable[[NDArray[np.float64]], float]


def plain_interval(metric: Metric, stratum: list[int], how: Bootstrap, seed: int) -> list[float]:
    """From a metric of one weight for each group: one resample after the other."""
    rng = np.random.default_rng(seed)
    drawn = statistic.resampled_weights(np.array(stratum), how.resamples, rng)
    values = [metric(weight) for chunk in drawn for weight in chunk]
    n_groups = len(stratum)
    left_out = []
    for group in range(n_groups):
        weight = np.ones(n_groups)
        weight[group] = 0
        mates = [g for g in range(n_groups) if stratum[g] == stratum[group]]
        for mate in mates:
            weight[mate] *= len(mates) / (len(mates) - 1)
        left_out.append(metric(weight))
    mean = sum(left_out) / n_groups
    second = sum((mean - value) ** 2 for value in left_out)
    third = sum((mean - value) ** 3 for value in left_out)
    fourth = sum((mean - value) ** 4 for value in left_out)
    kurtosis = n_groups * fourth / second**2
    degrees = 2 * n_groups / (kurtosis - (n_groups - 3) / (n_groups - 1))
    t = scipy.stats.t.ppf(1 - (1 - how.level) / 2, min(max(degrees, 1), n_groups - 1))
    estimate = metric(np.ones(n_groups))
    shift, skew = 0.0, 0.0
    if how.method == "BCa":
        below = sum(value < estimate - 1e-12 for value in values)
        tied = sum(abs(value - estimate) <= 1e-12 for value in values)
        shift = scipy.stats.norm.ppf((below + tied / 2) / len(values))
        skew = third / (6 * second**1.5)
    bounds = []
    for tail in (-t, t):
        z = shift + (shift + tail) / (1 - skew * (shift + tail))
        bounds.append(float(np.quantile(values, scipy.stats.norm.cdf(z))))
    return bounds


@pytest.mark.parametrize("method", ["BCa", "percentile"])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", ["auroc", "accuracy", AVERAGE_PRECISION])
def test_intervals_agree_with_a_plain_implementation(
    make_predictions: Make, name: str, method: intervals.Method, *, fixed: bool
) -> None:
    made = make_predictions(groups=25, per_group=4, one_class_per_group=fixed)
    how = Bootstrap(resamples=120, method=method, classes_fixed=fixed, level=0.9)
    group = np.array([int(name[1:]) for name in made.group_id])

    def metric(weight: NDArray[np.float64]) -> float:
        if name == "accuracy":
            right = made.predicted == made.label
            return float(sum(weight[group] * right) / sum(weight[group]))
        by_name = {
            "auroc": sklearn.metrics.roc_auc_score,
            "average_precision": sklearn.metrics.average_precision_score,
        }
        return float(by_name[name](made.label, made.score, sample_weight=weight[group]))

    found = intervals.metric_interval(name, made, np.random.default_rng(5), how)
    stratum = [g % 2 if fixed else 0 for g in range(25)]
    assert [found.low, found.high] == pytest.approx(
        plain_interval(metric, stratum, how, 5), abs=1e-9
    )
    assert found.low < metrics.statistic_of(name, made).estimate < found.high
    where = "over groups within strata" if fixed else "over groups"
    assert found.method == f"{method} bootstrap {where}"
    assert (found.level, found.resamples, found.n_groups) == (0.9, 120, 25)


def test_the_mean_of_many_has_the_interval_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    ours = intervals.interval(
        statistic.mean(values, np.arange(400)),
        np.random.default_rng(1),
        Bootstrap(resamples=20_000),
    )
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(2), method="BCa"
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=width / 50)
    assert ours.high == pytest.approx(theirs.high, abs=width / 50)


def test_copies_of_the_examples_make_no_interval_narrower() -> None:
    values = np.random.default_rng(0).normal(size=20)
    group = np.arange(20)
    once, fifty_times = (
        intervals.interval(
            statistic.mean(np.repeat(values, copies), np.repeat(group, copies)),
            np.random.default_rng(1),
        )
        for copies in (1, 50)
    )
    assert [once.low, once.high] == pytest.approx([fifty_times.low, fifty_times.high], abs=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("right", [True, False])
def test_all_right_has_the_exact_binomial_bound_over_groups(
    make_predictions: Make, level: float, *, right: bool
) -> None:
    made = make_predictions(groups=18, classes=3, one_class_per_group=True)
    said = (made.label + (not right)) % 3
    made = replace(made, probabilities=np.eye(3, dtype=np.float32)[said])
    how = Bootstrap(level=level, resamples=150)
    found = intervals.metric_interval("accuracy", made, np.random.default_rng(0), how)
    exact = scipy.stats.binomtest(18 * right, 18).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert found.method == "exact binomial over groups"
    recalls = intervals.intervals(metrics.recall_statistic(made), np.random.default_rng(0), how)
    exact = scipy.stats.binomtest(6 * right, 6).proportion_ci(level, method="exact")
    for recall in recalls:
        assert recall is not None
        assert (recall.low, recall.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_number_that_does_not_vary_but_is_no_chance_is_certain() -> None:
    none = statistic.mean(np.zeros(30), np.arange(30))
    found = intervals.interval(none, np.random.default_rng(0))
    assert (found.low, found.high) == (0, 0)


def test_a_class_without_examples_has_no_interval(make_predictions: Make) -> None:
    made = make_predictions(classes=3)
    made = made.where(made.label != 1)
    rng = np.random.default_rng(0)
    found = intervals.intervals(metrics.recall_statistic(made), rng)
    assert [one is None for one in found] == [False, True, False]
    with pytest.raises(DataError, match="undefined on most resamples"):
        intervals.interval(
            statistic.auroc(np.ones(9, dtype=bool), np.arange(9.0), np.arange(9)), rng
        )


def test_resamples_without_the_class_are_not_counted() -> None:
    positive = np.arange(30) < 2
    rare = statistic.auroc(positive, np.random.default_rng(0).normal(size=30), np.arange(30))
    found = intervals.interval(rare, np.random.default_rng(0))
    assert 1_000 < found.resamples < 2_000  # about 2_000 * (1 - exp(-2))


def test_of_two_groups_that_are_needed_there_is_no_interval() -> None:
    """The first has all of the positive class: only the second can be left out."""
    positive = np.array([True, False, False])
    one = statistic.auroc(positive, np.array([0.9, 0.3, 0.4]), np.array([0, 0, 1]))
    assert intervals.intervals(one, np.random.default_rng(0)) == [None]


def test_one_group_is_too_few(make_predictions: Make) -> None:
    with pytest.raises(DataError, match="two subjects or more"):
        intervals.metric_interval("accuracy", make_predictions(groups=1), np.random.default_rng(0))


def test_a_stratum_of_one_group_is_refused() -> None:
    values = statistic.mean(np.arange(5.0), np.arange(5))
    stratum = np.array([0, 0, 1, 0, 0])
    with pytest.raises(DataError, match="a stratum has one group"):
        intervals.interval(values, np.random.default_rng(0), stratum=stratum)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=40),
    st.floats(1, 50),
    st.floats(-2, 2),
    st.floats(-0.9, 0.9),
    st.floats(-6, 6),
)
def test_a_p_value_is_a_chance(
    values: list[float], degrees: float, shift: float, acceleration: float, null: float
) -> None:
    drawn = intervals.Distribution(0.0, np.array(values), degrees, shift, acceleration)
    p_value = drawn.p_value(null)
    assert 1 / (len(values) + 1) <= p_value <= 1
    low, high = drawn.bounds(0.95)
    assert min(values) <= low <= max(values)
    assert min(values) <= high <= max(values)


def test_degrees_of_freedom_fall_when_few_groups_carry_the_number() -> None:
    normal = np.asarray(scipy.stats.norm.ppf((np.arange(5_000) + 0.5) / 5_000))
    assert intervals.degrees_of_freedom(normal) == pytest.approx(4_999, rel=0.02)
    few = np.where(np.arange(5_000) < 5, normal, normal / 100)
    assert intervals.degrees_of_freedom(few) < 11
    even = np.resize([-1.0, 1.0], 50)
    assert intervals.degrees_of_freedom(even) == 49


def test_a_number_that_most_resamples_lack_has_no_distribution() -> None:
    values, left_out = np.linspace(0, 1, 10), np.linspace(0.2, 0.8, 5)
    assert Distribution.of(0.5, values, left_out, "percentile")
    assert Distribution.of(np.nan, values, left_out, "percentile") is None
    for undefined, known in ((5, True), (6, False)):
        some = np.where(np.arange(10) < undefined, np.nan, values)
        assert (Distribution.of(0.5, some, left_out, "percentile") is not None) == known
    assert Distribution.of(0.5, values, np.array([0.5, np.nan]), "percentile") is None
