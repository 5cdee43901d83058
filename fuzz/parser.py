"""What a parser is to the fuzzer: seeds, a way to read, and an oracle.

A *seed* is a small valid input in the published form. A *mutant* is a seed that was changed. The
parser may refuse a mutant with one of our errors. If it accepts it, the values must be those of the
seed, or those that the changed text says by a plain second reading (``says``), which is written
apart from the parser and only where a text can be changed without a trace: in a csv file without a
checksum, another digit is another number. Inside an archive, or under a checksum, nothing can be
changed without a trace, and only the seed's values are right.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

Files = Mapping[str, bytes]
"""Path relative to the input's folder, to content."""
Mutator = Callable[[Random, bytes], bytes]


def as_they_are(files: Files) -> Files:
    """Files that are not packed."""
    return files


@dataclass(frozen=True)
class Seed:
    """A valid input.

    Attributes:
        plain: Its files, unpacked.
        pack: How they are packed.
    """

    plain: Files
    pack: Callable[[Files], Files] = as_they_are


@dataclass(frozen=True)
class Mutant:
    """A changed input.

    Attributes:
        files: What lies in the folder.
        plain: The same unpacked, where the packing is whole; ``None`` where it was damaged.
        how: What was done to it.
    """

    files: Files
    plain: Files | None
    how: str


@dataclass(frozen=True)
class Parser:
    """A parser under test.

    Attributes:
        name: What the command line calls it.
        seeds: Makes the valid inputs.
        read: What the code under test makes of a folder of files; raises ``SequelaError``.
        mutators: Name to a change of one unpacked file.
        says: The values that unpacked files say by a second reading; ``None`` if they are none that
            may be accepted. Without it only the seed's values are right.
        packed: Name to a change of one packed file, where packing differs from the plain files.
    """

    name: str
    seeds: Callable[[], list[Seed]]
    read: Callable[[Path], Any]
    mutators: Mapping[str, Mutator]
    says: Callable[[Files], Any] | None = None
    packed: Mapping[str, Mutator] | None = None


def mutant_of(parser: Parser, seed: Seed, rng: Random) -> Mutant:
    """A seed with one change, or two where the first changes a plain file."""
    if parser.packed and seed.pack is not as_they_are and rng.random() < 0.5:
        files = dict(seed.pack(seed.plain))
        name, how = rng.choice(sorted(files)), rng.choice(sorted(parser.packed))
        files[name] = parser.packed[how](rng, files[name])
        beside = name in seed.plain  # a file that is not packed itself
        return Mutant(
            files, {**seed.plain, name: files[name]} if beside else None, f"{name}: {how}"
        )
    plain = dict(seed.plain)
    done = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        name, how = rng.choice(sorted(plain)), rng.choice(sorted(parser.mutators))
        plain[name] = parser.mutators[how](rng, plain[name])
        done.append(f"{name}: {how}")
    return Mutant(seed.pack(plain), plain, ", ".join(done))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same: numbers by value, NaN equal to NaN, arrays by element."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)
