"""Scaling and batches of signals."""

import json

import numpy as np
import pytest
import torch

from sequela.sequences.scaling import Scaling
from sequela.sequences.signal_batches import SignalBatch, signal_loader


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
    np.testing.assert_array_equal(Scaling.fit(signal).apply(signal), 0)


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
    assert [batch.labels.tolist() for batch in loader] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("shapes", [((4, 3), (4,)), ((4, 1, 3), (5,)), ((4, 1, 3), (4, 1))])
def test_a_batch_of_the_wrong_shape(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SignalBatch(torch.zeros(shapes[0]), torch.zeros(shapes[1], dtype=torch.int64))
