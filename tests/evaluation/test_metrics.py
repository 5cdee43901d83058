from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics

from sequela.errors import DataError
from sequela.evaluation import metrics
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


def test_counts_by_hand() -> None:
    made = Predictions(
        example_id=np.array(["a", "b", "c", "d"]),
        group_id=np.array(["g", "g", "h", "h"]),
        subject_id=np.array([""] * 4),
        split=np.array(["held_out"] * 4),
        label=np.array([0, 0, 1, 1]),
        probabilities=np.array(
            [[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0, 1, 0]], dtype=np.float32
        ),
        classes=("x", "y", "z"),
    )
    assert metrics.confusion(made).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert metrics.accuracy(made) == 0.5
    assert metrics.METRICS["recording_accuracy"].value(made) == 1.0
    assert metrics.per_class_recall(made)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(metrics.per_class_recall(made)[2])
    assert metrics.METRICS["balanced_accuracy"].value(made) == 0.5
    assert metrics.log_loss(made) == pytest.approx(np.log([4 / 3, 4, 4, 1]).mean(), abs=1e-6)


@pytest.mark.parametrize("steps", [8, 2**20])  # 8: many ties
@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_scikit_learns(make_predictions: Make, seed: int, steps: int) -> None:
    made = make_predictions(seed=seed)
    score = ((made.score * steps).round() / steps).clip(1 / steps, 1 - 1 / steps)
    made = replace(made, probabilities=np.stack([1 - score, score], axis=1))
    exact = made.probabilities.astype(np.float64)  # scikit-learn would compute in float32
    ours = (metrics.auroc(made), metrics.average_precision(made), metrics.log_loss(made))
    theirs = (
        sklearn.metrics.roc_auc_score(made.label, exact[:, 1]),
        sklearn.metrics.average_precision_score(made.label, exact[:, 1]),
        sklearn.metrics.log_loss(made.label, exact),
    )
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_what_cannot_be_measured_is_refused(make_predictions: Make) -> None:
    made = make_predictions()
    with pytest.raises(DataError, match="empty"):
        metrics.accuracy(made.part("tuning"))
    with pytest.raises(DataError, match="all of class 'class 0'"):
        metrics.auroc(made.where(made.label == 0))
    with pytest.raises(DataError, match="3 classes"):
        metrics.average_precision(make_predictions(classes=3))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_certain_answer_keeps_an_epsilon_of_loss(make_predictions: Make, classes: int) -> None:
    """As scikit-learn computes it: not 0 where it is right, at most 15.9 where it is wrong."""
    made = make_predictions(classes=classes)
    for shift in (0, 1):
        sure = np.eye(classes, dtype=np.float32)[(made.label + shift) % classes]
        found = metrics.log_loss(replace(made, probabilities=sure))
        assert found == pytest.approx(sklearn.metrics.log_loss(made.label, sure), rel=1e-6, abs=0)
    assert found == pytest.approx(-np.log(np.finfo(np.float32).eps), abs=1e-9)


def test_no_prediction_is_out_of_a_metrics_bounds(make_predictions: Make) -> None:
    made = make_predictions(groups=20, per_group=2)
    for right in (made.label, 1 - made.label):
        sure = replace(made, probabilities=np.eye(2, dtype=np.float32)[right])
        for each in metrics.reported():
            if each.can_be_had(sure, whole_groups=False):
                least, most = each.bounds
                assert least <= each.value(sure) <= most


def test_a_difference_is_told_in_points_or_as_it_is() -> None:
    assert metrics.named("accuracy").apart(0.9) == "+90"
    assert metrics.named("auroc").apart(-0.123) == "\u22120.12"
