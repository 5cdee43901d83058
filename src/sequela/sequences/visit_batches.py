"""Batches of visit sequences, flat and in packed order, and the sampler that fills them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from sequela.sequences.feature_tables import last_values, static_table
from sequela.sequences.featurisers import Standardised, State
from sequela.sequences.flat import Sequences, spans
from sequela.sequences.scaling import knots
from sequela.sequences.signal_batches import as_it_is

TENSORS = {
    "codes": ("codes", "offsets"),
    "values": ("values", "mask"),
    "gaps": ("gaps",),
    "static": ("static",),
    "features": ("features",),
}
"""The tensors of each input."""
_POOL = 64  # batches that are sorted together: larger pools save work, smaller ones mix better
_MOST_VALUES = 1 << 25  # values that are scaled once and kept: 160 MiB with their mask
STEPPED = {"codes", "values", "gaps"}  # inputs that have steps


@dataclass(frozen=True, eq=False)
class VisitBatch:
    """Several patients' sequences of visits, without padding.

    Dimensions: patient: Examples of the batch, by falling number of visits; ties are in the
        requested order. step: Steps of the longest sequence. visit: Visits of all patients in the
        order of a packed sequence: all first visits, then all second visits...; within a step the
        patients are in their order. code: Codes of all visits, those of one visit distinct and
        rising.

    Attributes:
        codes: int64 (code,), indices into the vocabulary.
        offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end. An empty
            visit is two equal offsets.
        batch_sizes: int64 (step,), always on the CPU: patients who still have a visit at each step.
        labels: int64 (patient,), 1 where the outcome came, else 0; of times to an event float32
            (patient, class), the share of each class that the patient may be in.
        order: int64 (patient,), the row of the data set of each patient. Predictions go back to the
            rows as ``all_predictions[batch.order] = predictions``.
        reads: The inputs of a model, in this order; the fields below are ``None`` if not read.
        values: float32 (visit, channel), the last measurement of each channel in the visit, as a
            normal score by the training set; 0 where there is none.
        mask: bool (visit, channel), whether there is a measurement.
        gaps: float32 (visit,), days since the patient's visit before; 0 for the first.
        static: float32 (patient, column), age and sex, standardised by the training set; 0, the
            mean, where missing.
        features: float32 (patient, feature), standardised by the training set and clipped at 5
            standard deviations; 0 where a number is missing.
        second: float32 (patient,), a second target besides the labels: log(1 + days) to the next
            discharge or death. It is never an input.
        teacher: float32 (patient, class), probabilities of another model; ``None`` without one.
    """

    codes: Tensor
    offsets: Tensor
    batch_sizes: Tensor
    labels: Tensor
    order: Tensor
    reads: tuple[str, ...] = ("codes",)
    values: Tensor | None = None
    mask: Tensor | None = None
    gaps: Tensor | None = None
    static: Tensor | None = None
    features: Tensor | None = None
    second: Tensor | None = None
    teacher: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of a model, in the order of ``reads``: ``model(*batch.inputs)``.

        Codes are two tensors (codes, offsets), and so are values (values, mask). ``batch_sizes``
        come last where an input has steps.
        """
        heads = [read.partition(":")[0] for read in self.reads]
        tensors = []
        for head in heads:
            tensors += [getattr(self, name) for name in TENSORS[head]]
        if STEPPED & {*heads}:
            tensors.append(self.batch_sizes)
        return tuple(tensors)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "VisitBatch":
        """Move the batch to another device; ``batch_sizes`` and ``order`` stay where they are."""
        stay = {"batch_sizes", "order"}
        moved: dict[str, Any] = {
            name: tensor.to(device, non_blocking=non_blocking)
            for name, tensor in vars(self).items()
            if isinstance(tensor, Tensor) and name not in stay
        }
        return replace(self, **moved)


class Visits(Protocol):
    """The source of batches: stored sequences, or arrays of the same nesting in memory."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of steps of each example: int64 (example,)."""

    @property
    def step_offsets(self) -> NDArray[np.int64]:
        """The offsets of examples in the steps: int64 (example + 1,)."""

    @property
    def code_offsets(self) -> NDArray[np.int64]:
        """The offsets of steps in the codes: int64 (step + 1,)."""

    @property
    def codes(self) -> NDArray[np.integer]:
        """The codes (code,), indices into a vocabulary, those of one step distinct and rising."""

    @property
    def label(self) -> NDArray[np.bool_ | np.int64]:
        """The index of each example's class (example,)."""


@dataclass(frozen=True, eq=False)
class FurtherInputs:
    """The inputs of a batch other than codes, for models that read them.

    ``scales`` are quantiles of each channel, ``values:quantiles``, float32 (channel, 101), and mean
    and deviation of each, and of each static column, float32 (channel,); ``features`` is
    ``features:NAME``. With ``keep``, the scaled values of all visits are computed once.
    """

    sequences: Sequences
    reads: tuple[str, ...]
    scales: State
    features: Standardised | None = None
    keep: bool = True

    @cached_property
    def static(self) -> Standardised:
        """The static columns of all examples."""
        table = static_table(self.sequences)
        return Standardised(table, self.scales["static:mean"], self.scales["static:deviation"])

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return normal scores of values (visit, channel); of older models, standardised ones."""
        if "values:quantiles" not in self.scales:
            scaled = (values - self.scales["values:mean"]) / self.scales["values:deviation"]
            return np.asarray(scaled, np.float32)
        columns = [np.interp(v, *line) for v, line in zip(values.T, self._knots, strict=True)]
        return np.nan_to_num(np.array(columns, np.float32).T.reshape(values.shape))

    def _values(self, visits: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return scaled values of visits (visit, channel), 0 where there is none, and the mask."""
        values, mask = last_values(self.sequences, visits)
        return np.where(mask, self._scaled(values), 0), mask

    @cached_property
    def _all_values(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        """The values of all visits and their mask, where they take little memory."""
        visits = len(self.sequences.code_offsets) - 1  # of all examples
        if visits * len(self.sequences.channel_names) > _MOST_VALUES:
            return None
        return self._values(np.arange(visits))

    @cached_property
    def _knots(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        return knots(self.scales["values:quantiles"])

    def of(
        self, examples: NDArray[np.int64], visits: NDArray[np.int64], ranks: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Return the further tensors of a batch.

        Examples are (patient,), in the order of the batch; ``visits`` (visit,) are steps in packed
        order, and ``ranks`` (visit,) their number for the patient, from 0.
        """
        arrays: dict[str, NDArray[np.generic]] = {}
        if "values" in self.reads:
            if self.keep and self._all_values:
                values, mask = (array[visits] for array in self._all_values)
            else:
                values, mask = self._values(visits)
            arrays |= {"values": values, "mask": mask}
        if "gaps" in self.reads:
            times = self.sequences.step_time
            before = np.where(ranks > 0, visits - 1, visits)
            days = (times[visits] - times[before]) / np.timedelta64(1, "D")  # 0 for a first visit
            arrays["gaps"] = days.astype(np.float32)
        if "static" in self.reads:
            arrays["static"] = self.static.rows(examples)
        if self.features is not None:
            arrays["features"] = self.features.rows(examples)
        # In logs, 1 and 2 days differ about as much as 10 and 20, and one long stay decides little.
        arrays["second"] = np.log1p(self.sequences.followed[examples])
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {"reads": self.reads, **tensors}


class VisitDataset(Dataset[VisitBatch]):
    """A data set of sequences that returns one batch for a list of rows.

    The batch is read from the mapped arrays in one go; nothing is left to collate. Each row has an
    example (row,), all by default. With ``targets`` (example, class) an example may be in several
    classes, see ``Intervals.possible``; the ``teacher`` has probabilities (example, class) of
    another model.
    """

    def __init__(
        self,
        sequences: Visits,
        examples: NDArray[np.int64] | None = None,
        further: FurtherInputs | None = None,
        targets: NDArray[np.float32] | None = None,
        teacher: NDArray[np.float32] | None = None,
    ) -> None:
        self.targets, self.teacher = targets, teacher
        self.sequences = sequences
        self.further = further
        self.examples = np.arange(len(sequences)) if examples is None else examples
        self.lengths = sequences.lengths[self.examples]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, rows: Sequence[int]) -> VisitBatch:
        source = self.sequences
        batch = np.asarray(rows, np.int64)
        order = batch[np.argsort(-self.lengths[batch], kind="stable")]  # as packed sequences need
        examples, lengths = self.examples[order], self.lengths[order]  # (patient,)
        # A stable sort by step turns patient-major visits into packed order.
        ranks = spans(np.zeros_like(lengths), lengths)
        packed = np.argsort(ranks, kind="stable")
        visits = spans(source.step_offsets[examples], lengths)[packed]
        starts = source.code_offsets[visits]  # (visit,), in packed order
        counts = source.code_offsets[visits + 1] - starts
        further = self.further.of(examples, visits, ranks[packed]) if self.further else {}
        return VisitBatch(
            codes=torch.from_numpy(source.codes[spans(starts, counts)].astype(np.int64)),
            offsets=torch.from_numpy(np.concatenate(([0], np.cumsum(counts)))),
            batch_sizes=torch.from_numpy(np.bincount(ranks)),
            labels=torch.from_numpy(
                source.label[examples].astype(np.int64)
                if self.targets is None
                else self.targets[examples]
            ),
            order=torch.from_numpy(order),
            teacher=None if self.teacher is None else torch.from_numpy(self.teacher[examples]),
            **further,
        )

    # Torch's loader requests whole batches by this name.
    __getitems__ = __getitem__


class BucketSampler(Sampler[list[int]]):
    """A sampler of rows of similar length, so that few long patients do not delay a batch.

    With a generator the rows are shuffled, sorted by length within pools of batches, and the
    batches shuffled: each epoch has another order, and the same seed gives the same orders. Each
    row comes exactly once an epoch. Without a generator, as for evaluation, all rows are sorted by
    length.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        n = len(self.lengths)
        if self.generator is None:
            yield from self._cut(np.argsort(self.lengths, kind="stable"))
            return
        shuffled = torch.randperm(n, generator=self.generator).numpy()
        size = _POOL * self.batch_size  # rows of a pool
        batches: list[list[int]] = []
        for i in range(0, n, size):
            rows = shuffled[i : i + size]
            batches += self._cut(rows[np.argsort(self.lengths[rows], kind="stable")])
        order = torch.randperm(len(batches), generator=self.generator).tolist()
        # Of batches that are not full, Accelerate divides only the last one among processes.
        together = distributed.is_available() and distributed.is_initialized()
        for i in sorted(order, key=lambda i: together and len(batches[i]) < self.batch_size):
            yield batches[i]

    def _cut(self, rows: NDArray[np.int64]) -> list[list[int]]:
        size = self.batch_size
        return [rows[i : i + size].tolist() for i in range(0, len(rows), size)]


def visit_loader(
    dataset: VisitDataset,
    *,
    batch_size: int,
    generator: torch.Generator | None = None,
) -> DataLoader[VisitBatch]:
    """Return a loader of batches of similar length.

    The generator draws the order of each epoch; ``None`` sorts by length, for evaluation.
    """
    return DataLoader(
        dataset,
        batch_sampler=BucketSampler(dataset.lengths, batch_size, generator),
        collate_fn=as_it_is,
        generator=generator,
    )
