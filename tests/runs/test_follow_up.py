"""The audit of times to an event: planted faults are found, and fair data are not accused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sequela.config import Options
from sequela.models.reference import Times
from sequela.runs.audit import audit
from sequela.runs.data import Examples, load
from sequela.runs.follow_up import dependent, immortal
from sequela.sequences.intervals import Intervals
from sequela.studies.settings import run_settings

HORIZONS = (365.0, 730.0)


def times(time: NDArray[np.float64], event: NDArray[np.int64]) -> Times:
    return Times(time, event, Intervals(HORIZONS))


def drawn(n: int = 1000, rate: float = 400) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    death, end = rng.exponential(rate, n), rng.uniform(100, 2000, n)
    return np.ceil(np.minimum(death, end)), (death <= end).astype(np.int64)


def test_time_in_which_nobody_can_have_the_event_is_found() -> None:
    time, event = drawn()
    assert immortal(times(time, event)) is None
    kept = (time > 30) | (event == 0)  # those who died within a month were not included
    found = immortal(times(time[kept], event[kept]))
    assert found is not None
    assert (found.check, found.severity) == ("immortal time", "suspicion")
    assert found.facts["first"] == 34
    assert 40 < found.facts["expected"] < 110
    late = time + 30  # dated too early
    assert immortal(times(late, event)) is not None


def test_few_events_and_dates_without_hours_are_not_accused() -> None:
    time, event = drawn(40)
    kept = (time > 30) | (event == 0)
    assert immortal(times(time[kept], event[kept])) is None
    assert immortal(times(np.full(50, 9.0), np.ones(50, np.int64))) is None
    months = np.ceil(drawn()[0] / 30) * 30.0  # in months, the first is no gap
    assert immortal(times(months, drawn()[1])) is None


@pytest.fixture(scope="module")
def cohorts(
    write_meds: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[float], Examples]:
    """Make people of whom the ill die sooner, and are followed for a shorter or longer time."""

    def make(sooner: float) -> Examples:
        rng, rows = np.random.default_rng(1), list[tuple[Any, ...]]()
        start = np.datetime64("2000-01-01T00:00:00")
        for subject in range(900):
            ill = bool(rng.random() < 0.5)
            death, end = rng.exponential(400 if ill else 1600), rng.exponential(900)
            end /= sooner if ill else 1
            last = start + np.timedelta64(int(24 * min(death, end)) + 1, "h")
            rows += [
                (subject, str(start), "COHORT_ENTRY"),
                (subject, str(start), f"ICD10CM//{'I50' if ill else 'J10'}"),
                (subject, str(last), "MEDS_DEATH" if death <= end else "FOLLOW_UP_END"),
            ]
        work = tmp_path_factory.mktemp("followed")
        root = write_meds(work / "meds", rows, visits=False)
        options = Options.of(task="landmark", hours=1.0, horizons_days=HORIZONS)
        return load(run_settings("prevalence", "meds", options), root, work)

    return make


@pytest.mark.parametrize(("sooner", "word"), [(1.0, None), (8.0, "sooner"), (0.1, "later")])
def test_follow_up_that_ends_by_the_risk_is_found(
    cohorts: Callable[[float], Examples], sooner: float, word: str | None
) -> None:
    data = cohorts(sooner)
    assert data.times is not None
    found = dependent(data.times, data.arrays, np.arange(len(data.labels)))
    assert (found and found.facts["sooner"]) == word
    if found is not None:
        assert found.counts["all"] == len(data.labels)
        assert abs(found.facts["index"] - 0.5) > 0.1
    checks = [each.check for each in audit(data)]
    assert ("censoring that depends on the risk" in checks) == (word is not None)
