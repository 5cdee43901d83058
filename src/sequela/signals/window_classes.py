"""The classes of windows, from the declared values, and from the events of their recordings."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError

NO_CLASS = -1
_TOLERANCE = 1e-6  # seconds by which an event may end later than computed: times are rounded
_LISTED = 20  # most labels that a message counts one by one


@dataclass(frozen=True)
class Classes:
    """The classes of data, the class of each value there, by number, and values to leave out."""

    names: tuple[str, ...]
    numbers: Mapping[str, int]
    omitted: frozenset[str]

    @classmethod
    def of(cls, settings: SignalSettings, labels: Sequence[str] = ()) -> Self:
        """Return the declared classes, or else all labels in the data, sorted.

        Example:
            >>> settings = SignalSettings(classes=("wake=W", "sleep=N1|N2"))
            >>> Classes.of(settings).names, Classes.of(settings).numbers["N2"]
            (('wake', 'sleep'), 1)
        """
        omitted = frozenset(settings.omit)
        entries = settings.classes or tuple(sorted(set(labels) - omitted, key=_by_number))
        names: list[str] = []
        numbers: dict[str, int] = {}
        declared_names = {entry.partition("=")[0] for entry in entries}
        if settings.background and settings.background not in declared_names:
            names.append(settings.background)  # events are the second of two classes
        for entry in entries:
            name, equals, values = entry.partition("=") if settings.classes else (entry, "", "")
            if name in names:
                raise SettingError(f"class '{name}' is named twice: expected each class once")
            names.append(name)
            for value in values.split("|") if equals else (name,):
                if value in numbers or value in omitted:
                    raise SettingError(
                        f"'{value}' is of two classes, or is left out as well: expected it once in "
                        "classes and omit"
                    )
                numbers[value] = len(names) - 1
        if entries and len(names) == 1:
            raise SettingError(
                f"there is one class, {names[0]}: expected two or more to tell apart; name them "
                "with --classes, or windows without an event with --background"
            )
        return cls(tuple(names), numbers, omitted)


def _by_number(name: str) -> tuple[bool, float, str]:
    """Return a sort key: numbers by their size and before words."""
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)


@dataclass(frozen=True)
class Event:
    """An event in a recording."""

    onset: float  # seconds from the recording's start
    duration: float | None  # seconds; None where it is unknown
    label: str


def check_inside(events: Sequence[Event], seconds: float, place: str) -> None:
    """Check that events begin within their recording."""
    for number, event in enumerate(events, 1):
        if not 0 <= event.onset < seconds + _TOLERANCE:
            raise DataError(
                f"{place}: event {number} begins at {event.onset:g} s, and the recording has "
                f"{seconds:g} s: expected events within it; are they of another recording, or "
                "counted from another time?"
            )


def label_windows(
    starts: NDArray[np.float64],
    seconds: float,
    events: Sequence[Event],
    classes: Classes,
    *,
    background: str | None = None,
    overlap: float = 0.5,
) -> NDArray[np.int64]:
    """Return the class whose events cover enough of each window; the largest cover, if several do.

    Args:
        starts: float64 (window,), in seconds.
        seconds: Length of a window.
        events: Events of the recording; those without a class and not left out are ignored. If the
            end of an event is unknown, windows from its onset on have no class.
        classes: The classes; windows covered by omitted labels have none.
        background: The class of windows that no event covers.
        overlap: Share of a window that must be covered.

    Returns:
        int64 (window,): index of the class, or ``NO_CLASS``.

    Example:
        >>> from sequela.config import SignalSettings
        >>> classes = Classes.of(SignalSettings(classes=("seizure",), background="none"))
        >>> windows = np.array([0.0, 2.0, 4.0])
        >>> event = Event(3.0, 3.0, "seizure")
        >>> label_windows(windows, 2.0, [event], classes, background="none").tolist()
        [0, 1, 1]
    """
    # covered (window, class) is the time that events of a class share with a window; the last
    # column is that of omitted labels, and of events whose end is unknown.
    left_out = len(classes.names)
    covered = np.zeros((len(starts), left_out + 1))
    for event in events:
        index = left_out if event.label in classes.omitted else classes.numbers.get(event.label)
        if index is None:
            continue
        end = np.inf if event.duration is None else event.onset + event.duration
        shared = np.minimum(starts + seconds, end) - np.maximum(starts, event.onset)
        covered[:, left_out if event.duration is None else index] += np.maximum(shared, 0)
    most = covered.argmax(1)
    enough = covered.max(1) >= overlap * seconds - _TOLERANCE
    rest = NO_CLASS if background is None else classes.names.index(background)
    label = np.where(enough, most, rest)
    label[covered[:, left_out] > 0] = left_out
    return np.where(label == left_out, NO_CLASS, label).astype(np.int64)


def of_samples(times: NDArray[np.float64], step: float, labels: Sequence[str]) -> list[Event]:
    """Convert labels of single samples to events: one for each run of equal labels.

    Example:
        >>> of_samples(np.array([0.0, 0.5, 1.0]), 0.5, ["a", "a", "b"])
        [Event(onset=0.0, duration=1.0, label='a'), Event(onset=1.0, duration=0.5, label='b')]
    """
    texts = np.array(labels)
    bounds = [0, *(np.flatnonzero(texts[1:] != texts[:-1]) + 1).tolist(), len(texts)]
    return [
        Event(float(times[a]), float(times[b - 1] - times[a]) + step, str(texts[a]))
        for a, b in itertools.pairwise(bounds)
    ]


def counted(labels: Sequence[str], fewest: int = 1) -> str:
    """Count the labels, in words; rare ones are not named: they may be free text.

    Example:
        >>> counted(["seizure", "Mrs Vogel fell", "seizure"], fewest=2)
        "'seizure' (2), others (1)"
    """
    counts = Counter(labels).most_common()
    listed = [f"'{label}' ({count:,})" for label, count in counts if count >= fewest][:_LISTED]
    n_rare = sum(count for _, count in counts if count < fewest)
    if n_rare:
        listed.append(f"others ({n_rare:,})")
    return ", ".join(listed) or "none"
