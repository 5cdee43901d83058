"""A night of EEG: 19 channels at 256 Hz.

It is made of recordings of Bonn that a run held out: eyes open and closed, one after the other,
with a seizure of 40 s in five channels every 50 minutes, and a flat minute.
"""

from pathlib import Path

import edfio
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

RATE, CHANNELS = 256, 19
SEIZURE, EVERY = 40, 3000
"""Seconds of a seizure, and from one to the next."""
WITH_SEIZURE = (3, 4, 5, 6, 7)
_DIGITAL = 10
"""Digital values of a µV."""


def pieces(run: Path) -> dict[str, NDArray[np.int16]]:
    """Held-out recordings of each class, at the rate of the night, in digital values."""
    from sequela.datasets.catalog import EXCERPTS, load_recordings
    from sequela.runs.folder import RunFolder

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
