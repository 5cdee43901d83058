import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from sequela.evaluation.random_effects import Pooled, pooled, prior_of, regression

Floats = NDArray[np.float64]
EUROSCORE = Path(__file__).parent / "euroscore_ii.csv"
"""The 23 validations of EuroSCORE II in R's metamisc (Guida and others 2014, doi:10.1016/
j.jtcvs.2014.07.039): deaths observed and expected, c-index with its error or interval."""
# metafor 4.8: dat <- escalc(measure="RR", ai=tpos, bi=tneg, ci=cpos, di=cneg, data=dat.bcg)
BCG = np.array(
    [
        (-0.8893113339, 0.325584765004, 44),
        (-1.5853886572, 0.194581121398, 55),
        (-1.3480731483, 0.415367965368, 42),
        (-1.4415511900, 0.020010031902, 52),
        (-0.2175473222, 0.051210172170, 13),
        (-0.7861155858, 0.006905618456, 44),
        (-1.6208982236, 0.223017247572, 19),
        (0.0119523335, 0.003961579298, 13),
        (-0.4694176487, 0.056434210463, 27),
        (-1.3713448035, 0.073024793613, 42),
        (-0.3393588283, 0.012412213972, 18),
        (0.4459134006, 0.532505845200, 33),
        (-0.0173139482, 0.071404659684, 33),
    ]
)


def plug_in(of: Pooled, sites: int, degrees: int) -> Floats:
    """The interval for a next site that other packages print: from one estimated spread."""
    error = (of.high - of.mean) / stats.t.ppf(0.975, sites - 1)
    reach = stats.t.ppf(0.975, degrees) * np.hypot(error, of.spread)
    return np.array([of.mean - reach, of.mean + reach])


def test_metafor_pools_the_bcg_trials_alike() -> None:
    result = pooled(BCG[:, 0], np.sqrt(BCG[:, 1]))
    # In R: fit <- rma(yi, vi, data=dat, test="knha"), predict(fit) and confint(fit).
    numbers = [result.mean, result.low, result.high, result.spread**2]
    assert numbers == pytest.approx([-0.714532, -1.108444, -0.320621, 0.313243], abs=2e-6)
    assert plug_in(result, 13, 12) == pytest.approx([-1.996017, 0.566952], abs=2e-6)
    assert [result.spread_low, result.spread_high] == pytest.approx([0.3460, 1.0543], abs=2e-4)
    # The interval that averages over the spread is wider.
    assert result.next_low < -1.996017 < 0.566952 < result.next_high


def test_metafor_regresses_the_bcg_trials_on_latitude_alike() -> None:
    # In R: rma(yi, vi, mods=~ablat, data=dat, test="knha", control=list(threshold=1e-12)).
    numbers = regression(BCG[:, 0], np.sqrt(BCG[:, 1]), BCG[:, 2])
    expected = [-0.0291017250, -0.0471529230, -0.0110505270, 0.0045650515, 0.0763479640**0.5]
    assert numbers == pytest.approx(expected, rel=1e-6)


def euroscore() -> dict[str, Floats]:
    with EUROSCORE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "study"]
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def c_index(data: dict[str, Floats]) -> tuple[Floats, Floats]:
    """The logit and its error: as published, from the interval, or by Newcombe 2006, method 4."""
    c, patients, events = data["c"], data["patients"], data["events"]
    half = patients / 2 - 1
    by_counts = c * (1 - c) * (1 + half * (1 - c) / (2 - c) + half * c / (1 + c))
    by_counts = np.sqrt(by_counts / (events * (patients - events))) / (c * (1 - c))
    by_interval = (logit(data["high"]) - logit(data["low"])) / (2 * stats.norm.ppf(0.975))
    error = np.where(np.isnan(by_interval), by_counts, by_interval)
    return logit(c), np.where(np.isnan(data["error"]), error, data["error"] / (c * (1 - c)))


def test_metamisc_pools_the_c_index_of_euroscore_alike() -> None:
    result = pooled(*c_index(euroscore()))
    # In R: valmeta(cstat=c.index, cstat.se=se.c.index, cstat.cilb=c.index.95CIl,
    # cstat.ciub=c.index.95CIu, N=n, O=n.events, data=EuroSCORE); as in JASP's data library.
    numbers = expit([result.mean, result.low, result.high])
    assert numbers == pytest.approx([0.78886028, 0.76487840, 0.81100049], abs=1e-6)
    assert expit(plug_in(result, 23, 21)) == pytest.approx([0.67925685, 0.86827358], abs=1e-6)
    assert expit([result.next_low, result.next_high]) == pytest.approx([0.675, 0.870], abs=1e-3)


def test_metamisc_pools_the_observed_over_expected_deaths_of_euroscore_alike() -> None:
    data = euroscore()
    value = np.log(data["events"] / data["expected"])
    error = np.sqrt((1 - data["events"] / data["patients"]) / data["events"])
    result = pooled(value, error)
    # In R: valmeta(measure="OE", O=n.events, E=e.events, N=n, data=EuroSCORE); as in the tests of
    # jaspMetaAnalysis.
    numbers = np.exp([result.mean, result.low, result.high])
    assert numbers == pytest.approx([1.10759728, 0.89989732, 1.36323522], abs=1e-6)
    assert np.exp(plug_in(result, 23, 21)) == pytest.approx([0.42952505, 2.85611220], abs=1e-5)
    # In R: rma(log(O/E), vi, mods=~log(n), test="knha") of metafor.
    slope = regression(value, error, np.log(data["patients"]))
    assert slope[:4] == pytest.approx([-0.14660968, -0.26737007, -0.02584928, 0.01969396], rel=1e-4)


@pytest.mark.parametrize("measure", ["auroc", "o_e"])
def test_the_posterior_is_that_of_a_plain_grid(measure: str) -> None:
    value, error = (numbers[:4] for numbers in c_index(euroscore()))
    prior = prior_of(measure, 1.3)
    result = pooled(value, error, prior)
    mean, spread = np.linspace(-20, 23, 2_151)[:, None], np.geomspace(1e-4, 9, 400)
    density = prior(spread) + np.log(spread)  # of the logarithm of the spread
    for y, s in zip(value, error, strict=True):
        density = density + stats.norm.logpdf(y, mean, np.hypot(s, spread))
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    assert result.mean == pytest.approx((weight * mean).sum(), abs=1e-3)
    assert result.spread == pytest.approx((weight * spread).sum(), rel=5e-3)
    below = np.cumsum(weight.sum(axis=1)) - weight.sum(axis=1) / 2
    for end, share in [(result.low, 0.025), (result.high, 0.975)]:
        assert np.interp(end, mean[:, 0], below) == pytest.approx(share, abs=1e-3)
    for end, share in [(result.next_low, 0.025), (result.next_high, 0.975)]:
        chance = (weight * stats.norm.cdf(end, mean, spread)).sum()
        assert chance == pytest.approx(share, abs=1e-3)


def test_the_prior_of_the_auroc_has_the_published_mean_and_sd_on_the_scale_of_the_auroc() -> None:
    spread = np.linspace(1e-4, 3, 100_000)  # of the logit
    weight = np.exp(prior_of("auroc", float(logit(0.8)))(spread))
    auroc_spread = spread * 0.8 * 0.2
    mean = np.average(auroc_spread, weights=weight)
    deviation = np.sqrt(np.average((auroc_spread - mean) ** 2, weights=weight))
    assert [mean, deviation] == pytest.approx([0.055, 0.015], rel=1e-3)


def test_the_priors_of_calibration_are_half_t_with_three_degrees_of_freedom() -> None:
    for measure, scale in [("o_e", 0.5), ("slope", 0.25)]:
        at_zero, at_one = prior_of(measure, 0.0)(np.array([0.0, 1.0]))
        assert at_zero - at_one == pytest.approx(2 * np.log1p(1 / (3 * scale**2)))


def test_without_errors_the_interval_for_a_next_site_is_that_of_student() -> None:
    value = np.array([0.2, 0.9, 1.1, 1.6])
    result = pooled(value, np.full(4, 1e-4))
    reach = stats.t.ppf(0.975, 3) * value.std(ddof=1) * np.sqrt(1 + 1 / 4)
    expected = [value.mean() - reach, value.mean() + reach]
    assert [result.next_low, result.next_high] == pytest.approx(expected, rel=2e-3)


def test_two_sites_suffice() -> None:
    result = pooled(np.array([0.8, 1.2]), np.array([0.2, 0.3]), prior_of("auroc", 1.0))
    assert result.next_low < result.low < result.mean < result.high < result.next_high
    assert result.spread_low < result.spread < result.spread_high


def test_a_site_is_judged_by_the_others_with_its_own_error() -> None:
    value, error = np.array([1.0, 1.1, 0.9, 1.05]), np.full(4, 0.1)
    for result in (pooled(value, error), pooled(value, error, prior_of("slope", 1.0))):
        assert result.below(result.next_low) == pytest.approx(0.025, abs=1e-6)
        assert result.below(0.2) < 0.025 < result.below(0.2, error=0.8)


def test_equal_values_do_not_give_an_interval_without_width() -> None:
    result = pooled(np.full(3, 0.8), np.full(3, 0.3))
    assert result.spread == 0
    reach = stats.t.ppf(0.975, 2) * 0.3 / np.sqrt(3)
    assert [result.low, result.high] == pytest.approx([0.8 - reach, 0.8 + reach])
