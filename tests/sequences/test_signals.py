"""Scaling and batches of signals."""

import json

import numpy as np
import pytest
import torch

from sequela.sequences.scaling import Scaling
from sequela.sequences.signal_batches import (
    SignalBatch,
    VariedDataset,
    signal_loader,
)


def test_scaling_of_each_channel() -> None:
    rng = np.random.default_rng(0)
    signal = (rng.normal(size=(30, 2, 50)) * [[[5.0], [0.1]]] + [[[100.0], [-3.0]]]).astype("f4")
    scaling = Scaling.fit(signal)
    for channel in range(2):
        samples = [float(x) for segment in signal for x in segment[channel]]
        mean = sum(samples) / len(samples)
        std = (sum((x - mean) ** 2 for x in samples) / len(samples)) ** 0.5
        assert scaling.mean[channel] == pytest.approx(mean)
        assert scaling.std[channel] == pytest.approx(std)
    scaled = scaling.apply(signal)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean((0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std((0, 2)), 1, atol=1e-4)
    assert Scaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling


def test_scaling_keeps_a_segments_amplitude() -> None:
    signal = np.stack([np.array([[-1, 1]]), np.array([[-10, 10]])]).astype("f4")
    scaled = Scaling.fit(signal).apply(signal)
    np.testing.assert_allclose(scaled[1], 10 * scaled[0])


def test_a_constant_channel_is_centred() -> None:
    signal = np.full((3, 1, 4), 7, "f4")
    scaling = Scaling.fit(signal)
    np.testing.assert_array_equal(scaling.apply(signal), 0)
    np.testing.assert_array_equal(scaling.apply(signal + 3), 3)  # not constant in other data


def test_every_segment_once_an_epoch_in_another_order() -> None:
    signal, labels = torch.arange(10.0).reshape(10, 1, 1), torch.arange(10)

    def epochs(seed: int) -> list[list[int]]:
        loader = signal_loader(
            SignalBatch(signal, labels), batch_size=4, generator=torch.Generator().manual_seed(seed)
        )
        assert len(loader) == 3
        seen = []
        for _ in range(2):
            batches = list(loader)
            assert [len(b.labels) for b in batches] == [4, 4, 2]
            assert all(torch.equal(b.signal.flatten(), b.labels.float()) for b in batches)
            seen.append(torch.cat([b.labels for b in batches]).tolist())
        return seen

    first, second = epochs(0)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert epochs(0) == [first, second]
    assert epochs(1) != [first, second]


def test_the_given_order_without_a_generator() -> None:
    loader = signal_loader(SignalBatch(torch.zeros(5, 1, 3), torch.arange(5)), batch_size=2)
    batches = list(loader)
    assert [batch.labels.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert all(len(batch.inputs) == 1 and batch.inputs[0] is batch.signal for batch in batches)


def test_training_segments_are_cut_anywhere_in_their_stretch() -> None:
    signal = torch.arange(60, dtype=torch.float32).reshape(1, 6, 10).transpose(0, 1)
    labels = torch.arange(6)
    stretch = torch.tensor([0, 0, 0, 1, 2, 2])
    dataset = VariedDataset(SignalBatch(signal, labels), torch.Generator().manual_seed(0), stretch)
    starts: dict[int, set[int]] = {row: set() for row in range(6)}
    for _ in range(400):
        batch = dataset.__getitems__([5, 0, 3])
        assert batch.labels.tolist() == [5, 0, 3]
        first = batch.signal[..., :1]
        assert torch.equal(batch.signal - first, torch.arange(10.0).expand(3, 1, 10))
        for row, start in zip([5, 0, 3], first.flatten().tolist(), strict=True):
            starts[row].add(int(start))
    assert starts[0] == set(range(21))
    assert starts[3] == {30}
    assert starts[5] == set(range(40, 51))


def test_training_segments_vary_in_gain() -> None:
    segments = SignalBatch(torch.ones(2000, 1, 4), torch.zeros(2000, dtype=torch.int64))
    dataset = VariedDataset(segments, torch.Generator().manual_seed(0), gain=0.1)
    varied = dataset.__getitems__(list(range(2000))).signal
    assert (varied == varied[..., :1]).all()  # one factor a segment
    assert float(varied[:, 0, 0].log().std()) == pytest.approx(0.1, rel=0.1)
    assert float(varied[:, 0, 0].log().mean()) == pytest.approx(0, abs=0.01)
