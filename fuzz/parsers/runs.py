"""Files that a run folder holds, read back: JSON, TOML, safetensors and Parquet.

Values of JSON and TOML may be edited without a trace, so a changed leaf of the right kind is what
the text says. Nothing of another kind may come through: whoever
reads a number gets one. safetensors and Parquet files carry checksums of their own.
"""

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fuzz.mutators import BYTES, JSON, TEXT
from fuzz.parser import Files, Parser, Seed
from sequela.cohort.labels import SCHEMA, read_labels, write_labels
from sequela.config import RunSettings
from sequela.cost import account
from sequela.cost.record import load, save, to_json
from sequela.evaluation.predictions import Predictions
from sequela.models import stored
from sequela.models.registry import lookup_network
from sequela.training import history
from sequela.training.checkpoint import FILE, Checkpoint, clone


def _strict(text: bytes, constants: tuple[str, ...] = ()) -> Any:
    """JSON without what only Python takes for JSON; raises ``ValueError``."""

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(given)) < len(given):
            raise ValueError("a name twice")
        return dict(given)

    def constant(name: str) -> Any:
        if name not in constants:
            raise ValueError(name)
        return float(name)

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("too deep") from error


def _made(name: str, write: Callable[[Path], object]) -> Callable[[], list[Seed]]:
    """The seed that a writer writes."""

    @cache
    def content() -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path)
            return path.read_bytes()

    return lambda: [Seed({name: content()})]


def _records() -> history.History:
    return [
        history.EpochRecord(epoch, part, 1.5 / epoch, 0.25, {"accuracy": 0.5 + epoch / 20}, 1e-3)
        for epoch in (1, 2, 3)
        for part in ("train", "tuning")
    ]


def _history_says(files: Files) -> Any:
    kinds = {
        "epoch": int,
        "part": str,
        "loss": float,
        "seconds": float,
        "metrics": dict,
        "learning_rate": float,
    }
    said = []
    try:
        for line in files["history.jsonl"].decode("utf-8").splitlines():
            record = _strict(line.encode(), ("NaN", "Infinity", "-Infinity"))
            if not isinstance(record, dict) or record.keys() != kinds.keys():
                return None
            numbers = {
                n: _as_float(v, any_=n == "loss") if kinds[n] is float else v
                for n, v in record.items()
            }
            numbers["metrics"] = {n: _as_float(v) for n, v in record["metrics"].items()}
            if not all(type(numbers[n]) is kind for n, kind in kinds.items()) or numbers[
                "part"
            ] not in ("train", "tuning"):
                return None
            if numbers["epoch"] < 1:
                return None
            said.append(numbers)
    except (ValueError, AttributeError, TypeError, OverflowError):
        return None
    return said


def _as_float(value: Any, *, any_: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    if not any_ and not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _cost_says(files: Files) -> Any:
    """Totals are computed from formulas: what is written beside them must agree."""
    try:
        return _strict(files["cost.json"])
    except ValueError:
        return None


def _settings_says(files: Files) -> Any:
    try:
        given = tomllib.loads(files["config.toml"].decode("utf-8"))
        return RunSettings(**given).model_dump()
    except Exception:  # noqa: BLE001 (pydantic is the second reading here: only its refusal counts)
        return None


def _predictions() -> Predictions:
    n = 40
    rng = np.random.default_rng(0)
    values = rng.dirichlet([1, 1, 1], n).astype(np.float32)
    ids = np.array([f"row {i}" for i in range(n)])
    groups = np.array([f"group {i // 2}" for i in range(n)])
    parts = np.array(["train"] * 20 + ["tuning"] * 10 + ["held_out"] * 10)
    return Predictions(ids, groups, groups, parts, np.arange(n) % 3, values, ("a", "b", "c"))


def _read_predictions(folder: Path) -> Any:
    read = Predictions.read(folder / "predictions.parquet")
    return vars(read)


def _labels() -> pa.Table:
    rows = 60
    return pa.table(
        {
            "subject_id": pa.array(range(10_000, 10_000 + rows), pa.int64()),
            "prediction_time": pa.array(
                [1_000_000 * 86_400 * i for i in range(rows)], pa.timestamp("us")
            ),
            "boolean_value": [i % 3 == 0 for i in range(rows)],
        },
        schema=SCHEMA,
    )


def _network() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    torch.manual_seed(0)
    model = lookup_network("mlp-baseline").build()
    header = {
        "model": "mlp-baseline",
        "reads": ["signal"],
        "config": {"n_chans": 1, "n_times": 178, "n_outputs": 5},
    }
    return dict(model.state_dict()), header


def _read_model(folder: Path) -> Any:
    header, tensors = stored.read(folder / "model.safetensors")
    return [header, tensors]


def _checkpoint(path: Path) -> None:
    tensors, _ = _network()
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    Checkpoint(
        tensors, {"n": torch.tensor(3)}, clone(tensors), optimiser.state_dict(), {"last_epoch": 1},
        {"torch": torch.get_rng_state()}, _records(),
    ).save(path.parent)  # fmt: skip


def _read_checkpoint(folder: Path) -> Any:
    read = Checkpoint.load(folder)
    plain = {
        n: {k: t.numpy() for k, t in getattr(read, n).items()}
        for n in ("model", "average", "best", "generators")
    }
    slots = {i: {k: t.numpy() for k, t in s.items()} for i, s in read.optimiser["state"].items()}
    return [
        plain,
        slots,
        read.optimiser["param_groups"],
        read.schedule,
        list(map(asdict, read.history)),
    ]


PARSERS = (
    Parser(
        "history",
        _made("history.jsonl", lambda p: p.write_text(history.to_lines(_records()))),
        lambda folder: list(map(asdict, history.read(folder / "history.jsonl"))),
        JSON,
        _history_says,
    ),
    Parser(
        "cost",
        _made(
            "cost.json",
            lambda p: save(
                account(lookup_network("mlp-baseline").build(), torch.zeros(1, 1, 178)), p
            ),
        ),
        lambda folder: json.loads(json.dumps(to_json(load(folder / "cost.json")))),
        JSON,
        _cost_says,
    ),
    Parser(
        "settings",
        _made(
            "config.toml",
            lambda p: p.write_text(RunSettings(model="mlp-baseline", data="bonn").to_toml()),
        ),
        lambda folder: RunSettings.read(folder / "config.toml").model_dump(),
        TEXT,
        _settings_says,
    ),
    Parser(
        "model",
        _made("model.safetensors", lambda p: stored.write(p, *_network())),
        _read_model,
        BYTES,
    ),
    Parser("checkpoint", _made(FILE, _checkpoint), _read_checkpoint, BYTES),
    Parser(
        "labels",
        _made("labels.parquet", lambda p: write_labels(_labels(), p)),
        lambda folder: read_labels(folder / "labels.parquet").to_pydict(),
        BYTES,
    ),
    Parser(
        "predictions",
        _made("predictions.parquet", lambda p: _predictions().write(p)),
        _read_predictions,
        BYTES,
    ),
)
