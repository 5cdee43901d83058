from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError, SettingError, SplitError
from sequela.evaluation import decision
from sequela.evaluation.decision import Threshold
from sequela.evaluation.intervals import Bootstrap, Estimate, estimates
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]
QUICK = Bootstrap(resamples=200)


def scored(rows: list[tuple[int, bool]], split: str = "tuning") -> Predictions:
    """Scores in sixteenths."""
    score, event = np.array(rows).T
    return two_classes(score / 16, event, split=split)


def plain_counts(rows: list[tuple[int, bool]], threshold: float) -> tuple[int, int, int]:
    found = sum(event for score, event in rows if score / 16 >= threshold)
    false_alarms = sum(not event for score, event in rows if score / 16 >= threshold)
    missed = sum(event for score, event in rows if score / 16 < threshold)
    return found, false_alarms, missed


Rows = st.lists(st.tuples(st.integers(0, 16), st.booleans()), min_size=1, max_size=30).filter(
    lambda rows: any(event for _, event in rows)
)


@given(Rows, st.integers(1, 10))
def test_no_threshold_with_the_sensitivity_alarms_less(
    rows: list[tuple[int, bool]], tenths: int
) -> None:
    chosen = decision.choose_threshold(scored(rows), "sensitivity", tenths / 10)
    events = sum(event for _, event in rows)
    found, false_alarms, _ = plain_counts(rows, chosen.value)
    assert 10 * found >= tenths * events
    for other in range(17):
        found_there, false_there, _ = plain_counts(rows, other / 16)
        if 10 * found_there >= tenths * events:
            assert found_there + false_there >= found + false_alarms


def f1(found: int, false_alarms: int, missed: int, _: int) -> float:
    return 2 * found / (2 * found + false_alarms + missed)


def cost(found: int, false_alarms: int, missed: int, _: int) -> float:
    return -(2.5 * missed + false_alarms)


def youden(found: int, false_alarms: int, missed: int, silent: int) -> float:
    return found / (found + missed) - false_alarms / (false_alarms + silent)


AIMS: dict[Any, Any] = {"f1": (f1, None), "cost_ratio": (cost, 2.5), "youden": (youden, None)}


@pytest.mark.parametrize("aim", AIMS)
@given(Rows.filter(lambda rows: any(not event for _, event in rows)))
def test_no_threshold_with_an_alarm_is_better_and_no_equally_good_one_higher(
    aim: Any, rows: list[tuple[int, bool]]
) -> None:
    merit, target = AIMS[aim]
    merits = {}
    for score, _ in rows:
        counts = plain_counts(rows, score / 16)
        merits[score / 16] = merit(*counts, len(rows) - sum(counts))
    best = max(merits.values())
    chosen = decision.choose_threshold(scored(rows), aim, target)
    assert chosen.value == max(at for at, value in merits.items() if value >= best - 1e-9)


def test_a_threshold_says_why() -> None:
    rows = [(15, True), (9, False), (4, True), (1, False)]
    chosen = decision.choose_threshold(scored(rows), "sensitivity", 0.9)
    assert chosen == Threshold(0.25, "sensitivity of at least 0.9 on tuning data")
    assert decision.choose_threshold(scored(rows), "sensitivity", 0.5).value == 15 / 16
    costs = decision.choose_threshold(scored(rows), "cost_ratio", 10)
    assert costs == Threshold(
        0.25, "least cost on tuning data, a missed event costing 10 false alarms"
    )
    cheap = decision.choose_threshold(scored(rows), "cost_ratio", 0.5)
    assert cheap.value == 15 / 16


@pytest.mark.parametrize(
    ("aim", "target", "error", "complaint"),
    [
        ("sensitivity", None, SettingError, "above 0, at most 1"),
        ("sensitivity", 1.5, SettingError, "target 1.5"),
        ("cost_ratio", 0, SettingError, "above 0"),
        ("accuracy", None, SettingError, "unknown aim 'accuracy'"),
    ],
)
def test_what_makes_no_threshold_is_refused(
    aim: Any, target: float | None, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        decision.choose_threshold(scored([(1, True), (2, False)]), aim, target)


def test_no_threshold_is_chosen_on_held_out_data() -> None:
    with pytest.raises(SplitError, match="for the test set"):
        decision.choose_threshold(scored([(1, True), (2, False)], "held_out"), "f1")
    with pytest.raises(DataError, match="no example of the validation set is an event"):
        decision.choose_threshold(scored([(1, False)]), "f1")


def rates(predictions: Predictions, threshold: float) -> dict[str, Estimate]:
    numbers = decision.operation(predictions, Threshold(threshold, "a test"))
    found = estimates(numbers, np.random.default_rng(0), QUICK)
    return dict(zip(decision.RATES, found, strict=True))


def test_operation_is_what_scikit_learn_counts(make_predictions: Make) -> None:
    made = make_predictions(groups=40)
    found = rates(made, 0.4)
    alarm = made.score >= np.float32(0.4)
    (tn, fp), (fn, tp) = sklearn.metrics.confusion_matrix(made.label, alarm)
    expected = {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "precision": sklearn.metrics.precision_score(made.label, alarm),
        "negative_value": tn / (tn + fn),
        "f1": sklearn.metrics.f1_score(made.label, alarm),
        "alarm_rate": alarm.mean(),
    }
    for name, value in expected.items():
        one = found[name]
        assert one.interval is not None
        assert one.value == pytest.approx(value, abs=1e-9), name
        assert one.interval.low < value < one.interval.high
        assert one.interval.n_groups == 40


def test_without_an_alarm_there_is_no_precision(make_predictions: Make) -> None:
    made = make_predictions()
    found = rates(made, 1.1)
    assert np.isnan(found["precision"].value)
    assert found["precision"].interval is None
    assert found["sensitivity"].value == found["f1"].value == 0
    assert found["sensitivity"].interval is not None
    assert found["sensitivity"].interval.method == "exact binomial over groups"


def test_net_benefit_by_hand() -> None:
    # Four alarms at 0.25: two events, two false alarms at a third of an event each, of six.
    made = scored([(15, True), (8, False), (4, True), (4, False), (1, True), (0, False)])
    curve = decision.net_benefit(
        made, np.random.default_rng(0), thresholds=np.array([0.25, 0.95]), how=QUICK
    )
    assert curve.model[0].value == pytest.approx((2 - 2 / 3) / 6)
    assert curve.model[1].value == 0
    assert curve.treat_all[0] == pytest.approx(0.5 - 0.5 / 3)


def test_a_model_that_alarms_always_is_treating_all(make_predictions: Make) -> None:
    made = make_predictions()
    made = replace(made, probabilities=np.full((made.n_examples, 2), 0.5, dtype=np.float32))
    curve = decision.net_benefit(made, np.random.default_rng(0), how=QUICK)
    values = np.array([one.value for one in curve.model])
    low = curve.threshold <= 0.5
    assert values[low] == pytest.approx(curve.treat_all[low])
    assert (values[~low] == 0).all()
    with pytest.raises(SettingError, match="between 0 and 1"):
        decision.net_benefit(made, np.random.default_rng(0), thresholds=np.array([1.0]))


def test_youden_needs_both_classes() -> None:
    for event, message in ((True, "each example"), (False, "no example")):
        with pytest.raises(DataError, match=message):
            decision.choose_threshold(scored([(3, event), (9, event)]), "youden")
