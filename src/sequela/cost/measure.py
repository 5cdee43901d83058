"""Measured time and memory, to compare with the counted work.

A model with few operations can be slower than one with many: a recurrence cannot use the hardware
as a large matrix product can. Every figure is for the machine it was measured on, with one thread,
and includes its ratio to the speed of a matrix product there.
"""

import copy
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequela.cost.network import Network

SECONDS = 0.5  # the shortest time to measure a statement for, in seconds
# Large enough that arithmetic and not memory limits its speed.
MATRIX = 1024  # the rows and columns of the matrices whose product shows the speed of the machine
CALLS = 31  # the calls of a model that takes less than ``ENOUGH`` for all of them
FEWEST = 8  # the calls of a slower model
ENOUGH = 0.1  # seconds of calls after which ``FEWEST`` calls are enough


@dataclass(frozen=True, slots=True)
class Measurement:
    """One forward pass at one batch size, one thread; the median of its times.

    ``peak_bytes`` is the most memory that its tensors held at once, without weights, which have
    ``weight_bytes`` with buffers. Operations are those executed (a sum of rows for multi-hot
    input). ``matmul_rate`` is the operations a second of a large float32 matrix product here.
    """

    batch: int
    microseconds: float
    peak_bytes: int
    weight_bytes: int
    operations: int
    matmul_rate: float

    @property
    def rate(self) -> float:
        """The number of counted operations a second."""
        return self.operations / self.microseconds * 1e6

    @property
    def share(self) -> float:
        """The rate as a share of the matrix product's."""
        return self.rate / self.matmul_rate


def measure(network: "Network", batches: Sequence[int] = (1, 64)) -> list[Measurement]:
    """Measure time and memory of a network's forward pass, all samples with its first length.

    A network that is not ``sized`` is measured on its given input only.
    """
    import torch

    from sequela.cost.network import count

    peak_rate = matmul_rate()
    model = copy.deepcopy(network.model).eval()
    # One thread and inference mode, as a prediction is made in serving.
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    measured = []
    for batch in batches if network.sized else [1]:
        lengths = network.lengths[:1] * batch
        inputs = tuple(map(_random, network.inputs(lengths)))
        account = count(replace(network, lengths=lengths, slots=max(lengths)), allow_unknown=True)
        sums = account.embedding_sum
        operations = account.operations if sums is None else sums.operations
        # The first call builds kernels and caches, so it is not measured.
        with torch.inference_mode():
            model(*inputs)
            peak = peak_bytes(model, inputs)
            seconds = _median_seconds("model(*inputs)", model=model, inputs=inputs)
        measured.append(Measurement(batch, seconds * 1e6, peak, weights, operations, peak_rate))
    return measured


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


def _random(value: object) -> object:
    import torch

    if isinstance(value, torch.Tensor) and value.is_floating_point():
        # Zeros would be faster in some kernels, and denormal numbers much slower.
        return torch.randn(value.shape, generator=torch.Generator().manual_seed(0))
    return value


def matmul_rate() -> float:
    """Measure the operations a second of a product of two large matrices in float32, one thread."""
    import torch

    a, b = (_random(torch.empty(MATRIX, MATRIX)) for _ in range(2))
    seconds = _median_seconds("a @ b", a=a, b=b)
    # Each of n² results is a dot product of n multiplications and n - 1 additions.
    return MATRIX * MATRIX * (2 * MATRIX - 1) / seconds


def _median_seconds(statement: str, **names: object) -> float:
    """Measure the median time of a statement; torch's timer loads slowly, so it loads here."""
    from torch.utils.benchmark import Timer

    return float(Timer(statement, globals=names).blocked_autorange(min_run_time=SECONDS).median)


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


def to_json(measurement: Measurement) -> dict[str, object]:
    """Return the measurement as plain values."""
    return {
        **asdict(measurement),
        "operations_per_second": measurement.rate,
        "share_of_matmul": measurement.share,
    }


def render_measurements(measured: Sequence[Measurement]) -> str:
    """Format the measurements as plain text."""
    head = (
        f"measured here, one thread (a {MATRIX} x {MATRIX} matrix product reaches "
        f"{measured[0].matmul_rate / 1e9:.1f} billion operations a second):"
    )
    lines = [
        f"  batch size {m.batch:>3}: {m.microseconds:>10,.1f} us, {m.operations:>12,} operations = "
        f"{m.rate / 1e9:.3f} billion a second ({m.share:.2%} of that), peak "
        f"{m.peak_bytes / 1024:,.0f} KiB and {m.weight_bytes / 1024:,.0f} KiB of weights"
        for m in measured
    ]
    return "\n".join([head, *lines])
