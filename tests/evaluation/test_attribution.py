"""Integrated gradients against what they must be: exact where a model is linear."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from sequela.errors import MissingExtraError, ModelError
from sequela.evaluation.attribution import (
    MOST_STEPS,
    STEPS,
    TOLERANCE,
    Attribution,
    attribute_record,
    attribute_signal,
    contrast,
    ranked,
)
from sequela.models.recording import RecordingAttention
from sequela.models.registry import MODELS, lookup_network
from sequela.models.spectral import SpectralMLP
from sequela.models.visits import MultiHotLinear
from sequela.sequences.visit_batches import VisitBatch

SIGNALS = [name for name, entry in MODELS.items() if entry.reads == ("signal",)]
VISITS = [name for name, entry in MODELS.items() if entry.reads == ("codes",)]


class LinearSignal(nn.Module):
    """Logits that are linear in the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * 7, 3)

    def forward(self, signal: Tensor) -> Tensor:
        logits: Tensor = self.fc(signal.flatten(1))
        return logits


class LinearVisits(nn.Module):
    """Logits that are linear in the codes of all visits, those of visit n counted n times."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = MultiHotLinear(9, 4)
        self.fc2 = nn.Linear(4, 2)

    def forward(self, codes: Tensor, offsets: Tensor, batch_sizes: Tensor) -> Tensor:
        visits, _ = pad_packed_sequence(PackedSequence(self.fc1(codes, offsets), batch_sizes))
        number = torch.arange(1, len(visits) + 1)[:, None, None]
        logits: Tensor = self.fc2((visits * number).sum(0))
        return logits


def batch_of(visits: list[list[int]]) -> VisitBatch:
    """One patient as a list of visits, each a list of codes."""
    return VisitBatch(
        codes=torch.tensor([code for visit in visits for code in visit], dtype=torch.int64),
        offsets=torch.tensor(np.cumsum([0, *map(len, visits)])),
        batch_sizes=torch.ones(len(visits), dtype=torch.int64),
        labels=torch.zeros(1, dtype=torch.int64),
        order=torch.arange(1),
    )


PATIENTS: tuple[list[list[int]], ...] = ([[1, 4], [], [2, 4, 8]], [[3], [1, 2]], [[]], [[5, 6]])


def test_a_linear_model_of_a_signal_is_explained_exactly() -> None:
    torch.manual_seed(0)
    model, signal = LinearSignal(), torch.randn(2, 7)
    found = attribute_signal(model, signal, contrast(3, 1))
    weights = model.fc.weight[1].detach().numpy().reshape(2, 7)
    np.testing.assert_allclose(found.values, weights * signal.numpy(), rtol=1e-5)
    with torch.inference_mode():
        assert found.baseline == pytest.approx(float(model.fc.bias[1]))
        assert found.reached == pytest.approx(float(model(signal[None])[0, 1]), abs=1e-6)
    assert found.error < 1e-5


def test_a_linear_model_of_visits_is_explained_exactly() -> None:
    torch.manual_seed(0)
    model = LinearVisits()
    head = (model.fc2.weight[1] - model.fc2.weight[0]).detach().numpy()
    moves = model.fc1.weight.detach().numpy() @ head  # what a code adds in the first visit
    for visits in PATIENTS:
        found = attribute_record(model, batch_of(visits), contrast(2, 1))
        expected = [
            number * moves[code] for number, codes in enumerate(visits, 1) for code in codes
        ]
        np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-7)
        assert found.difference == pytest.approx(sum(expected), abs=1e-5)


def test_a_linear_model_of_values_sees_which_are_there_and_when() -> None:
    """Measurements lead from 0 to what they are; the mask and the gaps stay as they are."""

    class LinearValues(nn.Module):
        def forward(self, values: Tensor, mask: Tensor, gaps: Tensor, sizes: Tensor) -> Tensor:
            cells = values * torch.tensor([2.0, -3.0]) + 5 * mask
            packed = PackedSequence(cells.sum(1) * (1 + gaps), sizes)
            risk = pad_packed_sequence(packed)[0].sum(0)
            return torch.stack([torch.zeros_like(risk), risk], 1)

    batch = replace(
        batch_of([[], [], []]),
        reads=("values", "gaps"),
        values=torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]),
        mask=torch.tensor([[True, False], [False, True], [True, False]]),
        gaps=torch.tensor([0.0, 0.5, 1.0]),
    )
    found = attribute_record(LinearValues(), batch, contrast(2, 1))
    np.testing.assert_allclose(found.values, [2 * 1, -3 * 2 * 1.5, 2 * 3 * 2])
    assert found.baseline == pytest.approx(5 + 5 * 1.5 + 5 * 2)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * ("-mlp-" in n)) for n in SIGNALS]
)
def test_attributions_to_segments_are_complete(name: str) -> None:
    torch.manual_seed(1)
    entry = lookup_network(name)
    n_times = min(entry.config().n_times, 1024)
    model, signal = entry.build(entry.config(n_times=n_times)), 3 * torch.randn(1, n_times)
    if isinstance(model, SpectralMLP | RecordingAttention):
        model.fit_scales([(torch.randn(200, 1, n_times).cumsum(-1),)])
    found = attribute_signal(model, signal, contrast(5, 2))
    assert found.values.shape == (1, n_times)
    with torch.inference_mode():
        said = model.eval()(torch.stack([torch.zeros_like(signal), signal]))[:, 2]
    assert [found.baseline, found.reached] == pytest.approx(said.tolist(), abs=1e-4)
    assert found.relative_error <= TOLERANCE
    assert found.values.sum() == pytest.approx(found.difference, rel=TOLERANCE)


@pytest.mark.parametrize("name", VISITS)
def test_attributions_to_codes_are_complete(name: str) -> None:
    torch.manual_seed(1)
    entry = lookup_network(name)
    model = entry.build(entry.config(n_codes=9))
    for parameter in model.parameters():  # far from the linear start
        nn.init.normal_(parameter, std=0.7)
    for visits in PATIENTS:
        found = attribute_record(model, batch_of(visits), contrast(2, 1))
        with torch.inference_mode():
            logits = model.float().eval()(*batch_of(visits).inputs)[0]
        assert found.reached == pytest.approx(float(logits[1] - logits[0]), abs=1e-5)
        assert found.error <= max(TOLERANCE * abs(found.difference), 1e-6)


def test_the_integral_is_that_of_a_plain_sum() -> None:
    torch.manual_seed(2)
    model, signal = lookup_network("gru-baseline").build().double(), torch.randn(1, 178).double()
    shares = (torch.arange(500).double() + 0.5) / 500
    path = (shares[:, None, None] * signal).requires_grad_()
    (gradient,) = torch.autograd.grad(model(path)[:, 3].sum(), path)
    expected = (gradient.mean(0) * signal).numpy()
    found = attribute_signal(model, signal.float(), contrast(5, 3))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


def test_steps_are_doubled_until_the_error_is_small_or_taken_as_asked() -> None:
    class Steep(nn.Module):
        """A step whose whole rise lies between two points of a coarse integral."""

        def forward(self, signal: Tensor) -> Tensor:
            rise = torch.sigmoid(200 * (signal.sum((1, 2)) - 0.3))
            return torch.stack([rise, -rise, 0 * rise], dim=1)

    signal = torch.ones(1, 1)
    refined = attribute_signal(Steep(), signal, contrast(3, 0))
    assert STEPS < refined.steps <= MOST_STEPS
    assert refined.relative_error <= TOLERANCE
    asked = attribute_signal(Steep(), signal, contrast(3, 0), steps=8)
    assert asked.steps == 8
    assert asked.error > 0.1


def test_errors_are_of_the_sum() -> None:
    one = Attribution(np.array([1.0, 2.0]), baseline=-1.0, reached=3.0, steps=1)
    assert (one.difference, one.error, one.relative_error) == (4.0, 1.0, 0.25)


def test_a_model_keeps_its_precision_and_its_mode() -> None:
    model = lookup_network("cnn-improved").build().train()
    attribute_signal(model, torch.randn(1, 178), contrast(5, 0), steps=4)
    assert model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sequela\[explain\]'"):
        attribute_signal(LinearSignal(), torch.randn(2, 7), contrast(3, 0))


def test_a_model_without_codes_is_refused() -> None:
    with pytest.raises(ModelError, match="LinearSignal has no MultiHotLinear"):
        attribute_record(LinearSignal(), batch_of([[1]]), contrast(2, 1))


def test_a_batch_without_any_code_moves_nothing() -> None:
    one = attribute_record(LinearVisits(), batch_of([[], []]), contrast(2, 1))
    assert (len(one.values), one.difference, one.error) == (0, 0.0, 0.0)


NAMES = ("a", "b", "c", "d")


def moved(*values: float, error: float = 0.0) -> Attribution:
    found = np.array(values)
    total = float(found.sum())
    return Attribution(found, baseline=0.0, reached=total + error, steps=8)


def test_codes_are_ranked_by_what_they_moved_on_average() -> None:
    found = ranked(
        NAMES,
        [
            (1, np.array([0, 1, 0]), moved(1.0, -4.0, 1.0)),  # a code in two visits counts together
            (1, np.array([1]), moved(2.0)),
            (2, np.array([0, 2]), moved(-1.0, 9.0)),
        ],
        examples=4,
        what="risk",
        smallest=2,
    )
    # c and b are of one subject each, d of nobody.
    assert [(each.code, each.subjects) for each in found.codes] == [("a", 2)]
    assert found.codes[0].mean_absolute == pytest.approx((2 + 1) / 4)
    assert found.codes[0].mean == pytest.approx((2 - 1) / 2)
    assert (found.suppressed, found.examples) == (2, 4)
    every = ranked(NAMES, [(1, np.array([0, 1]), moved(1.0, -4.0))], 1, "risk", 1)
    assert [each.code for each in every.codes] == ["b", "a"]
    assert [each.mean for each in every.codes] == [-4.0, 1.0]
    assert every.suppressed == 0
