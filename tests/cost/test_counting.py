"""What must hold for any account, and models that are counted by hand."""

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cost.tally import Made
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sequela.cost import account
from sequela.cost.ledger import Account
from sequela.cost.network import count, registered


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape)


def tied() -> nn.Module:
    """Decode with the transposed weight that it encodes with."""
    encode, decode = nn.Linear(6, 4), nn.Linear(6, 4, bias=False)
    decode.weight = encode.weight
    return Made(lambda m, x: m.decode(x) - m.encode(x), encode=encode, decode=decode)


def functional(m: Any, x: Tensor) -> Tensor:
    """Linear and convolution without a module of their own."""
    y = nn.functional.linear(m.inner(x), m.weight)
    return nn.functional.conv1d(y[:, None], m.kernel).sum()


def padded(m: Any, x: Tensor, lengths: Tensor) -> Tensor:
    """Read a padded batch and pack it inside."""
    packed = pack_padded_sequence(m.fc(x), lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(m.gru(packed)[0], batch_first=True)[0]


def limited(module: nn.Module) -> nn.Module:
    norm = Made(lambda _, weight: torch.renorm(weight, p=2, dim=0, maxnorm=1.0))
    return nn.utils.parametrize.register_parametrization(module, "weight", norm)


# What is counted: the module, its input, and operations, MACs and parameters counted by hand.
GRU_STEP = 3 * 5 * 2 * 4 + 3 * 5 * 2 * 5 + 5 * 5 + 5 * 5 + 8 * 5 + 4 * 5
BY_HAND: dict[str, tuple[Callable[[], nn.Module], Any, tuple[int, int, int]]] = {
    "linear on a vector": (lambda: nn.Linear(10, 3), zeros(10), (60, 30, 33)),
    "linear on three dimensions": (lambda: nn.Linear(10, 3), zeros(2, 4, 10), (480, 240, 33)),
    "residual": (
        lambda: Made(lambda m, x: x + nn.functional.relu(m.fc(x)), fc=nn.Linear(8, 8)),
        zeros(1, 8),
        (8 * 16 + 8 + 8, 64, 72),
    ),
    "own parameter": (
        lambda: Made(lambda m, x: (x * m.gamma).mean(-1), gamma=nn.Parameter(torch.ones(8))),
        zeros(2, 8),
        (16 + 16, 16, 8),
    ),
    "tied weights": (tied, zeros(1, 6), (4 * 11 + 4 * 12 + 4, 48, 28)),
    "functional": (
        lambda: Made(
            functional,
            inner=nn.Identity(),
            weight=nn.Parameter(zeros(3, 8)),
            kernel=nn.Parameter(zeros(2, 1, 3)),
        ),
        zeros(1, 8),
        (3 * 15 + 2 * 5 + 1, 24 + 6, 30),
    ),
    "padded and packed": (
        lambda: Made(padded, fc=nn.Linear(3, 4), gru=nn.GRU(4, 5, batch_first=True)),
        (zeros(2, 3, 3), torch.tensor([1, 3])),
        (6 * 4 * 6 + 4 * GRU_STEP, 6 * 12 + 4 * 15 * 9, 16 + 165),
    ),
    "embedding": (lambda: nn.Embedding(10, 3), torch.zeros(2, 5, dtype=torch.long), (0, 0, 30)),
    "ReLU RNN": (
        lambda: nn.RNN(2, 3, nonlinearity="relu"),
        zeros(4, 1, 2),
        (4 * (3 * 4 + 3 * 6 + 3 + 3), 4 * 15, 21),
    ),
    "transformer layer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        zeros(1, 3, 4),
        # four projections; each of 2 heads: scores 3, scaling 1, softmax 8 / 3 a key, values;
        # two sums, two norms of 7 n + 2, feed-forward with ReLU
        (
            4 * 3 * 32
            + 2 * 3 * (3 * 3 + 3 + 8 + 2 * 5)
            + 2 * 12
            + 2 * 3 * 30
            + 3 * (8 * 8 + 8 + 4 * 16),
            4 * 3 * 16 + 2 * 12 + 3 * 64,
            4 * 20 + 2 * 8 + 40 + 36,
        ),
    ),
    "upsampled": (
        lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.ReLU()),
        zeros(1, 1, 4),
        (8, 0, 0),
    ),
    "instance norm": (lambda: nn.InstanceNorm1d(2), zeros(1, 2, 6), (2 * (5 * 6 + 2), 0, 0)),
    "largest norm": (
        # norm 2·4 a row, comparison, addition, division, 4 products; then the Linear
        lambda: limited(nn.Linear(4, 2)),
        zeros(1, 4),
        (2 * (8 + 3 + 4) + 16, 8, 10),
    ),
    "weight norm": (
        # v·(g / |v|): norm 2·4 a row, division, 4 products; then the Linear
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)),
        zeros(1, 4),
        (2 * 8 + 2 + 8 + 16, 8, 12),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_models_counted_by_hand(name: str) -> None:
    build, inputs, expected = BY_HAND[name]
    cost = account(build(), inputs)
    assert (cost.operations, cost.macs, cost.parameters) == expected


def test_a_mask_of_padding_keeps_the_layers_as_they_are_written() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    mask = torch.tensor([[False, False, True]])
    enabled = torch.backends.mha.get_fastpath_enabled()
    masked = account(model, {"src": zeros(1, 3, 4), "src_key_padding_mask": mask})
    assert torch.backends.mha.get_fastpath_enabled() == enabled
    # The mask of booleans becomes one of numbers, which is added to the scores of each head.
    added = 2 * 2 * 3 * 3
    assert masked.operations == 2 * account(layer, zeros(1, 3, 4)).operations + added


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
        nn.Linear(16, 5), nn.LayerNorm(5), nn.GELU(), nn.Softmax(-1),
    )  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9))
def test_work_is_linear_in_the_batch(batch: int) -> None:
    # The roots of the stored variances (2 a channel) are taken once for the whole batch.
    per_batch = 2 * 4
    one, many = (account(small(), zeros(n, 2, 8)).operations - per_batch for n in (1, batch))
    assert many == batch * one


def test_a_sequential_costs_what_its_parts_cost() -> None:
    model = small()
    whole = account(model, zeros(1, 2, 8))
    parts, x = [], zeros(1, 2, 8)
    for module in model.eval():
        parts.append(account(module, x))
        x = module(x).detach()
    for attribute in ("operations", "macs", "parameters"):
        assert getattr(whole, attribute) == sum(getattr(part, attribute) for part in parts)


def test_counting_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.ReLU(True))  # noqa: FBT003
    model[0].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    attributes = [set(vars(module)) for module in model.modules()]
    x = torch.randn(1, 1, 8)
    kept, state = x.clone(), torch.get_rng_state()
    account(model, x)
    assert [module.training for module in model.modules()] == modes
    assert [set(vars(module)) for module in model.modules()] == attributes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_random_numbers_in_a_forward_leave_the_generator_alone() -> None:
    noisy = Made(lambda _, x: x + torch.ones(torch.randint(2, 3, (1,)).item(), 4))  # type: ignore[arg-type]
    state = torch.get_rng_state()
    account(noisy, zeros(2, 4), allow_unknown=True)
    assert torch.equal(torch.get_rng_state(), state)


def test_shared_weights_are_counted_once_and_shown() -> None:
    encode, decode = (
        layer
        for layer in account(tied(), zeros(1, 6)).layers
        if "." not in layer.name and layer.kind == "Linear"
    )
    first, second = sorted((encode, decode), key=lambda layer: bool(layer.shared))
    assert not first.shared
    (shared,) = second.shared
    assert (shared.owner, shared.size) == (first.name, 24)
    assert second.parameters == second.parameter_formula.value - 24


def test_a_layer_called_twice_is_one_row() -> None:
    twice = Made(lambda m, x: m.fc(m.fc(x)), fc=nn.Linear(4, 4))
    (row,) = account(twice, zeros(1, 4)).layers
    assert (row.operations, row.macs, row.parameters) == (64, 32, 20)
    assert row.formula == "2·m·2·n"


def test_parameters_that_are_never_used_are_counted_and_named() -> None:
    token = nn.Parameter(zeros(1, 5))
    parts = {"used": nn.Linear(2, 2), "spare": nn.Linear(2, 3), "token": token}
    cost = account(Made(lambda m, x: m.used(x), **parts), zeros(1, 2))
    assert cost.parameters == 6 + 9 + 5
    layers = {layer.name: layer for layer in cost.layers}
    assert layers.keys() == {"used", "spare.weight", "spare.bias", "token"}
    assert layers["token"].operations == 0


@pytest.mark.parametrize(
    ("inner", "shape", "operations", "macs"),
    [(nn.Linear(4, 3), (1, 4), 15 + 24, 15 + 12), (nn.GRU(4, 3), (5, 1, 4), 81 + 960, 81 + 315)],
)
def test_weights_that_are_computed_for_a_call(
    inner: nn.Module, shape: tuple[int, ...], operations: int, macs: int
) -> None:
    """Each weight is doubled: 15, or 81, products, and the parameters are the model's own."""

    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Any:
            weights = {name: 2 * each for name, each in self.inner.named_parameters()}
            return torch.func.functional_call(self.inner, weights, (x,))

    found = account(Doubled(), (torch.zeros(shape),))
    expected = sum(each.numel() for each in inner.parameters())
    assert (found.parameters, found.operations, found.macs) == (expected, operations, macs)


def test_what_is_free_is_listed() -> None:
    cost = account(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Identity()), zeros(1, 2, 3))
    assert {(noted.operation, noted.place) for noted in cost.free} == {
        ("Flatten", "0"),
        ("Dropout", "1"),
        ("Identity", "2"),
    }
    assert cost.operations == 0


def test_frozen_parameters_are_not_trainable() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(requires_grad=False)
    cost = account(model, zeros(1, 2))
    assert (cost.parameters, cost.trainable) == (13, 4)


def test_values_of_the_input_do_not_matter() -> None:
    def counted(x: Tensor) -> Account:
        return account(small(), x)

    assert counted(torch.randn(1, 2, 8)) == counted(torch.empty(1, 2, 8, device="meta"))


def test_a_written_account_is_read_without_torch() -> None:
    code = "import sys, sequela.cost.record, sequela.cost.derivation; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_summaries_of_a_record_are_counted_by_patient_and_by_step() -> None:
    lengths = [3, 5, 9]
    network = registered("values-lstm", lengths=lengths)
    channels, columns = network.sizes["n_channels"], network.sizes["n_features"]
    first = count(network).layers[0]
    assert first.name == "features:summaries"
    of_patients, of_steps = 3 * (6 * channels + 11 * columns), sum(lengths) * 12 * channels
    assert first.useful.operations == first.executed.operations == of_patients + of_steps


def test_what_follows_a_recurrent_layer_is_counted_for_each_step() -> None:
    steps = nn.LSTM(3, 4, batch_first=True)
    doubled = type("Doubled", (nn.Module,), {"forward": lambda self, x: 2 * self.steps(x)[0]})()
    doubled.steps = steps
    apart = account(doubled, torch.zeros(2, 9, 3)).operations
    assert apart - account(steps, torch.zeros(2, 9, 3)).operations == 2 * 9 * 4
