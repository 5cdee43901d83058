"""Requests that arrive together are answered by one call, each with its own answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.serving.served_model import ServedModel
from sequela.web.answers import Answers, Job, Reply, joined, predicted
from sequela.web.guards import Limits
from sequela.web.lanes import Lane, Process
from sequela.web.schemas import BINARY, CSV, JSON


class Model:
    """Says the mean of each example."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def probabilities(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        signal = inputs["signal"]
        if not np.isfinite(signal).all():
            raise DataError("not finite")
        self.sizes.append(len(signal))
        return np.asarray(signal.mean((1, 2))[:, None], np.float32)


def ask(values: list[float], most: int) -> tuple[list[Any], list[int]]:
    """Answers to one request for each value, and the sizes of the batches."""
    model = Model()
    asked = [{"signal": np.full((1, 1, 4), value, np.float32)} for value in values]
    return predicted(model, asked, most), model.sizes  # type: ignore[arg-type]


def test_what_waits_is_answered_at_once() -> None:
    found, sizes = ask([float(i) for i in range(20)], most=512)
    assert [each.item() for each in found] == list(range(20))
    assert sizes == [20]


def test_a_batch_has_a_limit_and_may_be_one() -> None:
    assert ask([1.0] * 20, most=8)[1] == [8, 8, 4]
    assert ask([1.0] * 5, most=1)[1] == [1] * 5


def test_a_large_request_is_asked_in_pieces() -> None:
    model = Model()
    signal = np.arange(20, dtype=np.float32)[:, None, None]
    (found,) = predicted(model, [{"signal": signal}], 8)  # type: ignore[arg-type]
    assert not isinstance(found, Exception)
    assert found.ravel().tolist() == list(range(20))
    assert model.sizes == [8, 8, 4]


def test_a_bad_request_spoils_its_own_answer_alone() -> None:
    found, _ = ask([1.0, np.nan, 3.0], most=512)
    assert found[0].item() == 1
    assert isinstance(found[1], DataError)
    assert found[2].item() == 3


def job(body: bytes, kind: str = JSON) -> Job:
    return Job("/v1/predict", kind, [("sfreq", "173.61"), ("unit", "uV")], body)


def test_requests_that_wait_are_sent_together_and_work_that_nobody_waits_for_ends(
    eeg: ServedModel, segment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    exchange = Process.exchange

    def counted(process: Process, jobs: Sequence[Job]) -> list[Reply | None]:
        sizes.append(len(jobs))
        return exchange(process, jobs)

    monkeypatch.setattr(Process, "exchange", counted)
    one, slow = job(np.array(segment, "<f4").tobytes(), BINARY), job(b"0\n" * 10_000_000, CSV)

    async def some() -> None:
        process = Process(Answers(eeg, Limits(), 8), 2 * 10**9)
        lane = Lane(process, most=3, seconds=None)
        lane.start()
        first, *_ = await asyncio.gather(*(lane.answer(one) for _ in range(7)))
        assert first is not None
        assert first.status == 200
        assert sizes == [0, 3, 3, 1]  # none to start
        ended = process._process
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await lane.answer(slow)
        assert await lane.answer(one) == first
        assert process._process is not ended
        lost = asyncio.create_task(lane.answer(slow))
        await asyncio.sleep(0.2)
        process.end()
        assert await lost is None
        assert await lane.answer(one) == first
        lost = asyncio.create_task(lane.answer(slow))
        await asyncio.sleep(0.2)
        await lane.stop()
        lost.cancel()
        assert process._process is not None
        assert not process._process.is_alive()

    asyncio.run(some())


def test_a_process_gets_no_more_memory_than_it_may(eeg: ServedModel) -> None:
    process = Process(Answers(eeg, Limits(), 8), 50_000_000)
    try:
        (reply,) = process.exchange([job(b"[" + b'"a",' * 5_000_000 + b"0]")])
        assert reply is not None
        assert reply.status == 413
        assert b"too much memory" in reply.body
    finally:
        process.end()


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
