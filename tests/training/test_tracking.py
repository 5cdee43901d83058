"""What trackers of training get."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.cli.calls import refusal
from tests.runs.folders import after

from sequela.config import RunSettings
from sequela.errors import MissingExtraError, UnknownNameError
from sequela.listeners import Listener, broadcast, current_listeners, listening
from sequela.runs import fit
from sequela.training.history import EpochRecord, History
from sequela.training.tracking import tracker

EPOCHS = [
    EpochRecord(epoch, part, loss, 0.1, {"accuracy": 0.75}, 1e-3)
    for epoch, loss in ((1, 2.0), (2, 1.5))
    for part in ("train", "tuning")
]
LOSSES = {"learning_rate": 1e-3, "train_loss": 1.5, "tuning_loss": 1.5}
ACCURACIES = {"train_accuracy": 0.75, "tuning_accuracy": 0.75}


class Recorded:
    """A library of which each call is recorded."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **named: self.calls.append((name, *values, *named.values()))


def run(name: str, data: str, *, finished: bool = True) -> None:
    settings = RunSettings.of(model="mlp-baseline", data=data)
    with listening(tracker(name)):
        broadcast("on_run_begin", Path("runs", "mlp"), settings)
        broadcast("on_epoch_end", EPOCHS)
        broadcast("on_run_end", Path("runs", "mlp"), finished=finished)
    assert current_listeners() == ()


@pytest.mark.parametrize(("finished", "state"), [(True, "FINISHED"), (False, "FAILED")])
def test_mlflow(monkeypatch: pytest.MonkeyPatch, finished: bool, state: str) -> None:  # noqa: FBT001
    mlflow = Recorded()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    run("mlflow", "bonn", finished=finished)
    begin, settings, numbers, end = mlflow.calls
    assert begin[:2] == ("start_run", "runs/mlp")
    assert settings[1]["model"] == "mlp-baseline"
    assert settings[1]["training.epochs"] == "60"
    assert numbers == ("log_metrics", LOSSES | ACCURACIES, 2)
    assert end == ("end_run", state)


def test_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, module = Recorded(), ModuleType("torch.utils.tensorboard")
    folders: list[str] = []

    def new_writer(folder: str) -> Recorded:
        folders.append(folder)
        return writer

    module.SummaryWriter = new_writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    run("tensorboard", "bonn")
    assert folders == ["tensorboard/runs/mlp"]
    assert "| model | mlp-baseline |" in writer.calls[0][2]
    scalars = {call[1]: call[2] for call in writer.calls if call[0] == "add_scalar"}
    assert scalars == LOSSES | ACCURACIES
    assert writer.calls[-1] == ("close",)


def test_a_count_of_patients_is_not_tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = Recorded()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    run("mlflow", "mimic4")
    assert mlflow.calls[2] == ("log_metrics", LOSSES, 2)


@pytest.mark.parametrize(
    ("name", "library"), [("mlflow", "mlflow"), ("tensorboard", "tensorboard")]
)
def test_a_missing_library(monkeypatch: pytest.MonkeyPatch, name: str, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=f"--track {name} needs.*track"):
        tracker(name)


def test_an_unknown_tracker() -> None:
    with pytest.raises(UnknownNameError, match="unknown tracker 'mlfow': did you mean 'mlflow'"):
        tracker("mlfow")


class Heard(Listener):
    """Lists the events of runs."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_run_begin(self, folder: Path, settings: RunSettings) -> None:
        self.events.append((folder.name, settings.model))

    def on_epoch_end(self, history: History) -> None:
        self.events.append(history[-1].epoch)

    def on_run_end(self, _: Path, *, finished: bool) -> None:
        self.events.append(finished)


def test_a_run_is_heard_without_its_refit(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequela.training.fit.CHECKPOINT_SECONDS", 0.0)
    heard, training = Heard(), {"epochs": 2, "refit": True}
    settings = RunSettings.of(model="mlp-baseline", data="bonn", training=training)
    with listening(heard):
        with pytest.raises(KeyboardInterrupt), listening(after(1)):
            fit.train(settings, tmp_path / "run", root=synthetic)
        fit.train(settings, tmp_path / "run", root=synthetic, resume=True)
    began = ("run", "mlp-baseline")
    assert heard.events == [began, 1, False, began, 2, True]


def test_a_tracker_is_looked_for_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    words = ["train", "mlp-baseline", "--data", "bonn", "--root", str(tmp_path / "none")]
    assert "--track mlflow needs an extra" in refusal(capsys, *words, "--track", "mlflow")
