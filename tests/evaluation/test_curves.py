from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError
from sequela.evaluation import curves
from sequela.evaluation.intervals import Bootstrap, metric_interval
from sequela.evaluation.predictions import Place, Predictions
from sequela.evaluation.recipe import Judged

Make = Callable[..., Predictions]
QUICK = Bootstrap(resamples=200)
RATES = np.array([0.0, 0.05, 0.3, 0.71, 1.0])
RECALLS = np.array([0.01, 0.25, 0.5, 0.99])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def ranked(subjects: int = 40) -> Predictions:
    """Half of the subjects have the event, and each of them a higher score than the others."""
    label = np.arange(subjects) % 2
    return two_classes(np.linspace(0.1, 0.4, subjects) + 0.5 * label, label)


@pytest.mark.parametrize("decimals", [6, 1])
def test_roc_points_are_those_of_scikit_learn(make_predictions: Make, decimals: int) -> None:
    predictions = make_predictions(decimals=decimals)
    curve = curves.roc_curve(predictions, rng(), QUICK)
    x, y, threshold = sklearn.metrics.roc_curve(
        predictions.label, predictions.score, drop_intermediate=False
    )
    np.testing.assert_allclose(curve.x, x, atol=1e-9)
    np.testing.assert_allclose(curve.y, y, atol=1e-9)
    np.testing.assert_array_equal(curve.threshold, threshold)
    area = sklearn.metrics.roc_auc_score(predictions.label, predictions.score)
    assert curve.area.value == pytest.approx(area, abs=1e-9)
    assert sklearn.metrics.auc(curve.x, curve.y) == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("decimals", [6, 1])
def test_precision_recall_points_are_those_of_scikit_learn(
    make_predictions: Make, decimals: int
) -> None:
    predictions = make_predictions(decimals=decimals)
    curve = curves.precision_recall_curve(predictions, rng(), QUICK)
    precision, recall, threshold = sklearn.metrics.precision_recall_curve(
        predictions.label, predictions.score
    )
    np.testing.assert_allclose(curve.x, recall[::-1], atol=1e-9)
    np.testing.assert_allclose(curve.y, precision[::-1], atol=1e-9)
    np.testing.assert_array_equal(curve.threshold[1:], threshold[::-1])
    area = sklearn.metrics.average_precision_score(predictions.label, predictions.score)
    assert curve.area.value == pytest.approx(area, abs=1e-9)
    assert float(np.diff(curve.x) @ curve.y[1:]) == pytest.approx(area, abs=1e-9)


Seeds = st.integers(0, 10_000)


@settings(deadline=None)
@given(Seeds, st.integers(0, 6))
def test_weighted_sensitivities_are_those_of_repeated_examples(seed: int, decimals: int) -> None:
    predictions = _made(seed, decimals)
    times = np.random.default_rng(seed).integers(0, 4, size=predictions.group_index.max() + 1)
    weight = times[predictions.group_index]
    if len(np.unique(predictions.label[weight > 0])) < 2:
        return
    found = curves.sensitivity_at(predictions, RATES)(times[None].astype(np.float64))[0]
    x, y, _ = sklearn.metrics.roc_curve(
        predictions.label, predictions.score, sample_weight=weight, drop_intermediate=False
    )
    np.testing.assert_allclose(found, np.interp(RATES, x, y), atol=1e-9)


@settings(deadline=None)
@given(Seeds, st.integers(0, 6))
def test_weighted_precisions_are_those_of_repeated_examples(seed: int, decimals: int) -> None:
    predictions = _made(seed, decimals)
    times = np.random.default_rng(seed).integers(0, 4, size=predictions.group_index.max() + 1)
    repeated = np.repeat(np.arange(predictions.n_examples), times[predictions.group_index])
    label, score = predictions.label[repeated], predictions.score[repeated]
    found = curves.precision_at(predictions, RECALLS)(times[None].astype(np.float64))[0]
    if not label.any():
        assert np.isnan(found).all()
        return
    for recall, value in zip(RECALLS, found, strict=True):
        for threshold in np.unique(score)[::-1]:
            alarm = score >= threshold
            if label[alarm].sum() >= recall * label.sum() - 1e-9:
                assert value == pytest.approx(label[alarm].mean(), abs=1e-9)
                break


def _made(seed: int, decimals: int) -> Predictions:
    generator = np.random.default_rng(seed)
    group = np.sort(generator.integers(0, 6, size=25))
    score = generator.random(25).round(decimals)
    label = generator.integers(0, 2, size=25)
    label[:2] = 0, 1
    return two_classes(score, label, group)


def test_bands_hold_the_curve_and_are_wider_for_few_groups(make_predictions: Make) -> None:
    widths = []
    for groups in (20, 200):
        predictions = make_predictions(groups=groups)
        for make, at in (
            (curves.roc_curve, curves.sensitivity_at),
            (curves.precision_recall_curve, curves.precision_at),
        ):
            curve = make(predictions, rng(), QUICK)
            if curve.kind == "roc":  # sensitivity never falls
                assert (np.diff([curve.low, curve.high]) >= 0).all()
            there = at(predictions, curve.band_x).estimate
            given = ~np.isnan(curve.low)
            assert given.sum() > 80
            assert (curve.low[given] <= there[given] + 1e-9).all()
            assert (curve.high[given] >= there[given] - 1e-9).all()
            widths.append(float(np.mean(curve.high[given] - curve.low[given])))
    assert widths[2] < widths[0] / 2
    assert widths[3] < widths[1] / 2


def test_a_perfect_ranking_of_few_is_not_certain() -> None:
    curve = curves.roc_curve(ranked(), rng(), QUICK)
    assert (curve.y[1:] > 0).all()
    # Twenty of twenty found: Clopper-Pearson's lower bound is 0.025 ** (1 / 20).
    np.testing.assert_allclose(curve.low[:-1], 0.025 ** (1 / 20), atol=1e-9)
    assert (curve.high == 1).all()


def test_precision_that_rests_on_two_subjects_has_no_band() -> None:
    curve = curves.precision_recall_curve(ranked(), rng(), QUICK)
    assert curve.band_x[np.isnan(curve.low)].max() == pytest.approx(0.1)  # two of twenty
    assert not np.isnan(curve.low[curve.band_x > 0.1]).any()


def test_a_threshold_is_found_on_the_curve(make_predictions: Make) -> None:
    predictions = make_predictions(decimals=1)
    curve = curves.roc_curve(predictions, rng(), QUICK)
    for threshold in (0.0, 0.5, float(predictions.score[3]), 1.0):
        alarm = predictions.score >= np.float32(threshold)
        event = predictions.label == 1
        rates = (alarm[~event].mean(), alarm[event].mean())
        assert curve.at(threshold) == pytest.approx(rates)


def test_the_interval_of_the_area_is_that_of_the_metric(make_predictions: Make) -> None:
    predictions = make_predictions(one_class_per_group=True)
    for how in (QUICK, replace(QUICK, classes_fixed=True)):
        for name, make in (
            ("auroc", curves.roc_curve),
            ("average_precision", curves.precision_recall_curve),
        ):
            found = make(predictions, rng(), how).area.interval
            assert found == metric_interval(name, predictions, rng(), how)


def test_one_group_has_a_curve_and_no_band(make_predictions: Make) -> None:
    curve = curves.roc_curve(make_predictions(groups=1, per_group=20), rng(), QUICK)
    assert np.isnan(curve.low).all()
    assert curve.area.interval is None


def test_one_class_is_refused(make_predictions: Make) -> None:
    predictions = make_predictions()
    ill = predictions.where(predictions.label == 1)
    for make in (curves.roc_curve, curves.precision_recall_curve):
        with pytest.raises(DataError, match="a ranking needs both classes"):
            make(ill, rng(), QUICK)
        with pytest.raises(DataError, match="3 classes where a number needs two"):
            make(make_predictions(classes=3), rng(), QUICK)


def folds(shift: float = 0.0) -> list[Judged]:
    """Two models, each of which judges a half of the subjects on a scale of its own."""
    everybody = ranked(80)
    draw = np.random.default_rng(3)
    found = []
    for fold in range(2):
        logit = draw.normal(size=80) + 1.5 * everybody.label + shift * fold
        risk = 1 / (1 + np.exp(-logit))
        said = replace(everybody, probabilities=np.stack([1 - risk, risk], axis=1))
        half = np.arange(80) // 2 % 2
        found.append(Judged(said.where(half == fold), Place(0, fold, 0), said.where(half != fold)))
    return found


@pytest.mark.parametrize("shift", [0.0, 6.0])
def test_the_curve_of_folds_is_the_mean_of_their_curves(shift: float) -> None:
    judged = folds(shift)
    curve = curves.roc_over_models(judged, rng(), QUICK)
    each = [curves.roc_curve(one.held_out, rng(), QUICK) for one in judged]
    for place, y in zip(curve.band_x, curve.y[1:], strict=True):
        expected = np.mean([np.interp(place, one.x, one.y) for one in each])
        # At a jump a curve has two heights; just beside it there is one.
        beside = np.mean([np.interp(place + 1e-9, one.x, one.y) for one in each])
        assert y == pytest.approx(expected) or y == pytest.approx(beside, abs=1e-6)
    areas = [one.area.value for one in each]
    assert curve.area.value == pytest.approx(np.mean(areas))
    assert sklearn.metrics.auc(curve.x, curve.y) == pytest.approx(np.mean(areas), abs=0.02)
    inside = (curve.band_x > 0.02) & (curve.band_x < 0.98)
    assert np.all((curve.low <= curve.y[1:] + 1e-9)[inside])
    assert np.all((curve.y[1:] <= curve.high + 1e-9)[inside])
    assert np.all(np.diff(curve.low) >= 0)
    assert np.all(np.diff(curve.high) >= 0)


def test_each_model_has_a_threshold_of_its_own() -> None:
    judged = folds(6.0)
    curve = curves.precision_recall_over_models(judged, rng(), QUICK)
    chosen = [0.5, 0.99]
    points = []
    for one, threshold in zip(judged, chosen, strict=True):
        alarm, event = one.held_out.score >= threshold, one.held_out.label == 1
        points.append(((alarm & event).sum() / event.sum(), (alarm & event).sum() / alarm.sum()))
    assert curve.at(chosen) == pytest.approx(tuple(np.mean(points, axis=0)))
    assert np.isnan(curve.at(2.0)[1])  # nothing is alarmed
    # Twenty events a fold: below the first and above the last but one there is no band.
    there = ~np.isnan(curve.low)
    np.testing.assert_allclose(curve.band_x[there][[0, -1]], [0.05, 0.95])


def test_the_precision_of_few_events_is_taken_between_them() -> None:
    """The k-th of m events stands at k / (m + 1); false alarms are linear in between."""
    predictions = folds()[0].held_out
    order = np.argsort(-predictions.score)
    event = (predictions.label == 1)[order]
    m = int(event.sum())
    false = [0, *np.cumsum(~event)[event].tolist()]  # at no alarm, then at each event
    recalls = np.array([0.1, 0.33, 0.5, 0.8, 0.95])
    found = curves.precision_between(predictions, recalls).estimate
    for recall, precision in zip(recalls.tolist(), found.tolist(), strict=True):
        at = min(recall * (m + 1), m)
        low = min(int(at), m - 1)
        wrong = false[low] + (at - low) * (false[low + 1] - false[low])
        assert precision == pytest.approx(recall * m / (recall * m + wrong))


def test_only_where_a_mean_curve_is_at_0_or_1_its_bound_is_that_of_all_events() -> None:
    """Elsewhere the band is that of the resamples, which is not the exact interval of 0 or 1."""
    judged = folds()
    curve = curves.roc_over_models(judged, rng(), QUICK)
    inside = (curve.y[1:] > 0.2) & (curve.y[1:] < 0.8)
    assert inside.any()
    assert (curve.low[inside] > 0).all()
    assert (curve.high[inside] < 1).all()
    perfect = ranked(80)
    half = np.arange(80) // 2 % 2
    both = [Judged(perfect.where(half == f), Place(0, f, 0), None) for f in range(2)]
    certain = curves.roc_over_models(both, rng(), QUICK)
    at_one = certain.y[1:] == 1
    assert at_one.any()
    np.testing.assert_allclose(certain.low[at_one], 0.025 ** (1 / 40), atol=1e-9)


def test_a_band_is_that_of_a_plain_bootstrap_over_groups(make_predictions: Make) -> None:
    """Groups are drawn one by one, and the tails are those of Student's t."""
    predictions = make_predictions(groups=60, per_group=4, one_class_per_group=True)
    how = Bootstrap(resamples=1_000)
    curve = curves.roc_curve(predictions, rng(), how)
    rates = np.linspace(0.1, 0.6, 11)
    draw = np.random.default_rng(1)
    drawn = []
    for _ in range(1_000):
        weight = np.bincount(draw.integers(60, size=60), minlength=60)[predictions.group_index]
        x, y, _ = sklearn.metrics.roc_curve(
            predictions.label, predictions.score, sample_weight=weight, drop_intermediate=False
        )
        drawn.append(np.interp(rates, x, y))
    tail = scipy.stats.norm.cdf(scipy.stats.t.isf(0.025, 29))  # thirty groups of each class
    low, high = np.quantile(drawn, [1 - tail, tail], axis=0)
    found = np.interp(rates, curve.band_x, curve.high - curve.low)
    assert np.mean(found) == pytest.approx(np.mean(high - low), rel=0.1)
