"""The Bonn and UCI data as published."""

import hashlib
from pathlib import Path

import numpy as np

from sequela.cohort.segments import cut
from sequela.sources.catalog import EXCERPTS, load_recordings


def test_bonn_and_uci_give_the_same_segments(real_data: Path) -> None:
    from_bonn = cut(load_recordings("bonn", real_data / "bonn")[0])
    from_uci = cut(load_recordings("uci-seizure", real_data / "uci-seizure")[0])
    assert (len(from_bonn), from_bonn.n_dropped, from_uci.n_dropped) == (9200, 400 * 3, 0)
    for field in ("signal", "label", "segment_id", "recording_id"):
        bonn, uci = getattr(from_bonn, field), getattr(from_uci, field)
        assert bonn.dtype == uci.dtype
        np.testing.assert_array_equal(bonn, uci)
    assert np.bincount(from_bonn.label).tolist() == [80 * 23] * 5


def test_the_excerpt_equals_the_originals(real_data: Path) -> None:
    originals, _ = load_recordings("bonn", real_data / "bonn")
    excerpt, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    assert len(excerpt) == 400
    for original, kept in zip(originals, excerpt, strict=True):
        assert (original.recording_id, original.label) == (kept.recording_id, kept.label)
        np.testing.assert_array_equal(original.signal, kept.signal)


def test_the_originals_are_those_whose_checksums_are_kept(real_data: Path) -> None:
    kept = Path(__file__).parents[2] / "scripts" / "originals.sha256"
    lines = [line.split() for line in kept.read_text("utf-8").splitlines()]
    bonn = {path: digest for digest, path in lines if path.startswith("bonn/")}
    assert len(bonn) == 400
    for path, digest in bonn.items():
        assert hashlib.sha256((real_data / path).read_bytes()).hexdigest() == digest
