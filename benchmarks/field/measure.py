"""Measure one way to do a piece of work, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.engines import Watch

Way = Callable[[Path, Path], str]
"""Reads the input's folder, writes to another folder, and returns what was made, in words."""


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Attributes:
        title: What is done, and on which data.
        make: Writes the input into a new folder, at a share of its full size.
        quick: The share at which a run only shows that everything works.
        ways: Name of a way to do it, to the way; the first is ours.
    """

    title: str
    make: Callable[[Path, float], None]
    quick: float
    ways: Mapping[str, Way]


@dataclass
class _Clock:
    """The start of the measured time: that of the process, or a later one."""

    wall: float = psutil.Process().create_time()
    processor: float | None = None


_CLOCK = _Clock()


def begin() -> None:
    """Start the clock anew: imports and preparation are not measured."""
    _CLOCK.wall, _CLOCK.processor = time.time(), time.process_time()


def run(way: Way, root: Path, out: Path) -> None:
    """Do the work in this process, and print what it took."""
    found: dict[str, float | str] = {"made": way(root, out)}
    found["seconds"] = time.time() - _CLOCK.wall
    if _CLOCK.processor is not None:
        found["processor_seconds"] = time.process_time() - _CLOCK.processor
    print(json.dumps(found))


def measured(name: str, way: str, root: Path, python: str = sys.executable) -> dict[str, float]:
    """Do the work once, in a new process: seconds, processor seconds and the most memory."""
    out = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root.parent))
    command = [python, "-m", "benchmarks.field", "--do", name, way, str(root), str(out)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:  # noqa: S603
            watch = Watch(psutil.Process(process.pid))
            watch.start()
            printed, _ = process.communicate()
    finally:
        shutil.rmtree(out)
    if process.returncode:
        raise SystemExit(f"{name}: {way} failed with status {process.returncode}")
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    processor = sum(watch.seconds.values())
    return {"processor_seconds": processor, "memory_mb": watch.memory / 1e6, **found}
