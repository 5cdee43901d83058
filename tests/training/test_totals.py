"""Sums over an epoch, against torch's own loss and plain means."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from sequela.training.totals import Totals


def correct(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(1) == labels).double()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_to_learn_from_is_torchs(smoothing: float, weighted: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    logits, labels = torch.randn(9, 4, requires_grad=True), torch.randint(4, (9,))
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0]) if weighted else None
    loss = Totals({}, weight).add(logits, labels, smoothing=smoothing)
    plain = nn.functional.cross_entropy(logits, labels)
    # torch weighs the smoothed part by each class's own weight, not by the label's: the two agree
    # where there are no weights or there is no smoothing.
    if not (weighted and smoothing):
        expected = nn.CrossEntropyLoss(weight, label_smoothing=smoothing)(logits, labels)
        torch.testing.assert_close(loss, expected)
    else:
        each = nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)(logits, labels)
        assert weight is not None
        torch.testing.assert_close(loss, (each * weight[labels]).sum() / weight[labels].sum())
    assert (loss != plain) == (weighted or smoothing > 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_means_over_examples_not_over_batches(weighted: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    logits, labels = 3 * torch.randn(23, 3), torch.randint(3, (23,))
    weight = torch.tensor([0.2, 1.0, 1.8]) if weighted else None
    totals = Totals({"accuracy": correct}, weight)
    batches = [(logits[i : i + 10], labels[i : i + 10]) for i in range(0, 23, 10)]
    for batch in batches:
        totals.add(*batch, smoothing=0.3)
    record = totals.record(Accelerator())
    # What is recorded is the loss without smoothing.
    assert record["loss"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels, weight)), rel=1e-6
    )
    assert record["metrics"] == {"accuracy": pytest.approx(correct(logits, labels).mean().item())}
    of_batches = [float(nn.functional.cross_entropy(*batch, weight)) for batch in batches]
    assert record["loss"] != pytest.approx(sum(of_batches) / 3, rel=1e-3)


def test_times_to_an_event_have_the_loss_of_all_classes_that_are_possible() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 4, requires_grad=True)
    labels = torch.randint(4, (6,))
    known = nn.functional.one_hot(labels, 4).float()
    loss = Totals({}, None).add(logits, known, smoothing=0.3)  # which is not used
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, labels))
    shares = torch.tensor([[1.0, 0.0, 0.5, 1.0]]).repeat(6, 1)
    loss = Totals({}, None).add(logits, shares)
    expected = -(logits.softmax(1) * shares).sum(1).log().mean()
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool(gradient.isfinite().all())
    torch.testing.assert_close(gradient.sum(1), torch.zeros(6), atol=1e-6, rtol=0)


@pytest.mark.parametrize("timed", [False, True])
def test_a_share_of_the_label_is_that_of_a_teacher(timed: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    logits, labels, teacher = torch.randn(6, 4), torch.randint(4, (6,)), torch.rand(6, 4)
    teacher /= teacher.sum(1, keepdim=True)
    known = nn.functional.one_hot(labels, 4).float()
    totals = Totals({}, None)
    loss = totals.add(logits, known if timed else labels, smoothing=0.3, toward=teacher)
    expected = nn.functional.cross_entropy(logits, 0.7 * known + 0.3 * teacher)
    torch.testing.assert_close(loss, expected)
    plain = float(nn.functional.cross_entropy(logits, labels))
    assert totals.record(Accelerator())["loss"] == pytest.approx(plain, rel=1e-6)
