"""The report's eight models, against torch's own dense layers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sequela.errors import ModelError, SettingError
from sequela.models.registry import MODELS, lookup_network
from sequela.models.visits import MultiHotLinear

SIGNAL = [name for name, entry in MODELS.items() if entry.reads == ("signal",)]
VISITS = [name for name, entry in MODELS.items() if entry.reads == ("codes",)]

Patients = list[list[list[int]]]


def packed(patients: Patients) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, offsets and batch sizes of patients sorted by falling number of visits."""
    steps = range(len(patients[0]))
    visits = [p[step] for step in steps for p in patients if len(p) > step]
    return (
        torch.tensor([code for visit in visits for code in visit], dtype=torch.int64),
        torch.tensor([0, *torch.tensor([len(v) for v in visits]).cumsum(0).tolist()]),
        torch.tensor([sum(len(p) > step for p in patients) for step in steps]),
    )


def multi_hot(visits: list[list[int]], n_codes: int) -> Tensor:
    dense = torch.zeros(len(visits), n_codes)
    for row, visit in enumerate(visits):
        dense[row, visit] = 1
    return dense


def built(name: str, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    entry = lookup_network(name)
    return entry.build(entry.config(**changes)).eval()


@pytest.mark.parametrize("name", SIGNAL)
def test_an_answer_for_each_segment_whatever_stands_beside_it(name: str) -> None:
    model = built(name)
    signal = torch.randn(7, 1, lookup_network(name).config().n_times)
    logits = model(signal)
    assert logits.shape == (7, 5)
    assert (logits.std(0) > 0).all()  # the signal is read
    alone = torch.cat([model(each[None]) for each in signal])
    torch.testing.assert_close(alone, logits)
    torch.testing.assert_close(model(signal.flip(0)).flip(0), logits)


@pytest.mark.parametrize("name", SIGNAL)
def test_another_shape_of_segments_and_answers(name: str) -> None:
    n_times = 1100 if name == "recording-attention" else 100
    model = built(name, n_chans=3, n_times=n_times, n_outputs=2)
    assert model(torch.randn(4, 3, n_times)).shape == (4, 2)


def test_the_gru_equals_batch_first_torch() -> None:
    model: Any = built("gru-improved")
    plain = nn.GRU(1, 32, 2, batch_first=True)
    plain.load_state_dict(model.gru.state_dict())
    signal = torch.randn(6, 1, 178)
    last = plain(signal.transpose(1, 2))[0][:, -1]
    expected = model.fc2(torch.relu(model.fc1(last)))
    torch.testing.assert_close(model(signal), expected)


def test_too_few_samples_for_the_convolutions_are_refused() -> None:
    """16 samples leave 16 -> 12 -> 6 -> 2 -> 1; with 15 nothing is left."""
    for name in ("cnn-baseline", "cnn-improved"):
        assert built(name, n_times=16)(torch.zeros(2, 1, 16)).shape == (2, 5)
        with pytest.raises(ModelError, match=r"n_times=15.*at least 16 samples"):
            built(name, n_times=15)


def test_dropout_only_while_training() -> None:
    model = built("cnn-improved")
    signal = torch.randn(3, 1, 178)
    assert torch.equal(model(signal), model(signal))
    model.train()
    assert not torch.equal(model(signal), model(signal))


PATIENTS: Patients = [[[0, 3, 9], [1], [2, 3]], [[4], [], [5, 6]], [[7, 8], [0, 1, 2, 3]], [[9]]]


def test_multi_hot_linear_equals_a_dense_linear() -> None:
    torch.manual_seed(1)
    layer = MultiHotLinear(10, 4)
    torch.manual_seed(1)
    dense = nn.Linear(10, 4)  # the same draw
    visits = [visit for patient in PATIENTS for visit in patient]
    offsets = torch.tensor([0, *torch.tensor([len(v) for v in visits]).cumsum(0).tolist()])
    codes = torch.tensor([code for visit in visits for code in visit])
    got, expected = layer(codes, offsets), dense(multi_hot(visits, 10))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got[4], dense.bias)  # the empty visit
    got.square().sum().backward()
    expected.square().sum().backward()
    assert layer.weight.grad is not None
    assert dense.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.T, dense.weight.grad)
    torch.testing.assert_close(layer.bias.grad, dense.bias.grad)


@pytest.mark.parametrize("name", VISITS)
def test_visits_equal_one_patient_at_a_time_in_dense_layers(name: str) -> None:
    model: Any = built(name, n_codes=10)
    logits = model(*packed(PATIENTS))
    assert logits.shape == (4, 2)
    for patient, got in zip(PATIENTS, logits, strict=True):
        visits = multi_hot(patient, 10) @ model.fc1.weight + model.fc1.bias
        if name == "visits-baseline":
            expected = model.fc2(model.gru(visits)[0][-1])
        else:
            last = model.lstm(visits)[0][-1]
            expected = model.fc3(torch.relu(model.fc2(last)))
        torch.testing.assert_close(got, expected)


def test_unknown_settings() -> None:
    with pytest.raises(SettingError, match=r"GRUBaselineConfig does not take these.*'width'"):
        lookup_network("gru-baseline").config(width=3)
