"""The history of a fit, a plain record of each epoch, and those who listen to it.

The training loop only trains: progress, history, checkpoints, the average of the weights, early
stopping and trackers listen. A fit has the listeners that it is called with, and a run also those
of :func:`sequela.listeners.listening`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    with_config,
)

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.formats.opened import json_value
from sequela.listeners import Listener


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True)
class EpochRecord:
    """One part of the data in one epoch, counted from 1: its wall-clock time and its means.

    The part ``train`` is measured while the weights still move (and with dropout on), ``tuning``
    after the epoch. The loss is weighted where classes are; the learning rate is that at the end.
    """

    epoch: PositiveInt
    part: Annotated[str, Field(pattern="^(train|tuning)$")]
    loss: float
    seconds: FiniteFloat
    metrics: dict[str, FiniteFloat]
    learning_rate: FiniteFloat


History = list[EpochRecord]
_RECORD = TypeAdapter(EpochRecord)


class TrainingListener(Listener):
    """A listener that ignores all events of training; a subclass overrides those it needs."""

    def on_run_begin(self, folder: Path, settings: RunSettings) -> None:
        """Hear that a run is trained, or continued."""

    def on_fit_begin(self, history: History) -> None:
        """Hear that a fit begins, or continues after the epochs of the history."""

    def on_step_end(self) -> None:
        """Hear that the optimiser has changed the weights."""

    def on_epoch_end(self, history: History) -> None:
        """Hear that an epoch has ended; its records are the last of the history."""

    def on_fit_end(self, history: History) -> None:
        """Hear that the last epoch has ended."""

    def on_run_end(self, folder: Path, *, finished: bool) -> None:
        """Hear that the training of a run has ended: it is finished, or there was an error."""

    def on_fold_end(self, folder: Path, count: int, total: int) -> None:
        """Hear that the run of a fold or seed is finished, and how many are of how many."""


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
    """Read the history in a ``history.jsonl``."""
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


def record(values: object) -> EpochRecord:
    """Make a record from plain values; a loss that is not finite means that training failed."""
    try:
        return _RECORD.validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{name}: {first['msg']}") from error
