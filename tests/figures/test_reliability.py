from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation import calibration
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions, event
from sequela.figures.figure import Figure
from sequela.figures.reliability import reliability_curves

Make = Callable[..., Predictions]
QUICK = Bootstrap(resamples=100)


def test_curve_and_histogram_are_those_of_the_evaluation(
    make_predictions: Make, checked: Callable[[Figure], list[str]]
) -> None:
    before = make_predictions()
    after = replace(before, probabilities=np.sqrt(before.probabilities)
                    / np.sqrt(before.probabilities).sum(axis=1, keepdims=True))  # fmt: skip
    named = {"as trained": before, "softened": after}
    curves = {
        name: calibration.reliability(p, np.random.default_rng(0), how=QUICK)
        for name, p in named.items()
    }
    chances = {name: event(p).chance for name, p in named.items()}
    figure = reliability_curves(curves, chances, event="death")
    for name, curve in curves.items():
        rows = [r for r in figure.rows if r["model"] == name and r["what"] == "reliability"]
        assert [r["chance"] for r in rows] == curve.chance.tolist()
        assert [r["happened"] for r in rows] == [one.value for one in curve.happened]
        assert [r["low"] for r in rows] == [
            one.interval.low for one in curve.happened if one.interval
        ]
        counts = [r for r in figure.rows if r["model"] == name and r["what"] == "histogram"]
        assert sum(r["examples"] for r in counts) == 400
        assert counts[3]["examples"] == np.sum((chances[name] >= 0.15) & (chances[name] < 0.2))
    texts = checked(figure)
    assert {"as trained", "softened", "perfect", "predicted probability, all examples"} <= set(
        texts
    )
    first = curves["as trained"]
    assert f"{first.chance[0]:.1%} predicted, {first.happened[0].value:.1%}" in figure.alt


def test_one_group_has_points_without_a_band(
    make_predictions: Make, checked: Callable[[Figure], list[str]]
) -> None:
    predictions = make_predictions(n_examples=40, per_group=40)
    curve = calibration.reliability(predictions, np.random.default_rng(0), how=QUICK)
    figure = reliability_curves({"GRU": curve}, {"GRU": event(predictions).chance}, event="death")
    assert figure.rows[0]["low"] is None
    checked(figure)


def test_names_that_differ_are_refused(make_predictions: Make) -> None:
    curve = calibration.reliability(make_predictions(), np.random.default_rng(0), how=QUICK)
    for curves, chances in (({}, {}), ({"a": curve}, {"b": np.zeros(3)})):
        with pytest.raises(SettingError, match="expected the same names, at least one"):
            reliability_curves(curves, chances, event="death")
