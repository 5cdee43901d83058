"""The layers that train on a CPU, against those of torch."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from sequela.models import cpu_training
from sequela.models.cnn import CNNBaseline, CNNBaselineConfig, CNNImproved, CNNImprovedConfig
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


def test_memory_of_the_last_shapes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after many others, as the batches of several folds have: it takes long to make."""
    gru, signal = drawn(1, 2, 1, 30)
    for steps in range(1, 31):
        gradients(gru, by_hand(gru, signal[..., :steps]))
    monkeypatch.setattr(cpu_training, "_Memory", None)  # no more can be made
    gradients(gru, by_hand(gru, signal))
    with pytest.raises(TypeError):  # that of the first was dropped
        by_hand(gru, signal[..., :1])


def test_threads_train_at_the_same_time() -> None:
    pairs = [drawn(2, 3, 1, 60, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda pair: gradients(pair[0], by_hand(*pair)), pairs * 5)
    for (gru, signal), found in zip(pairs * 5, done, strict=True):
        torch.testing.assert_close(found, gradients(gru, by_torch(gru, signal)))


@pytest.mark.slow
@given(layers=SIZES, size=SIZES, steps=st.integers(1, 40))
def test_validation_has_the_states_of_training(layers: int, size: int, steps: int) -> None:
    gru, signal = drawn(layers, size, 1, steps)
    with torch.no_grad():
        states = [by_hand(gru.eval(), signal) for _ in range(2)]
    with torch.inference_mode():
        assert cpu_training.last_state(gru, signal) is None
    for state in (*states, by_hand(gru.train(), signal)):
        torch.testing.assert_close(state, by_torch(gru, signal))


@pytest.mark.parametrize(
    ("model", "config", "validates"),
    [
        (GRUBaseline, GRUBaselineConfig(n_times=30), True),
        (GRUImproved, GRUImprovedConfig(n_times=30), True),
        (CNNBaseline, CNNBaselineConfig(n_times=30), False),
        (CNNImproved, CNNImprovedConfig(n_times=30, dropout=0), False),
    ],
)
def test_where_layers_on_a_cpu_are_used(
    model: type[nn.Module], config: Any, *, validates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[bool] = []
    is_for = cpu_training._is_for

    def noted(layer: nn.Module, signal: Tensor) -> bool:
        used.append(is_for(layer, signal))
        return used[-1]

    monkeypatch.setattr(cpu_training, "_is_for", noted)
    torch.manual_seed(0)
    network, signal = model(config), torch.randn(4, 1, 30)
    trained = network(signal)
    assert used == [True]
    same = {name: value.detach() for name, value in network.named_parameters()}
    torch.testing.assert_close(functional_call(network, same, (signal,)), trained)
    used.clear()
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(signal), trained)
    assert any(used) is validates
    used.clear()
    torch.testing.assert_close(network(signal), trained)
    with torch.inference_mode():
        network(signal)
    network.train()(signal.clone().requires_grad_())
    torch.testing.assert_close(network.double()(signal.double()).float(), trained)
    if validates:
        network.float()(signal, torch.full((4,), 30))
    assert not any(used)


@given(
    channels=st.integers(1, 7),
    steps=st.integers(16, 40),
    share=st.sampled_from([0, 0.3]),
    seed=st.integers(0, 9),
)
def test_convolutions_are_torchs(channels: int, steps: int, share: float, seed: int) -> None:
    torch.manual_seed(seed)
    convolutions = nn.Conv1d(channels, 2, 5), nn.Conv1d(2, 3, 5)
    signal = torch.randn(4, channels, steps)
    torch.manual_seed(seed)
    masks = [cpu_training.Dropout(share) for _ in convolutions]
    found = cpu_training.pooled_convolutions(signal, *zip(convolutions, masks, strict=True))
    assert found is not None
    torch.manual_seed(seed)
    expected = signal
    for convolution, drop in zip(convolutions, masks, strict=True):
        convolved = convolution(expected)[..., : (expected.shape[2] - 4) // 2 * 2]
        if share:  # the mask of examples that are last, in the order in which it was drawn
            convolved = convolved * drop.mask(convolved.permute(1, 2, 0)).permute(2, 0, 1)
        expected = nn.functional.max_pool1d(convolved.relu(), 2)
    expected = expected.flatten(1)
    torch.testing.assert_close(found, expected)
    weights = [weight for convolution in convolutions for weight in convolution.parameters()]
    wanted = torch.linspace(-1, 1, expected.numel()).view(expected.shape)
    torch.testing.assert_close(
        torch.autograd.grad((found * wanted).sum(), weights),
        torch.autograd.grad((expected * wanted).sum(), weights),
    )
