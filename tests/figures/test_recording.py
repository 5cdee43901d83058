"""Pictures of a long recording: all of it, and an event from near."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from altair.utils import schemapi

from sequela.figures.figure import Figure
from sequela.figures.recording import ScoredRecording, near, whole

Checked = Callable[[Figure], list[str]]
HOURS = 8
FLAT = (10_000, 10_300)


@pytest.fixture
def scored() -> ScoredRecording:
    """A night with one event of 12 s, and five minutes that were not scored."""
    times = np.arange(0.5, HOURS * 3600, 0.5)
    chance = np.full(len(times), 0.02, np.float32)
    chance[(times >= 7000) & (times < 7012)] = 0.9
    chance[(times >= FLAT[0]) & (times < FLAT[1])] = np.nan
    ranges = np.full(len(times), 80, np.float32)
    return ScoredRecording(times, chance, ranges, 0.5, "seizure", [(7000, 7012)], [(7001, 7015)])


def test_no_event_of_a_night_is_too_short_to_be_seen(
    scored: ScoredRecording, checked: Checked
) -> None:
    figure = whole(scored, HOURS * 3600)
    assert {"hours from the start", "found", "known"} <= set(checked(figure))
    assert max(row["probability"] or 0 for row in figure.rows) == pytest.approx(0.9)
    not_scored = [row["time"] * 3600 for row in figure.rows if row["probability"] is None]
    assert not_scored
    assert FLAT[0] < min(not_scored) < max(not_scored) < FLAT[1]
    assert "A recording of 8:00:00: the probability of seizure is at most 90.0%" in figure.alt
    assert "events found: 1:56:40 to 1:56:52; events known: 1:56:41 to 1:56:55" in figure.alt


def test_no_row_of_a_picture_is_checked_alone(
    scored: ScoredRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Altair would take longer for that than for the drawing."""
    checked: list[object] = []
    monkeypatch.setattr(
        schemapi, "validate_jsonschema", lambda found, *_, **__: checked.append(found)
    )
    signal = np.random.default_rng(0).normal(size=(19, 25_600))
    near(scored, signal, [f"channel {n}" for n in range(19)], (6990, 7090)).svg("near")
    assert checked
    assert "'time'" not in repr(checked)


@pytest.mark.parametrize("windows", [1, 2, 40])
def test_the_range_of_a_short_recording_is_seen(windows: int, checked: Checked) -> None:
    """It is drawn from zero, also where a span of time has one window."""
    times, ranges = np.arange(windows) + np.float64(0.5), np.full(windows, 80, np.float32)
    short = ScoredRecording(times, np.full(windows, 0.1, np.float32), ranges, 0.5, "seizure", [])
    figure = whole(short, windows + 0.5)
    assert "seconds from the start" in checked(figure)
    (area,) = re.findall(r'd="([^"]*)" fill="var\(--ink\)"', figure.svg("a"))
    at = [pair.split(",") for pair in re.findall("[-.\\d]+,[-.\\d]+", area)]
    across, down = ([float(pair[axis]) for pair in at] for axis in (0, 1))
    assert max(across) - min(across) == pytest.approx(940)
    assert max(down) - min(down) > 20


def test_without_known_events_there_is_no_strip_of_them(
    scored: ScoredRecording, checked: Checked
) -> None:
    alone = ScoredRecording(**{**vars(scored), "reference": None, "detected": []})
    texts = checked(whole(alone, HOURS * 3600))
    assert "known" not in texts
    assert "events found: none" in whole(alone, HOURS * 3600).alt


def test_a_spike_is_seen_from_near(scored: ScoredRecording, checked: Checked) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(2, 32 * 256))
    signal[1, 3000] = 700  # one sample of thousands
    figure = near(scored, signal, ("Fp1-F7", "it's"), (6990, 7022))
    assert {"Fp1-F7", "it's", "seconds from the start"} <= set(checked(figure))
    highest = max(figure.rows, key=lambda row: row["high"])
    assert highest["channel"] == "it's"
    assert highest["high"] == pytest.approx(700, abs=2)
    assert highest["time"] == pytest.approx(6990 + 3000 / 256, abs=0.1)
    assert "from 1:56:30 to 1:57:02, 2 channels" in figure.alt


def test_a_gap_is_drawn_as_nothing(scored: ScoredRecording, checked: Checked) -> None:
    scored.range[(scored.times >= FLAT[0]) & (scored.times < FLAT[1])] = np.nan
    rows = whole(scored, HOURS * 3600).rows
    empty = [row["time"] * 3600 for row in rows if row["high"] is None]
    assert empty
    assert FLAT[0] < min(empty) < max(empty) < FLAT[1]
    signal = np.random.default_rng(0).normal(scale=20, size=(2, 32 * 256))
    signal[:, 20 * 256 :] = np.nan
    figure = near(scored, signal, ("C3", "C4"), (6990, 7022))
    assert "C3" in checked(figure)
    drawn = [row["time"] for row in figure.rows if row["high"] is not None]
    assert max(drawn) < 7010.1
    assert len(drawn) == pytest.approx(len(figure.rows) * 20 / 32, rel=0.02)
