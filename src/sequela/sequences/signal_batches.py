"""Batches of scaled signal segments."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler


@dataclass(frozen=True)
class SignalBatch:
    """Segments that go through a model together.

    Dimensions: ``segment`` is the batch; ``n_chans`` channels; ``n_times`` samples. All segments
    have the same length, so nothing is padded.

    Attributes:
        signal: float32 (segment, n_chans, n_times), scaled.
        labels: int64 (segment,), index of the class.
    """

    signal: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.signal.ndim != 3 or self.labels.shape != self.signal.shape[:1]:  # noqa: PLR2004
            raise ValueError(
                f"signal is {tuple(self.signal.shape)} and labels are {tuple(self.labels.shape)}: "
                "expected (segment, n_chans, n_times) and (segment,)"
            )

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a model's ``forward`` takes."""
        return (self.signal,)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self:
        """The batch on a device."""
        return type(self)(
            self.signal.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
        )


class SignalDataset(Dataset[SignalBatch]):
    """Segments in memory; a batch is one gather, not one copy a segment."""

    def __init__(self, signal: Tensor, labels: Tensor) -> None:
        self.segments = SignalBatch(signal, labels)

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.segments.labels)

    def __getitem__(self, index: int) -> SignalBatch:
        """One segment, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> SignalBatch:
        """The batch of these segments, in this order; torch's loader asks for whole batches."""
        return SignalBatch(self.segments.signal[indices], self.segments.labels[indices])


def signal_loader(
    signal: Tensor, labels: Tensor, *, batch_size: int, generator: torch.Generator | None = None
) -> DataLoader[SignalBatch]:
    """A loader of batches, in a random order drawn from ``generator``, or in the given order."""
    dataset = SignalDataset(signal, labels)
    order = (
        SequentialSampler(dataset)
        if generator is None
        else RandomSampler(dataset, generator=generator)
    )
    return DataLoader(
        dataset,
        batch_sampler=BatchSampler(order, batch_size, drop_last=False),
        collate_fn=_as_it_is,
        generator=generator,
    )


def _as_it_is(batch: Any) -> Any:
    """The dataset answers whole batches, so nothing is left to collate."""
    return batch
