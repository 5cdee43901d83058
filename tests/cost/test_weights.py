"""Multiplications by a weight stay that, wherever the weight went; no amount is below zero."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.cost.tally import Made
from torch import Tensor, nn
from torch.nn import functional

from sequela.cost import account
from sequela.cost.ledger import Account
from sequela.errors import ModelError

D = 6
Forward = Callable[[Any, Tensor], Tensor]


def cost(compute: Forward, rows: int = 1) -> Account:
    """Count what is computed with two weights, a layer and a mask."""
    a, b, gamma = (nn.Parameter(torch.zeros(size)) for size in ((D, D), (D, D), (D,)))
    holder = Made(compute, a=a, b=b, gamma=gamma, layer=nn.Linear(D, D, bias=False))
    holder.register_buffer("mask", torch.ones(D, D).tril() > 0)
    return account(holder, torch.zeros(rows, D))


def macs(compute: Forward, rows: int = 1) -> int:
    return cost(compute, rows).macs


def _filled(w: Tensor, _: Any) -> Tensor:
    made = torch.empty(D, D)
    made[:2], made[2:] = w[:2], w[2:]
    return made


ORDER = torch.tensor([1, 0, 2, 3, 5, 4])
MOVES: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "copied": lambda w, _: w.clone(),
    "transposed": lambda w, _: w.t().contiguous(),
    "cut and joined": lambda w, _: torch.cat([w[:2], w[2:]]),
    "cut and joined in columns": lambda w, _: torch.cat(w.split(2, 1), 1),
    "stacked": lambda w, _: torch.stack([w, w])[1],
    "indexed": lambda w, _: w[ORDER],
    "selected": lambda w, _: w.index_select(1, ORDER),
    "cast": lambda w, _: w.double().float(),
    "masked": lambda w, holder: w.masked_fill(holder.get_buffer("mask"), 0.0),
    "chosen": lambda w, holder: torch.where(holder.get_buffer("mask"), w, torch.zeros(())),
    "triangle": lambda w, _: w.tril(),
    "rolled": lambda w, _: w.roll(1, 0),
    "padded and cut": lambda w, _: functional.pad(w, (0, 1))[:, :D],
    "written": lambda w, _: torch.zeros(D, D).copy_(w),
    "written in parts": _filled,
}
"""Ways to move a weight, whose shape stays."""


@pytest.mark.parametrize("kind", MOVES)
def test_a_moved_weight_is_a_weight(kind: str) -> None:
    assert macs(lambda m, x: x @ MOVES[kind](m.a, m), rows=3) == 3 * D * D


@pytest.mark.parametrize(
    ("compute", "products"),
    [
        (lambda m, x: functional.linear(x, torch.cat([m.a, m.b])), 2 * D * D),
        (lambda m, x: x @ (m.a @ m.b), D * D),
        (lambda m, x: functional.prelu(x, m.gamma[:1]), D),
        (lambda m, x: functional.prelu(x, m.layer(x)[0]), D * D),
        (lambda m, x: functional.layer_norm(x, (D,), m.gamma), D),
        (lambda m, x: functional.layer_norm(x, (D,), m.layer(x)[0]), D * D),
        (lambda m, x: functional.rms_norm(x, (D,), m.layer(x)[0]), D * D),
        (lambda m, x: functional.conv1d(x[None], m.a[:1, None, :3]), 3 * (D - 2)),
        (lambda m, x: functional.conv1d(x[None], m.layer(x)[:, None, :3]), D * D),
        (lambda m, x: functional.linear(x, m.layer(x).expand(D, D)), D * D),
        (lambda m, x: x @ functional.embedding(x.long()[0], m.a), 0),
        (lambda m, x: x @ (m.a + x), 0),
    ],
)
def test_what_is_made_of_weights_alone_is_a_weight_and_of_data_is_not(
    compute: Forward, products: int
) -> None:
    assert macs(compute) == products


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(query[None], key[None], value[None])


def test_attention_among_data_has_no_macs() -> None:
    assert macs(lambda _, x: attention(x, x, x), rows=3) == 0


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(D, 2, dtype=torch.complex64), nn.MultiheadAttention(D, 2, dtype=torch.complex64)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_complex_numbers_are_refused_by_name(layer: nn.Module) -> None:
    x = torch.zeros(3, D, dtype=torch.complex64)
    given = {"Linear": (x,), "MultiheadAttention": (x, x, x)}
    with pytest.raises(ModelError, match=r"without a counting rule: .*(addmm|complex numbers)"):
        account(layer, given[type(layer).__name__])


def attended(holder: Any, x: Tensor) -> Tensor:
    rows = x[None].expand(4, -1, -1)
    return functional.scaled_dot_product_attention(x[None, :1], rows, rows)


def test_attention_has_the_batch_of_its_result() -> None:
    one = cost(lambda _, x: functional.scaled_dot_product_attention(x[:1], x, x), rows=3)
    assert cost(attended, rows=3).operations == 4 * one.operations


def test_products_of_integers_are_work() -> None:
    each = cost(lambda m, x: x @ m.a).operations
    assert cost(lambda m, x: x.long() @ m.get_buffer("mask").long()).operations == each


@pytest.mark.parametrize(
    "compute",
    [
        lambda _, x: x[:, :0].sum(),
        lambda _, x: x[:, :0].sum(1),
        lambda _, x: x[:0].amax(1),
        lambda _, x: x[:, :0] @ torch.zeros(0, 3),
        lambda _, x: x[:, :0].cumsum(1),
        lambda _, x: x[:, :0].softmax(1),
    ],
)
def test_nothing_is_made_of_nothing(compute: Forward) -> None:
    assert cost(compute).operations == 0


def _tries(holder: Any, x: Tensor) -> Any:
    try:
        if x.sum() > 0:
            return holder.layer(holder.layer(x))
    except RuntimeError:
        pass
    return holder.layer(x)


def _tries_a_list(holder: Any, x: Tensor) -> Any:
    try:
        several = len(x.tolist())
    except (RuntimeError, NotImplementedError):
        several = 0
    return holder.layer(x * several)


@pytest.mark.parametrize("compute", [_tries, _tries_a_list])
def test_a_branch_on_the_data_is_refused_where_its_error_is_caught(compute: Forward) -> None:
    with pytest.raises(ModelError, match=r"values of a tensor at test_weights\.py:\d+"):
        cost(compute)
