"""Real data: no recording or patient is taken for a copy of another, and what is alike is said."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.real.conftest import Built

from sequela.config import Options
from sequela.identity.fingerprint import Content, matches
from sequela.identity.pseudonyms import own
from sequela.runs import records
from sequela.sequences.flat import content_of as content_of_records
from sequela.signals.segments import Segments, content_of
from sequela.studies.settings import run_settings


@pytest.fixture
def bonn(segments: Callable[[str], Segments]) -> Segments:
    return replace(segments("bonn"), session_id=None)  # recording by recording


@pytest.fixture
def uci(segments: Callable[[str], Segments]) -> Segments:
    return replace(segments("uci-seizure"), session_id=None)


def resembling(content: Content) -> int:
    found = matches(content, content)
    assert not found.copy.any()
    return len(found.reference)


def test_no_recording_is_a_copy_and_some_were_made_at_the_same_time(
    bonn: Segments, uci: Segments
) -> None:
    count = {400: 18, 500: 27}[bonn.n_recordings]  # an older copy lacks a fifth
    assert resembling(content_of(bonn)) == resembling(content_of(uci)) == count


def test_recordings_that_resemble_each_other_follow_each_other(bonn: Segments) -> None:
    content = content_of(bonn)
    found = matches(content, content)
    whole = bonn.signal.reshape(len(content.units), -1)
    whole = whole - whole.mean(axis=1, keepdims=True)
    for one, other in zip(found.reference.tolist(), found.query.tolist(), strict=True):
        a, b = np.fft.rfft(whole[one], 8192), np.fft.rfft(whole[other], 8192)
        product = np.fft.irfft(a * b.conj(), 8192)
        length = np.linalg.norm(whole[one]) * np.linalg.norm(whole[other])
        assert np.abs(product).max() / length > 0.8


def test_the_uci_data_are_the_bonn_recordings(bonn: Segments, uci: Segments) -> None:
    known, asked = content_of(bonn), content_of(uci)
    found = matches(known, asked)
    assert sorted(found.query[found.copy].tolist()) == list(range(len(asked.units)))
    assert len(np.unique(found.reference[found.copy])) == len(asked.units)


@pytest.mark.parametrize("gain", [1.03, 1.1, 2, -1])
@pytest.mark.parametrize("shift", [0, 1, 8, 89])
def test_changed_recordings_are_copies(bonn: Segments, gain: float, shift: int) -> None:
    whole = bonn.signal.reshape(len(np.unique(bonn.recording_id)), -1)[::8]
    changed = np.roll((gain * whole).round() + 20, -shift, axis=1)
    some = np.isin(bonn.recording_id, np.unique(bonn.recording_id)[::8])
    known = content_of(bonn.where(some))

    copy = replace(bonn.where(some), signal=changed.reshape(-1, *bonn.signal.shape[1:]))
    found = matches(known, content_of(copy))
    assert found.reference[found.copy].tolist() == found.query[found.copy].tolist()
    assert found.copy.sum() == len(whole)


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ("mimic3", {"task": "report-2019"}),
        ("mimic3", {"task": "post-discharge", "min_subjects": 1}),
        ("mimic4", {}),
        ("mimic4", {"task": "post-discharge", "min_subjects": 1}),
        ("eicu", {}),
        ("eicu", {"min_subjects": 1}),
        ("physionet2012", {}),
    ],
)
def test_no_patient_is_a_copy(
    built: Built, work: Path, data: str, asked: dict[str, object]
) -> None:
    settings = run_settings("visits-baseline", data, Options.of(**asked))
    assert settings.cohort is not None
    sequences = records.load(settings, built(data, settings.cohort.tables), work).arrays
    content = content_of_records(sequences, own())
    assert not len(matches(content, content).reference)
