"""Requests that arrive together are answered by one call, each with its own answer."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.serving.web.batching import Batcher, joined
from sequela.serving.web.metrics import Metrics


class Model:
    """Says the mean of each example, once it may."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free = threading.Event()

    def probabilities(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        self.free.wait(10)
        signal = inputs["signal"]
        if not np.isfinite(signal).all():
            raise DataError("not finite")
        self.sizes.append(len(signal))
        return np.asarray(signal.mean((1, 2))[:, None], np.float32)


def ask(values: list[float], most: int) -> tuple[list[Any], list[int]]:
    """Answers to one request for each value, and the sizes of the batches."""
    model = Model()

    async def all_of_them() -> list[Any]:
        batcher = Batcher(model, Metrics(), most=most)  # type: ignore[arg-type]
        batcher.start()
        tasks = [
            asyncio.create_task(
                batcher.probabilities({"signal": np.full((1, 1, 4), value, np.float32)}, 1)
            )
            for value in values
        ]
        await asyncio.sleep(0.05)
        model.free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.stop()
        return found

    return asyncio.run(all_of_them()), model.sizes


def test_what_waits_is_answered_at_once() -> None:
    found, sizes = ask([float(i) for i in range(20)], most=512)
    assert [each.item() for each in found] == list(range(20))
    assert sum(sizes) == 20
    assert len(sizes) <= 2


def test_a_batch_has_a_limit_and_may_be_one() -> None:
    assert max(ask([1.0] * 20, most=8)[1]) == 8
    assert ask([1.0] * 5, most=1)[1] == [1] * 5


def test_a_large_request_is_asked_in_pieces() -> None:
    model = Model()
    model.free.set()
    signal = np.arange(20, dtype=np.float32)[:, None, None]

    async def one() -> Any:
        batcher = Batcher(model, Metrics(), most=8)  # type: ignore[arg-type]
        batcher.start()
        found = await batcher.probabilities({"signal": signal}, 20)
        await batcher.stop()
        return found

    assert asyncio.run(one()).ravel().tolist() == list(range(20))
    assert model.sizes == [8, 8, 4]


def test_a_bad_request_spoils_its_own_answer_alone() -> None:
    found, _ = ask([1.0, np.nan, 3.0], most=512)
    assert found[0].item() == 1
    assert isinstance(found[1], DataError)
    assert found[2].item() == 3


def test_shorter_examples_are_filled_up() -> None:
    one = {"codes": np.array([[[1, 2]]]), "values": np.ones((1, 1, 3), np.float32)}
    two = {"codes": np.array([[[3], [4]]]), "values": np.ones((1, 2, 3), np.float32)}
    found = joined([one, two])
    assert found["codes"].tolist() == [[[1, 2], [-1, -1]], [[3, -1], [4, -1]]]
    assert np.isnan(found["values"][0, 1]).all()
    assert found["values"].dtype == np.float32
    assert joined([one])["codes"] is one["codes"]


@pytest.mark.parametrize("count", [1, 3])
def test_equal_shapes_are_put_together(count: int) -> None:
    parts = [{"signal": np.full((2, 1, 4), i)} for i in range(count)]
    assert joined(parts)["signal"].shape == (2 * count, 1, 4)
