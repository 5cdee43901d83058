"""Find which Bonn recordings were made at the same time, and write the file that ships.

Example:
    python scripts/make_sessions.py --root "$SEQUELA_DATA/bonn"

The rule is that of ``sequela.signals.simultaneous``: a correlation above 0.3 within 64 samples, and
above 1.5 times the largest one when a recording is moved by two seconds or more. Printed is what
the bound rests on: how often moved recordings reach it by chance (decision 27).
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import fft

from sequela.datasets.catalog import EXCERPTS, Recording
from sequela.signals import bonn, simultaneous

BOUNDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 0.9)


def describe_bounds(recordings: list[Recording]) -> None:
    """Print how many pairs exceed each bound aligned, and moved, in windows of as many lags."""
    signals = [simultaneous.filtered(each.signal[0], bonn.SFREQ, 1) for each in recordings]
    size = fft.next_fast_len(2 * bonn.N_TIMES - 1, real=True)
    spectra = fft.rfft(np.stack(signals), size)
    near, first = 64, round(simultaneous.MOVED * bonn.SFREQ)
    starts = range(first, bonn.N_TIMES // 2, 2 * near + 1)
    aligned, moved = [], []
    for one in range(len(signals) - 1):
        correlation = np.abs(fft.irfft(spectra[one].conj() * spectra[one + 1 :], size))
        aligned.append(correlation[:, np.arange(-near, near + 1)].max(axis=1))
        windows = [start + np.arange(2 * near + 1) for start in starts]
        moved.append(
            [correlation[:, way * each].max(axis=1) for each in windows for way in (1, -1)]
        )
    within, away = np.concatenate(aligned), np.concatenate(moved, axis=1)
    print(f"{len(within):,} pairs, {len(away)} windows of {2 * near + 1} lags from 2 s on")
    print(f"largest correlation when moved: {away.max():.2f}")
    for bound in BOUNDS:
        mean = (away > bound).sum() / len(away)
        print(
            f"above {bound:.2f}: {(within > bound).sum():5,} aligned, {mean:7.2f} in a window moved"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    shipped = EXCERPTS / "bonn.parquet"
    parser.add_argument("--root", type=Path, default=shipped, help="the recordings")
    parser.add_argument("--out", type=Path, default=bonn.SESSIONS, help="file to write")
    arguments = parser.parse_args()
    recordings = bonn.read(arguments.root)
    describe_bounds(recordings)
    found = simultaneous.pairs(
        [each.signal[0] for each in recordings],
        bonn.SFREQ,
        lag=bonn.LAG,
        decimate=False,
        bound=bonn.BOUND,
        spreads=0,
    )
    ids = [each.recording_id for each in recordings]
    sets = Counter("-".join(sorted(ids[each][0] for each in pair)) for pair in found.tolist())
    sessions = simultaneous.sessions(ids, found)
    of_set = {
        letter: len({s for id_, s in zip(ids, sessions, strict=True) if id_[0] == letter})
        for letter in bonn.PUBLISHED_ORDER
    }
    print(f"{len(found)} simultaneous pairs of {len(np.unique(found))} recordings: {dict(sets)}")
    print(f"{len(set(sessions))} sessions of {len(ids)} recordings: {of_set}")
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["sha256", "session"])
        keys = [bonn.content_key(each.signal) for each in recordings]
        rows.writerows((key, each) for each, key in sorted(zip(sessions, keys, strict=True)))


if __name__ == "__main__":
    main()
