"""Sample sizes are those of the published examples."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.sample_size import (
    Need,
    cox_snell,
    cox_snell_of_times,
    for_classes,
    for_evaluation,
    for_times,
    precision,
    r2_of_loss,
)


def for_two(parameters: int, prevalence: float, r2: float, shrinkage: float = 0.9) -> list[Need]:
    return for_classes(parameters, (1 - prevalence, prevalence), (r2,), r2, shrinkage)


def patients(needs: list[Need]) -> list[int]:
    return [need.patients for need in needs]


def test_two_classes_as_published() -> None:
    # The example of pmsampsize 1.1.3, in its manual: 24 parameters, 662 patients.
    needs = for_two(24, prevalence=0.174, r2=0.288)
    assert patients(needs) == [623, 662, 221]
    assert needs[1].events == 116
    # Its tests: the first and third criteria; the second was rounded before version 1.1.1.
    assert patients(for_two(24, 0.174, 0.55))[::2] == [255, 221]
    assert patients(for_two(36, 0.174, 0.288))[::2] == [934, 221]
    assert patients(for_two(24, 0.25, 0.288))[::2] == [623, 289]


def test_times_as_published() -> None:
    # The example of pmsampsize 1.1.3, from Riley and others, BMJ 2020;368:m441: 5,143 patients.
    needs = for_times(30, rate=0.065, horizon=2, follow_up=2.07, r2=0.051)
    assert patients(needs)[:2] == [5143, 1039]
    assert needs[0].events == 692
    # Its tests 3.1, 3.2, 3.8 and 3.9.
    for example, count in (
        ((25, 0.065, 2, 2.07, 0.051), 4286),
        ((25, 0.065, 2, 2.07, 0.065), 3335),
        ((10, 0.09, 3, 3, 0.03), 2950),
        ((80, 0.03, 1, 5, 0.3), 1974),
    ):
        assert for_times(*example)[0].patients == count


def test_the_overall_risk_of_times_lies_in_its_margin() -> None:
    rate, horizon, follow_up = 0.065, 2.0, 2.07
    count = for_times(30, rate, horizon, follow_up, r2=0.051)[2].patients

    def margin(n: int) -> float:
        error = 1.96 * np.sqrt(rate / (follow_up * n))
        risk = 1 - np.exp(-rate * horizon)
        ends = 1 - np.exp(-(rate + error * np.array([-1, 1])) * horizon)
        return float(abs(ends - risk).max())

    assert margin(count) <= 0.05 < margin(count - 1)


def test_several_classes_as_published() -> None:
    # The worked example of Pate and others 2023, as their package multsampsize prints it.
    counts = np.array([2557, 186, 176, 467, 120])
    areas = (0.85, 0.92, 0.99, 0.95, 0.75, 0.95, 0.87, 0.87, 0.71, 0.82)
    r2 = (0.116, 0.179, 0.497, 0.168, 0.185, 0.499, 0.372, 0.329, 0.128, 0.210)
    pairs = [
        cox_snell(area, b / (a + b))
        for (a, b), area in zip(combinations(counts, 2), areas, strict=True)
    ]
    assert pairs == pytest.approx(r2, abs=0.0015)  # theirs are simulated
    shares = (counts / counts.sum()).tolist()
    highest = r2_of_loss(0, *shares)
    # With their R², which their simulation rounds, 13,136 patients.
    needed = patients(for_classes(17, shares, pairs, 0.15 * highest))
    assert needed == [pytest.approx(13136, rel=0.006), 1477, 524]
    # Their second example needs no simulation.
    shares = [1 / 6, 1 / 3, 1 / 2]
    pairs = [0.15 * r2_of_loss(0, a / (a + b), b / (a + b)) for a, b in combinations(shares, 2)]
    needed = patients(for_classes(17, shares, pairs, 0.15 * r2_of_loss(0, *shares)))
    assert needed[:2] == [2660, 714]


def test_an_evaluation_as_published() -> None:
    # The example of pmvalsampsize: valves that fail, 1.8 %, AUROC 0.8: 4,252 patients for it, and
    # 905 for an O:E whose interval has the width 1.
    needed = patients(for_evaluation(0.018, 0.8))
    assert needed[2] == 4252
    assert precision(905, 0.018, 0.8)["O:E"] == pytest.approx(1, abs=0.001)
    # Its last example simulates 16,175 patients for the slope with 10,000 draws.
    assert needed[1] == pytest.approx(16175, rel=0.06)


def test_r2_of_an_auroc_is_that_of_simulated_patients() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.random(400_000) < 0.2
    # Normal in both classes with this distance: the AUROC is 0.8.
    score = rng.normal(outcome * 1.1902, 1)
    logit = np.log(0.2 / 0.8) + 1.1902 * score - 1.1902**2 / 2
    loss = np.logaddexp(0, np.where(outcome, -logit, logit)).mean()
    assert cox_snell(0.8, 0.2) == pytest.approx(r2_of_loss(loss, 0.2, 0.8), abs=0.003)


def test_r2_of_a_concordance_is_that_of_riley() -> None:
    # By the steps of Riley 2019: D, the R² of Royston, that of O'Quigley, and the likelihood.
    events, d = 0.1346, 5.5 * 0.19 + 10.26 * 0.19**3
    royston = np.pi / 8 * d**2 / (np.pi**2 / 6 + np.pi / 8 * d**2)
    quigley = -(np.pi**2) / 6 * royston / ((1 - np.pi**2 / 6) * royston - 1)
    r2 = 1 - np.exp(events * np.log(1 - quigley))
    assert cox_snell_of_times(0.69, events) == pytest.approx(r2)


def test_widths_are_those_that_the_needs_ask_for() -> None:
    for need, width in zip(for_evaluation(0.12, 0.8), (0.2, 0.2, 0.1), strict=True):
        name = need.criterion.partition(": ")[0]
        assert precision(need.patients, 0.12, 0.8)[name] == pytest.approx(width, rel=0.005)
        if name == "AUROC":
            assert precision(need.patients - 1, 0.12, 0.8)[name] > width


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: for_two(0, 0.2, 0.1), "parameters is 0: expected 1 or more"),
        (lambda: for_two(5, 1.2, 0.1), "prevalence is 1.2: expected more than 0 and less than 1"),
        (lambda: for_two(5, 0.2, 0.7), "R² is 0.7: expected more than 0 and less than 0.632"),
        (lambda: for_two(5, 0.2, 0), "R² is 0: expected more than 0"),
        (lambda: for_two(5, 0.2, 0.1, 1.5), "shrinkage is 1.5: expected more than 0"),
        (lambda: for_two(10**9, 0.2, 0.1), "more than 1,000,000,000 patients are needed"),
        (lambda: for_times(5, 0, 2, 2, 0.1), "rate is 0: expected more than 0"),
        (lambda: for_times(5, 1, 2, 2, 0.1), "rate times follow-up is 2: expected more than 0 and"),
        (lambda: for_times(5, 0.1, 900, 2, 0.1), "rate times horizon is 90: expected more than"),
        (lambda: cox_snell(0.5, 0.2), "AUROC is 0.5: expected more than 0.5 and less than 0.999"),
        (lambda: for_evaluation(0.1, 1 - 1e-16), "AUROC is 1: expected more than 0.5"),
        (lambda: for_evaluation(1e-9, 0.8), "more than 1,000,000,000 patients are needed"),
        (lambda: cox_snell_of_times(0.4, 0.1), "concordance is 0.4: expected more than 0.5"),
        (lambda: precision(0, 0.1, 0.8), "patients is 0: expected more than 0"),
    ],
)
def test_impossible_plans_are_refused(call: Callable[[], object], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        call()
