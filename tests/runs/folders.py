"""What tests do with the folders of runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequela.config import RunSettings, TrainingSettings
from sequela.listeners import Listener
from sequela.training.history import History

RESULTS = ("model.safetensors", "predictions.parquet", "split.json", "config.toml")


def short(model: str = "mlp-baseline", **more: Any) -> RunSettings:
    """Settings of one epoch on the Bonn data."""
    return RunSettings.of(model=model, data="bonn", training=TrainingSettings(epochs=1), **more)


def content(folder: Path) -> dict[str, bytes]:
    """What a run gave, without what the clock says."""
    return {name: (folder / name).read_bytes() for name in RESULTS}


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), "utf-8")


def interrupt(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


class after(Listener):  # noqa: N801 - read as a word: ``listening(after(1))``
    """Do something after an epoch."""

    def __init__(self, epoch: int, then: Callable[[], Any] = interrupt) -> None:
        self.epoch, self.then = epoch, then

    def on_epoch_end(self, history: History) -> None:
        if history[-1].epoch == self.epoch:
            self.then()


class after_fold(Listener):  # noqa: N801
    """Do something after each fold."""

    def __init__(self, then: Callable[[], Any] = interrupt) -> None:
        self.then = then

    def on_fold_end(self, *_: object) -> None:
        self.then()
