"""The numbers of one part of a run."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from sequela.cohort.split import PARTS
from sequela.config import Aim, RunSettings
from sequela.errors import DataError
from sequela.evaluation import intervals, statistic
from sequela.evaluation.decision import RATES, choose_threshold, operation
from sequela.evaluation.metrics import METRICS
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import MORE_PROBABLE, operating_points, summarise, summarise_parts


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


def test_each_metric_is_computed_once_and_all_on_one_set_of_resamples(
    make_predictions: Callable[..., Predictions], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = make_predictions(groups=30, per_group=2)
    computed: list[str] = []

    def counted(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
        def count(*given: Any) -> Any:
            computed.append(name)
            return of(*given)

        return count

    for name, metric in METRICS.items():
        counting = replace(metric, value=counted(name, metric.value))
        monkeypatch.setitem(METRICS, name, counting)
    drawn = counted("resamples", statistic.resampled_weights)
    monkeypatch.setattr(intervals, "resampled_weights", drawn)
    settings = RunSettings(model="logistic-regression", data="mimic3")
    made = in_three_parts(predictions)
    summarise_parts(made, settings, recordings=False)
    names = ["accuracy", "auroc", "average_precision", "log_loss"]
    assert Counter(computed) == {**dict.fromkeys(names, 3), "resamples": 4}  # 3 sets, thresholds


def test_the_interval_that_is_described_is_that_of_the_accuracy(
    make_predictions: Callable[..., Predictions],
) -> None:
    made = make_predictions(groups=40, per_group=2)
    score = np.where(made.label == 1, 0.4, 0.0) + 0.3 * np.random.default_rng(0).random(80)
    ranked = replace(made, probabilities=np.stack([1 - score, score], 1).astype(np.float32))
    numbers = summarise(ranked, seed=0, recordings=False)
    assert (numbers["auroc"], numbers["accuracy"] < 1) == (1, True)
    said = {"level": 0.95, "method": "BCa bootstrap over groups", "resamples": 2000, "groups": 40}
    assert numbers["interval"] == said


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


def in_three_parts(predictions: Predictions) -> Predictions:
    return replace(predictions, split=np.array(PARTS)[predictions.group_index % 3])


def in_parts(predictions: Predictions, tuning: int = 10) -> Predictions:
    """The first groups as tuning part, the others held out."""
    part = np.where(predictions.group_index < tuning, "tuning", "held_out")
    return replace(predictions, split=part)


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize(
    ("aim", "target"), [("youden", None), ("f1", None), ("sensitivity", 0.9), ("cost_ratio", 5.0)]
)
def test_operating_points_are_those_of_their_thresholds(
    aim: Aim, target: float | None, decimals: int, make_predictions: Callable[..., Predictions]
) -> None:
    """Which threshold is chosen, and what the rates are, is in ``test_decision.py``."""
    both = in_parts(make_predictions(groups=40, seed=3, decimals=decimals))
    thresholds = [MORE_PROBABLE, choose_threshold(both.part("tuning"), aim, target)]
    held_out = both.part("held_out")
    found = operating_points(both, seed=0, aim=aim, target=target)
    for point, threshold in zip(found, thresholds, strict=True):
        assert (point["threshold"], point["chosen_for"]) == (threshold.value, threshold.chosen_for)
        alarm = held_out.score >= threshold.value
        assert point["confusion"] == confusion_matrix(held_out.label, alarm).tolist()
        expected = operation(held_out, threshold).estimate.tolist()
        for name, value in zip(RATES, expected, strict=True):
            assert point[name] == pytest.approx(value), name
            low, high = point[f"{name}_ci"]
            assert 0 <= low <= point[name] <= high <= 1


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("alike", [False, True])
def test_what_cannot_be_told_is_null_and_never_nan(
    missing: int,
    alike: bool,  # noqa: FBT001
    make_predictions: Callable[..., Predictions],
) -> None:
    """One class alone, and scores that are all the same: strict JSON all the same."""
    predictions = make_predictions(groups=30)
    if alike:
        same = np.full_like(predictions.probabilities, 0.5)
        predictions = replace(predictions, probabilities=same)
    keep = (predictions.group_index < 10) | (predictions.label != missing)
    both = in_parts(predictions.where(keep))
    numbers = {
        **summarise(both.part("held_out"), seed=0, recordings=False),
        "operating_points": operating_points(both, seed=0, aim="youden"),
    }
    text = json.dumps(numbers, allow_nan=False)
    read = json.loads(text)
    assert read["per_class_recall"][missing] is None
    assert read["operating_points"][0]["sensitivity" if missing else "specificity"] is None
    assert "auroc" not in read


def test_a_threshold_needs_both_classes(make_predictions: Callable[..., Predictions]) -> None:
    predictions = make_predictions(groups=30)
    for one in (0, 1):
        kept = predictions.where((predictions.group_index >= 10) | (predictions.label == one))
        with pytest.raises(DataError, match="needs both"):
            operating_points(in_parts(kept), seed=0, aim="youden")
