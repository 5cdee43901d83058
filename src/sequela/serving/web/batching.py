"""Batches of requests: one call of the model for requests that arrive together."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.serving.served import ServedModel
from sequela.serving.web.metrics import Metrics

Inputs = Mapping[str, NDArray[Any]]
_EMPTY = {"codes": -1, "values": np.nan}
"""The padding of inputs; 0 for all others."""


@dataclass(frozen=True)
class _Asked:
    inputs: Inputs
    size: int
    answer: "asyncio.Future[NDArray[np.float32]]"


class Batcher:
    """Runs a model in one thread on all waiting requests, up to a limit.

    Requests gather while the model works, so a busy server has large batches and a quiet one no
    delay. No waiting time has to be set.

    Args:
        model: The model.
        metrics: Count the size of each batch.
        most: Most examples of a batch; larger requests are divided.
    """

    def __init__(self, model: ServedModel, metrics: Metrics, *, most: int) -> None:
        self._model, self._metrics, self._most = model, metrics, most
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    async def probabilities(self, inputs: Inputs, size: int) -> NDArray[np.float32]:
        """Predict probabilities: float32 (example, class).

        Raises:
            DataError: The error of the model.
        """
        answers = []
        for first in range(0, size, self._most):
            some = {name: array[first : first + self._most] for name, array in inputs.items()}
            answers.append(asyncio.get_running_loop().create_future())
            self._waiting.put_nowait(_Asked(some, min(self._most, size - first), answers[-1]))
        found: NDArray[np.float32] = np.concatenate(await asyncio.gather(*answers))
        return found

    def start(self) -> None:
        """Start to process requests."""
        self._task = asyncio.create_task(self._answer())

    async def stop(self) -> None:
        """Stop after all requests."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        held: _Asked | None = None
        while True:
            batch, held = [held or await self._waiting.get()], None
            size = batch[0].size
            while not self._waiting.empty():
                one = self._waiting.get_nowait()
                if size + one.size > self._most:
                    held = one
                    break
                batch.append(one)
                size += one.size
            batch = [one for one in batch if not one.answer.done()]  # others were cancelled
            if batch:
                self._metrics.batch.observe(sum(one.size for one in batch))
                answers = await loop.run_in_executor(self._thread, self._ask, batch)
                for one, found in zip(batch, answers, strict=True):
                    if one.answer.done():
                        continue
                    if isinstance(found, BaseException):
                        one.answer.set_exception(found)
                    else:
                        one.answer.set_result(found)

    def _ask(self, batch: Sequence[_Asked]) -> list[NDArray[np.float32] | Exception]:
        """Return a result for each request; an error affects one request only."""
        try:
            whole = self._model.probabilities(joined([one.inputs for one in batch]))
        except Exception as error:  # noqa: BLE001 - it is raised in the request
            if len(batch) == 1:
                return [error]
            return [found for one in batch for found in self._ask([one])]
        return [*np.split(whole, np.cumsum([one.size for one in batch])[:-1])]


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
