"""The GRU that trains on a CPU, against ``nn.GRU``."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from sequela.models import cpu_training
from sequela.models.gru import GRUBaseline, GRUBaselineConfig, GRUImproved, GRUImprovedConfig

SIZES = st.integers(1, 4)


def drawn(
    layers: int, size: int, channels: int, steps: int, seed: int = 0
) -> tuple[nn.GRU, Tensor]:
    torch.manual_seed(seed)
    return nn.GRU(channels, size, layers), torch.randn(5, channels, steps)


def by_hand(gru: nn.GRU, signal: Tensor) -> Tensor:
    state = cpu_training.last_state(gru, signal)
    assert state is not None
    return state


def by_torch(gru: nn.GRU, signal: Tensor) -> Tensor:
    _, state = gru(signal.permute(2, 0, 1))
    last: Tensor = state[-1]
    return last


def gradients(gru: nn.GRU, state: Tensor) -> list[Tensor]:
    wanted = torch.linspace(-1, 1, state.numel()).view(state.shape)
    return list(torch.autograd.grad((state * wanted).sum(), list(gru.parameters())))


@given(layers=SIZES, size=SIZES, channels=SIZES, steps=st.integers(1, 40))
def test_state_and_gradients_are_torchs(layers: int, size: int, channels: int, steps: int) -> None:
    gru, signal = drawn(layers, size, channels, steps)
    expected, state = by_torch(gru, signal), by_hand(gru, signal)
    torch.testing.assert_close(state, expected)
    torch.testing.assert_close(gradients(gru, state), gradients(gru, expected))


def test_batches_of_one_shape_do_not_disturb_each_other() -> None:
    """Their memory is used again, but not before the way back."""
    gru, signal = drawn(2, 3, 1, 20)
    first, second = (by_hand(gru, batch) for batch in (signal, -signal))
    for state, batch in ((first, signal), (second, -signal)):
        torch.testing.assert_close(gradients(gru, state), gradients(gru, by_torch(gru, batch)))
    third = by_hand(gru, 2 * signal)
    torch.testing.assert_close(gradients(gru, third), gradients(gru, by_torch(gru, 2 * signal)))


def test_threads_train_at_the_same_time() -> None:
    pairs = [drawn(2, 3, 1, 60, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda pair: gradients(pair[0], by_hand(*pair)), pairs * 5)
    for (gru, signal), found in zip(pairs * 5, done, strict=True):
        torch.testing.assert_close(found, gradients(gru, by_torch(gru, signal)))


@pytest.mark.parametrize(
    ("model", "config"), [(GRUBaseline, GRUBaselineConfig), (GRUImproved, GRUImprovedConfig)]
)
def test_only_training_on_equal_lengths_takes_it(
    model: type[nn.Module], config: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Tensor] = []
    apply = cpu_training._LastState.apply

    def counted(signal: Tensor, *weights: Tensor) -> Any:
        calls.append(signal)
        return apply(signal, *weights)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(cpu_training._LastState, "apply", counted)
    torch.manual_seed(0)
    network, signal = model(config(n_times=30)), torch.randn(4, 1, 30)
    trained = network(signal)
    assert len(calls) == 1
    for logits in (
        network(signal, torch.full((4,), 30)),
        network.eval()(signal),
        network.train().double()(signal.double()),
    ):
        torch.testing.assert_close(trained, logits.float())
    with torch.no_grad():
        network.float()(signal)
    doubled = {name: value.detach() for name, value in network.named_parameters()}
    torch.testing.assert_close(functional_call(network, doubled, (signal,)), trained)
    assert len(calls) == 1 + 1  # the last one
    network(signal.requires_grad_())
    assert len(calls) == 1 + 1
