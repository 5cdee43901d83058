"""Batches of requests: one call of the model for requests that arrive together."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sequela.serving.served import ServedModel

Inputs = Mapping[str, NDArray[Any]]
Found = NDArray[np.float32] | Exception
_EMPTY = {"codes": -1, "values": np.nan}
"""The padding of inputs; 0 for all others."""


def predicted(
    model: ServedModel, asked: Sequence[Inputs], most: int
) -> tuple[list[Found], list[int]]:
    """Predict for several requests together.

    Returns:
        For each request probabilities, float32 (example, class), or its error, which affects no
        other one; and the number of examples of each batch.
    """
    batches: list[list[tuple[int, Inputs, int]]] = []
    room = 0
    for number, inputs in enumerate(asked):
        total = len(next(iter(inputs.values())))
        for first in range(0, total, most):
            size = min(most, total - first)
            if size > room:
                batches.append([])
                room = most
            piece = {name: array[first : first + size] for name, array in inputs.items()}
            batches[-1].append((number, piece, size))
            room -= size
    pieces: list[list[Found]] = [[] for _ in asked]
    for batch in batches:
        found = _found(model, [inputs for _, inputs, _ in batch], [size for *_, size in batch])
        for (number, *_), each in zip(batch, found, strict=True):
            pieces[number].append(each)
    errors = [[each for each in of if isinstance(each, Exception)] for of in pieces]
    whole: list[Found] = [
        wrong[0] if wrong else np.concatenate(cast("list[NDArray[np.float32]]", of))
        for of, wrong in zip(pieces, errors, strict=True)
    ]
    return whole, [sum(size for *_, size in batch) for batch in batches]


def _found(model: ServedModel, asked: Sequence[Inputs], sizes: Sequence[int]) -> list[Found]:
    """Return a result for each piece of a batch."""
    try:
        whole = model.probabilities(joined(asked))
    except Exception as error:  # noqa: BLE001 - it is raised in the request
        if len(asked) == 1:
            return [error]
        return [
            each
            for one in zip(asked, sizes, strict=True)
            for each in _found(model, one[:1], one[1:])
        ]
    return [*np.split(whole, np.cumsum(sizes)[:-1])]


def joined(some: Sequence[Inputs]) -> dict[str, NDArray[Any]]:
    """Join the inputs of several requests, with padding."""
    if len(some) == 1:
        return dict(some[0])
    found = {}
    for name in some[0]:
        arrays = [each[name] for each in some]
        shape = tuple(max(sizes) for sizes in zip(*(a.shape[1:] for a in arrays), strict=True))
        if all(array.shape[1:] == shape for array in arrays):
            found[name] = np.concatenate(arrays)
            continue
        total = sum(len(array) for array in arrays)
        whole = np.full((total, *shape), _EMPTY.get(name, 0), arrays[0].dtype)
        first = 0
        for array in arrays:
            place = (slice(first, first + len(array)), *(slice(size) for size in array.shape[1:]))
            whole[place] = array
            first += len(array)
        found[name] = whole
    return found
