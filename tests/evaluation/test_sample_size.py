"""Sample sizes are those of the published examples."""

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.sample_size import (
    Need,
    cox_snell,
    for_evaluation,
    for_times,
    for_two_classes,
    precision,
    slope_variance,
)


def patients(needs: list[Need]) -> list[int]:
    return [need.patients for need in needs]


def test_two_classes_as_published() -> None:
    # The example of pmsampsize 1.1.3, in its manual: 24 parameters, 662 patients.
    needs = for_two_classes(24, prevalence=0.174, r2=0.288)
    assert patients(needs) == [623, 662, 221]
    assert needs[1].events == 116


def test_times_as_published() -> None:
    # The example of pmsampsize 1.1.3, from Riley and others, BMJ 2020;368:m441: 5,143 patients.
    needs = for_times(30, rate=0.065, horizon=2, follow_up=2.07, r2=0.051)
    assert patients(needs)[:2] == [5143, 1039]
    assert needs[0].events == 692


def test_the_overall_risk_of_times_lies_in_its_margin() -> None:
    rate, horizon, follow_up = 0.065, 2.0, 2.07
    count = for_times(30, rate, horizon, follow_up, r2=0.051)[2].patients

    def margin(n: int) -> float:
        error = 1.96 * np.sqrt(rate / (follow_up * n))
        risk = 1 - np.exp(-rate * horizon)
        ends = 1 - np.exp(-(rate + error * np.array([-1, 1])) * horizon)
        return float(abs(ends - risk).max())

    assert margin(count) <= 0.05 < margin(count - 1)


def test_an_evaluation_as_published() -> None:
    # The example of pmvalsampsize: valves that fail, 1.8 %, AUROC 0.8: 4,252 patients for it.
    assert patients(for_evaluation(0.018, 0.8))[2] == 4252
    # With the logits of that example, normal (-5, 2.5), it simulates 4,501 with 1,000 draws.
    draws = np.random.default_rng(0).normal(-5, 2.5, 1_000_000)
    variance = slope_variance(draws, np.full(len(draws), 1e-6))
    assert variance / (0.2 / 3.92) ** 2 == pytest.approx(4554, rel=0.01)


def test_r2_of_an_auroc_is_that_of_simulated_patients() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.random(400_000) < 0.2
    # Normal in both classes with this distance: the AUROC is 0.8.
    score = rng.normal(outcome * 1.1902, 1)
    logit = np.log(0.2 / 0.8) + 1.1902 * score - 1.1902**2 / 2
    gain = np.where(outcome, -np.logaddexp(0, -logit), -np.logaddexp(0, logit)).mean()
    null = 0.2 * np.log(0.2) + 0.8 * np.log(0.8)
    assert cox_snell(0.8, 0.2) == pytest.approx(1 - np.exp(2 * (null - gain)), abs=0.003)


def test_widths_are_those_that_the_needs_ask_for() -> None:
    for need, width in zip(for_evaluation(0.12, 0.8), (0.2, 0.2, 0.1), strict=True):
        name = need.criterion.partition(": ")[0]
        assert precision(need.patients, 0.12, 0.8)[name] == pytest.approx(width, rel=0.005)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: for_two_classes(0, 0.2, 0.1), "parameters is 0: expected 1 or more"),
        (lambda: for_two_classes(5, 1.2, 0.1), "prevalence is 1.2: expected more than 0"),
        (lambda: for_two_classes(5, 0.2, 0.7), "less than 0.632, the highest"),
        (lambda: for_times(5, 0, 2, 2, 0.1), "rate is 0: expected more than 0"),
        (lambda: cox_snell(0.5, 0.2), "AUROC is 0.5: expected more than 0.5"),
    ],
)
def test_impossible_plans_are_refused(call: object, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        call()  # type: ignore[operator]
