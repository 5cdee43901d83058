"""The real data sets, where this machine has them."""

import os
from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path

import pytest
from tests.conftest import Once

from sequela.datasets.catalog import load_recordings, lookup
from sequela.signals.segments import Segments, cut
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

FOLDERS = {
    "bonn": "bonn",
    "uci-seizure": "uci-seizure",
    "eicu": "eicu-demo",
    "mimic3": "mimic3-demo",
    "mimic4": "mimic4-demo",
    "omop": "mimic4-omop-demo",
    "physionet2012": "physionet2012",
}
Built = Callable[..., Path]
"""The events of a published data set by its name, the tables to read and where it lies."""


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder $SEQUELA_DATA; a test that needs it skips without, unless that is forbidden."""
    named = os.environ.get("SEQUELA_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    found = f"SEQUELA_DATA is {named}, which is no folder" if named else "SEQUELA_DATA is not set"
    if named or os.environ.get("SEQUELA_REQUIRE_REAL_DATA") == "1":
        pytest.fail(f"{found}: it must name the folder with the real data sets")
    pytest.skip(f"{found}: real data sets are not tested")


def set_a(real_data: Path, once: Once) -> Path:
    """Return a folder with set a of PhysioNet 2012 alone, next to which others may lie."""

    def fill(folder: Path) -> None:
        for name in ("set-a.tar.gz", "Outcomes-a.txt"):
            (folder / name).symlink_to(real_data / FOLDERS["physionet2012"] / name)

    return once("real-set-a", fill)


@pytest.fixture(scope="session")
def built(real_data: Path, once: Once) -> Built:
    """Build the events of a data set once for all tests, which only read them."""

    def get(name: str, tables: Collection[str] = (), at: str = "") -> Path:
        root = set_a(real_data, once) if name == "physionet2012" else real_data / FOLDERS[name]
        root = real_data / at if at else root
        digest = sha256(repr(sorted(tables)).encode()).hexdigest()[:8]

        def fill(folder: Path) -> None:
            build(source_of(name), root, folder / "events", tables=tables or None)

        return once(f"real-{root.name}-{digest}", fill) / "events"

    return get


@pytest.fixture(scope="session")
def segments(real_data: Path) -> Callable[[str], Segments]:
    """Segments of the recordings of a data set, read once."""
    read = dict[str, Segments]()

    def get(name: str) -> Segments:
        if name not in read:
            signals = lookup(name).recordings
            found = load_recordings(name, real_data / FOLDERS[name])[0]
            read[name] = cut(found, signals.n_times, signals.classes)
        return read[name]

    return get


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sequences, which all tests of a worker share where their settings are alike."""
    return tmp_path_factory.mktemp("work")
