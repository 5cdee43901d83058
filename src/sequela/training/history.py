"""The history of a fit: a plain record of each epoch, one line of JSON each."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from sequela.errors import RunError
from sequela.sources.opened import json_value

PARTS = ("train", "tuning")


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True)
class EpochRecord:
    """One part of the data in one epoch.

    Attributes:
        epoch: Counted from 1.
        part: ``train`` or ``tuning``. ``train`` is measured while the weights still move (and with
            dropout on), ``tuning`` after the epoch.
        loss: Mean of the loss over the examples (weighted where classes are weighted).
        seconds: Wall-clock time.
        metrics: Means over the examples, by name.
        learning_rate: Learning rate at the end of the epoch.
    """

    epoch: int
    part: str
    loss: float
    seconds: float
    metrics: dict[str, float]
    learning_rate: float


History = list[EpochRecord]


def best_epoch(history: Sequence[EpochRecord]) -> int:
    """Return the epoch with the lowest validation loss; the first of equals."""
    return min((r for r in history if r.part == "tuning"), key=lambda r: r.loss).epoch


def kept_epoch(history: Sequence[EpochRecord], keep: Literal["best", "last"]) -> int:
    """Return the final epoch of a fit with a validation set, see ``settings.keep``."""
    return history[-1].epoch if keep == "last" else best_epoch(history)


def to_lines(history: Sequence[EpochRecord]) -> str:
    """Format the history as JSON lines: the content of ``history.jsonl``."""
    return "".join(json.dumps(asdict(record)) + "\n" for record in history)


def read(path: Path) -> History:
    """Read the history in a ``history.jsonl``.

    Raises:
        RunError: If the file is missing or a line is not such a record.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found; expected the history of a run") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(record(json_value(line, finite=False)))
        except ValueError as error:
            raise RunError(f"{path}:{number}: not a record of an epoch: {error}") from error
    return records


def record(values: Any) -> EpochRecord:
    """Make a record from plain values; a loss that is not finite means that training failed.

    Raises:
        ValueError: If the values are not those of a record.
    """
    try:
        found = _adapter().validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{name}: {first['msg']}") from error
    if found.epoch < 1 or found.part not in PARTS:
        raise ValueError(
            f"epoch {found.epoch} of {found.part[:30]!r}, expected 1 or more of {PARTS}"
        )
    numbers = [found.seconds, found.learning_rate, *found.metrics.values()]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is not finite, expected that of the loss alone")
    return found


@cache
def _adapter() -> TypeAdapter[EpochRecord]:
    return TypeAdapter(EpochRecord)
