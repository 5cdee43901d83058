"""What tests do with the folders of runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequela.config import RunSettings, TrainingSettings
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


def after(epoch: int, then: Callable[[], Any] = interrupt) -> Callable[[History], None]:
    """As ``on_epoch``: do something after an epoch."""
    return lambda history: then() if history[-1].epoch == epoch else None
