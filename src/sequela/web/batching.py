"""Batches of requests: one call of the model for requests that arrive together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.serving.served_model import ServedModel

Inputs = Mapping[str, NDArray[Any]]
Found = NDArray[np.float32] | Exception
_EMPTY = {"codes": -1, "values": np.nan}
"""The padding of inputs; 0 for all others."""


def predicted(
    model: ServedModel, requests: Sequence[Inputs], most: int
) -> tuple[list[Found], list[int]]:
    """Predict for several requests together.

    Returns:
        For each request probabilities, float32 (example, class), or its error, which affects no
        other one; and the number of examples of each batch.
    """
    batches: list[list[tuple[int, Inputs]]] = []
    sizes: list[int] = []
    for number, inputs in enumerate(requests):
        total = len(next(iter(inputs.values())))
        for first in range(0, total, most):
            count = min(most, total - first)
            if not sizes or sizes[-1] + count > most:
                batches.append([])
                sizes.append(0)
            piece = {name: array[first : first + count] for name, array in inputs.items()}
            batches[-1].append((number, piece))
            sizes[-1] += count
    results: list[list[NDArray[np.float32]]] = [[] for _ in requests]
    errors: dict[int, Exception] = {}
    while batches:
        batch = batches.pop(0)
        pieces = [inputs for _, inputs in batch]
        try:
            probabilities = model.probabilities(joined(pieces))
        except Exception as error:  # noqa: BLE001 - it is raised in the request
            if len(batch) > 1:
                batches = [[each] for each in batch] + batches
            else:
                errors.setdefault(batch[0][0], error)
            continue
        ends = np.cumsum([len(next(iter(inputs.values()))) for inputs in pieces])
        for (number, _), rows in zip(batch, np.split(probabilities, ends[:-1]), strict=True):
            results[number].append(rows)
    return [
        errors[number] if number in errors else np.concatenate(rows)
        for number, rows in enumerate(results)
    ], sizes


def joined(requests: Sequence[Inputs]) -> dict[str, NDArray[Any]]:
    """Join the inputs of several requests, with padding."""
    if len(requests) == 1:
        return dict(requests[0])
    whole = {}
    for name in requests[0]:
        arrays = [inputs[name] for inputs in requests]
        shapes = np.array([array.shape for array in arrays])  # (request, dimension)
        size = (shapes[:, 0].sum(), *shapes.max(0)[1:])
        whole[name] = np.full(size, _EMPTY.get(name, 0), arrays[0].dtype)
        parts = np.split(whole[name], np.cumsum(shapes[:-1, 0]))
        for part, array in zip(parts, arrays, strict=True):
            part[tuple(map(slice, array.shape))] = array
    return whole
