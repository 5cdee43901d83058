"""Time and memory to cut a long EDF file into windows on disk.

A file of random samples is made as 19 channels at 256 Hz are recorded, and is deleted afterwards:

    python benchmarks/edf_windows.py --hours 24 --resample 128
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from sequela.config import SignalSettings
from sequela.sources.signals.reading import read

CHANNELS = (
    *("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"),
    *("F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz", "Pz"),
)
SFREQ = 256
HOUR = 3600


def field(values: list[object], width: int) -> bytes:
    return b"".join(str(value).ljust(width).encode() for value in values)


def write(path: Path, hours: int) -> None:
    """An EDF file of data records of one second, written hour by hour."""
    n = len(CHANNELS)
    fixed: list[tuple[object, int]] = [
        ("0", 8),
        ("X X X X", 80),
        ("Startdate 01-JAN-2020 X X X", 80),
        ("01.01.20", 8),
    ]
    fixed += [("00.00.00", 8), (256 * (n + 1), 8), ("", 44), (hours * HOUR, 8), (1, 8), (n, 4)]
    header = b"".join(field([value], width) for value, width in fixed)
    header += field([f"EEG {name}-REF" for name in CHANNELS], 16)
    signals: list[tuple[object, int]] = [("", 80), ("uV", 8), (-3276, 8), (3276, 8)]
    signals += [(-32768, 8), (32767, 8), ("", 80), (SFREQ, 8), ("", 32)]
    header += b"".join(field([value] * n, width) for value, width in signals)
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(header)
        for _ in range(hours):
            file.write(rng.integers(-2000, 2000, (HOUR, n * SFREQ), dtype=np.int16).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--resample", type=float)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "long.edf", asked.hours)
        (folder / "events.csv").write_text("onset,duration,label\n100,60,seizure\n", "utf-8")
        settings = SignalSettings(
            events="events.csv",
            classes=("seizure",),
            background="background",
            window=4,
            resample=asked.resample,
        )
        began, worked = time.perf_counter(), time.process_time()
        windows = read(folder, settings, work=folder)
        seconds, of_cpu = time.perf_counter() - began, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{asked.hours} h, {len(CHANNELS)} channels, {SFREQ} Hz: {len(windows.label):,} windows of "
        f"{windows.signal.shape[2]:,} samples in {seconds:.1f} s ({of_cpu:.1f} s of CPU time), "
        f"{memory:,.0f} MB at most"
    )


if __name__ == "__main__":
    main()
