"""Real data: the Bonn recordings are of 99 sessions, and a split by recording divides them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sequela.config import RunSettings
from sequela.datasets.catalog import EXCERPTS, Recording, load_recordings
from sequela.runs import signals
from sequela.runs.audit import audit
from sequela.signals import bonn, simultaneous
from sequela.signals.segments import Segments


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return load_recordings("bonn", EXCERPTS / "bonn.parquet")[0]


@pytest.mark.slow
def test_the_file_of_sessions_is_what_the_rule_gives(recordings: list[Recording]) -> None:
    given = [each.signal[0] for each in recordings]
    pairs = simultaneous.pairs(
        given, bonn.SFREQ, lag=bonn.LAG, decimate=False, bound=bonn.BOUND, spreads=0
    )
    ids = [each.recording_id for each in recordings]
    sets = Counter("".join(sorted((ids[one][0], ids[other][0]))) for one, other in pairs.tolist())
    assert sets == {"SS": 293, "FN": 281, "NN": 221, "FF": 210, "OO": 182, "ZZ": 100}
    assert simultaneous.sessions(ids, pairs) == [each.session_id for each in recordings]
    of_set = {(each.recording_id[0], each.session_id) for each in recordings}
    counts = Counter(letter for letter, _ in of_set)
    assert counts == {"Z": 33, "O": 20, "N": 19, "F": 20, "S": 21}
    assert len({session for _, session in of_set}) == 99


def test_sessions_are_known_under_any_name_and_in_the_uci_set(
    recordings: list[Recording], real_data: Path
) -> None:
    own = {each.recording_id: each.session_id for each in recordings}
    uci = load_recordings("uci-seizure", real_data / "uci-seizure")[0]
    assert len(uci) in (400, 500)  # an older copy lacks a fifth
    assert all(each.session_id == own[each.recording_id] for each in uci)
    renamed = [
        replace(each, recording_id=f"x{number}", session_id=None)
        for number, each in enumerate(recordings)
    ]
    assert [each.session_id for each in bonn.with_sessions(renamed)] == [*own.values()]


def test_a_recording_that_is_not_listed_joins_its_session(recordings: list[Recording]) -> None:
    """One that is changed a little, of a large session and of none."""
    of_session = Counter(each.session_id for each in recordings)
    large = next(each for each in recordings if of_session[each.session_id] == 18)
    alone = next(each for each in recordings if of_session[each.session_id] == 1)
    changed = {large.recording_id, alone.recording_id}
    given = [
        replace(each, signal=each.signal + (each.recording_id in changed)) for each in recordings
    ]
    now = {each.recording_id: each.session_id for each in bonn.with_sessions(given)}
    assert now == {each.recording_id: each.session_id for each in recordings}


def test_the_audit_finds_bonn_by_recording() -> None:
    """By session nothing is found: ``tests/runs/test_audit.py``."""
    data = signals.load(RunSettings(model="mlp-baseline", data="bonn", split="recording"), None)
    checks = Counter(each.check for each in audit(data) if each.severity == "leak")
    assert checks["simultaneous recordings"] == checks["overlapping groups"] == 3
    assert data.unit == "session"


def test_whole_recordings_have_sessions_too(segments: Callable[[str], Segments]) -> None:
    bonn = segments("bonn")
    sessions = {400: 95, 500: 99}[bonn.n_recordings]  # an older copy lacks a fifth
    assert len(np.unique(bonn.independent)) == sessions
