"""Files of a run folder: JSON, TOML, safetensors and Parquet.

Values of JSON and TOML may be edited without a trace, so a changed value of the right kind is
accepted, and nothing of another kind. Models, checkpoints and labels have checksums. Predictions
have checksums of their pages, and the manifest of the run has the checksum of the file: what is
read from a file without its manifest must be what another reader reads.
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
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.fuzz.damage import Case, Files, changed_json, changed_text, examples
from tests.records import write_labels

from sequela.cohort.labels import SCHEMA, read_labels
from sequela.config import RunSettings
from sequela.cost import account
from sequela.cost.record import load, save, to_json
from sequela.evaluation.predictions import Predictions
from sequela.models import stored
from sequela.models.registry import lookup_network
from sequela.training import history
from sequela.training.checkpoint import FILE, Checkpoint, clone

KINDS = {"epoch": int, "part": str, "loss": float, "seconds": float, "metrics": dict,
         "learning_rate": float}  # fmt: skip
"""Types of the values of a line of `history.jsonl`."""
INFINITE = ("NaN", "Infinity", "-Infinity")


def strict_json(text: str, constants: tuple[str, ...] = ()) -> Any:
    """Read JSON without what only Python takes for JSON; raise ``ValueError``."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name twice")
        return dict(pairs)

    def constant(name: str) -> float:
        if name not in constants:
            raise ValueError(name)
        return float(name)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("too deep") from error


def records() -> history.History:
    return [
        history.EpochRecord(epoch, part, 1.5 / epoch, 0.25, {"accuracy": 0.5 + epoch / 20}, 1e-3)
        for epoch in (1, 2, 3)
        for part in ("train", "tuning")
    ]


def second_history(files: Files) -> Any:
    try:
        lines = files["history.jsonl"].decode("utf-8").splitlines()
        return [line_of(strict_json(line, INFINITE)) for line in lines]
    except (ValueError, AttributeError, TypeError, OverflowError):
        return None


def line_of(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.keys() != KINDS.keys():
        raise ValueError("other names")
    for name in ("loss", "seconds", "learning_rate"):
        record[name] = real(record[name], infinite=name == "loss")
    record["metrics"] = {name: real(value) for name, value in record["metrics"].items()}
    if not all(type(record[name]) is kind for name, kind in KINDS.items()):
        raise TypeError(record)
    if record["part"] not in ("train", "tuning") or record["epoch"] < 1:
        raise ValueError(record)
    return record


def real(value: Any, *, infinite: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    if not infinite and not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def second_cost(files: Files) -> Any:
    """Return what is written; totals that differ from their formulas are refused by the package."""
    try:
        return strict_json(files["cost.json"].decode("utf-8"))
    except ValueError:
        return None


def second_settings(files: Files) -> Any:
    """Return what tomllib and pydantic read: only the refusals of pydantic are independent."""
    try:
        return RunSettings(**tomllib.loads(files["config.toml"].decode("utf-8"))).model_dump()
    except (ValidationError, ValueError, TypeError):
        return None


def predictions() -> Predictions:
    n = 40
    values = np.random.default_rng(0).dirichlet([1, 1, 1], n).astype(np.float32)
    ids = np.array([f"row {i}" for i in range(n)])
    groups = np.array([f"group {i // 2}" for i in range(n)])
    parts = np.array(["train"] * 20 + ["tuning"] * 10 + ["held_out"] * 10)
    return Predictions(ids, groups, groups, parts, np.arange(n) % 3, values, ("a", "b", "c"))


def second_predictions(files: Files) -> Any:
    """Return what pyarrow reads if the checksums of all pages are right."""
    try:
        file = pa.BufferReader(files["predictions.parquet"])
        table = pq.read_table(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        return None
    classes = tuple(json.loads(table.schema.metadata[b"sequela.classes"]))
    chances = np.stack([table[f"p_{place}"] for place in range(len(classes))], 1)
    columns = (table[name].to_pylist() for name in ("id", "group", "subject", "split"))
    arrays: list[Any] = [np.array(column, str) for column in columns]
    arrays += [table["label"].to_numpy(), chances, classes]
    return vars(Predictions(*arrays))


def labels() -> pa.Table:
    times = pa.array([1_000_000 * 86_400 * i for i in range(60)], pa.timestamp("us"))
    ids = pa.array(range(10_000, 10_060), pa.int64())
    columns = {"subject_id": ids, "prediction_time": times}
    return pa.table({**columns, "boolean_value": [i % 3 == 0 for i in range(60)]}, schema=SCHEMA)


def network() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    torch.manual_seed(0)
    tensors = lookup_network("mlp-baseline").build().state_dict()
    config = {"n_chans": 1, "n_times": 178, "n_outputs": 5}
    return dict(tensors), {"model": "mlp-baseline", "reads": ["signal"], "config": config}


def write_checkpoint(path: Path) -> None:
    tensors, _ = network()
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    Checkpoint(
        tensors, {"n": torch.tensor(3)}, clone(tensors), optimiser.state_dict(), {"last_epoch": 1},
        {"torch": torch.get_rng_state()}, records(),
    ).save(path.parent)  # fmt: skip


def read_checkpoint(path: Path) -> Any:
    checkpoint = Checkpoint.load(path.parent)
    parts = {name: getattr(checkpoint, name) for name in ("model", "average", "best", "generators")}
    tensors = {**parts, **checkpoint.optimiser["state"]}
    arrays = {
        name: {key: tensor.numpy() for key, tensor in part.items()}
        for name, part in tensors.items()
    }
    groups = checkpoint.optimiser["param_groups"]
    return [arrays, groups, checkpoint.schedule, list(map(asdict, checkpoint.history))]


def case(
    name: str, write: Callable[[Path], object], read: Callable[[Path], Any], **rest: Any
) -> Case:
    """Return the case of a file that ``write`` writes."""

    @cache
    def seed() -> Files:
        with TemporaryDirectory() as folder:
            write(Path(folder, name))
            return {name: Path(folder, name).read_bytes()}

    return Case(seed, lambda folder: read(folder / name), **rest)


CASES = {
    "history": case(
        "history.jsonl",
        lambda path: path.write_text(history.to_lines(records())),
        lambda path: list(map(asdict, history.read(path))),
        change=changed_json,
        second_reader=second_history,
    ),
    "cost": case(
        "cost.json",
        lambda path: save(
            account(lookup_network("mlp-baseline").build(), torch.zeros(1, 1, 178)), path
        ),
        lambda path: json.loads(json.dumps(to_json(load(path)))),
        change=changed_json,
        second_reader=second_cost,
    ),
    "settings": case(
        "config.toml",
        lambda path: path.write_text(RunSettings(model="mlp-baseline", data="bonn").to_toml()),
        lambda path: RunSettings.read(path).model_dump(),
        change=changed_text,
        second_reader=second_settings,
    ),
    "model": case(
        "model.safetensors",
        lambda path: stored.write(path, *network()),
        lambda path: list(stored.read(path)),
    ),
    "checkpoint": case(FILE, write_checkpoint, read_checkpoint),
    "labels": case(
        "labels.parquet",
        lambda path: write_labels(labels(), path),
        lambda path: read_labels(path).to_pydict(),
    ),
    "predictions": case(
        "predictions.parquet",
        lambda path: predictions().write(path),
        lambda path: vars(Predictions.read(path)),
        second_reader=second_predictions,
    ),
}


@pytest.mark.parametrize("name", CASES)
@examples()
@given(data=st.data())
def test_damaged_files_of_a_run(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)
