"""Hashes of exact content, by which an unchanged copy is recognised under any name.

A recording is known by 32 of its windows, a patient by the hash of all codes and measurements. A
changed copy is not recognised; the audit compares two sets by their marks instead
(:mod:`sequela.identity.fingerprint`).
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

KIND = "exact"
_SAMPLES = 128  # at the beginning of a window, so that longer windows agree with it
_CHANGES = 16  # of the value in these samples: flat windows agree by chance
_MOST = 32  # hashes of a recording
_FEWEST = 8  # codes and measurements: records of fewer agree by chance


@dataclass(frozen=True)
class Exact:
    """Hashes of the content of some units (recordings, subjects, examples).

    ``unit`` is int64 (hash,), rising, an index into ``units``; a unit may have no hash. ``hashes``
    are uint64 (hash,).
    """

    units: tuple[str, ...]
    unit: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def to_json(self) -> dict[str, Any]:
        """Return each unit's hashes in base64, 8 bytes each."""
        ends = np.searchsorted(self.unit, np.arange(len(self.units) + 1)).tolist()
        held = (self.hashes[one:end].astype("<u8").tobytes() for one, end in pairwise(ends))
        texts = (b64encode(each).decode() for each in held)
        return {"kind": KIND, "units": dict(zip(self.units, texts, strict=True))}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self | None:
        """Restore the hashes; ``None`` for marks of earlier versions."""
        if record["kind"] != KIND:
            return None
        held = [b64decode(text, validate=True) for text in record["units"].values()]
        unit = np.repeat(np.arange(len(held)), [len(each) // 8 for each in held])
        hashes = np.frombuffer(b"".join(held), "<u8").astype(np.uint64)
        return cls(tuple(record["units"]), unit, hashes)

    def copied(self, seen: NDArray[np.bool_], asked: "Exact") -> NDArray[np.bool_]:
        """Find units with a hash of a unit that is ``seen``, bool (unit,): bool (asked unit,).

        A hash that other units have too, such as that of a usual record, proves nothing.
        """
        of_seen = seen[self.unit]
        told = np.setdiff1d(self.hashes[of_seen], self.hashes[~of_seen])
        copied = np.zeros(len(asked.units), np.bool_)
        copied[asked.unit[np.isin(asked.hashes, told)]] = True
        return copied

    @property
    def recognisable(self) -> NDArray[np.bool_]:
        """Units that have a hash, by which a copy is recognised: bool (unit,)."""
        return np.bincount(self.unit, minlength=len(self.units)) > 0


def of_windows(
    units: Sequence[str],
    blocks: Iterable[NDArray[np.float32]],
    recordings: Sequence[str] | None = None,
) -> Exact:
    """Hash windows by their first samples; windows that hardly change have no hash.

    Blocks are (window, n_chans, time); ``units`` and ``recordings`` are those of each window, over
    all blocks. The smallest hashes of each recording are kept; without ``recordings``, all.
    """
    first, rows, hashes = 0, [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for block in blocks:
        begin = np.ascontiguousarray(block[..., :_SAMPLES])
        changing = np.flatnonzero((np.diff(begin, axis=2) != 0).sum(2).max(1) >= _CHANGES)
        hashes.append(np.array([_hash(begin[row].tobytes()) for row in changing], np.uint64))
        rows.append(first + changing)
        first += len(block)
    row, hash_ = np.concatenate(rows), np.concatenate(hashes)
    if recordings is not None:
        recording = np.unique(np.asarray(recordings, np.str_)[row], return_inverse=True)[1]
        order = np.lexsort((hash_, recording))
        rank = np.arange(len(order)) - np.searchsorted(recording[order], recording[order])
        row, hash_ = row[order[rank < _MOST]], hash_[order[rank < _MOST]]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(units))}
    unit = np.array([numbers[name] for name in units], np.int64)[row]
    order = np.argsort(unit, kind="stable")
    return Exact(tuple(numbers), unit[order], hash_[order])


def of_records(units: Sequence[str], unit: NDArray[np.int64], token: NDArray[np.uint64]) -> Exact:
    """Hash all distinct tokens of each unit together; units of few tokens have no hash.

    ``unit`` (token,) is an index into ``units``; see :func:`sequela.identity.fingerprint.tokens`.
    """
    order = np.lexsort((token, unit))
    pairs = np.stack([unit[order].astype(np.uint64), token[order]])
    pairs = pairs[:, np.any(np.diff(pairs, axis=1, prepend=~pairs[:, :1]) != 0, axis=0)]
    ends = np.searchsorted(pairs[0], np.arange(len(units) + 1, dtype=np.uint64))
    enough = np.flatnonzero(np.diff(ends) >= _FEWEST)
    tokens = pairs[1].astype("<u8")
    held = (tokens[ends[one] : ends[one + 1]].tobytes() for one in enough)
    return Exact(tuple(units), enough, np.array([*map(_hash, held)], np.uint64))


def joined(parts: Sequence[Exact]) -> Exact:
    """Join the hashes of different units."""
    first = np.cumsum([0, *(len(part.units) for part in parts[:-1])])
    unit = [part.unit + by for part, by in zip(parts, first, strict=True)]
    units = tuple(chain(*(part.units for part in parts)))
    return Exact(units, np.concatenate(unit), np.concatenate([part.hashes for part in parts]))


def _hash(held: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(held, digest_size=8).digest(), "little")
