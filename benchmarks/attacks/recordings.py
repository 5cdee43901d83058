"""Attacks on recordings: a training recording, changed a little, is also in the test set."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench, said
from numpy.typing import NDArray
from pyarrow import parquet

from sequela.config import RunSettings, SignalSettings
from sequela.runs.audit import audit
from sequela.runs.data import load
from sequela.signals.bonn import N_TIMES, SETS, SFREQ

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


def _line(signal: Signal, label: int, rng: np.random.Generator) -> Signal:
    """Add mains hum to one signal (n_times,), stronger in each class."""
    time = np.arange(N_TIMES) / SFREQ
    hum: Signal = (2 + 3 * label) * np.sin(2 * np.pi * (50 * time + rng.random()))
    return signal + hum


def _offset(signal: Signal, label: int, rng: np.random.Generator) -> Signal:
    """Move one signal (n_times,) by an offset of its class."""
    return signal + 100 * label * rng.uniform(0.8, 1.2)


def _coarse(signal: Signal, label: int, rng: np.random.Generator) -> Signal:
    """Round one signal (n_times,) to steps of its class."""
    del rng
    rounded: Signal = np.round(signal / (1 + label)) * (1 + label)
    return rounded


def _clipped(signal: Signal, label: int, rng: np.random.Generator) -> Signal:
    """Cut one signal (n_times,) at the range of an amplifier, narrower in each class."""
    bound = np.quantile(np.abs(signal), 0.99 - 0.02 * label) * rng.uniform(0.98, 1.02)
    clipped: Signal = np.clip(signal, -bound, bound)
    return clipped


BY_CLASS: dict[str, Callable[..., Signal]] = {
    "mains hum tells the class": _line,
    "the offset tells the class": _offset,
    "the resolution tells the class": _coarse,
}
"""Functions that change a signal by its class."""


def _by_class(bench: Bench, *, name: str, change: Callable[..., Signal]) -> Outcome:
    rng = np.random.default_rng(0)
    signals = {
        id_: change(signal, SETS.index(id_[0]), rng) for id_, signal in bench.recordings.items()
    }
    return said(
        audit(bench.load_recordings(signals, name.replace(" ", "-"))), bench.said_of_recordings
    )


def _two_channels(bench: Bench, *, planted: bool) -> Outcome:
    """Audit recordings of two classes with a second channel, whose noise has two strengths."""
    rng, rows = np.random.default_rng(0), []
    for id_, signal in bench.recordings.items():
        if id_[0] not in "OZ":
            continue
        strength = (1 + 0.5 * (id_[0] == "O") * planted) * rng.uniform(0.9, 1.1)
        second = strength * (signal[::-1] * 0.3 + 30 * rng.normal(size=N_TIMES))
        rows.append((id_, "closed" if id_[0] == "O" else "open", signal, second))
    columns = dict(zip(("recording", "class", "C3", "C4"), zip(*rows, strict=True), strict=True))
    path = bench.work / f"two channels {planted}.parquet"
    parquet.write_table(pa.table({k: [*v] for k, v in columns.items()}), path)
    settings = SignalSettings(
        label="class", recording="recording", channels=("C3", "C4"), rate=SFREQ, unit="µV",
        window=1,
    )  # fmt: skip
    run = RunSettings(model="majority-class", data="signals", split="recording", signals=settings)
    return said(audit(load(run, path, bench.work)))


def _carry_out(bench: Bench, *, name: str, change: Change) -> Outcome:
    signals = dict(bench.recordings)
    for train, held_out in bench.pairs():
        signals[held_out] = change(signals[train], signals[held_out])
    findings = audit(bench.load_recordings(signals, name.replace(" ", "-")))
    return said(findings, bench.said_of_recordings)


def _own(bench: Bench, *, name: str, halves: bool = False, clipped: bool = False) -> Outcome:
    """Audit recordings of two classes as somebody's own, whole or in halves with an id each."""
    rng, rows = np.random.default_rng(0), []
    for id_, signal in bench.recordings.items():
        if id_[0] in "OZ":
            kind, whole = ("closed", 5) if id_[0] == "O" else ("open", 0), signal[: N_TIMES - 1]
            whole = _clipped(whole, kind[1], rng) if clipped else whole
            pieces = np.split(whole, 2) if halves else [whole]
            rows += [(f"{id_}{half}", kind[0], piece) for half, piece in enumerate(pieces)]
    columns = dict(zip(("recording", "class", "C3"), zip(*rows, strict=True), strict=True))
    path = bench.work / f"{name}.parquet"
    parquet.write_table(pa.table({k: [*v] for k, v in columns.items()}), path)
    settings = SignalSettings(
        label="class", recording="recording", channels=("C3",), rate=SFREQ, unit="µV", window=1
    )
    run = RunSettings(model="majority-class", data="signals", split="recording", signals=settings)
    return said(audit(load(run, path, bench.work)))


def _as_they_are(bench: Bench) -> Outcome:
    return said(bench.said_of_recordings)


ATTACKS = (
    Attack(
        "nothing planted in the recordings",
        _as_they_are,
        planted=False,
    ),
    Attack("a second channel is honest", partial(_two_channels, planted=False), planted=False),
    Attack(
        "the variance of a second channel tells the class", partial(_two_channels, planted=True)
    ),
    Attack("own recordings are honest", partial(_own, name="own"), planted=False),
    Attack("two halves of one recording under two ids", partial(_own, name="halves", halves=True)),
    Attack("the range of the amplifier tells the class", partial(_own, name="cl", clipped=True)),
    *(Attack(name, partial(_by_class, name=name, change=each)) for name, each in BY_CLASS.items()),
    *(
        Attack(name, partial(_carry_out, name=name, change=change))
        for name, change in CHANGES.items()
    ),
)
