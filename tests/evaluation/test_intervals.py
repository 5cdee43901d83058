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
from sequela.evaluation import intervals, statistic
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]
Metric = Callable[[NDArray[np.float64]], float]


def plain_interval(metric: Metric, stratum: list[int], how: Bootstrap, seed: int) -> list[float]:
    """From a metric of one weight for each group: one resample after the other."""
    rng = np.random.default_rng(seed)
    drawn = intervals.resampled_weights(np.array(stratum), how.resamples, rng)
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
@pytest.mark.parametrize("name", ["auroc", "average_precision", "accuracy"])
def test_intervals_agree_with_a_plain_implementation(
    make_predictions: Make, name: str, method: intervals.Method, *, fixed: bool
) -> None:
    made = make_predictions(groups=25, per_group=4, one_class_per_group=fixed)
    how = Bootstrap(resamples=230, method=method, classes_fixed=fixed, level=0.9)
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
    assert found.low < statistic.of_metric(name, made).estimate < found.high
    where = "over groups within classes" if fixed else "over groups"
    assert found.method == f"{method} bootstrap {where}"
    assert (found.level, found.resamples, found.n_groups) == (0.9, 230, 25)


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


@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=4),
    st.integers(1, 230),
    st.integers(0, 2**32),
)
def test_a_resample_keeps_each_stratum_its_size(
    sizes: list[int], resamples: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stratum = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    weights = np.concatenate(list(intervals.resampled_weights(stratum, resamples, rng)))
    assert weights.shape == (resamples, sum(sizes))
    for one, size in enumerate(sizes):
        of_stratum = weights[:, stratum == one]
        assert np.allclose(of_stratum.sum(axis=1), size)
        times = of_stratum * (size - 1) / size
        assert np.allclose(times, times.round())


@pytest.mark.parametrize("size", [2, 5, 20])
def test_resamples_vary_as_a_mean_does(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    stratum = np.zeros(size, dtype=np.int64)
    drawn = intervals.resampled_weights(stratum, 40_000, np.random.default_rng(0))
    means = np.concatenate([weights @ values / size for weights in drawn])
    assert means.var() == pytest.approx(values.var(ddof=1) / size, rel=0.05)


def test_a_left_out_group_is_made_up_for_by_its_stratum() -> None:
    stratum = np.array([0, 1, 1, 0, 0])
    weights = np.concatenate(list(intervals.jackknife_weights(stratum)))
    by_group = weights[np.argmin(weights, axis=1).argsort()]
    assert by_group.tolist() == [
        [0, 1, 1, 1.5, 1.5],
        [1, 0, 2, 1, 1],
        [1, 2, 0, 1, 1],
        [1.5, 1, 1, 0, 1.5],
        [1.5, 1, 1, 1.5, 0],
    ]


def test_many_groups_are_left_out_in_blocks_of_all_strata() -> None:
    stratum = np.arange(1_200) % 2
    weights = np.concatenate(list(intervals.jackknife_weights(stratum)))
    assert weights.shape == (500, 1_200)
    assert (weights == 0).sum(axis=0).tolist() == [1] * 1_200
    assert np.allclose(weights[:, stratum == 0].sum(axis=1), 600)
    assert (weights == 0).sum(axis=1).max() == 3


def test_the_same_seed_gives_the_same_interval(make_predictions: Make) -> None:
    made = make_predictions()
    one, same, other = (
        intervals.metric_interval("auroc", made, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == same != other


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
    recalls = intervals.metric_intervals("per_class_recall", made, np.random.default_rng(0), how)
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
    found = intervals.metric_intervals("per_class_recall", made, rng)
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


def test_one_group_is_too_few(make_predictions: Make) -> None:
    with pytest.raises(DataError, match="two subjects or more"):
        intervals.metric_interval("accuracy", make_predictions(groups=1), np.random.default_rng(0))


def test_strata_are_the_classes_and_one_alone_joins_the_largest() -> None:
    label = np.array([3, 3, 0, 1, 1, 1])
    group = np.array([0, 0, 1, 2, 3, 4])
    assert intervals.class_strata(label, group).tolist() == [0, 0, 0, 0, 0]
    label, group = np.array([0, 0, 1, 1, 1, 2]), np.arange(6)
    assert intervals.class_strata(label, group).tolist() == [0, 0, 1, 1, 1, 1]
    with pytest.raises(DataError, match="two classes"):
        intervals.class_strata(np.array([0, 1]), np.array([0, 0]))


def test_degrees_of_freedom_fall_when_few_groups_carry_the_number() -> None:
    normal = np.asarray(scipy.stats.norm.ppf((np.arange(5_000) + 0.5) / 5_000))
    assert intervals.degrees_of_freedom(normal) == pytest.approx(4_999, rel=0.02)
    few = np.where(np.arange(5_000) < 5, normal, normal / 100)
    assert intervals.degrees_of_freedom(few) < 11
    even = np.resize([-1.0, 1.0], 50)
    assert intervals.degrees_of_freedom(even) == 49
