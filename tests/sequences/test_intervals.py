"""Intervals of time as classes, against slow references and published estimators."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sequela.evaluation.survival import TimesToEvent, incidence
from sequela.models.reference import REFERENCE_MODELS, Examples, Times
from sequela.sequences.intervals import Intervals

HORIZONS = (10.0, 30.0, 60.0)
TIMES = st.floats(0.5, 90) | st.sampled_from(HORIZONS)
PEOPLE = st.lists(st.tuples(TIMES, st.integers(0, 2)), min_size=1, max_size=30)


def of(people: list[tuple[float, int]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return np.array([t for t, _ in people]), np.array([e for _, e in people])


def random_hazards(seed: int, n: int, causes: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(1 + causes), (n, len(HORIZONS)))


def test_the_class_is_the_interval_in_which_the_event_came() -> None:
    people = [(5.0, 1), (10.0, 1), (10.5, 1), (60.0, 1), (60.5, 1), (5.0, 0), (70.0, 0), (31.0, 2)]
    assert Intervals(HORIZONS, 2).label(*of(people)).tolist() == [1, 1, 2, 3, 0, 0, 0, 6]


def test_an_end_of_follow_up_leaves_later_classes_possible() -> None:
    found = Intervals(HORIZONS).possible(
        *of([(5.0, 1), (15.0, 0), (10.0, 0), (60.0, 0), (99.0, 1)])
    )
    expected = [[0, 1, 0, 0], [1, 0, 0.75, 1], [1, 0, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(found, np.array(expected))
    found = Intervals(HORIZONS, 2).possible(*of([(45.0, 0), (45.0, 2)]))
    np.testing.assert_allclose(found, np.array([[1, 0, 0, 0.5, 0, 0, 0.5], [0, 0, 0, 0, 0, 0, 1]]))


@given(PEOPLE)
def test_rows_at_risk_are_those_of_a_loop(people: list[tuple[float, int]]) -> None:
    rows = []
    for example, (time, event) in enumerate(people):
        for interval, (start, end) in enumerate(zip((0.0, *HORIZONS), HORIZONS, strict=False)):
            if time <= start:
                break
            last = time <= end
            seen = event if last else 0
            rows.append(
                (example, interval, seen, 1 if seen or not last else (time - start) / (end - start))
            )
    found = list(
        zip(*(each.tolist() for each in Intervals(HORIZONS, 2).at_risk(*of(people))), strict=True)
    )
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    np.testing.assert_allclose([row[3] for row in found], [row[3] for row in rows])


@given(PEOPLE)
def test_the_counts_of_ends_and_the_followed_are_all(people: list[tuple[float, int]]) -> None:
    time, event = of(people)
    ends = Intervals(HORIZONS, 2).ends(time, event)
    assert ends[1:] == [int(((event == cause) & (time <= 60)).sum()) for cause in (1, 2)]
    assert ends[0] == int(((event == 0) & (time < 60)).sum())


@pytest.mark.parametrize("causes", [1, 2])
def test_numpy_and_torch_give_the_same_probabilities(causes: int) -> None:
    torch = pytest.importorskip("torch")
    hazards, intervals = random_hazards(1, 20, causes), Intervals(HORIZONS, causes)
    found = intervals.from_hazards(hazards)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found.shape == (20, intervals.n_classes)
    np.testing.assert_allclose(intervals.from_hazards(torch.from_numpy(hazards)).numpy(), found)
    free = np.cumprod(hazards[:, :, 0], axis=1)
    np.testing.assert_allclose(sum(intervals.risk(found, c + 1) for c in range(causes)), 1 - free)


def test_the_risk_rises_evenly_within_an_interval() -> None:
    intervals = Intervals(HORIZONS)
    chances = np.array([[0.2, 0.1, 0.4, 0.3], [1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(intervals.risk(chances), np.array([[0.1, 0.5, 0.8], [0, 0, 0]]))
    assert intervals.quantile(chances, 0.05).tolist() == [5.0, np.inf]
    assert intervals.quantile(chances, 0.3).tolist() == [20.0, np.inf]
    assert intervals.quantile(chances, 0.8)[0] == pytest.approx(60)
    assert intervals.quantile(chances, 0.81).tolist() == [np.inf, np.inf]


@given(st.integers(0, 99), st.floats(0.01, 0.99))
def test_the_risk_by_the_quantile_is_the_share(seed: int, share: float) -> None:
    intervals = Intervals(HORIZONS)
    chances = intervals.from_hazards(random_hazards(seed, 5, 1))
    for row, day in zip(chances, intervals.quantile(chances, share), strict=True):
        if np.isfinite(day):
            risks = [0.0, *intervals.risk(row[None])[0]]
            assert np.interp(day, (0.0, *HORIZONS), risks) == pytest.approx(share)
        else:
            assert intervals.risk(row[None])[0, -1] < share


def prevalence(time: NDArray[np.float64], event: NDArray[np.int64], causes: int) -> Any:
    intervals, rows = Intervals(HORIZONS, causes), np.arange(len(time))
    examples = Examples(
        np.empty((len(time), 0), np.float32),
        intervals.label(time, event),
        rows,
        rows,
        intervals.n_classes,
        times=Times(time, event, intervals),
    )
    model = REFERENCE_MODELS["prevalence"]
    (found,) = model.predict(model.fit(examples, 0), np.empty((1, 0), np.float32))
    return [intervals.risk(found[None], cause + 1)[0] for cause in range(causes)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of lifelines
def test_the_life_table_is_the_estimator_of_kaplan_and_meier() -> None:
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(0)
    time, event = rng.choice(HORIZONS, 200), rng.integers(0, 2, 200)
    curve = lifelines.KaplanMeierFitter().fit(time, event)
    (risk,) = prevalence(time, event, 1)
    np.testing.assert_allclose(risk, 1 - curve.predict(HORIZONS), atol=1e-6)


def test_with_competing_events_it_is_the_estimator_of_aalen_and_johansen() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.choice(HORIZONS, 300), rng.integers(0, 3, 300)
    outcomes = TimesToEvent(time, event, np.arange(300))
    for cause, risk in enumerate(prevalence(time, event, 2), 1):
        expected = incidence(outcomes, np.array(HORIZONS), cause).estimate
        np.testing.assert_allclose(risk, expected, atol=1e-6)
