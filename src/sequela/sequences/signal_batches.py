"""Batches of scaled signal segments."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from sequela.sequences.scaling import Scaling
from sequela.signals.cutting import release

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class SignalBatch:
    """Segments that go through a model together.

    Dimensions: ``segment`` is the batch; ``n_chans`` channels; ``n_times`` samples. All segments
    have the same length, so nothing is padded.

    Attributes:
        signal: float32 (segment, n_chans, n_times), scaled.
        labels: int64 (segment,), index of the class.
        features: float32 (segment, feature), for a model that reads some: standardised by the
            training set, clipped at 5 standard deviations; 0 where a number is missing.
        reads: The inputs of a model, in this order: ``signal``, ``features:NAME``.
    """

    signal: Tensor
    labels: Tensor
    features: Tensor | None = None
    reads: tuple[str, ...] = ("signal",)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of a model's ``forward``, in the order of ``reads``."""
        return tuple(getattr(self, read.partition(":")[0]) for read in self.reads)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self:
        """Move the batch to a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def of(self, rows: list[int] | slice) -> Self:
        """Return the batch of some of its segments."""
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        features = None if self.features is None else change(self.features)
        return type(self)(change(self.signal), change(self.labels), features, self.reads)


@dataclass(frozen=True)
class SignalSource:
    """Some segments of a signal, read and scaled batch by batch: it may be larger than memory.

    ``source`` is float32 (row, n_chans, n_times) in µV, in memory or in a file, with the scaling of
    the signal; ``rows`` are their rows in it, int64 (segment,); ``labelled`` has their labels and
    features, without samples.
    """

    source: NDArray[np.float32]
    scaling: Scaling
    rows: NDArray[np.int64]
    labelled: SignalBatch

    @property
    def labels(self) -> Tensor:
        """int64 (segment,), index of the class."""
        return self.labelled.labels

    def of(self, rows: list[int] | slice) -> SignalBatch:
        """Return the batch of some of the segments."""
        scaled = np.asarray(self.scaling.apply(self.source[self.rows[rows]]))
        release(self.source)  # pages of a mapped file, which would fill the memory
        return replace(self.labelled.of(rows), signal=torch.from_numpy(scaled))


class SignalDataset(Dataset[SignalBatch]):
    """Segments; a batch is one gather, not one copy a segment."""

    def __init__(self, segments: SignalBatch | SignalSource) -> None:
        self.segments = segments

    def __len__(self) -> int:
        return len(self.segments.labels)

    def __getitem__(self, index: int) -> SignalBatch:
        """Return one segment, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> SignalBatch:
        """Return the batch of these segments, in this order, as torch's loader requests."""
        return self.segments.of(indices)


class VariedDataset(SignalDataset):
    """Training segments that vary each time: another cut, and a little louder or quieter.

    The segments are in the order of time. ``stretch`` is int64 (segment,), rising: segments with
    one number follow each other without a gap and have one class, so that a segment may be cut
    anywhere in them; ``None`` cuts none. The factors of segments have a logarithm with the standard
    deviation ``gain``.
    """

    def __init__(
        self,
        segments: SignalBatch | SignalSource,
        generator: torch.Generator,
        stretch: Tensor | None = None,
        gain: float = 0.0,
    ) -> None:
        super().__init__(segments)
        self._generator, self._gain = generator, gain
        self._stretch = stretch
        if stretch is not None:
            self._n_times = segments.of([0]).signal.shape[2]
            _, inverse, sizes = torch.unique_consecutive(
                stretch, return_inverse=True, return_counts=True
            )
            begins = torch.cumsum(sizes, 0) - sizes
            self._begin = begins[inverse] * self._n_times
            self._places = (sizes[inverse] - 1) * self._n_times + 1

    def __getitems__(self, indices: list[int]) -> SignalBatch:
        segments, n = self.segments, len(indices)
        if self._stretch is None:
            batch = segments.of(indices)
            signal = batch.signal
        else:  # their own samples would be read in vain
            unread = segments.labelled if isinstance(segments, SignalSource) else segments
            batch = unread.of(indices)
            share = torch.rand(n, generator=self._generator, dtype=torch.float64)
            start = self._begin[indices] + (share * self._places[indices]).long()  # samples
            # A cut is in two segments that follow each other, or in one.
            rows, offset = start // self._n_times, start % self._n_times
            following = (rows + 1).clamp(max=len(self) - 1)  # read only where offset > 0
            several = segments.of([*rows.tolist(), *following.tolist()]).signal
            joined = torch.cat([several[:n], several[n:]], -1)  # (row, n_chans, 2 n_times)
            signal = joined.unfold(-1, self._n_times, 1)[torch.arange(n), :, offset]
        if self._gain:
            factor = torch.randn(n, 1, 1, generator=self._generator) * self._gain
            signal = signal * factor.exp()  # as with other electrodes or amplifiers
        return replace(batch, signal=signal)


class _GatheringLoader(DataLoader[SignalBatch]):
    """A loader of segments in memory, which gathers all segments of an epoch at once.

    Accelerate makes another loader from its data set, which gathers batch by batch.
    """

    def __iter__(self) -> Iterator[SignalBatch]:  # type: ignore[override] # torch's own iterator
        """Yield the batches of an epoch, in the order that torch's own loader draws."""
        batches: Any = self.batch_sampler
        dataset: Any = self.dataset
        segments: SignalBatch = dataset.segments
        if self.generator is not None:
            torch.empty((), dtype=torch.int64).random_(generator=self.generator)  # for its workers
            segments = segments.of(list(batches.sampler))
        for first in range(0, len(segments.labels), batches.batch_size):
            yield segments.of(slice(first, first + batches.batch_size))


def signal_loader(
    segments: SignalBatch | SignalSource | SignalDataset,
    *,
    batch_size: int,
    generator: torch.Generator | None = None,
) -> DataLoader[SignalBatch]:
    """Return a loader of batches, shuffled by ``generator``, or in the given order."""
    dataset = segments if isinstance(segments, SignalDataset) else SignalDataset(segments)
    shuffled = generator is not None
    order = RandomSampler(dataset, generator=generator) if shuffled else SequentialSampler(dataset)
    in_memory = type(dataset) is SignalDataset and isinstance(dataset.segments, SignalBatch)
    loader = _GatheringLoader if in_memory else DataLoader
    return loader(
        dataset,
        batch_sampler=BatchSampler(order, batch_size, drop_last=False),
        collate_fn=as_it_is,
        generator=generator,
    )


def as_it_is(batch: Batch) -> Batch:
    """Return the batch: the dataset returns whole batches, so nothing is left to collate."""
    return batch
