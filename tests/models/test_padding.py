"""An LSTM on padded steps against one on packed steps, and torch's own dropout."""

import pytest
import torch
from tests.models.test_models import PATIENTS, packed
from tests.models.test_values import LENGTHS, batch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.cost import account
from sequela.models import cpu_training
from sequela.models.cpu_training import Dropout, padding_is_faster
from sequela.models.registry import lookup_network

GIVEN = {
    "visits-improved": ({"n_codes": 10}, packed(PATIENTS)),
    "values-lstm": ({"n_channels": 3, "n_features": 5}, batch(LENGTHS)),
}


def results(name: str) -> tuple[list[type], list[Tensor]]:
    """What entered the LSTM; logits, and the gradient of each weight."""
    entry, (sizes, inputs) = lookup_network(name), GIVEN[name]
    torch.manual_seed(0)
    model = entry.build(entry.config(**sizes)).eval()
    entered: list[type] = []
    lstm = next(each for each in model.modules() if isinstance(each, nn.LSTM))
    lstm.register_forward_pre_hook(lambda _, args: entered.append(type(args[0])))
    logits = model(*inputs)
    logits[:, 1].square().sum().backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return entered, [logits.detach(), *gradients]


@pytest.mark.parametrize("name", GIVEN)
def test_padded_steps_give_the_logits_and_gradients_of_packed_steps(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, padded = results(name)
    monkeypatch.setattr(cpu_training, "MOST_STEPS", 0)
    before, expected = results(name)
    assert (entered, before) == ([Tensor], [PackedSequence])
    assert len(padded) > 10
    torch.testing.assert_close(padded, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("lengths", "is_padded"),
    [([3, 3], False), ([3, 2], True), ([5, 1, 1], False), ([4, 2, 1, 1], True)],
)
def test_steps_are_padded_only_where_that_is_faster(lengths: list[int], *, is_padded: bool) -> None:
    sizes = torch.tensor([sum(n > step for n in lengths) for step in range(max(lengths))])
    assert padding_is_faster(torch.empty(0), sizes) == is_padded
    assert not padding_is_faster(torch.empty(0, device="meta"), sizes)


@pytest.mark.parametrize("name", GIVEN)
def test_padding_is_not_counted_as_work(name: str) -> None:
    entry, (sizes, inputs) = lookup_network(name), GIVEN[name]
    model = entry.build(entry.config(**sizes))
    lstm = next(each for each in model.modules() if isinstance(each, nn.LSTM))
    counted = account(model, inputs, allow_unknown=True)
    weights = sum(p.numel() for name, p in lstm.named_parameters() if "weight" in name)
    macs = sum(layer.macs for layer in counted.layers if "lstm" in layer.name)
    assert macs == weights * int(inputs[-1].sum())


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
def test_dropout_keeps_a_share_of_the_numbers(p: float) -> None:
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        numbers = torch.randn(7, 3, 5001, dtype=dtype, requires_grad=True)
        layer = Dropout(p)
        dropped = layer(numbers)
        dropped.sum().backward()
        kept = dropped != 0
        assert float(kept.double().mean()) == pytest.approx(1 - p, abs=0.005)
        factor = torch.where(kept, 1 / max(1 - p, 1e-9), 0.0).to(dtype)
        torch.testing.assert_close(dropped, numbers * factor, rtol=2e-4, atol=0)
        torch.testing.assert_close(numbers.grad, factor, rtol=2e-4, atol=0)
        assert layer.eval()(numbers) is numbers


def test_dropout_draws_each_number_by_itself() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.25)(torch.ones(40_000, 4)) > 0).double()  # four from the bits of one draw
    torch.testing.assert_close(kept.T.cov(), 0.1875 * torch.eye(4).double(), rtol=0, atol=0.005)
    assert not torch.equal(Dropout(0.25)(torch.ones(99)), Dropout(0.25)(torch.ones(99)))
