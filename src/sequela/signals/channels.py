"""Names of channels: the usual aliases, pairs of electrodes, and units."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError

ALIASES: Mapping[str, str] = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""The electrodes with different names in the 10-20 system of 1958 and the 10-10 system."""
REFERENCES = ("REF", "LE", "AR", "AVG", "CAR", "LINKED", "G2", "CS2")
"""The names after a hyphen that are a common reference, not an electrode. One recording of CHB-MIT
(chb12_27) has ``CS2``."""
TO_MICROVOLTS: Mapping[str, float] = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "nv": 1e-3}
"""The names of units in lower case, and their size in µV."""
_KIND = re.compile(r"^(EEG|SEEG|ECOG)[ _.:-]+", re.IGNORECASE)
_PAIR = 2


def canonical(name: str) -> str:
    """Return a channel's name in upper case, without kind and common reference, in 10-10 terms.

    Example:
        >>> [canonical(name) for name in ("EEG Fp1-REF", "t3", "F7-CS2", "F7-T3", "Cz.")]
        ['FP1', 'T7', 'F7', 'F7-T7', 'CZ']
    """
    plain = _KIND.sub("", name.strip().replace("\N{MINUS SIGN}", "-"))
    parts = [part.strip(" ._").upper() for part in plain.split("-")]
    if len(parts) == _PAIR and parts[1] in REFERENCES:
        parts = parts[:1]
    return "-".join(ALIASES.get(part, part) for part in parts)


def to_microvolts(unit: str) -> float | None:
    """Return a unit's size in µV; ``None`` if it is not a unit of voltage.

    Example:
        >>> to_microvolts("uV"), to_microvolts("mm")
        (1.0, None)
    """
    plain = unit.strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}").lower()
    return TO_MICROVOLTS.get(plain)


def without(reference: Sequence[str], channels: Sequence[str]) -> tuple[str, ...]:
    """Return the channels that are not those of the reference."""
    left_out = {canonical(name) for name in reference}
    return tuple(name for name in channels if canonical(name) not in left_out)


class Montage:
    """The selection of channels from those of a file, or of differences of two.

    Attributes:
        names: The channels that are selected, without those of the reference.
        needs: Indices of the channels to read, in the order of the columns of ``weights``.
        weights: float64 (channel, needed channel).
    """

    def __init__(
        self,
        channels: Sequence[str],
        labels: Sequence[str],
        place: str,
        reference: Sequence[str] = (),
    ) -> None:
        self.names = without(reference, channels or labels)
        references = () if (*reference,) == ("average",) else reference
        names = (*self.names, *references)
        against = {canonical(name).partition("-")[2] for name in names}
        if reference and (len(names) == 1 or len(against) > 1):
            raise DataError(
                f"{place}: a reference is not possible for {', '.join(names)}; expected several "
                "channels that were recorded against one reference; leave --reference out"
            )
        plain = [canonical(label) for label in labels]
        # Of two channels of one name the first is read; a label has precedence over its alias.
        index_of = {name: i for i, name in reversed([*enumerate(plain)])}
        index_of |= {name: i for i, name in reversed([*enumerate(labels)])}
        # A selected channel is a sum of those read, with weight 1 for itself, 1 and -1 for a pair.
        # So a reference is subtracted once, from the weights, and not from each sample.
        weights: NDArray[np.float64] = np.zeros((len(names), len(labels)))
        read: set[int] = set()
        for row, name in enumerate(names):
            for index, weight in self._terms(name, index_of, labels, place):
                weights[row, index] += weight
                read.add(index)
        self.needs = sorted(read)
        self.notes = tuple(
            f"several channels are called {name}: the first of them is read"
            for name in sorted({plain[index] for index in read})
            if plain.count(name) > 1
        )
        self.weights = np.ascontiguousarray(weights[:, self.needs])
        if reference:
            averaged = self.weights[len(self.names) if references else 0 :]
            self.weights = self.weights[: len(self.names)] - averaged.mean(0)
        single = (np.count_nonzero(self.weights, 1) == 1).all() and (self.weights.sum(1) == 1).all()
        self._order = self.weights.argmax(1) if single else None

    @staticmethod
    def _terms(
        name: str, index_of: Mapping[str, int], labels: Sequence[str], place: str
    ) -> list[tuple[int, float]]:
        """Return the channel itself, or the two of which it is the difference."""
        plain = canonical(name)
        for label in (name, plain):
            if label in index_of:
                return [(index_of[label], 1.0)]
        first, _, second = plain.partition("-")
        if second and first in index_of and second in index_of:
            return [(index_of[first], 1.0), (index_of[second], -1.0)]
        raise DataError(
            f"{place}: no channel '{name}', and no two of which it is the difference "
            f"(found: {', '.join(labels)}); name others with --channels or --reference"
        )

    def apply(self, read: NDArray[np.floating]) -> NDArray[np.float64]:
        """Combine the channels read (needed channel, time) to the selected ones (channel, time)."""
        return self.weights @ read if self._order is None else read[self._order]
