"""Time, memory and scores of scanning a night: 8 hours of 19 channels at 256 Hz.

    python -m benchmarks.serving.scan MODEL RUN [HOURS]

The night is made of recordings of Bonn that the run held out: eyes open and closed, one after the
other, with a seizure of 40 s in five channels every 50 minutes, and a flat minute. Prints JSON.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import edfio
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from sequela.serving import load
from sequela.serving.scan import Scanning, scan
from sequela.serving.szcore import scores, truth

RATE, CHANNELS = 256, 19
SEIZURE, EVERY = 40, 3000
"""Seconds of a seizure, and from one to the next."""
WITH_SEIZURE = (3, 4, 5, 6, 7)
_DIGITAL = 10
"""Digital values of a µV."""


def pieces(run: Path) -> dict[str, NDArray[np.int16]]:
    """Held-out recordings of each class, at the rate of the night, in digital values."""
    from sequela.runs.folder import RunFolder
    from sequela.sources.catalog import EXCERPTS, load_recordings

    held_out = set(RunFolder(run).predictions.part("held_out").group_id.tolist())
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    found: dict[str, list[NDArray[np.float64]]] = {"seizure": [], "calm": []}
    for each in recordings:
        name = {0: "seizure", 3: "calm", 4: "calm"}.get(int(each.label or 0))
        if name and each.recording_id in held_out:
            found[name].append(resample_poly(each.signal[0].astype(float), 25600, 17361))
    return {
        name: np.concatenate(
            [(_DIGITAL * one).round().clip(-32768, 32767).astype(np.int16) for one in some]
        )
        for name, some in found.items()
    }


def write_night(path: Path, run: Path, hours: float) -> None:
    """Write the recording, each channel from another place on, and its events."""
    of = pieces(run)
    size = round(hours * 3600 * RATE)
    onsets = range(600, round(hours * 3600) - 60, EVERY)
    signals = []
    for channel in range(CHANNELS):
        begin = channel * len(of["calm"]) // CHANNELS
        signal = np.resize(np.roll(of["calm"], -begin), size)
        for number, onset in enumerate(onsets if channel in WITH_SEIZURE else ()):
            seizure = np.roll(of["seizure"], -number * SEIZURE * RATE)[: SEIZURE * RATE]
            signal[onset * RATE : (onset + SEIZURE) * RATE] = seizure
        signal[300 * RATE : 360 * RATE] = 0
        signals.append(
            edfio.EdfSignal.from_digital(
                signal,
                RATE,
                label=f"EEG {channel + 1}",
                physical_dimension="uV",
                physical_range=(-3276.8, 3276.7),
                digital_range=(-32768, 32767),
            )
        )
    edfio.Edf(signals).write(path)
    lines = "".join(f"{onset}\t{SEIZURE}\tsz\n" for onset in onsets)
    path.with_suffix(".tsv").write_text(f"onset\tduration\teventType\n{lines}", "utf-8")


def scan_night(model: Path, path: Path, hours: float) -> dict[str, object]:
    """Scan it in this process, which has done nothing else."""
    served = load(model)
    wall, cpu = time.perf_counter(), time.process_time()
    found = scan(served, path, Scanning())
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    known = truth(str(path.with_suffix(".tsv")), [path])
    return {
        "model": served.about["model"],
        "hours": hours,
        "channels": CHANNELS,
        "rate": RATE,
        "seconds": round(seconds[0], 1),
        "processor_seconds": round(seconds[1], 1),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "seizures": len(known[0]),
        "scores": [str(each) for each in scores(known, [found])],
    }


def measured(model: Path, run: Path, hours: float = 8.0) -> dict[str, object]:
    """A night made and scanned, each in a process of its own: making it takes memory too."""
    with TemporaryDirectory() as work:
        path = Path(work) / "night.edf"
        asked = [str(model), str(run), str(hours), str(path)]
        for step in ("write", "scan"):
            done = subprocess.run(  # noqa: S603 - this file
                [sys.executable, __file__, *asked, step], check=True, stdout=subprocess.PIPE
            )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    model, run = map(Path, sys.argv[1:3])
    hours = float(sys.argv[3]) if len(sys.argv) > 3 else 8.0
    if len(sys.argv) < 5:
        print(json.dumps(measured(model, run, hours), indent=1))
    elif sys.argv[5] == "write":
        write_night(Path(sys.argv[4]), run, hours)
    else:
        print(json.dumps(scan_night(model, Path(sys.argv[4]), hours)))


if __name__ == "__main__":
    main()
