"""The Bonn and UCI data as published."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sequela.config import Options
from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.runs import fit
from sequela.signals import bonn
from sequela.signals.bonn import CLASSES
from sequela.signals.segments import cut
from sequela.studies.settings import run_settings


def test_bonn_and_uci_give_the_same_segments(real_data: Path) -> None:
    from_bonn = cut(load_recordings("bonn", real_data / "bonn")[0], 178, CLASSES)
    from_uci = cut(load_recordings("uci-seizure", real_data / "uci-seizure")[0], 178, CLASSES)
    count = from_bonn.n_recordings
    assert count in (400, 500)  # an older copy lacks a fifth
    assert (len(from_bonn), from_bonn.n_dropped, from_uci.n_dropped) == (count * 23, count * 3, 0)
    for field in ("signal", "label", "segment_id", "recording_id"):
        bonn, uci = getattr(from_bonn, field), getattr(from_uci, field)
        assert bonn.dtype == uci.dtype
        np.testing.assert_array_equal(bonn, uci)
    assert np.bincount(from_bonn.label).tolist() == [count // 5 * 23] * 5


def test_the_excerpt_equals_the_originals(real_data: Path) -> None:
    originals, _ = load_recordings("bonn", real_data / "bonn")
    excerpt, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    assert len(excerpt) == 500
    kept_by_id = {kept.recording_id: kept for kept in excerpt}
    for original in originals:
        kept = kept_by_id[original.recording_id]
        assert (original.recording_id, original.label) == (kept.recording_id, kept.label)
        np.testing.assert_array_equal(original.signal, kept.signal)


@pytest.fixture
def complete(real_data: Path) -> Path:
    """Return the folder of the real data, if all 500 recordings are in it."""
    if len([*(real_data / "bonn").rglob("*.*")]) < 500:
        pytest.skip("an older copy of the recordings lacks a fifth")
    return real_data


def make_excerpt(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    out.mkdir()
    script = Path(__file__).parents[2] / "scripts" / "make_excerpts.py"
    return subprocess.run(
        [sys.executable, script, "bonn", "--root", root, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_makes_the_same_excerpt_each_time(complete: Path, tmp_path: Path) -> None:
    files = []
    for out in (tmp_path / "once", tmp_path / "again"):
        assert make_excerpt(complete, out).returncode == 0
        files.append(out / "bonn.parquet")
    assert files[0].read_bytes() == files[1].read_bytes()
    for made, kept in zip(
        bonn.read_excerpt(files[0]), bonn.read_excerpt(EXCERPTS / "bonn.parquet"), strict=True
    ):
        assert made.recording_id == kept.recording_id
        np.testing.assert_array_equal(made.signal, kept.signal)


def test_the_script_takes_nothing_but_the_originals(complete: Path, tmp_path: Path) -> None:
    for file in (complete / "bonn").rglob("*.*"):
        copy = tmp_path / "bonn" / file.relative_to(complete / "bonn")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    spoilt = tmp_path / "bonn" / "S" / "S001.txt"
    spoilt.write_bytes(spoilt.read_bytes().replace(b"1", b"2", 1))
    made = make_excerpt(tmp_path, tmp_path / "out")
    assert made.returncode == 1
    assert "S001.txt is not the published file: its SHA-256 differs" in made.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_recording_attention_tells_whole_recordings_apart(real_data: Path, tmp_path: Path) -> None:
    """Fifteen epochs reach 0.93 on this split; 0.79, 0.89 and 0.88 on those of seeds 0, 2 and 3.

    One silent branch hardly shows here, since the others stand in for it: each has its own test
    against plain formulas.
    """
    options = Options.of(seed=1, epochs=15, refit=False)
    settings = run_settings("recording-attention", "bonn", options)
    run = fit.train(settings, tmp_path / "run", root=real_data / "bonn")
    assert run.metrics["data"]["examples"] in (400, 500)
    assert run.metrics["parts"]["tuning"]["accuracy"] >= 0.88
