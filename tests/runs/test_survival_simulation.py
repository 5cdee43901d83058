"""The audit of times to an event finds what is planted, and intervals hold the truth."""

import sys

import numpy as np
import pytest
from benchmarks import survival
from benchmarks.survival import HORIZONS, Patients

from sequela.models.reference import Times
from sequela.runs.followed import dependent, immortal
from sequela.sequences.intervals import Intervals


def times_of(patients: Patients, design: str, rng: np.random.Generator) -> Times:
    time, event = patients.outcomes(survival.CENSORING[design], rng).T
    return Times(time, event.astype(np.int64), Intervals(HORIZONS, 2))


@pytest.mark.parametrize("design", ["independent", "dependent"])
def test_censoring_that_depends_on_the_risk(design: str) -> None:
    rng = np.random.default_rng(0)
    patients = Patients.drawn(1000, rng)
    times = times_of(patients, design, rng)
    died = (times.event == 1) & (times.time <= HORIZONS[-1])
    found = dependent(times, patients.sequences(died), np.arange(1000))
    assert (found is None) == (design == "independent")
    if found:
        assert found.facts["sooner"] == "sooner"
        assert found.facts["index"] > 0.6
        assert found.counts["all"] == 1000


def test_time_without_any_event() -> None:
    rng = np.random.default_rng(0)
    times = times_of(Patients.drawn(1000, rng), "independent", rng)
    assert immortal(times) is None
    late = np.where(times.event == 1, times.time + 200, times.time)
    found = immortal(Times(late, times.event, times.intervals))
    assert found is not None
    assert found.facts["first"] >= 200


def test_the_simulation_prints_each_interval(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survival, "TRUTH", 20_000)
    monkeypatch.setattr(sys, "argv", ["survival", "--cohorts", "3", "--patients", "200"])
    survival.main()
    printed = capsys.readouterr().out
    assert printed.count("  of 3\n") == 3 * 14
    assert "independent censoring, 3 cohorts of 200 patients; by day 1826: 2" in printed
    assert printed.count("the audit reports dependent censoring in ") == 3
