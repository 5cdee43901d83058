from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError
from sequela.evaluation import calibration, metrics
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions, event

Make = Callable[..., Predictions]


def test_a_bin_holds_its_mean_chance_and_its_share() -> None:
    made = two_classes(np.array([0.1, 0.2, 0.3, 0.6, 0.8, 1.0]), np.arange(6) > 1)
    curve = calibration.reliability(made, np.random.default_rng(0), bins=2)
    assert curve.chance == pytest.approx([0.2, 0.8])
    assert [one.value for one in curve.happened] == pytest.approx([1 / 3, 1])
    assert curve.count.tolist() == curve.groups.tolist() == [3, 3]
    assert curve.happened[1].interval is not None
    assert curve.happened[1].interval.method == "exact binomial over groups"


def test_equal_chances_share_a_bin() -> None:
    chance = np.array([0.25] * 7 + [0.5] * 2 + [0.75])
    curve = calibration.reliability(
        two_classes(chance, chance > 0.6), np.random.default_rng(0), bins=5
    )
    assert len(set(curve.chance.tolist())) == len(curve.count)
    assert curve.count.sum() == 10
    assert curve.count[0] == 7


def test_of_several_classes_the_most_probable_is_judged(make_predictions: Make) -> None:
    made = make_predictions(classes=4)
    judged = event(made)
    assert np.array_equal(judged.chance, made.probabilities.max(axis=1))
    assert np.array_equal(judged.happened, made.predicted == made.label)
    assert np.array_equal(judged.group, made.group_index)


def test_the_band_of_a_bin_is_over_groups(make_predictions: Make) -> None:
    made = make_predictions(groups=40, per_group=5)
    how = Bootstrap(resamples=300)
    curve = calibration.reliability(made, np.random.default_rng(0), bins=4, how=how)
    assert curve.count.tolist() == [50, 50, 50, 50]
    assert (curve.groups <= 40).all()
    for one in curve.happened:
        assert one.interval is not None
        assert one.interval.low <= one.value <= one.interval.high
        assert one.interval.n_groups == 40


def plain_bins(chance: list[float], bins: int) -> list[list[int]]:
    edges = [float(np.quantile(chance, k / bins)) for k in range(1, bins)]
    members: dict[int, list[int]] = {}
    for index, value in enumerate(chance):
        members.setdefault(sum(value > edge for edge in edges), []).append(index)
    return [members[key] for key in sorted(members)]


@given(
    st.lists(st.tuples(st.integers(0, 16), st.booleans(), st.integers(0, 5)), min_size=8),
    st.integers(1, 6),
)
def test_errors_agree_with_plain_loops(rows: list[tuple[int, bool, int]], bins: int) -> None:
    chance = [row[0] / 16 for row in rows]
    group = [row[2] for row in rows]
    residual = [row[1] - row[0] / 16 for row in rows]
    made = two_classes(np.array(chance), np.array([row[1] for row in rows]), np.array(group))
    plain, squares, counted = 0.0, 0.0, 0
    for members in plain_bins(chance, bins):
        mean = sum(residual[i] for i in members) / len(members)
        plain += abs(mean) * len(members) / len(rows)
        present = {group[i] for i in members}
        if len(present) < 2:
            continue
        noise = sum(
            (sum(residual[i] - mean for i in members if group[i] == one) / len(members)) ** 2
            for one in present
        )
        squares += len(members) * (mean**2 - noise * len(present) / (len(present) - 1))
        counted += len(members)
    found = calibration.expected_calibration_error(made, bins=bins)
    assert found == pytest.approx(plain, abs=1e-9)
    if counted:
        squared = calibration.squared_calibration_error(made, bins=bins)
        assert squared == pytest.approx(squares / counted, abs=1e-9)
    else:
        with pytest.raises(DataError, match="each bin holds one group"):
            calibration.squared_calibration_error(made, bins=bins)


@pytest.mark.parametrize("per_group", [1, 5])
def test_what_chance_adds_is_taken_away(per_group: int) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(120 // per_group), per_group)
    squared, plain = [], []
    for _ in range(300):
        # The outcomes of a group are alike, yet each chance is right.
        chance = rng.random(len(group) // per_group)[group]
        happened = rng.random(len(group) // per_group)[group] < chance
        made = two_classes(chance, happened, group)
        squared.append(calibration.squared_calibration_error(made, bins=5))
        plain.append(calibration.expected_calibration_error(made, bins=5) ** 2)
    error = np.std(squared) / np.sqrt(len(squared))
    assert abs(np.mean(squared)) < 4 * error
    assert np.mean(plain) > 10 * error


def test_wrong_probabilities_are_found_wrong() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(20_000)
    made = two_classes(chance, rng.random(20_000) < chance**2)
    # Mean over (0, 1) of (p - p^2)^2 is 1/30.
    assert calibration.calibration_error(made, bins=40) == pytest.approx(30**-0.5, abs=0.01)
    right = two_classes(chance, np.arange(20_000) % 2 == 0)
    assert calibration.calibration_error(right) > 0.2
    nothing = two_classes(np.full(40, 0.5), np.arange(40) % 2 == 0)
    assert calibration.calibration_error(nothing) == 0


def test_the_brier_score_by_hand() -> None:
    made = two_classes(np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, True, True, True]))
    found = calibration.brier_score(made)
    # Isotonic regression says 0.5, 0.5, 1, 1.
    assert found.score == pytest.approx(0.19)
    assert found.miscalibration == pytest.approx(0.19 - 0.125)
    assert found.discrimination == pytest.approx(0.1875 - 0.125)
    assert found.uncertainty == pytest.approx(0.1875)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_brier_score_is_scikit_learns(make_predictions: Make, classes: int) -> None:
    made = make_predictions(classes=classes)
    chance = made.probabilities.astype(np.float64)
    expected = np.mean(np.sum((chance - np.eye(classes)[made.label]) ** 2, axis=1))
    if classes == 2:
        expected = sklearn.metrics.brier_score_loss(made.label, chance[:, 1])
    found = calibration.brier_score(made)
    assert found.score == pytest.approx(expected, abs=1e-7)
    assert metrics.statistic_of("brier_score", made).estimate == pytest.approx(
        found.score, abs=1e-12
    )
    total = found.miscalibration - found.discrimination + found.uncertainty
    assert found.score == pytest.approx(total, abs=1e-12)
    assert min(found.miscalibration, found.discrimination) >= 0


def test_the_calibration_line_is_the_likeliest() -> None:
    rng = np.random.default_rng(2)
    chance = expit(rng.normal(size=500))
    happened = rng.random(500) < expit(0.5 * logit(chance) + 0.3)
    found = calibration.calibration_line(two_classes(chance, happened))

    def loss(line: NDArray[np.float64]) -> float:
        right = expit(line[0] * logit(chance) + line[1])
        return -float(np.log(np.where(happened, right, 1 - right)).sum())

    best = scipy.optimize.minimize(loss, np.array([1.0, 0.0]), tol=1e-10).x
    assert [found.slope, found.intercept] == pytest.approx(best.tolist(), abs=1e-4)
    assert found.observed == happened.mean()
    assert found.expected == pytest.approx(chance.mean())
    chance[[0, 1]] = (0, 1)  # a probability that is certain has no log-odds
    certain = calibration.calibration_line(two_classes(chance, happened))
    assert np.isfinite([certain.slope, certain.intercept]).all()
    with pytest.raises(DataError, match="in all examples or in none"):
        calibration.calibration_line(two_classes(chance, np.ones(500, dtype=bool)))


@pytest.mark.parametrize("factor", [1.0, 0.5, 1.6])
def test_a_frequency_that_differs_from_the_predicted_is_named(factor: float) -> None:
    """Against the ratio and its standard error over groups of two alike rows, by hand."""
    rng = np.random.default_rng(0)
    chance = np.repeat(rng.uniform(0.05, 0.5, 400), 2)
    happened = np.repeat(rng.random(400) < factor * chance[::2], 2)
    judged = two_classes(chance, happened.astype(int), np.repeat(np.arange(400), 2))
    sentence = calibration.calibration_in_words(judged)
    if factor == 1:
        assert sentence == ""
        return
    sums = [2 * (h - c) for h, c in zip(happened[::2], chance[::2], strict=True)]
    ratio, error = happened.sum() / chance.sum(), sum(x * x for x in sums) ** 0.5 / happened.sum()
    low, high = ratio * np.exp(-1.96 * error), ratio * np.exp(1.96 * error)
    assert f": {ratio:.2f} (95 % interval {low:.2f} to {high:.2f}): " in sentence
    assert ("more often" in sentence) is (factor > 1)
    assert calibration.calibration_in_words(judged.where(judged.label == 0)) == ""


def test_nothing_cannot_be_judged(make_predictions: Make) -> None:
    nothing = make_predictions().part("tuning")
    for judge in (event, calibration.brier_score):
        with pytest.raises(DataError, match="empty"):
            judge(nothing)
