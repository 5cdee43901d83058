"""What happened in each epoch: plain records, one line of JSON each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sequela.errors import RunError


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
        learning_rate: At the end of the epoch.
    """

    epoch: int
    part: str
    loss: float
    seconds: float
    metrics: dict[str, float]
    learning_rate: float


History = list[EpochRecord]


def best_epoch(history: Sequence[EpochRecord]) -> int:
    """The epoch with the lowest tuning loss; the first of equals."""
    return min((r for r in history if r.part == "tuning"), key=lambda r: r.loss).epoch


def to_lines(history: Sequence[EpochRecord]) -> str:
    """The history as JSON lines: the content of ``history.jsonl``."""
    return "".join(json.dumps(asdict(record)) + "\n" for record in history)


def read(path: Path) -> History:
    """The history in a ``history.jsonl``.

    Raises:
        RunError: If the file is missing or a line is not such a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found; expected the history of a run") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(EpochRecord(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}:{number}: not a record of an epoch: {error}") from error
    return records
