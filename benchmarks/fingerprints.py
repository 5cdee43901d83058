"""What fingerprints find among the Bonn recordings, and what they cost.

Usage: python benchmarks/fingerprints.py (finds Bonn as `sequela train --data bonn` does)
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.catalog import load_recordings
from sequela.identity.fingerprint import matches, of_signals

N_TIMES = 178
Array = NDArray[np.float64]
RNG = np.random.default_rng(0)


def noisy(signal: Array, share: float) -> Array:
    noise: Array = share * signal.std() * RNG.normal(size=signal.shape)
    return signal + noise


ATTACKS: dict[str, Callable[[Array], Any]] = {
    "exact": lambda x: x,
    "gain 1.03, rounded": lambda x: (1.03 * x).round(),
    "gain 1.1": lambda x: 1.1 * x,
    "gain 2": lambda x: 2 * x,
    "offset 20": lambda x: x + 20,
    "inverted": lambda x: -x,
    "shift 1": lambda x: x[:, 1:],
    "shift 8": lambda x: x[:, 8:],
    "shift 89": lambda x: x[:, 89:],
    "first half": lambda x: x[:, :2048],
    "a quarter": lambda x: x[:, 1000:2024],
    "noise 5 %": lambda x: noisy(x, 0.05),
    "noise 10 %": lambda x: noisy(x, 0.1),
}


def main() -> None:
    recordings, located = load_recordings("bonn", None)
    print(located.origin)
    signals = [each.signal.astype(np.float64) for each in recordings]
    names = [each.recording_id for each in recordings]
    started = time.perf_counter()
    known = of_signals(names, signals)
    marked = time.perf_counter()
    own = matches(known, known)
    print(f"{len(names)} recordings: marks {marked - started:.2f} s, "
          f"compared in {time.perf_counter() - marked:.2f} s")  # fmt: skip
    print(f"pairs of different recordings: {own.copy.sum()} copies, {len(own.copy)} resembling")
    print(f"content in split.json: {len(json.dumps(known.to_json())) / len(names):.0f} bytes each")
    for name, change in ATTACKS.items():
        found = matches(known, of_signals(names, [change(each) for each in signals]))
        same = found.known == found.asked
        print(f"{name}: found {same.sum()}, as copies {(same & found.copy).sum()}; "
              f"others taken for copies {(~same & found.copy).sum()}")  # fmt: skip
    rows = [
        each[:, first : first + N_TIMES]
        for each in signals
        for first in range(0, each.shape[1] - N_TIMES, N_TIMES)
    ]
    started = time.perf_counter()
    segments = of_signals([str(index) for index in range(len(rows))], rows)
    matches(segments, segments)
    print(f"{len(rows)} segments, each alone: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
