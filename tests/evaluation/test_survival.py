"""Numbers of the time to an event are those of scikit-survival, lifelines and hazardous."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.evaluation import survival
from sequela.evaluation.survival import TimesToEvent

HORIZONS = np.array([1.0, 2.0, 3.5])


def made(n: int, *, ties: bool = False, causes: int = 1, seed: int = 0) -> TimesToEvent:
    rng = np.random.default_rng(seed)
    time = rng.exponential(3.0, n)
    if ties:
        time = np.ceil(time * 2) / 2
    event = rng.integers(0, causes + 1, n)
    return TimesToEvent(time, event, np.arange(n))


def risks(n: int, *, ties: bool = False) -> NDArray[np.float64]:
    risk = np.sort(np.random.default_rng(7).random((n, len(HORIZONS))), axis=1)
    return risk.round(1) if ties else risk


def structured(outcomes: TimesToEvent) -> NDArray[np.void]:
    from sksurv.util import Surv

    found: NDArray[np.void] = Surv.from_arrays(outcomes.event == 1, outcomes.time)
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of old versions of their packages
@pytest.mark.parametrize("ties", [False, True])
def test_scikit_survival(*, ties: bool) -> None:
    sksurv = pytest.importorskip("sksurv.metrics")
    train, test = made(300, ties=ties, seed=1), made(200, ties=ties)
    risk = risks(200, ties=ties)
    y, of_training = structured(test), structured(train)
    ours = survival.concordance(test, risk[:, 0]).estimate
    expected = sksurv.concordance_index_censored(test.event == 1, test.time, risk[:, 0])[0]
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    ours = survival.concordance(test, risk[:, 0], train, until=4.0).estimate
    expected = sksurv.concordance_index_ipcw(of_training, y, risk[:, 0], tau=4.0)[0]
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    scores = survival.brier(test, risk, HORIZONS, train)
    expected = sksurv.brier_score(of_training, y, 1 - risk, HORIZONS)[1]
    np.testing.assert_allclose(scores.estimate, expected, atol=1e-12)
    ours = survival.integrated(scores, HORIZONS).estimate
    expected = sksurv.integrated_brier_score(of_training, y, 1 - risk, HORIZONS)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    areas = [
        survival.auroc_at(test, risk[:, i], at, train).estimate
        for i, at in enumerate(HORIZONS.tolist())
    ]
    expected = sksurv.cumulative_dynamic_auc(of_training, y, risk, HORIZONS)[0]
    np.testing.assert_allclose(areas, expected, atol=1e-12)


def test_the_incidence_is_that_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    for ties in (False, True):
        outcomes = made(150, ties=ties)
        kaplan_meier = lifelines.KaplanMeierFitter().fit(outcomes.time, outcomes.event)
        expected = 1 - kaplan_meier.survival_function_at_times(HORIZONS).to_numpy()
        found = survival.incidence(outcomes, HORIZONS).estimate
        np.testing.assert_allclose(found, expected, atol=1e-12)
    outcomes = made(150, causes=2)
    fitter = lifelines.AalenJohansenFitter(calculate_variance=False)
    curve = fitter.fit(outcomes.time, outcomes.event, event_of_interest=1).cumulative_density_
    expected = curve.iloc[np.searchsorted(curve.index, HORIZONS, side="right") - 1].to_numpy()
    found = survival.incidence(outcomes, HORIZONS).estimate
    np.testing.assert_allclose(found, expected[:, 0], atol=1e-12)


@pytest.mark.slow
def test_the_brier_score_of_competing_events_is_that_of_hazardous() -> None:
    import pandas as pd  # type: ignore[import-untyped]
    from hazardous import metrics

    train, test = made(300, causes=2, seed=1), made(200, causes=2)
    risk = risks(200)
    y_train, y = (
        pd.DataFrame({"event": each.event, "duration": each.time}) for each in (train, test)
    )
    expected = metrics.brier_score_incidence(y_train, y, risk, HORIZONS, event_of_interest=1)
    found = survival.brier(test, risk, HORIZONS, train).estimate
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_concordance_of_all_pairs(seed: int, n: int) -> None:
    """Weights, ties, competing events and groups: equal to a loop over all pairs."""
    rng = np.random.default_rng(seed)
    time, event = rng.integers(0, 5, n) / 1.0, rng.integers(0, 3, n)
    risk, group = rng.integers(0, 4, n) / 4, np.sort(rng.integers(0, n, n))
    group = np.unique(group, return_inverse=True)[1]
    weights = rng.integers(0, 3, (4, int(group.max()) + 1)).astype(float)
    found = survival.concordance(TimesToEvent(time, event, group), risk)(weights)
    for row, weight in zip(found, weights[:, group], strict=True):
        right = pairs = 0.0
        for i in np.flatnonzero(event == 1):
            for j in range(n):
                if event[j] > 1 or time[j] > time[i] or (time[j] == time[i] and event[j] == 0):
                    pairs += weight[i] * weight[j]
                    share = (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
                    right += weight[i] * weight[j] * share
        np.testing.assert_allclose(row, right / pairs if pairs else np.nan)


def test_without_censoring_net_benefit_is_the_plain_one() -> None:
    rng = np.random.default_rng(0)
    outcomes = TimesToEvent(rng.exponential(2, 100), np.ones(100, np.int64), np.arange(100))
    risk, thresholds = rng.random(100), np.array([0.2, 0.5])
    found = survival.net_benefit_at(outcomes, risk, 1.0, thresholds).estimate
    happened = outcomes.time <= 1
    expected = [
        np.mean(((risk >= t) & happened) - ((risk >= t) & ~happened) * t / (1 - t))
        for t in thresholds
    ]
    np.testing.assert_allclose(found, expected)


def test_times_that_cannot_be() -> None:
    one = np.ones(2, np.int64)
    with pytest.raises(DataError, match=r"1 of 2 times .* \(the first in row 2\)"):
        TimesToEvent(np.array([1.0, np.nan]), one, one - 1)
    with pytest.raises(DataError, match="no times to an event"):
        TimesToEvent(np.empty(0), one[:0], one[:0])
    outcomes = TimesToEvent(np.array([1.0, 5.0]), np.array([1, 0]), np.arange(2))
    outcomes.check_horizons(np.array([4.9]))
    with pytest.raises(DataError, match="above 0 and below 5"):
        outcomes.check_horizons(np.array([1.0, 5.0]))
