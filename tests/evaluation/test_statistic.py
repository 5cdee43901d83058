from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from sequela.errors import UnknownNameError
from sequela.evaluation import metrics, statistic
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


_OF_CLASSES = sorted(name for name, m in metrics.METRICS.items() if m.needs != "times")


@pytest.mark.parametrize("name", _OF_CLASSES)
@pytest.mark.parametrize("seed", range(2))
def test_with_equal_weights_it_is_the_metric(make_predictions: Make, name: str, seed: int) -> None:
    made = make_predictions(seed=seed, one_class_per_group=True, decimals=1)
    expected = metrics.METRICS[name].value(made)
    assert metrics.statistic_of(name, made).estimate == pytest.approx(expected, abs=1e-9)


def weighted_by_scikit_learn(name: str, made: Predictions, weight: NDArray[np.float64]) -> float:
    chosen = made.probabilities.argmax(axis=1)
    match name:
        case "accuracy":
            found = sklearn.metrics.accuracy_score(made.label, chosen, sample_weight=weight)
        case "auroc":
            found = sklearn.metrics.roc_auc_score(made.label, made.score, sample_weight=weight)
        case "average_precision":
            found = sklearn.metrics.average_precision_score(
                made.label, made.score, sample_weight=weight
            )
        case "balanced_accuracy":
            found = sklearn.metrics.balanced_accuracy_score(
                made.label, chosen, sample_weight=weight
            )
        case "brier_score":
            happened = np.eye(2)[made.label]
            errors = ((made.probabilities.astype(float) - happened) ** 2).mean(axis=1)
            found = np.average(errors, weights=weight)
        case "observed_minus_expected":
            found = np.average(made.label - made.score.astype(float), weights=weight)
        case "alarm_rate":
            found = np.average(made.score >= 0.5, weights=weight)
        case "log_loss":
            found = np.average(
                [-np.log(float(p[y])) for p, y in zip(made.probabilities, made.label, strict=True)],
                weights=weight,
            )
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("name", sorted({*_OF_CLASSES} - {"recording_accuracy"}))
def test_each_resample_is_what_scikit_learn_gives_for_its_weights(
    make_predictions: Make, name: str, decimals: int
) -> None:
    made = make_predictions(groups=12, decimals=decimals)
    weights = 1.5 * np.random.default_rng(3).integers(0, 4, size=(20, 12)).astype(np.float64)
    values = metrics.statistic_of(name, made)(weights)
    group = np.array([int(name[1:]) for name in made.group_id])
    for row, value in zip(weights, values, strict=True):
        assert value == pytest.approx(weighted_by_scikit_learn(name, made, row[group]), abs=1e-9)


def test_what_a_resample_leaves_out_is_undefined(make_predictions: Make) -> None:
    made = make_predictions(groups=6, one_class_per_group=True)
    only_zeros = np.array([[1.0, 0, 1, 0, 1, 0]])
    assert np.isnan(metrics.statistic_of("auroc", made)(only_zeros))
    assert np.isnan(metrics.statistic_of("average_precision", made)(only_zeros))
    recalls = metrics.recall_statistic(made)(only_zeros)
    assert np.isnan(recalls).tolist() == [[False, True]]


def test_trials_are_the_groups_that_a_chance_rests_on(make_predictions: Make) -> None:
    made = make_predictions(groups=7, classes=3, one_class_per_group=True)
    assert metrics.statistic_of("accuracy", made).trials == (7,)
    assert metrics.recall_statistic(made).trials == (3, 2, 2)
    assert metrics.statistic_of("balanced_accuracy", made).trials == (2,)
    assert metrics.statistic_of("auroc", made.against_rest("class 0")).trials == (3,)
    assert metrics.statistic_of("log_loss", made).trials is None


def test_a_difference_uses_the_same_resample(make_predictions: Make) -> None:
    one, other = make_predictions(seed=1), make_predictions(seed=2)
    weights = np.random.default_rng(0).random((5, 30))
    a, b = (metrics.statistic_of("accuracy", made) for made in (one, other))
    assert np.allclose(statistic.difference(a, b)(weights), a(weights) - b(weights))
    assert np.allclose(statistic.stacked([a, b])(weights).T, [a(weights), b(weights)])
    assert statistic.stacked([a, b]).trials == (30, 30)


def test_an_unknown_metric_is_named(make_predictions: Make) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        metrics.statistic_of("acuracy", make_predictions())
