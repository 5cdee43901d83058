from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.decision import NetBenefit, net_benefit
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.figures.decision import decision_curves
from sequela.figures.figure import Figure

Make = Callable[..., Predictions]
QUICK = Bootstrap(resamples=100)


def benefit(predictions: Predictions, at: list[float] | None = None) -> NetBenefit:
    thresholds = None if at is None else np.array(at)
    return net_benefit(predictions, np.random.default_rng(0), thresholds=thresholds, how=QUICK)


def test_rows_are_those_of_the_evaluation(
    make_predictions: Make, checked: Callable[[Figure], list[str]]
) -> None:
    curve = benefit(make_predictions())
    figure = decision_curves({"GRU": curve}, event="death")
    model, everybody = (
        [r for r in figure.rows if r["model"] == name] for name in ("GRU", "act on all")
    )
    assert [r["threshold"] for r in model] == curve.threshold.tolist()
    assert [r["net_benefit"] for r in model] == [one.value for one in curve.model]
    assert [r["high"] for r in model] == [one.interval.high for one in curve.model if one.interval]
    assert [r["net_benefit"] for r in everybody] == curve.treat_all.tolist()
    assert {"act on all", "act on none", "GRU"} <= set(checked(figure))
    assert figure.svg("one") == figure.svg("one"), "its ids do not count on"
    place = curve.threshold.tolist().index(0.2)
    assert f"at 20%: GRU {curve.model[place].value:.3f}" in figure.alt


def test_an_event_that_is_rarer_than_the_first_threshold(
    make_predictions: Make, checked: Callable[[Figure], list[str]]
) -> None:
    predictions = make_predictions()
    rare = replace(predictions, label=np.eye(1, len(predictions.label), dtype=np.int64)[0])
    words = checked(decision_curves({"GRU": benefit(rare)}, event="death"))
    assert "act on none" in words
    assert "act on all" not in words  # the whole line is below the picture


def test_curves_that_cannot_be_compared_are_refused(make_predictions: Make) -> None:
    one = benefit(make_predictions())
    for curves, why in (
        ({}, "no decision curve"),
        ({"a": one, "b": benefit(make_predictions(), [0.1, 0.2])}, "different thresholds"),
        ({"a": one, "b": benefit(make_predictions(seed=3))}, "not equally frequent"),
    ):
        with pytest.raises(SettingError, match=why):
            decision_curves(curves, event="death")
