from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.comparison import Difference, paired_difference
from sequela.evaluation.intervals import Bootstrap, Interval
from sequela.evaluation.predictions import Predictions
from sequela.figures.compare import differences
from sequela.figures.figure import Figure

INTERVAL = Interval(0.01, 0.05, 0.95, "a test", 100, 20)


def difference(value: float, low: float, high: float, p_value: float) -> Difference:
    return Difference(value, Interval(low, high, 0.95, "a test", 100, 20), p_value)


def plain(text: str) -> str:
    assert " -" not in text
    return text.replace("\N{MINUS SIGN}", "-")


def test_differences_are_those_of_the_comparison(
    make_predictions: Callable[..., Predictions], checked: Callable[[Figure], list[str]]
) -> None:
    first = make_predictions()
    other = replace(first, probabilities=make_predictions(seed=1).probabilities)
    rng = np.random.default_rng(0)
    found = paired_difference("auroc", other, first, rng, Bootstrap(resamples=100))
    figure = differences({"LSTM": found}, first="GRU", metric="auroc", p_name="p (Holm)")
    assert figure.frame().to_pylist() == [
        {
            "run": "LSTM",
            "first": "GRU",
            "metric": "auroc",
            "difference": found.value,
            "low": found.interval.low,
            "high": found.interval.high,
            "p_value": found.p_value,
        }
    ]
    assert "AUROC: difference from GRU" in checked(figure)


def test_what_cannot_be_told_is_said(checked: Callable[[Figure], list[str]]) -> None:
    found = {
        "LSTM": difference(0.021, -0.01, 0.05, 0.21),
        "boosting": difference(-0.08, -0.09, -0.07, 0.0001),
    }
    figure = differences(found, first="GRU", metric="accuracy")
    lstm, boosting = (
        "LSTM: +2 (-1 to +5) points, p = 0.21",
        "boosting: -8 (-9 to -7) points, p < 0.001",
    )
    assert {lstm, boosting} <= {plain(text) for text in checked(figure)}
    assert f"{lstm}, inconclusive; {boosting}." in plain(figure.alt)
    assert "further right is better" in figure.alt
    decided = {**found, "LSTM": replace(found["LSTM"], p_value=0.01, interval=INTERVAL)}
    hollow, filled = (
        differences(each, first="GRU", metric="accuracy").svg("one").count("var(--paper)")
        for each in (found, decided)
    )
    assert hollow == filled + 1


def test_a_loss_is_better_when_lower() -> None:
    figure = differences({"b": difference(-0.1, -0.2, -0.05, 0.01)}, first="a", metric="log_loss")
    assert "further left is better" in figure.alt
    assert "b: -0.10 (-0.20 to -0.05), p = 0.01" in plain(figure.alt)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(SettingError, match="no run to compare with GRU"):
        differences({}, first="GRU", metric="auroc")
