"""The numbers of one part of a run."""

from collections.abc import Callable

import numpy as np
import pytest

from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import summarise


def test_two_classes_without_recordings(make_predictions: Callable[..., Predictions]) -> None:
    predictions = make_predictions(groups=20, per_group=5)
    numbers = summarise(predictions, seed=0, recordings=False)
    right = predictions.probabilities.argmax(1) == predictions.label
    assert numbers["accuracy"] == pytest.approx(right.mean())
    assert (numbers["examples"], numbers["groups"]) == (100, 20)
    assert numbers["interval"]["groups"] == 20
    assert "recording_accuracy" not in numbers
    for name in ("accuracy", "auroc", "average_precision"):
        low, high = numbers[f"{name}_ci"]
        assert low < numbers[name] < high
    assert summarise(predictions, seed=0, recordings=False) == numbers
    assert summarise(predictions, seed=1, recordings=False)["accuracy_ci"] != numbers["accuracy_ci"]


def test_five_classes_of_recordings(make_predictions: Callable[..., Predictions]) -> None:
    predictions = make_predictions(groups=25, per_group=4, classes=5, one_class_per_group=True)
    numbers = summarise(predictions, seed=0, recordings=True)
    assert "auroc" not in numbers
    right = [
        predictions.probabilities[predictions.group_id == group].mean(0).argmax()
        == predictions.label[predictions.group_id == group][0]
        for group in np.unique(predictions.group_id)
    ]
    assert numbers["recording_accuracy"] == pytest.approx(np.mean(right))
    assert np.shape(numbers["confusion"]) == (5, 5)
