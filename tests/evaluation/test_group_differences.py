"""Differences between groups: the numbers, the groups that are too small, and degenerate data."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from tests.evaluation.conftest import two_classes

from sequela.evaluation.calibration import calibration_line
from sequela.evaluation.group_differences import FEWEST, group_differences
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import auroc
from sequela.evaluation.predictions import Predictions
from sequela.sequences.intervals import Intervals

QUICK = Bootstrap(resamples=300)
Column = NDArray[np.str_]


def simulated(n: int = 900, seed: int = 0, noise: float = 0.0) -> tuple[Predictions, Column]:
    """Predictions that are right for men; those for women, half of all, have added noise."""
    rng = np.random.default_rng(seed)
    sex = np.where(np.arange(n) % 2 == 0, "female", "male")
    line = rng.normal(-1, 1.5, n)
    label = rng.random(n) < expit(line)
    return two_classes(expit(line + noise * (sex == "female") * rng.normal(size=n)), label), sex


def compared(
    predictions: Predictions, threshold: float | None = 0.4, **attributes: Column
) -> list[Any]:
    return group_differences([(predictions, attributes, threshold)], 0, QUICK)


def test_the_worst_and_the_best_group_have_the_values_of_their_metrics() -> None:
    predictions, sex = simulated(noise=2)
    (record,) = compared(predictions, sex=sex)
    women, men = (predictions.where(sex == name) for name in ("female", "male"))
    found = record["differences"]
    assert found["auroc"]["worst"] == "female"
    assert found["auroc"]["worst_value"] == pytest.approx(auroc(women))
    assert found["auroc"]["difference"] == pytest.approx(auroc(women) - auroc(men))
    slope = found["calibration_slope"]
    assert (slope["worst"], slope["best"]) == ("female", "male")  # 0.4 is farther from 1
    assert slope["worst_value"] == pytest.approx(calibration_line(women).slope, abs=1e-4)
    best = {"female": women, "male": men}[found["o_e"]["best"]]
    assert found["o_e"]["best_value"] == pytest.approx(best.label.sum() / best.score.sum())
    rates = {name: (part.score >= 0.4).mean() for name, part in (("f", women), ("m", men))}
    assert found["alarm_rate"]["worst_value"] == pytest.approx(max(rates.values()))
    for numbers in (found["auroc"], slope):
        low, high = numbers["difference_ci"]
        assert low < numbers["difference"] < high < 0
        assert numbers["corrected_p"] == numbers["p_value"] < 0.01  # one attribute


def test_observed_over_expected_is_worst_where_it_is_farthest_from_1() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(["a", "b", "c"], 400)
    truth = np.repeat([0.2, 0.3, 0.36], 400)  # 0.67, 1 and 1.2 of what is predicted
    predictions = two_classes(rng.uniform(0.25, 0.35, 1_200), rng.random(1_200) < truth)
    (record,) = compared(predictions, place=place)
    numbers = record["differences"]["o_e"]
    assert (numbers["worst"], numbers["best"]) == ("a", "b")
    assert numbers["difference"] < 0


def test_p_values_are_corrected_for_the_number_of_attributes() -> None:
    predictions, sex = simulated(noise=2)
    rng = np.random.default_rng(1)
    region, unit = (rng.choice(["a", "b", "c"], 900) for _ in range(2))
    records = compared(predictions, sex=sex, region=region, unit=unit)
    found = [record["differences"]["auroc"] for record in records]
    assert found[0]["corrected_p"] == pytest.approx(3 * found[0]["p_value"])
    assert all(numbers["corrected_p"] > 0.05 for numbers in found[1:])


def test_small_and_unknown_groups_are_counted_and_not_compared() -> None:
    predictions, sex = simulated()
    sex = sex.astype("<U9")
    events = np.flatnonzero(predictions.label == 1)
    sex[events[:14]] = "intersex"
    sex[np.flatnonzero(predictions.label == 0)[:30]] = "intersex"
    sex[events[14:50]] = ""
    (record,) = compared(predictions, sex=sex)
    counts = record["counts"]
    assert record["compared"] == ["female", "male"]
    assert counts["intersex"]["events"] == 14 < FEWEST <= counts["intersex"]["others"] == 30
    assert counts["unknown"]["events"] == 36
    assert {record["differences"]["auroc"][which] for which in ("worst", "best")} == {
        "female",
        "male",
    }


def test_many_events_of_few_patients_are_few() -> None:
    predictions, sex = simulated()
    subject = np.where(sex == "female", np.char.mod("f%d", np.arange(900) % 10), "")
    ids = np.where(subject == "", predictions.subject_id, subject)
    (record,) = compared(replace(predictions, group_id=ids, subject_id=ids), sex=sex)
    assert record["counts"]["female"]["units"] < 20 < record["counts"]["female"]["events"]
    assert record["compared"] == ["male"]
    assert record["differences"] == {}


@pytest.mark.parametrize(
    "column",
    [np.full(900, "female"), np.full(900, ""), np.char.mod("hospital %d", np.arange(900) % 186)],
)
def test_one_group_nobody_known_or_only_small_hospitals_are_no_comparison(column: Column) -> None:
    predictions, _ = simulated()
    (record,) = compared(predictions, place=column)
    assert record["differences"] == {}
    assert len(record["counts"]) == len(np.unique(column))


def test_a_group_without_events_has_no_auroc_and_is_left_out() -> None:
    predictions, sex = simulated()
    sex[(sex == "male") & (predictions.label == 1)] = ""
    (record,) = compared(predictions, sex=sex)
    assert record["counts"]["male"]["events"] == 0
    assert record["compared"] == ["female"]


@pytest.mark.parametrize(("threshold", "rate"), [(0.0, 1.0), (1.0, 0.0)])
def test_where_all_or_none_raise_an_alarm_no_difference_is_significant(
    threshold: float, rate: float
) -> None:
    predictions, sex = simulated()
    (record,) = compared(predictions, threshold, sex=sex)
    numbers = record["differences"]["alarm_rate"]
    assert numbers["worst_value"] == numbers["best_value"] == rate
    low, high = numbers["difference_ci"]
    assert low < 0 < high  # though no resample differs
    assert numbers["p_value"] > 0.5


def test_a_group_without_an_alarm_differs_only_if_it_is_large() -> None:
    found = []
    for n in (60, 600):
        alarm = np.arange(2 * n) % 10 == 0  # 10 % of the first group, nobody of the second
        alarm[n:] = False
        label = np.arange(2 * n) % 2
        predictions = two_classes(np.where(alarm, 0.9, 0.3), label)
        (record,) = compared(predictions, 0.5, place=np.repeat(["a", "b"], n))
        found.append(record["differences"]["alarm_rate"]["p_value"])
    assert found[1] < 0.01 < found[0]


def test_constant_predictions_have_no_slope_and_no_significant_difference() -> None:
    predictions, sex = simulated()
    constant = two_classes(np.full(900, 0.3), predictions.label)
    (record,) = compared(constant, sex=sex)
    assert set(record["differences"]) == {"auroc", "o_e", "alarm_rate"}
    assert record["differences"]["auroc"]["p_value"] == 1
    assert record["differences"]["auroc"]["worst"] != record["differences"]["auroc"]["best"]


def test_a_perfect_model_is_compared() -> None:
    label = np.arange(200) % 2
    (record,) = compared(two_classes(0.05 + 0.9 * label, label), place=np.repeat(["a", "b"], 100))
    numbers = record["differences"]["auroc"]
    assert numbers["difference"] == 0
    assert numbers["p_value"] > 0.5


def test_scores_of_two_folds_are_not_ranked_together() -> None:
    first, sex = simulated()
    second, _ = simulated(seed=1)
    odds = second.probabilities[:, 1] ** 8  # the same ranks on another scale
    second = replace(
        second,
        probabilities=np.stack([1 - odds, odds], axis=1),
        example_id=np.char.add("z", second.example_id),
        group_id=np.char.add("z", second.group_id),
        subject_id=np.char.add("z", second.subject_id),
    )
    runs = [(part, {"sex": sex}, 0.4) for part in (first, second)]
    (record,) = group_differences(runs, 0, QUICK)
    differences: Any = record["differences"]
    worst = differences["auroc"]["worst"]
    mean = np.mean([auroc(part.where(sex == worst)) for part in (first, second)])
    assert differences["auroc"]["worst_value"] == pytest.approx(mean)


def test_times_to_an_event_are_compared_by_concordance_and_the_last_horizon() -> None:
    rng = np.random.default_rng(0)
    n, horizons = 600, (30.0, 90.0)
    risk = rng.uniform(0.2, 2, n)
    time, end = rng.exponential(100 / risk), rng.uniform(60, 200, n)
    event = (time <= end).astype(np.int64)
    intervals = Intervals(horizons, 1)
    survival = np.exp(-np.outer(risk, np.array(horizons)) / 100)
    chances = np.stack([survival[:, 1], 1 - survival[:, 0], survival[:, 0] - survival[:, 1]], 1)
    predictions = replace(
        two_classes(np.full(n, 0.5), np.zeros(n)),
        probabilities=chances.astype(np.float32),
        classes=("none", "by day 30", "by day 90"),
        label=intervals.label(np.minimum(time, end), event),
        time=np.minimum(time, end),
        event=event,
        horizons=horizons,
    )
    (record,) = compared(predictions, None, place=np.repeat(["a", "b"], n // 2))
    assert set(record["differences"]) == {"concordance", "o_e"}
    assert record["differences"]["o_e"]["worst_value"] == pytest.approx(1, abs=0.3)
    assert record["counts"]["a"]["alarms"] == 0  # there is no threshold
