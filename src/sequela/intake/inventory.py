"""An inventory of recordings: counts, shapes, ranges, classes, duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.recordings import Recording, Signals
from sequela.errors import DataError
from sequela.signals.segments import cut


@dataclass(frozen=True)
class Inventory:
    """The inventory of a set of recordings, with the smallest and largest sample of a class in µV.

    ``n_times`` counts the recordings of each length, and ``n_dropped`` the samples that do not fill
    a segment. Recordings or segments are the same if all samples are.
    """

    classes: dict[str, int]
    ranges: dict[str, tuple[float, float]]
    n_chans: int
    n_times: dict[int, int]
    sfreq: float
    n_segments: int
    segment: int
    n_dropped: int
    same_recordings: tuple[tuple[str, ...], ...]
    same_segments: tuple[tuple[str, ...], ...]

    def describe(self) -> str:
        """Format the inventory as lines of text."""
        lengths = " and ".join(
            f"{length:,} samples ({count} recordings)" for length, count in self.n_times.items()
        )
        lines = {
            "recordings": f"{sum(self.classes.values()):,}",
            "shape": f"{self.n_chans} channel of {lengths} at {self.sfreq} Hz",
            "segments": f"{self.n_segments:,} of {self.segment} samples",
            "left over": f"{self.n_dropped:,} samples at the ends of recordings are left out: "
            "they fill no whole segment",
            "duplicates": f"{_count(self.same_recordings)} recordings, "
            f"{_count(self.same_segments)} segments",
        }
        for name, count in self.classes.items():
            lines[name] = f"{count:,} recordings"
            if name in self.ranges:
                low, high = self.ranges[name]
                lines[name] += f", {low:,.0f} to {high:,.0f} µV"
        return "\n".join(f"  {name:<13} {text}" for name, text in lines.items())

    def require_distinct(self) -> None:
        """Raise if a recording is there twice: in two parts of a split, it would be a leak."""
        if self.same_recordings:
            named = "; ".join(" = ".join(ids[:3]) for ids in self.same_recordings[:3])
            raise DataError(
                f"found {_count(self.same_recordings)} recordings that repeat another one under "
                f"another id, such as {named}: expected each recording once, or a split by "
                "recording leaks; keep one of each"
            )


def _count(groups: tuple[tuple[str, ...], ...]) -> int:
    return sum(len(group) - 1 for group in groups)


def take_inventory(recordings: Sequence[Recording], signals: Signals) -> Inventory:
    """Take the inventory of recordings that can be cut into segments."""
    segments = cut(recordings, signals.n_times, signals.classes)
    of_class = {
        name: [each.signal for each in recordings if each.label == label]
        for label, name in enumerate(signals.classes)
    }
    return Inventory(
        classes={name: len(signals) for name, signals in of_class.items()},
        ranges={
            name: (float(min(map(np.min, signals))), float(max(map(np.max, signals))))
            for name, signals in of_class.items()
            if signals
        },
        n_chans=segments.signal.shape[1],
        n_times=dict(Counter(each.signal.shape[1] for each in recordings)),
        sfreq=segments.sfreq,
        n_segments=len(segments),
        segment=signals.n_times,
        n_dropped=segments.n_dropped,
        same_recordings=_same((each.recording_id, each.signal) for each in recordings),
        same_segments=_same(zip(segments.segment_id.tolist(), segments.signal, strict=True)),
    )


def _same(signals: Iterable[tuple[str, NDArray[np.float32]]]) -> tuple[tuple[str, ...], ...]:
    ids: dict[bytes, list[str]] = defaultdict(list)
    for name, signal in signals:
        ids[signal.tobytes()].append(name)
    return tuple(tuple(group) for group in ids.values() if len(group) > 1)
