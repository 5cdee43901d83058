from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from sequela.errors import DataError, SplitError
from sequela.evaluation import calibration, metrics, recalibration
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


def tuning(made: Predictions) -> Predictions:
    return replace(made, split=np.full(made.n_examples, "tuning"))


def sharpened(made: Predictions, by: float) -> Predictions:
    logits = by * np.log(made.probabilities.astype(np.float64))
    chance = scipy.special.softmax(logits, axis=1).astype(np.float32)
    return replace(made, probabilities=chance)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_temperature_undoes_sharpening(make_predictions: Make, classes: int) -> None:
    made = tuning(make_predictions(classes=classes, groups=60))
    plain = recalibration.fit_temperature(made)
    found = recalibration.fit_temperature(sharpened(made, 1.5))
    assert plain.weight[0] == pytest.approx(1.5 * found.weight[0], rel=1e-3)
    recalibrated = found.apply(sharpened(made, 1.5))
    assert recalibrated.probabilities == pytest.approx(plain.apply(made).probabilities, abs=1e-4)
    assert np.array_equal(recalibrated.predicted, made.predicted)


def test_no_temperature_near_the_best_is_better(make_predictions: Make) -> None:
    made = tuning(make_predictions(classes=3, groups=60))
    best = recalibration.fit_temperature(made)
    losses = [
        metrics.log_loss(replace(best, weight=(best.weight[0] * factor,) * 3).apply(made))
        for factor in (0.9, 1, 1.1)
    ]
    assert losses[1] == min(losses)
    assert losses[1] < metrics.log_loss(made)


def test_nothing_is_fitted_on_held_out_data(make_predictions: Make) -> None:
    made, fit = make_predictions(), recalibration.fit_temperature
    with pytest.raises(SplitError, match="for the test set"):
        fit(made)
    one_of_them = np.where(np.arange(made.n_examples) == 5, "held_out", "tuning")
    with pytest.raises(SplitError, match="for the test set"):
        fit(replace(made, split=one_of_them))
    with pytest.raises(DataError, match="no predictions"):
        fit(made.part("tuning"))


def line_of(made: Predictions, intercept: float, slope: float) -> Predictions:
    """Predictions whose logit has been changed so."""
    chance = scipy.special.expit(intercept + slope * scipy.special.logit(made.score.astype(float)))
    return replace(made, probabilities=np.stack([1 - chance, chance], axis=1))


def test_a_line_undoes_another(make_predictions: Make) -> None:
    made = tuning(make_predictions(groups=600))
    plain = recalibration.fit(made, recalibration.LINE)
    found = recalibration.fit(line_of(made, 0.7, 1.6), recalibration.LINE)
    # x' = 0.7 + 1.6 x, so the line of x is reached by slope / 1.6
    assert found.weight[1] == pytest.approx(plain.weight[1] / 1.6, rel=0.02)
    assert found.bias[1] == pytest.approx(plain.bias[1] - 0.7 * found.weight[1], abs=0.02)
    cox = calibration.calibration_line(made)
    assert (plain.bias[1], plain.weight[1]) == pytest.approx((cox.intercept, cox.slope), abs=0.01)


def test_an_intercept_makes_events_as_frequent_as_predicted(make_predictions: Make) -> None:
    made = line_of(tuning(make_predictions(groups=600)), 1.5, 1)
    found = recalibration.fit(made, recalibration.INTERCEPT)
    assert found.weight[1] == 1
    apart = metrics.METRICS["observed_minus_expected"].value
    assert abs(apart(made)) > 0.1
    assert apart(found.apply(made)) == pytest.approx(0, abs=0.002)


def test_a_line_of_few_without_any_event_is_near_no_change(make_predictions: Make) -> None:
    made = tuning(make_predictions(groups=60))
    none = made.where(np.flatnonzero(made.label == 0)[:4])
    found = recalibration.fit(none, recalibration.LINE)
    assert -4 < found.bias[1] < 0
    assert 0 < found.weight[1] < 2
    with pytest.raises(SplitError, match="intercept and slope is fitted on the validation set"):
        recalibration.fit(make_predictions(), recalibration.LINE)


def test_a_line_is_the_likeliest_under_its_priors(make_predictions: Make) -> None:
    made = tuning(make_predictions(groups=60)).where(np.arange(12))
    logits, happened = scipy.special.logit(made.score.astype(float)), made.label == 1

    def lost(line: NDArray[np.float64]) -> float:
        intercept, slope = line.tolist()
        chance = scipy.special.expit(intercept + slope * logits)
        loss = -np.log(np.where(happened, chance, 1 - chance)).sum()
        return float(loss + (intercept / 2) ** 2 / 2 + ((slope - 1) / 0.5) ** 2 / 2)

    found = recalibration.fit(made, recalibration.LINE)
    best = scipy.optimize.minimize(lost, np.array([0.0, 1.0])).x
    assert [found.bias[1], found.weight[1]] == pytest.approx(best.tolist(), abs=1e-3)
