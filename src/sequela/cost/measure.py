"""Measured time and memory of one prediction, which a run records next to the counted work."""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

CALLS = 31  # the calls of a model that takes less than ``ENOUGH`` for all of them
FEWEST = 8  # the calls of a slower model
ENOUGH = 0.1  # seconds of calls after which ``FEWEST`` calls are enough


def microseconds_of_one(model: Callable[..., object], example: Sequence[object]) -> float:
    """Measure the median time of one example in microseconds, with torch as it is set."""
    seconds: list[float] = []
    while len(seconds) < (CALLS if sum(seconds) < ENOUGH else FEWEST):
        started = time.perf_counter()
        model(*example)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]) * 1e6  # the first call fills the caches


def peak_of_one(predict: Callable[[], object], *, tensors: bool) -> int:
    """Measure the most memory that one prediction holds at once, of numpy and torch, in bytes."""
    tracemalloc.start()
    try:
        if not tensors:
            predict()
            return tracemalloc.get_traced_memory()[1]
        return peak_bytes(predict, ()) + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_bytes(model: Callable[..., object], inputs: Sequence[object]) -> int:
    """Measure the most memory that one forward pass holds at once, by torch's own allocator."""
    from torch.profiler import ProfilerActivity, profile

    # The profiler reports its start and end on stderr.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        model(*inputs)
    results = recorded.profiler.kineto_results if recorded.profiler is not None else None
    events = [] if results is None else results.events()
    # The allocator reports each block that it hands out or takes back: their running sum is what
    # the pass holds, and the peak its maximum.
    changes = sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns())
    current = peak = 0
    for change in changes:
        current += change.nbytes()
        peak = max(peak, current)
    return peak
