"""Work that a plain count on paper gives: reductions, sorting, and arguments given by place."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.cost.tally import Made
from torch import Tensor, nn

from sequela.cost import account
from sequela.cost.layers.recurrent import Cell, recurrence
from sequela.cost.ledger import Noted
from sequela.errors import ModelError

ROWS, N = 3, 7


def operations(function: Callable[[Tensor], Tensor], n: int = N) -> float:
    return account(Made(lambda _, x: function(x)), torch.zeros(ROWS, n)).operations


@pytest.mark.parametrize(
    ("function", "of_a_row"),
    [
        (lambda x: x.sum(-1), N - 1),
        (lambda x: x.mean(-1), N),
        (lambda x: x.prod(-1), N - 1),
        (lambda x: x.cumsum(-1), N - 1),
        (lambda x: x.amax(-1), N - 1),
        (lambda x: x.amin(-1), N - 1),
        (lambda x: x**0, 0),
        (lambda x: x**1, 0),
        (lambda x: x**3, 2 * N),
        (lambda x: x**0.5, N),
        (lambda x: x.var(-1), N + N + N + N - 1 + 1),
        (lambda x: x.std(-1), N + N + N + N - 1 + 1 + 1),
        (lambda x: x.logsumexp(-1), N + N - 1 + 1),
        (lambda x: x.norm(dim=-1), N + N - 1 + 1),
        (lambda x: x.softmax(-1), N + N - 1 + N),
        (lambda x: x.log_softmax(-1), N + N - 1 + 1 + N),
    ],
)
def test_a_reduction_of_a_row(function: Callable[[Tensor], Tensor], of_a_row: int) -> None:
    assert operations(function) == ROWS * of_a_row


@pytest.mark.parametrize(
    ("function", "of_a_value"),
    [
        (nn.functional.gelu, 5),
        (lambda x: nn.functional.gelu(x, approximate="tanh"), 2 + 1 + 1 + 1 + 6 + 1 + 2),
        (nn.functional.elu, 4),
        (nn.functional.selu, 4 + 1),
        (lambda x: nn.functional.elu(x, alpha=0.5), 4),
        (nn.functional.softplus, 4),
        (lambda x: nn.functional.softplus(x, beta=2), 4 + 2),
        (nn.functional.logsigmoid, 5),
        (nn.functional.mish, 1 + 1 + 1 + 6 + 1),
        (nn.functional.hardsigmoid, 1 + 2 + 1),
        (nn.functional.hardswish, 4 + 1),
        (nn.functional.leaky_relu, 2),
        (nn.functional.relu6, 2),
        (torch.log1p, 2),
        (torch.expm1, 2),
        (torch.rsqrt, 2),
    ],
)
def test_a_function_of_each_value(function: Callable[[Tensor], Tensor], of_a_value: int) -> None:
    assert operations(function) == ROWS * N * of_a_value


def test_a_module_without_work_is_noted_as_often_as_it_is_called() -> None:
    flat = nn.Flatten()
    (free,) = account(nn.Sequential(flat, flat), torch.zeros(2, 3)).free
    assert free.times == 2


@pytest.mark.parametrize(("n", "rounds"), [(1, 0), (2, 1), (7, 3), (8, 3), (9, 4)])
def test_sorting_takes_so_many_rounds_of_comparisons(n: int, rounds: int) -> None:
    assert operations(lambda x: x.sort(-1).values, n) == ROWS * rounds * n


def attention(*places: object, **names: object) -> nn.Module:
    layer = nn.MultiheadAttention(8, 2)
    return Made(lambda m, x: m.layer(x, x, x, *places, **names)[0], layer=layer)


@pytest.mark.parametrize("averaged", [True, False])
def test_arguments_of_attention_count_the_same_by_place_and_by_name(averaged: bool) -> None:  # noqa: FBT001
    x = torch.zeros(5, 1, 8)
    by_name = account(attention(average_attn_weights=averaged), x).operations
    assert account(attention(None, True, None, averaged), x).operations == by_name  # noqa: FBT003
    mask = torch.zeros(5, 5, dtype=torch.bool)
    assert account(attention(None, True, mask, averaged), x).operations == by_name  # noqa: FBT003
    other = account(attention(average_attn_weights=not averaged), x).operations
    assert (by_name > other) == averaged


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("widths", [{}, {"kdim": 3, "vdim": 5}])
def test_the_formula_of_attention_gives_the_parameters_that_torch_holds(
    bias: bool,  # noqa: FBT001
    widths: dict[str, int],
) -> None:
    model = nn.MultiheadAttention(4, 2, bias=bias, batch_first=True, **widths)
    key, value = (torch.zeros(1, 2, widths.get(name, 4)) for name in ("kdim", "vdim"))
    found = account(model, (torch.zeros(1, 2, 4), key, value))
    (layer,) = found.layers
    assert layer.parameter_formula.value == sum(p.numel() for p in model.parameters())
    assert "E" in layer.parameter_formula.text()  # its own, not that of the shapes


def test_a_transform_of_real_samples_is_half_of_5_n_log2_n() -> None:
    assert operations(torch.fft.rfft, 8) == ROWS * 5 * 8 * 3 / 2


@pytest.mark.parametrize("join", [torch.stack, torch.cat])
def test_what_does_not_fit_together_is_refused(join: Callable[[list[Tensor]], Tensor]) -> None:
    with pytest.raises(ModelError, match="RuntimeError"):
        operations(lambda x: join([x, x[:, :2]]))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_formula_of_a_recurrence_gives_the_parameters_that_torch_holds(
    bidirectional: bool,  # noqa: FBT001
    bias: bool,  # noqa: FBT001
) -> None:
    """Where it does not, the account falls back to their shapes: here the formula itself counts."""
    kinds: list[tuple[Cell, Any]] = [("LSTM", nn.LSTM), ("GRU", nn.GRU), ("RNN (tanh)", nn.RNN)]
    for cell, kind in kinds:
        model = kind(3, 5, bias=bias, bidirectional=bidirectional)
        layer = recurrence(cell, 3, 5, 7, 1 + bidirectional, bias=bias)
        assert layer.parameters.value == sum(p.numel() for p in model.parameters())
        found = account(model, torch.zeros(7, 1, 3))
        assert [row.parameter_formula for row in found.layers] == [layer.parameters]


def test_each_layer_of_a_recurrence_has_its_own_parameters() -> None:
    model = nn.GRU(3, 4, 12, bidirectional=True)
    sizes: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        sizes[name.removesuffix("_reverse").rpartition("_l")[2]] += parameter.numel()
    layers = account(model, torch.zeros(5, 1, 3)).layers
    assert {layer.name.rpartition(".l")[2]: layer.parameters for layer in layers} == sizes
    assert all(layer.formula.startswith("D·T") for layer in layers)


def test_what_is_noted_is_told_with_its_place_and_how_often() -> None:
    assert str(Noted("sort", "head, line 3", 2)) == "sort in head, line 3 (2 times)"
    assert str(Noted("sort", "", 1)) == "sort"
