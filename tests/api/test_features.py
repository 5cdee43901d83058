"""A classifier whose network reads features of a signal."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from torch import Tensor, nn

from sequela.api.signal_classifier import SignalClassifier
from sequela.errors import SettingError

pytestmark = pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")


class OnSpectrum(nn.Module):
    reads: ClassVar = ("features:spectrum",)

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.fc(features)
        return logits


class OnCounts(OnSpectrum):
    reads: ClassVar = ("features:counts",)


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    X = rng.normal(size=(80, 64)) + np.where(y, 1, 0)[:, None] * np.sin(np.arange(64))
    return X, y


def test_features_are_learnt_stored_and_read_back(tmp_path: Path) -> None:
    X, y = examples()
    fitted = SignalClassifier(OnSpectrum, epochs=30, learning_rate=0.05, random_state=0).fit(X, y)
    assert fitted.score(X, y) > 0.9
    fitted.save(tmp_path / "model.safetensors")
    again = SignalClassifier.load(tmp_path / "model.safetensors", model=OnSpectrum)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    alone = np.concatenate([fitted.predict_proba(X[[i]]) for i in range(3)])
    np.testing.assert_allclose(alone, fitted.predict_proba(X)[:3], rtol=1e-6)


def test_features_of_records_are_refused() -> None:
    X, y = examples()
    with pytest.raises(SettingError, match="OnCounts reads features:counts"):
        SignalClassifier(OnCounts).fit(X, y)
