"""What a model may declare that it reads, and under which name it is known."""

from copy import copy
from typing import Any

import pytest
from torch import Tensor, nn

from sequela.errors import SettingError, UnknownNameError
from sequela.models import registry
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import ModelEntry, lookup


class Net(nn.Module):
    """A class of this file."""

    def __init__(self, *, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.fc(features)
        return logits


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MODELS", copy(registry.MODELS))


def test_a_class_itself_is_registered() -> None:
    registry.MODELS.add(ModelEntry(("features:spectrum",), Net, "Net"), "net")
    entry: Any = lookup("net")
    assert entry.build(entry.config(n_features=3, n_outputs=2)).fc.weight.shape == (2, 3)
    assert registry.title_of("net") == "Net"


def test_which_networks_are_recurrent_stands_in_their_entries() -> None:
    """A recurrent network holds a recurrent layer, and no other network does."""
    for name, each in registry.MODELS.items():
        layers = each.build().modules()
        assert each.recurrent == any(isinstance(layer, nn.RNNBase) for layer in layers), name
        assert registry.is_recurrent(name) == each.recurrent
    assert not registry.is_recurrent("boosting")


@pytest.mark.parametrize("taken", ["gru-baseline", "prevalence"])
def test_a_taken_name_is_refused(taken: str) -> None:
    with pytest.raises(SettingError, match=f"'{taken}' is registered already"):
        registry.MODELS.add(ModelEntry(("signal",), Net, "Net"), taken)
    with pytest.raises(SettingError, match=f"'{taken}' is registered already"):
        REFERENCE_MODELS.add(REFERENCE_MODELS["boosting"], taken)


@pytest.mark.parametrize(
    ("reads", "error", "message"),
    [
        (("signals",), UnknownNameError, "did you mean 'signal'"),
        (("features:spectre",), UnknownNameError, "did you mean 'spectrum'"),
        (("signal", "codes"), SettingError, "which are of different kinds of data"),
        (("features:spectrum", "features:samples"), SettingError, "one table of features"),
        ((), SettingError, "reads nothing"),
    ],
)
def test_inputs_that_cannot_be_read_are_refused(
    reads: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        registry.MODELS.add(ModelEntry(reads, Net, "Net"), "net")
    assert "net" not in registry.MODELS


def test_an_unknown_name_lists_reference_models_too() -> None:
    with pytest.raises(UnknownNameError, match=r"known: .*boosting.*gru-baseline.*prevalence"):
        lookup("unknown-model")
