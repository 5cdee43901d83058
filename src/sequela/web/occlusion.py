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
    contributions = np.full((len(SHIFTS), len(parts)), np.nan)  # (segment, piece)
    for number, shift in enumerate(n_times * shift_pieces // PIECES for shift_pieces in SHIFTS):
        first = row * n_times + shift
        if not 0 <= first <= recording.shape[1] - n_times:
            continue
        inside = [
            place
            for place, shift_pieces in enumerate(parts)
            if shift <= shift_pieces["first"] and shift_pieces["end"] <= shift + n_times
        ]
        segment = recording[:, first : first + n_times]
        copies = np.repeat(segment[None], 1 + len(inside), axis=0)
        for copy, part in zip(copies[1:], (parts[place] for place in inside), strict=True):
            channel = part["channel"]
            copy[channel, part["first"] - shift : part["end"] - shift] = segment[channel].mean()
        chances = chance(copies).astype(np.float64)
        contributions[number, inside] = chances[0] - chances[1:]
    contributions = contributions[np.isfinite(contributions).any(1)]
    in_both = np.isfinite(contributions[1:]).any(0)
    if len(contributions) < 3:  # noqa: PLR2004
        return with_raised(parts, contributions[0]), None
    unshifted, shifted = contributions[0, in_both], np.nanmean(contributions[1:, in_both], 0)
    varies = min(np.ptp(unshifted), np.ptp(shifted)) > 0
    agreement = float(np.corrcoef(unshifted, shifted)[0, 1]) if varies else 0.0
    return with_raised(parts, np.nanmean(contributions, 0)), agreement


def without_codes(patient: Patient) -> tuple[list[Patient], Parts]:
    """Copy a patient many times, each time without one code or measurement of one visit."""
    patients: list[Patient] = []
    parts: Parts = []
    prediction_time = patient.time or max(visit.time for visit in patient.visits)
    for place, visit in sorted(enumerate(patient.visits), key=lambda numbered: -numbered[0]):
        for code in [*dict.fromkeys(visit.codes), *visit.values]:
            if len(parts) == MOST:
                return patients, parts
            changed = visit.model_copy(
                update={
                    "codes": [numbered for numbered in visit.codes if numbered != code],
                    "values": {name: v for name, v in visit.values.items() if name != code},
                }
            )
            visits = [*patient.visits[:place], changed, *patient.visits[place + 1 :]]
            patients.append(patient.model_copy(update={"visits": visits, "time": prediction_time}))
            parts.append({"visit": place + 1, "time": visit.time, "code": code})
    return patients, parts


def with_raised(parts: Sequence[Mapping[str, Any]], raised: NDArray[np.floating[Any]]) -> Parts:
    """Add how much each part raised the probability of a class, (part,), to its description."""
    return [
        {**part, "raised": round(value, 6)}
        for part, value in zip(parts, raised.tolist(), strict=True)
    ]
