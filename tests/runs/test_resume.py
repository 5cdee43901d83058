"""An interrupted run that is resumed has the same bytes as one that never was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.runs.folders import RESULTS, after, content, interrupt

from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SettingError
from sequela.listeners import listening
from sequela.models.cnn import CNNImproved
from sequela.models.gru import GRUImproved
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.training.checkpoint import Checkpoint

Whole = Callable[[str], Path]
MODELS: dict[str, Any] = {"cnn-improved": CNNImproved, "gru-improved": GRUImproved}


def settings_of(model: str, *, seed: int = 0) -> RunSettings:
    training = TrainingSettings(
        epochs=4,
        batch_size=100,  # 690 segments to train on: the last batch is not a whole one
        learning_rate=5e-3,
        schedule="one-cycle",
        clip_norm=1.0,
        weight_decay=0.01,
        label_smoothing=0.1,
        average=0.9,
    )
    return RunSettings(model=model, data="bonn", seed=seed, training=training)


def numbers(folder: Path) -> list[tuple[int, str, float, dict[str, float], float]]:
    return [
        (r.epoch, r.part, r.loss, r.metrics, r.learning_rate) for r in RunFolder(folder).history
    ]


@pytest.fixture(autouse=True)
def each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is written after each epoch."""
    monkeypatch.setattr("sequela.training.fit.CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The folder of an uninterrupted run of a model; made once."""
    made: dict[str, Path] = {}

    def get(model: str) -> Path:
        if model not in made:
            made[model] = tmp_path_factory.mktemp("whole") / "run"
            fit.train(settings_of(model), made[model], root=synthetic)
        return made[model]

    return get


@pytest.mark.slow(but="cnn-improved-20")
@pytest.mark.parametrize(
    ("model", "calls"), [("cnn-improved", 20), ("cnn-improved", 1), ("gru-improved", 20)]
)
def test_interrupted_within_an_epoch(
    model: str,
    calls: int,
    synthetic: Path,
    tmp_path: Path,
    whole: Whole,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the third: one is 7 batches and 1 of the tuning part; or before the first has begun."""
    out, module, left = tmp_path / "run", MODELS[model], calls
    forward = module.forward

    def interrupted(self: torch.nn.Module, signal: torch.Tensor) -> Any:
        nonlocal left
        left -= 1
        return forward(self, signal) if left else interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(module, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit.train(settings_of(model), out, root=synthetic)
    assert calls == 1 or len(RunFolder(out).history) == 4
    fit.train(settings_of(model), out, root=synthetic, resume=True)
    assert content(out) == content(whole(model))
    assert numbers(out) == numbers(whole(model))


def test_the_seed_decides_everything(synthetic: Path, tmp_path: Path, whole: Whole) -> None:
    fit.train(settings_of("cnn-improved"), tmp_path / "again", root=synthetic)
    assert content(tmp_path / "again") == content(whole("cnn-improved"))
    fit.train(settings_of("cnn-improved", seed=1), tmp_path / "other", root=synthetic)
    other, first = content(tmp_path / "other"), content(whole("cnn-improved"))
    assert all(other[name] != first[name] for name in RESULTS)


def test_a_finished_run_is_left_as_it_is(synthetic: Path, whole: Whole) -> None:
    folder = whole("cnn-improved")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    fit.train(settings_of("cnn-improved"), folder, root=synthetic, resume=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_refit_learns_from_the_tuning_part_too(synthetic: Path, tmp_path: Path) -> None:
    plain = settings_of("mlp-baseline")
    changes = {"refit": True, "crops": True, "gain": 0.05}
    refit = plain.model_copy(update={"training": plain.training.model_copy(update=changes)})
    once = plain.model_copy(update={"training": refit.training.model_copy(update={"refit": False})})
    whole = fit.train(refit, tmp_path / "refit", root=synthetic)
    first = fit.train(once, tmp_path / "once", root=synthetic)
    assert numbers(whole.path) == numbers(first.path)
    # The tuning part is judged by the network that did not learn from it, the rest by the other.
    for part, same in (("tuning", True), ("held_out", False), ("train", False)):
        one, other = (run.predictions.part(part).probabilities for run in (whole, first))
        assert np.array_equal(one, other) == same
    epochs = {r.epoch for r in Checkpoint.load(whole.path / "checkpoint-refit").history}
    assert max(epochs) == whole.metrics["best_epoch"]
    assert {r.part for r in Checkpoint.load(whole.path / "checkpoint-refit").history} == {"train"}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoint, "save", interrupted_after(plain.training.epochs + 2))
        with pytest.raises(KeyboardInterrupt):
            fit.train(refit, tmp_path / "again", root=synthetic)
    fit.train(refit, tmp_path / "again", root=synthetic, resume=True)
    assert content(tmp_path / "again") == content(whole.path)


def interrupted_after(saves: int) -> Callable[..., None]:
    """As ``Checkpoint.save``, with an interruption after so many."""
    save, done = Checkpoint.save, []

    def saved(self: Checkpoint, folder: Path) -> None:
        save(self, folder)
        done.append(folder.name)
        if len(done) == saves:
            assert folder.name == "checkpoint-refit"
            raise KeyboardInterrupt

    return saved


def test_a_second_target_needs_a_second_answer(synthetic: Path, tmp_path: Path) -> None:
    plain = settings_of("mlp-baseline")
    training = plain.training.model_copy(update={"second_target": 0.3})
    with pytest.raises(SettingError, match="mlp-baseline has none"):
        fit.train(plain.model_copy(update={"training": training}), tmp_path / "a", root=synthetic)
    assert not (tmp_path / "a").exists()


def test_distilling_needs_summaries(synthetic: Path, tmp_path: Path) -> None:
    plain = settings_of("mlp-baseline")
    training = plain.training.model_copy(update={"distil": 0.5})
    with pytest.raises(SettingError, match="--distil is for networks that read features:summaries"):
        fit.train(plain.model_copy(update={"training": training}), tmp_path / "a", root=synthetic)


def test_a_damaged_checkpoint_is_refused(synthetic: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), listening(after(1)):
        fit.train(settings_of("cnn-improved"), out, root=synthetic)
    state = out / "checkpoint" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"state\.safetensors: damaged"):
        fit.train(settings_of("cnn-improved"), out, root=synthetic, resume=True)
