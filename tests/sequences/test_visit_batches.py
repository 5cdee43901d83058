from collections.abc import Callable
from itertools import pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from tests.sequences.conftest import Measured, Nested, measured_lists, nested_lists, write_measured
from torch import distributed
from torch.utils.data import DataLoader

from sequela.sequences import visit_batches
from sequela.sequences.featurisers import learn_scales
from sequela.sequences.flat import Sequences
from sequela.sequences.visit_batches import (
    BucketSampler,
    FurtherInputs,
    VisitBatch,
    VisitDataset,
    visit_loader,
)

Write = Callable[..., Sequences]


def plain_packed(nested: Nested, rows: list[int]) -> tuple[list[int], list[list[int]], list[int]]:
    """Order, visits in packed order, and batch sizes, by loops."""
    order = sorted(rows, key=lambda row: -len(nested[row]))
    columns = [
        [visit for visit in step if visit is not None]
        for step in zip_longest(*(nested[row] for row in order))
    ]
    return order, [visit for column in columns for visit in column], [len(c) for c in columns]


@given(nested=nested_lists, data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_batch_is_the_plain_packed_order(
    write_nested: Write, nested: Nested, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(nested) - 1), min_size=1, max_size=12))
    with TemporaryDirectory() as name:
        batch = VisitDataset(write_nested(Path(name) / "s", nested))[rows]
    order, visits, sizes = plain_packed(nested, rows)
    ends = batch.offsets.tolist()
    assert batch.order.tolist() == order
    assert batch.batch_sizes.tolist() == sizes
    assert [batch.codes[a:b].tolist() for a, b in pairwise(ends)] == visits
    assert batch.labels.tolist() == [row % 2 for row in order]
    assert len(batch) == len(rows)


def test_rows_of_a_part(write_nested: Write, tmp_path: Path) -> None:
    dataset = VisitDataset(write_nested(tmp_path / "s", [[[1]], [[2]], [[3]]]), np.array([2, 0]))
    assert len(dataset) == 2
    batch = dataset[[0, 1]]
    assert batch.codes.tolist() == [3, 1]
    assert batch.order.tolist() == [0, 1]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    batch_size=st.integers(1, 7),
    pool=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_each_row_comes_once_an_epoch_and_the_seed_decides(
    lengths: list[int], batch_size: int, pool: int, seed: int
) -> None:
    @patch.object(visit_batches, "_POOL", pool)
    def epochs() -> list[list[list[int]]]:
        generator = torch.Generator().manual_seed(seed)
        sampler = BucketSampler(np.array(lengths), batch_size, generator)
        assert len(sampler) == len(list(sampler))
        return [list(sampler), list(sampler)]

    first, second = epochs()
    assert sorted(i for batch in first for i in batch) == list(range(len(lengths)))
    assert max(map(len, first)) <= batch_size
    assert [first, second] == epochs()


def test_batches_do_not_come_by_length() -> None:
    lengths = np.arange(1, 101)
    batches = list(BucketSampler(lengths, 5, torch.Generator().manual_seed(0)))
    longest = [max(lengths[batch]) for batch in batches]
    assert longest != sorted(longest)


def test_processes_share_each_row(tmp_path: Path) -> None:
    """Accelerate divides full batches, and the last one, which it fills up."""
    store = (tmp_path / "store").as_uri()
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        for seed in range(5):
            order = [torch.Generator().manual_seed(seed) for _ in range(2)]
            samplers: list[Any] = [BucketSampler(np.ones(30, np.int64), 8, each) for each in order]
            first, second = (
                list(BatchSamplerShard(sampler, 2, index, split_batches=True))
                for index, sampler in enumerate(samplers)
            )
            assert [len(batch) for batch in first + second] == 8 * [4]
            assert {row for batch in first + second for row in batch} == set(range(30))
    finally:
        distributed.destroy_process_group()


def test_without_a_generator_rows_stand_by_length() -> None:
    assert list(BucketSampler(np.array([3, 1, 2, 1]), 2)) == [[1, 3], [2, 0]]


def test_buckets_save_steps() -> None:
    lengths = np.random.default_rng(0).geometric(0.3, 5_000)
    generator = torch.Generator().manual_seed(0)
    bucketed = sum(lengths[batch].max() for batch in BucketSampler(lengths, 50, generator))
    shuffled = sum(lengths[i : i + 50].max() for i in range(0, 5_000, 50))
    assert bucketed < 0.5 * shuffled


Load = Callable[[VisitDataset], Any]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def as_sampler(dataset: VisitDataset) -> Any:
    sampler = BucketSampler(dataset.lengths, 4, seeded())
    return DataLoader(dataset, sampler=sampler, batch_size=None)


def prepared(dataset: VisitDataset) -> Any:
    return Accelerator(cpu=True).prepare(visit_loader(dataset, batch_size=4, generator=seeded()))


LOADS: dict[str, Load] = {
    "a loader of ours": lambda dataset: visit_loader(dataset, batch_size=4, generator=seeded()),
    "torch's, with the sampler": as_sampler,
    "prepared by Accelerate": prepared,
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_predictions_come_back_in_order_through(
    write_nested: Write, tmp_path: Path, load: Load
) -> None:
    nested = [[[i % 9]] * (1 + i % 4) for i in range(23)]
    dataset = VisitDataset(write_nested(tmp_path / "s", nested))
    answers = torch.full((23,), -1)
    for batch in load(dataset):
        first_visits = batch.offsets[: len(batch)]
        answers[batch.order] = batch.codes[first_visits]
    assert answers.tolist() == [i % 9 for i in range(23)]


def ints(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


GOOD: dict[str, Any] = {
    "codes": ints(1, 2, 3),
    "offsets": ints(0, 1, 1, 3),
    "batch_sizes": ints(2, 1),
    "labels": ints(0, 1),
    "order": ints(1, 0),
}


def test_a_good_batch_moves() -> None:
    batch = VisitBatch(**GOOD).to("cpu")
    assert [t.tolist() for t in batch.inputs] == [[1, 2, 3], [0, 1, 1, 3], [2, 1]]
    assert VisitBatch(**GOOD).to("meta").batch_sizes.device.type == "cpu"


@given(measured=measured_lists)
@settings(max_examples=30, deadline=None)
def test_values_and_gaps_are_those_of_one_patient_after_the_other(measured: Measured) -> None:
    """Steps are a day apart; of a channel the last value counts, ranked among training rows."""
    reads = ("values", "gaps", "static")
    with TemporaryDirectory() as folder:
        sequences = write_measured(Path(folder) / "s", measured)
        train = np.arange((len(measured) + 1) // 2)
        scales = learn_scales(sequences, train, reads)
        further = FurtherInputs(sequences, reads, scales)
        batch = VisitDataset(sequences, further=further)[range(len(measured))]
    values, mask, gaps, static, sizes = batch.inputs
    assert static.tolist() == [[0.0]] * len(measured)
    starts = np.cumsum([0, *sizes.tolist()])
    seen: list[list[float]] = [[], [], []]
    for patient in train:
        for channel, value in [pair for step in measured[patient] for pair in step]:
            seen[channel].append(float(np.float32(value)))
    levels = np.linspace(0, 1, 101)
    ends = [np.float32(np.quantile(each, levels)) if each else None for each in seen]

    def score(of: Any, value: float) -> float:
        if of is None:
            return 0.0
        known = np.unique(of)
        ranks = [np.clip(levels[of == each].mean(), 0.005, 0.995) for each in known]
        return float(np.interp(np.float32(value), known, ndtri(ranks)))

    for place, patient in enumerate(batch.order.tolist()):
        for step, pairs in enumerate(measured[patient]):
            row = int(starts[step]) + place
            assert gaps[row] == (step > 0)
            last = dict(pairs)
            for channel in range(3):
                assert bool(mask[row, channel]) == (channel in last)
                expected = 0.0
                if channel in last:
                    expected = score(ends[channel], last[channel])
                assert float(values[row, channel]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_values_of_older_models_are_standardised(tmp_path: Path) -> None:
    sequences = write_measured(tmp_path / "s", [[[(0, 5.0)], [(2, 1.0)]]])
    numbers = {"values:mean": [1, 0, 3], "values:deviation": [2, 1, 4]}
    scales = {name: np.array(each, np.float32) for name, each in numbers.items()}
    batch = VisitDataset(sequences, further=FurtherInputs(sequences, ("values",), scales))[[0]]
    np.testing.assert_array_equal(batch.values, [[2.0, 0.0, 0.0], [0.0, 0.0, -0.5]])
