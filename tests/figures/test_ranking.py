from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation import metrics
from sequela.evaluation.curves import Curve, coarse, precision_recall_curve, roc_curve
from sequela.evaluation.intervals import Bootstrap, Estimate, Interval
from sequela.evaluation.predictions import Predictions
from sequela.figures.figure import Figure
from sequela.figures.ranking import ranking

Make = Callable[..., Predictions]
Check = Callable[[Figure], list[str]]
QUICK = Bootstrap(resamples=40)


def curve_of(make: Callable[..., Curve], predictions: Predictions) -> Curve:
    return make(predictions, np.random.default_rng(0), QUICK)


def rows_of(figure: Figure, what: str) -> list[dict[str, float]]:
    return [row for row in figure.rows if row["what"] == what]


def test_a_roc_curve_shows_what_was_computed(make_predictions: Make, checked: Check) -> None:
    predictions = make_predictions()
    curve = curve_of(roc_curve, predictions)
    figure = ranking({"GRU": curve}, event="death", chosen={"GRU": 0.3})
    points = {
        (r["false_positive_rate"], r["sensitivity"], r["threshold"])
        for r in rows_of(figure, "curve")
    }
    thresholds = [t if np.isfinite(t) else None for t in curve.threshold.tolist()]
    assert points <= set(zip(curve.x.tolist(), curve.y.tolist(), thresholds, strict=True))
    band = rows_of(figure, "band")
    assert [r["low"] for r in band] == curve.low.tolist()
    assert [r["high"] for r in band] == curve.high.tolist()
    (chosen,) = rows_of(figure, "chosen threshold")
    assert (chosen["false_positive_rate"], chosen["sensitivity"]) == curve.at(0.3)
    interval = curve.area.interval
    assert interval is not None
    area = f"{curve.area.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
    texts = checked(figure)
    assert f"GRU: {area}" in texts
    assert {"chance", "threshold 0.5", "chosen 0.3", "AUROC (95 % interval)"} <= set(texts)
    assert f"AUROC {area}; at 0.5 sensitivity {curve.at(0.5)[1]:.2f}" in figure.alt
    assert curve.area.value == pytest.approx(metrics.auroc(predictions))


def test_the_legend_shows_the_number_of_a_table(make_predictions: Make, checked: Check) -> None:
    curve = curve_of(roc_curve, make_predictions())
    mean = Estimate(0.123, Interval(0.1, 0.2, 0.95, "a test", 0, 0))
    figure = ranking(
        {"GRU": curve}, event="death", areas={"GRU": mean}, areas_are="mean of 5 folds"
    )
    texts = checked(figure)
    assert "GRU: 0.12 (0.10 to 0.20)" in texts
    assert {"death", "AUROC, mean of 5 folds (95 % interval)"} <= set(texts)
    long = ranking(
        {"GRU": curve}, event="death", areas={"GRU": mean}, areas_are="mean of 1,000 folds"
    )
    # In lines that a phone does not cut off.
    assert {"AUROC, mean of 1,000 folds (95 %", "interval)"} <= set(checked(long))
    assert "GRU: AUROC, mean of 5 folds 0.12 (0.10 to 0.20);" in figure.alt
    assert f"{curve.area.value:.2f} (" not in figure.alt


@pytest.mark.parametrize("n_examples", [60, 10_000])
def test_the_area_under_what_is_drawn_is_the_number(
    make_predictions: Make, n_examples: int
) -> None:
    predictions = make_predictions(n_examples=n_examples)
    for make, x, y in (
        (roc_curve, "false_positive_rate", "sensitivity"),
        (precision_recall_curve, "recall", "precision"),
    ):
        curve = curve_of(make, predictions)
        rows = rows_of(ranking({"GRU": curve}, event="death"), "curve")
        area = np.trapezoid([r[y] for r in rows], [r[x] for r in rows])
        assert area == pytest.approx(curve.area.value, abs=5e-4)


def test_a_precision_recall_curve_shows_how_frequent_the_event_is(
    make_predictions: Make, checked: Check
) -> None:
    predictions = make_predictions()
    figure = ranking({"GRU": curve_of(precision_recall_curve, predictions)}, event="death")
    frequency = predictions.label.mean()
    assert f"chance: {100 * frequency:.0f} % have the event" in checked(figure)
    assert figure.alt.startswith("Precision-recall curve for death, with 95 % bands. GRU: average")


def test_without_an_alarm_there_is_no_precision(make_predictions: Make, checked: Check) -> None:
    predictions = make_predictions()
    shy = replace(
        predictions,
        probabilities=np.stack([1 - predictions.score / 3, predictions.score / 3], axis=1),
    )
    figure = ranking({"GRU": curve_of(precision_recall_curve, shy)}, event="death")
    (mark,) = rows_of(figure, "threshold 0.5")
    assert mark["precision"] is None
    assert "at 0.5 no alarm" in figure.alt
    assert "threshold 0.5" not in checked(figure)
    there = ranking({"GRU": curve_of(roc_curve, shy)}, event="death")
    assert "at 0.5 sensitivity 0.00" in there.alt


@pytest.mark.slow(but="roc_curve")
@pytest.mark.parametrize("make", [roc_curve, precision_recall_curve])
def test_ten_thousand_predictions_of_several_models_stay_small(
    make_predictions: Make, checked: Check, make: Callable[..., Curve]
) -> None:
    curves = {
        f"model {seed}": curve_of(make, make_predictions(n_examples=10_000, seed=seed))
        for seed in range(3)
    }
    texts = checked(ranking(curves, event="death", chosen={"model 1": 0.2}))
    assert {"threshold 0.5", "chosen threshold"} <= set(texts)
    assert sum(text.startswith("model") for text in texts) == 3


def test_curves_of_two_kinds_or_none_are_refused(make_predictions: Make) -> None:
    both = {make.__name__: curve_of(make, make_predictions()) for make in MAKERS}
    for curves in ({}, both):
        with pytest.raises(SettingError, match="expected one or more of one kind"):
            ranking(curves, event="death")


MAKERS: tuple[Callable[..., Curve], ...] = (roc_curve, precision_recall_curve)


def test_a_curve_with_hidden_counts_is_drawn_true_or_not_at_all(
    make_predictions: Make, checked: Check
) -> None:
    predictions = make_predictions(n_examples=150)
    curve = curve_of(roc_curve, predictions)
    chosen = {"GRU": float(np.sort(predictions.score)[-4])}
    figure = ranking({"GRU": coarse(curve, predictions, 10)}, event="death", chosen=chosen)
    rows = [(r.get("false_positive_rate"), r.get("sensitivity")) for r in rows_of(figure, "curve")]
    pieces = " ".join("gap" if x is None else "point" for x, _ in rows)
    assert "point gap point" in pieces
    # Whatever is drawn lies on the curve, between its points too.
    path = np.linspace(0, len(curve.x) - 1, 20 * len(curve.x))
    whole = np.stack([np.interp(path, np.arange(len(curve.x)), v) for v in (curve.x, curve.y)])
    for (x, y), (next_x, next_y) in pairwise(rows):
        if not (x is None or y is None or next_x is None or next_y is None):
            middle = np.array([[(x + next_x) / 2], [(y + next_y) / 2]])
            assert np.hypot(*(whole - middle)).min() < 0.01
    negatives, positives = np.bincount(predictions.label)
    counts = np.rint([(x * negatives, y * positives) for x, y in rows if x is not None])
    cells = np.concatenate([counts, [negatives, positives] - counts])
    assert not ((cells > 0) & (cells < 10)).any()
    assert rows_of(figure, "chosen threshold") == []  # four alarms are few
    assert f"GRU: {curve.area.value:.2f} (" in " ".join(checked(figure))
