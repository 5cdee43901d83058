"""What is particular to signals: forms of X, groups, models, weights, files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
import torch
from safetensors import safe_open
from scipy.signal import lfilter
from tests.api.conftest import Pooled, quick

from sequela import SignalClassifier, evaluate
from sequela.errors import (
    DataError,
    ModelError,
    RunError,
    SeenExamplesWarning,
    SettingError,
    SplitError,
    UnknownNameError,
)
from sequela.models.registry import MODELS
from sequela.sequences.scaling import Scaling

pytestmark = pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")

RNG = np.random.default_rng(1)
Y = np.repeat(["calm", "seizure"], 30)
X = RNG.normal(size=(60, 32)) + np.outer(Y == "seizure", 2 * np.sin(np.arange(32)))
GROUPS = np.repeat(np.arange(20), 3)


def unseen(seed: int) -> SignalClassifier:
    """A fit that neither reads nor moves torch's own generator."""
    torch.seed()
    before = torch.get_rng_state()
    fitted = quick(model="cnn-improved", epochs=2, random_state=seed).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    return fitted


@pytest.mark.parametrize("name", [n for n, entry in MODELS.items() if entry.reads == ("signal",)])
def test_each_signal_model_fits_and_predicts(name: str) -> None:
    whole = MODELS[name].segment == "recording"  # it reads no short segment
    signals = np.tile(X, 32) if whole else X
    fitted = quick(model=name, epochs=2).fit(signals, Y)
    proba = fitted.predict_proba(signals[:5])
    assert proba.shape == (5, 2)
    np.testing.assert_allclose(proba.sum(1), 1)


def test_forms_of_x_give_the_same() -> None:
    names = [f"t{i}" for i in range(32)]
    expected = quick().fit(X, Y).predict_proba(X)
    frames = (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names))
    targets = (pd.Series(Y, dtype="category"), pl.Series(Y))
    for frame, target in zip(frames, targets, strict=True):
        fitted = quick().fit(frame, target)
        assert fitted.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(fitted.predict_proba(frame), expected)
    one_channel = quick().fit(X[:, None], Y)
    np.testing.assert_array_equal(one_channel.predict_proba(X[:, None]), expected)
    np.testing.assert_array_equal(one_channel.predict_proba(X[:, None].tolist()), expected)


def test_channels_are_scaled_each_for_itself_on_what_is_learnt_from() -> None:
    both = np.stack([X, 1e3 * X + 5e4], axis=1)
    fitted = quick(tuning_fraction=0.5).fit(both, Y)
    assert (fitted.n_chans_, fitted.n_times_, fitted.n_features_in_) == (2, 32, 64)
    assert fitted.score(both, Y) > 0.9
    everything = Scaling.fit(both.astype(np.float32))
    assert fitted.scaling_ != everything
    learnt = quick(tuning_fraction=None, epochs=1).fit(both, Y)
    assert learnt.scaling_ == everything
    with pytest.raises(DataError, match=r"X has 1 channel.* of 64 samples"):
        fitted.predict(both.reshape(60, 64))


def test_a_group_is_set_aside_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    loader = SignalClassifier._loader

    def noted(self: Any, examples: Any, labels: Any, rows: Any, *more: Any) -> Any:
        seen.append(rows)
        return loader(self, examples, labels, rows, *more)

    monkeypatch.setattr(SignalClassifier, "_loader", noted)
    quick(epochs=1).fit(X, Y, groups=GROUPS)
    train, tuning = seen
    assert sorted([*train, *tuning]) == list(range(60))
    assert len(tuning) == 12
    assert not set(GROUPS[train]) & set(GROUPS[tuning])
    assert set(Y[tuning]) == set(Y)
    quick(epochs=1).fit(X, Y)
    assert set(GROUPS[seen[2]]) & set(GROUPS[seen[3]])


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(SplitError, match="groups: 2, classes: 2"):
        quick().fit(X, Y, groups=Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(X, Y, groups=GROUPS[:-1])


def test_the_same_seed_gives_the_same_and_leaves_torch_as_it_was() -> None:
    one, two, other = (unseen(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_class_weight_moves_the_answer() -> None:
    noise = RNG.normal(size=(60, 4))
    plain, heavy = (
        quick(class_weight=w).fit(noise, Y).predict_proba(noise)[:, 1].mean()
        for w in (None, {"calm": 1.0, "seizure": 50.0})
    )
    assert heavy > 0.9 > plain
    rare = Y[:40]
    balanced = quick(class_weight="balanced").fit(noise[:40], rare).predict_proba(noise[:40])
    assert abs(balanced[:, 1].mean() - 0.5) < 0.15
    assert quick().fit(noise[:40], rare).predict_proba(noise[:40])[:, 1].mean() < 0.4


@pytest.mark.parametrize("model", ["mlp-baseline", Pooled])
def test_a_saved_classifier_answers_the_same(model: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(32)])
    weight = {"calm": 1.0, "seizure": np.float64(2.0)}
    settings = {"hidden": np.int64(3)}
    fitted = quick(model=model, model_settings=settings, class_weight=weight, epochs=3)
    path = tmp_path / "models" / "m.safetensors"
    fitted.fit(frame, Y).save(path)
    with safe_open(path, framework="np") as file:
        assert set(file.metadata()) == {"sequela", "sha256"}
    loaded = SignalClassifier.load(path, **({} if model == "mlp-baseline" else {"model": model}))
    assert loaded.feature_names_in_.tolist() == [*frame.columns]
    assert (loaded.n_features_in_, loaded.history_) == (32, fitted.history_)
    assert (loaded.class_weight, loaded.model_settings) == (weight, {"hidden": 3})
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))
    loaded.fit(frame, Y)


def test_labels_of_any_kind_come_back(tmp_path: Path) -> None:
    for labels in (np.array([0, 7]), np.array([False, True]), np.array(["a", "b"], object)):
        fitted = quick(epochs=1).fit(X, np.repeat(labels, 30))
        fitted.save(tmp_path / "m.safetensors")
        loaded = SignalClassifier.load(tmp_path / "m.safetensors")
        assert loaded.classes_.dtype == labels.dtype
        assert loaded.classes_.tolist() == labels.tolist()
        np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


def test_what_cannot_be_saved_or_loaded_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    drawn = quick(epochs=1, random_state=np.random.RandomState(0)).fit(X, Y)
    with pytest.raises(SettingError, match="random_state"):
        drawn.save(path)
    assert not path.exists()
    quick(model=Pooled, epochs=1).fit(X, Y).save(path)
    with pytest.raises(SettingError, match=r"not registered.*model=\.\.\."):
        SignalClassifier.load(path)
    with pytest.raises(RunError, match="not found"):
        SignalClassifier.load(tmp_path / "other")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="damaged"):
        SignalClassifier.load(path, model=Pooled)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(RunError, match="damaged"):
        SignalClassifier.load(path)


def test_settings_that_cannot_be_used_are_named() -> None:
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (UnknownNameError, "did you mean 'gru-baseline'", {"model": "gru-basline"}),
        (SettingError, "reads codes", {"model": "visits-baseline"}),
        (SettingError, "give the class", {"model": Pooled(1, 32, 2)}),
        (SettingError, "epochs", {"epochs": 0}),
        (SettingError, "tuning_fraction", {"tuning_fraction": 1.0}),
        (SettingError, "hiden", {"model_settings": {"hiden": 3}}),
    ]
    for kind, words, changes in refused:
        with pytest.raises(kind, match=words):
            quick(**changes).fit(X, Y)
    with pytest.raises(ModelError, match=r"n_times=15.*at least 16"):
        quick(model="cnn-baseline").fit(X[:, :15], Y)
    quick(model="cnn-baseline", epochs=1).fit(X[:, :16], Y)


def rows(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Segments as smooth as EEG, in whole microvolts."""
    steps = np.random.default_rng(seed).normal(size=(count, 178))
    return np.asarray((30 * lfilter([1], [1, -0.9], steps)).round())


def test_a_score_on_what_it_was_trained_on_is_too_good(tmp_path: Path) -> None:
    segments, y = rows(60, seed=0), np.arange(60) % 2
    fitted = SignalClassifier("mlp-baseline", epochs=1, random_state=0).fit(segments, y)
    fitted.save(tmp_path / "model.safetensors")
    for each in (fitted, SignalClassifier.load(tmp_path / "model.safetensors")):
        for copies in (segments, (1.1 * segments).round() + 20, -segments):
            assert each.seen(copies).mean() > 0.8
        assert each.seen(np.roll(segments, -1, axis=1)).mean() > 0.7
        with pytest.warns(
            SeenExamplesWarning, match="of 60 examples were already used to fit SignalClassifier"
        ):
            each.score(segments, y)
        with pytest.warns(SeenExamplesWarning, match="of 60 examples"):
            evaluate(each, segments, y)
        assert not each.seen(rows(60, seed=1)).any()
        each.score(rows(60, seed=1), y)
