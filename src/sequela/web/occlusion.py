"""Explanation by occlusion: each part of an example is removed, and the prediction repeated."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.web.patients import Patient

PIECES = 24
"""Number of pieces of a segment."""
MOST = 400
"""Most codes of a patient that are removed, the latest first."""

Inputs = Mapping[str, NDArray[Any]]


def without_pieces(inputs: Inputs) -> tuple[dict[str, NDArray[Any]], list[dict[str, int]]]:
    """Copy a segment many times, each time with one piece flat at the channel's mean.

    Returns:
        The inputs of all copies, and first sample, end and channel of each piece.
    """
    signal = inputs["signal"][0]
    length = int(inputs["lengths"][0]) if "lengths" in inputs else signal.shape[1]
    edges = np.linspace(0, length, min(PIECES, length) + 1).astype(int)
    parts = [
        {"channel": channel, "first": int(first), "end": int(end)}
        for channel in range(len(signal))
        for first, end in pairwise(edges)
    ]
    whole = np.repeat(signal[None], len(parts), axis=0)
    for row, part in enumerate(parts):
        of = part["channel"]
        whole[row, of, part["first"] : part["end"]] = signal[of, :length].mean()
    found: dict[str, NDArray[Any]] = {"signal": whole}
    if "lengths" in inputs:
        found["lengths"] = np.full(len(parts), length, np.int64)
    return found, parts


def without_codes(patient: Patient) -> tuple[list[Patient], list[dict[str, Any]]]:
    """Copy a patient many times, each time without one code or measurement of one visit."""
    patients: list[Patient] = []
    parts: list[dict[str, Any]] = []
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


def moved(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    parts: Sequence[Mapping[str, Any]],
    of: int,
) -> list[dict[str, Any]]:
    """Compute how much each part raised the probability of a class, in the order of the parts.

    Args:
        before: float32 (class,), probabilities of the example.
        after: float32 (part, class), probabilities without each part.
        parts: The removed parts.
        of: The class.
    """
    raised = before[of] - after[:, of]
    return [
        {**part, "raised": round(each, 6)}
        for part, each in zip(parts, raised.tolist(), strict=True)
    ]
