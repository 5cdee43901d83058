"""Classifiers of signals and visits that are fitted on times to an event."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from tests.api.conftest import quick, quick_visits

import sequela
from sequela import SignalClassifier, VisitClassifier
from sequela.errors import DataError, SettingError

N = 80
GROUPS = np.arange(N)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """Half of the people have large signals, and a code of their own, and die ten times as soon."""
    rng = np.random.default_rng(0)
    ill = rng.random(N) < 0.5
    death, end = rng.exponential(np.where(ill, 5, 50)), rng.exponential(40, N)
    y = np.empty(N, [("event", bool), ("time", float)])
    y["event"], y["time"] = death <= end, np.minimum(death, end)
    signal = rng.normal(size=(N, 1, 64)) * np.where(ill, 40, 10)[:, None, None]
    visits = [[["I50" if each else "J10", "E11"]] for each in ill]
    return {"signal": signal, "visits": visits, "y": y}


def fitted(data: dict[str, Any], kind: str, y: NDArray[Any], **more: Any) -> Any:
    made = quick if kind == "signal" else quick_visits
    return made(horizons=[5, 20], **more).fit(data[kind], y, groups=GROUPS)


@pytest.mark.parametrize("kind", ["signal", "visits"])
@pytest.mark.filterwarnings("ignore::sequela.errors.SeenExamplesWarning")
def test_risks_are_learnt_stored_and_evaluated(
    kind: str, data: dict[str, Any], tmp_path: Path
) -> None:
    x, y = data[kind], data["y"]
    model = fitted(data, kind, y)
    chances = model.predict_cumulative_incidence(x)
    assert chances.shape == (N, 2, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    at = model.predict_cumulative_incidence(x, times=[0, 20, 21])
    np.testing.assert_allclose(at[:, :, 1], chances[:, :, 1])
    assert (at[:, 1, 0] == 0).all()
    assert np.isnan(at[:, :, 2]).all()
    found = sequela.evaluate_survival(model, x, y, groups=GROUPS, horizons=[5, 20])
    score = model.score(x, y)
    assert score == pytest.approx(found.numbers()["concordance (Harrell)"].value)
    assert score > 0.6
    with pytest.raises(SettingError, match="takes no weights"):
        model.score(x, y, np.ones(N))
    model.save(tmp_path / "model.safetensors")
    loaded = (SignalClassifier if kind == "signal" else VisitClassifier).load(
        tmp_path / "model.safetensors"
    )
    np.testing.assert_array_equal(loaded.predict_cumulative_incidence(x), chances)
    again = clone(model).fit(x, y, groups=GROUPS)
    np.testing.assert_allclose(again.predict_cumulative_incidence(x), chances, atol=1e-6)


def test_competing_events_have_risks_of_their_own(data: dict[str, Any]) -> None:
    y = np.empty(N, [("event", int), ("time", float)])
    y["event"], y["time"] = np.random.default_rng(0).integers(0, 3, N), data["y"]["time"]
    chances = fitted(data, "visits", y, epochs=1).predict_cumulative_incidence(data["visits"])
    assert chances.shape == (N, 3, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_mistakes_give_one_clear_sentence(data: dict[str, Any]) -> None:
    y = data["y"]
    nobody, before = y.copy(), y.copy()
    nobody["event"], before["time"][3] = False, -1
    with pytest.raises(SettingError, match="class_weight would bias"):
        fitted(data, "signal", y, class_weight="balanced")
    with pytest.raises(SettingError, match="horizons need y as a structured array"):
        fitted(data, "signal", y["event"])
    with pytest.raises(DataError, match="no example had the event"):
        fitted(data, "signal", nobody)
    with pytest.raises(DataError, match=r"negative or not a number \(the first in row 4\)"):
        fitted(data, "signal", before)
    for horizons in ([1e9], [0, 5]):
        with pytest.raises(DataError, match="the longest follow-up"):
            quick(horizons=horizons).fit(data["signal"], y, groups=GROUPS)
    plain = quick(epochs=1).fit(data["signal"], y["event"], groups=GROUPS)
    with pytest.raises(SettingError, match="was fitted on classes"):
        plain.predict_cumulative_incidence(data["signal"])
