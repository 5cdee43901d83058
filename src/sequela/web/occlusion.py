"""Explanation by occlusion: each part of an example is removed, and the prediction repeated."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.web.schemas import Patient

PIECES = 24
"""Number of pieces of a segment."""
SHIFTS = (0, -8, -4, 4, 8)
"""Pieces by which the segment is shifted in its recording."""
STABLE = 0.7
"""Least correlation of stable contributions: then about half of their variance is shared."""
MOST = 400
"""Most codes of a patient that are removed, the latest first."""

Inputs = Mapping[str, NDArray[Any]]
Parts = list[dict[str, Any]]


def _parts(n_chans: int, length: int) -> Parts:
    edges = np.linspace(0, length, min(PIECES, length) + 1).astype(int)
    return [
        {"channel": channel, "first": int(first), "end": int(end)}
        for channel in range(n_chans)
        for first, end in pairwise(edges)
    ]


def over_neighbours(
    chance: Callable[[NDArray[Any]], NDArray[np.float32]],
    recording: NDArray[Any],
    row: int,
    n_times: int,
) -> tuple[Parts, float | None]:
    """Explain a segment of a recording, averaged over shifted segments that share its pieces.

    A piece is removed by making it flat, at the mean of the channel.

    Args:
        chance: Predicts the probability of a class (copy,) for copies (copy, n_chans, n_times).
        recording: float32 (n_chans, time), in µV.
        row: Number of the segment in the recording, from 0.
        n_times: Samples of a segment.

    Returns:
        Each piece, with how much it raised the probability; and the correlation of the
        contributions in the segment with their mean in shifted ones, ``None`` without two.
    """
    parts = _parts(len(recording), n_times)
    found = np.full((len(SHIFTS), len(parts)), np.nan)  # (segment, piece)
    for number, shift in enumerate(n_times * each // PIECES for each in SHIFTS):
        first = row * n_times + shift
        if not 0 <= first <= recording.shape[1] - n_times:
            continue
        inside = [
            place
            for place, each in enumerate(parts)
            if shift <= each["first"] and each["end"] <= shift + n_times
        ]
        segment = recording[:, first : first + n_times]
        copies = np.repeat(segment[None], 1 + len(inside), axis=0)
        for copy, part in zip(copies[1:], (parts[place] for place in inside), strict=True):
            of = part["channel"]
            copy[of, part["first"] - shift : part["end"] - shift] = segment[of].mean()
        chances = chance(copies).astype(np.float64)
        found[number, inside] = chances[0] - chances[1:]
    found = found[np.isfinite(found).any(1)]
    shared = np.isfinite(found[1:]).any(0)
    if len(found) < 3:  # noqa: PLR2004
        return with_raised(parts, found[0]), None
    own, others = found[0, shared], np.nanmean(found[1:, shared], 0)
    varies = min(np.ptp(own), np.ptp(others)) > 0
    agreement = float(np.corrcoef(own, others)[0, 1]) if varies else 0.0
    return with_raised(parts, np.nanmean(found, 0)), agreement


def without_codes(patient: Patient) -> tuple[list[Patient], Parts]:
    """Copy a patient many times, each time without one code or measurement of one visit."""
    patients: list[Patient] = []
    parts: Parts = []
    asked = patient.time or max(visit.time for visit in patient.visits)
    for place, visit in sorted(enumerate(patient.visits), key=lambda each: -each[0]):
        for code in [*dict.fromkeys(visit.codes), *visit.values]:
            if len(parts) == MOST:
                return patients, parts
            less = visit.model_copy(
                update={
                    "codes": [each for each in visit.codes if each != code],
                    "values": {name: v for name, v in visit.values.items() if name != code},
                }
            )
            visits = [*patient.visits[:place], less, *patient.visits[place + 1 :]]
            patients.append(patient.model_copy(update={"visits": visits, "time": asked}))
            parts.append({"visit": place + 1, "time": visit.time, "code": code})
    return patients, parts


def with_raised(parts: Sequence[Mapping[str, Any]], raised: NDArray[np.floating[Any]]) -> Parts:
    """Add how much each part raised the probability of a class, (part,), to its description."""
    return [
        {**part, "raised": round(each, 6)}
        for part, each in zip(parts, raised.tolist(), strict=True)
    ]
