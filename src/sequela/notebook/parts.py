"""One draw for whatever is split in Python: a part to learn from, and one to judge by."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.split import PARTS, Ids, Split, draw
from sequela.config import SplitUnit


def two_parts(
    label: NDArray[np.int64],
    ids: Mapping[str, Ids],
    *,
    unit: SplitUnit,
    seed: int,
    held_out: float,
) -> tuple[Split, NDArray[np.bool_]]:
    """Draw a held-out part; with the same seed and share it is that of ``sequela train``.

    What ``sequela train`` splits into a training and a tuning part is one part here, since a
    classifier draws its own tuning part.

    Args:
        label: (example,) index of the class, for strata.
        ids: Of each kind, (example,).
        unit: The kind that is kept whole.
        seed: Decides the draw.
        held_out: Share of the held-out part.

    Returns:
        The split and its proof, and whether each example is held out: bool (example,).

    Raises:
        SplitError: If there are no such ids, or too few.
    """
    rest = 1 - held_out
    fractions = (0.75 * rest, 0.25 * rest, held_out)
    split, part = draw(label=label, ids=ids, unit=unit, seed=seed, fractions=fractions)
    is_held_out: NDArray[np.bool_] = part == PARTS.index("held_out")
    return split, is_held_out


def proof_in_words(split: Split) -> str:
    """What a split keeps whole, and how many ids stand in two parts nevertheless."""
    shared = sum(sum(pairs.values()) for pairs in split.shared().values())
    leak = f": LEAKS, by {split.unit} nobody is kept whole" if split.leaks else ""
    return f"by {split.unit}, {shared:,} ids in two parts{leak}"
