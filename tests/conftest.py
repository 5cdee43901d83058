"""Small data sets in the published forms, and a machine without any."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sequela.sources.catalog import EXCERPTS, load_recordings
from sequela.sources.recordings import Recording


@pytest.fixture(scope="session")
def excerpt() -> dict[str, Recording]:
    """The recordings that ship with the package, by id."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    return {each.recording_id: each for each in recordings}


@pytest.fixture(scope="session")
def as_text() -> Callable[[Recording], bytes]:
    """A recording as the publisher writes it: one whole number a line."""

    def write(recording: Recording) -> bytes:
        return b"".join(b"%d\n" % value for value in recording.signal[0])

    return write


@pytest.fixture
def bonn_folder(
    tmp_path: Path, excerpt: dict[str, Recording], as_text: Callable[[Recording], bytes]
) -> Path:
    """The five folders of the Bonn data with two recordings each; set N has names in capitals."""
    root = tmp_path / "bonn"
    for letter in "ZONFS":
        (root / letter).mkdir(parents=True)
        for recording_id in (f"{letter}001", f"{letter}002"):
            source = excerpt.get(recording_id, excerpt["Z003"])  # Z002 is not in the excerpt
            name = f"{recording_id}.{'TXT' if letter == 'N' else 'txt'}"
            (root / letter / name).write_bytes(as_text(source))
    return root


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No $SEQUELA_DATA, and a user's cache that is empty; the cache's folder."""
    monkeypatch.delenv("SEQUELA_DATA", raising=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr("sequela.sources.catalog.cache_folder", lambda name: cache / name)
    monkeypatch.setattr("sequela.sources.fetch.cache_folder", lambda name: cache / name)
    return cache


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders in the form of the Bonn data, ten recordings a set, whose classes can be learnt."""
    root = tmp_path_factory.mktemp("synthetic")
    rng = np.random.default_rng(7)
    time = np.arange(4097) / 173.61
    for index, letter in enumerate("ZONFS"):
        (root / letter).mkdir()
        for number in range(1, 11):
            wave = np.sin(2 * np.pi * (2 + 4 * index) * time + rng.uniform(0, 2 * np.pi))
            signal = (40 + 30 * index) * wave + rng.normal(scale=30, size=len(time))
            text = "".join(f"{round(value)}\n" for value in signal)
            (root / letter / f"{letter}{number:03d}.txt").write_text(text, "utf-8")
    return root
