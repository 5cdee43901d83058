"""Attacks on recordings: a training recording, changed a little, is also in the test set."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sequela.attacks.attack import Attack, Outcome
from sequela.attacks.bench import Bench, said
from sequela.runs.audit import audit
from sequela.sources.bonn import N_TIMES

Signal = NDArray[np.float64]
Change = Callable[[Signal, Signal], Signal]
"""A function from a training recording, and the recording it replaces, to a test recording."""


def _shifted(by: int) -> Change:
    def change(copied: Signal, own: Signal) -> Signal:
        return np.concatenate([copied[by:], own[:by]])

    return change


def _with_noise(copied: Signal, own: Signal) -> Signal:
    del own
    drawn = np.random.default_rng(0).normal(size=len(copied))
    noisy: Signal = copied + 0.1 * copied.std() * drawn
    return noisy


CHANGES: dict[str, Change] = {
    "recording copied": lambda copied, _: copied,
    "recording copied, gain 1.03": lambda copied, _: 1.03 * copied,
    "recording copied, gain 1.1": lambda copied, _: 1.1 * copied,
    "recording copied, gain 2": lambda copied, _: 2 * copied,
    "recording copied, offset of 20 µV": lambda copied, _: copied + 20,
    "recording copied, inverted": lambda copied, _: -copied,
    "recording copied, noise of 10 %": _with_noise,
    "recording copied, shifted by 1 sample": _shifted(1),
    "recording copied, shifted by 8 samples": _shifted(8),
    "recording copied, shifted by 89 samples": _shifted(89),
    "recording begins in the middle of another": _shifted(N_TIMES // 2),
}


def _carry_out(bench: Bench, *, name: str, change: Change) -> Outcome:
    signals = dict(bench.recordings)
    for train, held_out in bench.pairs():
        signals[held_out] = change(signals[train], signals[held_out])
    findings = audit(bench.load_recordings(signals, name.replace(" ", "-")))
    return said(findings, bench.said_of_recordings)


def _as_they_are(bench: Bench) -> Outcome:
    return said(bench.said_of_recordings)


ATTACKS = (
    Attack(
        "nothing planted in the recordings",
        _as_they_are,
        planted=False,
    ),
    *(
        Attack(name, partial(_carry_out, name=name, change=change))
        for name, change in CHANGES.items()
    ),
)
