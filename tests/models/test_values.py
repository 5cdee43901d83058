"""The network on measurements, against plain loops over steps."""

import math

import pytest
import torch
from torch import Tensor

from sequela.models.values import ValuesLSTM, ValuesLSTMConfig, _carried, _pooled

LENGTHS = [4, 3, 1]


def batch(lengths: list[int], channels: int = 3) -> tuple[Tensor, ...]:
    """Values, mask, gaps, features and batch sizes, of patients by falling length."""
    draw = torch.Generator().manual_seed(0)
    rows = [
        (patient, step)
        for step in range(max(lengths))
        for patient, n in enumerate(lengths)
        if step < n
    ]
    of = {key: torch.randn(channels, generator=draw) for key in sorted(rows)}
    there = {key: torch.rand(channels, generator=draw) < 0.5 for key in sorted(rows)}
    gap = {(p, s): 0.25 * s * (p + 1) for p, s in rows}
    features = torch.randn(len(lengths), 5, generator=draw)
    return (
        torch.stack([torch.where(there[row], of[row], 0.0) for row in rows]),
        torch.stack([there[row] for row in rows]),
        torch.tensor([gap[row] for row in rows]),
        features,
        torch.tensor([sum(n > step for n in lengths) for step in range(max(lengths))]),
    )


def model() -> ValuesLSTM:
    torch.manual_seed(0)
    return ValuesLSTM(ValuesLSTMConfig(n_channels=3, n_features=5)).eval()


def test_a_channel_keeps_its_last_value_and_ages() -> None:
    draw = torch.Generator().manual_seed(1)
    values, there = torch.randn(5, 2, 3, generator=draw), torch.rand(5, 2, 3, generator=draw) < 0.4
    gaps = torch.rand(5, 2, generator=draw)
    kept, age = _carried(values, there, gaps)
    for patient in range(2):
        for channel in range(3):
            last, days = 0.0, math.inf
            for step in range(5):
                days += float(gaps[step, patient])
                if there[step, patient, channel]:
                    last, days = float(values[step, patient, channel]), 0.0
                assert float(kept[step, patient, channel]) == pytest.approx(last)
                assert float(age[step, patient, channel]) == pytest.approx(days, abs=1e-6)


def test_pooling_leaves_padding_out() -> None:
    states = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    found = _pooled(states, torch.tensor(LENGTHS))
    for patient, n in enumerate(LENGTHS):
        real = states[:n, patient]
        expected = torch.cat([real.mean(0), real.amax(0), real[-1]])
        torch.testing.assert_close(found[patient], expected)


def test_an_answer_for_each_patient_whoever_stands_beside() -> None:
    values, mask, gaps, features, sizes = batch(LENGTHS)
    network = model()
    logits = network(values, mask, gaps, features, sizes)
    assert logits.shape == (3, 2)
    first = 0
    rows: dict[int, list[int]] = {patient: [] for patient in range(3)}
    for size in sizes.tolist():
        for patient in range(size):
            rows[patient].append(first + patient)
        first += size
    for patient, mine in rows.items():
        ones = torch.ones(len(mine), dtype=torch.int64)
        alone = network(values[mine], mask[mine], gaps[mine], features[[patient]], ones)
        torch.testing.assert_close(alone[0], logits[patient])


def test_all_inputs_are_read() -> None:
    given = list(batch(LENGTHS))
    network, logits = model(), model()(*given)
    for place in range(4):
        changed = list(given)
        changed[place] = ~given[1] if place == 1 else given[place] + 1
        assert not torch.allclose(network(*changed), logits)


def test_in_training_it_answers_the_second_target_too() -> None:
    logits, second = model().train()(*batch(LENGTHS))
    assert logits.shape == (4, 3, 2)  # of each member
    assert second.shape == (3,)
