"""Time and memory of scanning a night: 8 hours of 19 channels at 256 Hz, made of Bonn recordings.

python benchmarks/scan.py FILE.onnx [HOURS]
"""

import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import edfio
import numpy as np
from scipy.signal import resample_poly

from sequela.serving import load
from sequela.serving.scan import Scanning, scan
from sequela.sources.catalog import EXCERPTS, load_recordings

RATE, CHANNELS = 256, 19


def night(path: Path, hours: float) -> None:
    """Write the recording, each channel another order of the recordings without seizures."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    calm = [
        resample_poly(each.signal[0], 25600, 17361) for each in recordings if each.label in {3, 4}
    ]
    size = round(hours * 3600 * RATE)
    signals = []
    for channel in range(CHANNELS):
        order = np.random.default_rng(channel).permutation(len(calm))
        signal = np.resize(np.concatenate([calm[i] for i in order]), size)
        signals.append(
            edfio.EdfSignal(signal, RATE, label=f"EEG {channel}", physical_dimension="uV")
        )
    edfio.Edf(signals).write(path)


def main() -> None:
    model, hours = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    with TemporaryDirectory() as work:
        path = Path(work) / "night.edf"
        if len(sys.argv) > 3:  # in a process of its own: what is written takes memory too
            path = Path(sys.argv[3])
        if not path.exists():
            night(path, hours)
        served = load(model)
        before = time.perf_counter(), time.process_time()
        found = scan(served, path, Scanning())
        wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{hours:g} h x {CHANNELS} channels: {wall:.1f} s, {cpu:.1f} s of processor, ")
        print(f"peak {peak:.2f} GB, {len(found.events)} events")


if __name__ == "__main__":
    main()
