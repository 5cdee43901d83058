"""The simulation of the intervals of times to an event."""

import sys

import pytest
from benchmarks import survival


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
