"""Who has looked at a held-out part: a ledger of every opening, each entry chained to the last.

A number on a held-out part is honest once. Whoever opens the same part for many models, or many
parts for many seeds, and shows the best has chosen on it. So each opening is written down, and
everything that shows a held-out number says how often the part was opened.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock
from platformdirs import user_state_path

from sequela.cohort.pseudonyms import PLAIN
from sequela.errors import OutputError
from sequela.evaluation.predictions import Predictions
from sequela.files import whole, writing
from sequela.runs.find import Run
from sequela.runs.folds import FOLDS
from sequela.runs.verify import verify

LEDGER = "openings.jsonl"
VARIABLE = "SEQUELA_OPENINGS"
"""Names the user's ledger, in place of the usual file."""
Command = Literal["train", "evaluate", "compare", "report", "card"]
_FIRST = "0" * 64


@dataclass(frozen=True)
class Opening:
    """One model's held-out part, shown by one command.

    Attributes:
        date: When, UTC, to the second.
        command: What showed it.
        model: What was trained.
        run: The name of the run's folder.
        predictions: SHA-256 of ``predictions.parquet``; of folds, of their SHA-256.
        data: The data set's name.
        population: SHA-256 of the hashed ids of all parts: the same for every split of the same
            subjects or recordings.
        unit: Of the split.
        seed: Of the split.
        held_out: SHA-256 of the hashed ids that are held out; of folds, of theirs.
    """

    date: str
    command: str
    model: str
    run: str
    predictions: str
    data: str
    population: str
    unit: str
    seed: int
    held_out: str

    @classmethod
    def of(cls, run: Run, command: Command) -> Self:
        """What is to be written of a run."""
        runs = run.runs
        split = run.first.split
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            model=run.settings.model,
            run=run.path.resolve().name,
            predictions=_of_all(
                hashlib.sha256((each.path / "predictions.parquet").read_bytes()).hexdigest()
                for each in runs
            ),
            data=run.settings.data,
            population=_digest(_ids(run.first.predictions, split.whose)),
            unit=split.unit,
            seed=split.seed,
            held_out=_of_all(
                _digest(_ids(each.predictions.part("held_out"), split.whole)) for each in runs
            ),
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """To show the same model again by the same command is no other look."""
        return (self.held_out, self.predictions, self.command)


@dataclass(frozen=True)
class Openings:
    """How often a held-out part was opened, and others of the same data.

    Attributes:
        times: Openings of this part.
        models: Of how many models, told apart by their predictions.
        parts: Held-out parts of these data that were opened, split by the same unit.
        seeds: Of how many seeds these parts are.
        folds: Whether the part is folds, each held out once.
        damage: What is wrong with a ledger, in sentences.
        since: The day of the first opening, UTC; empty where no ledger knows one.
    """

    times: int
    models: int
    parts: int
    seeds: int
    folds: bool
    damage: tuple[str, ...]
    since: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What must be said beside a held-out number.

        Example:
            >>> Openings(7, 4, 1, 1, folds=False, damage=()).sentences
            ('This held-out part was opened 7 times, by 4 models.',)
            >>> Openings(1, 1, 20, 20, folds=False, damage=()).sentences[1]
            'Held-out parts of these data were opened under 20 seeds (20 parts).'
        """
        what = "These folds were" if self.folds else "This held-out part was"
        times = "once" if self.times == 1 else f"{self.times} times"
        models = "1 model" if self.models == 1 else f"{self.models} models"
        said = [f"{what} opened {times}, by {models}."]
        if self.parts > 1:
            seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
            said.append(
                f"Held-out parts of these data were opened under {seeds} ({self.parts} parts)."
            )
        return (*said, *self.damage)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = {name: getattr(self, name) for name in ("times", "models", "parts", "seeds")}
        return {**counts, "sentences": list(self.sentences)}


def open_held_out(run: Run, command: Command) -> Openings:
    """Open the held-out part of a run: its numbers are checked, and the opening is written down.

    The entry goes to the ledger beside the run and to the user's own, so that neither runs in
    several folders nor a folder that is moved are lost. The same model opened again by the same
    command adds nothing. Several processes may write at once.

    Args:
        run: A finished run, or folds.
        command: What shows the numbers.

    Raises:
        RunError: If the numbers are not those of the predictions.
        SplitError: If the predictions are not of the run's split.
        OutputError: If no ledger can be written.
    """
    verify(run)
    opening = Opening.of(run, command)
    refused = {}
    for whose, path in ledgers(run).items():
        try:
            _write(path, opening)
        except OutputError as error:
            refused[whose] = error
    if len(refused) == len(ledgers(run)):
        raise next(iter(refused.values()))
    found = openings(run)
    unwritten = [f"This opening could not be added to the ledger {whose}." for whose in refused]
    return replace(found, damage=(*found.damage, *unwritten))


def openings(run: Run) -> Openings:
    """How often the held-out part of a run was opened, as far as the ledgers know.

    Args:
        run: A finished run, or folds.
    """
    own = Opening.of(run, "evaluate")
    found: dict[tuple[str, str, str], Opening] = {}
    damage = []
    for whose, path in ledgers(run).items():
        entries, wrong = read(path)
        found |= {entry.key: entry for entry in entries}
        if wrong:
            damage.append(f"The ledger {whose} {wrong}: openings may be missing here.")
    same = [entry for entry in found.values() if entry.held_out == own.held_out]
    others = [
        entry
        for entry in found.values()
        if (entry.population, entry.unit) == (own.population, own.unit)
    ]
    return Openings(
        times=len(same),
        models=len({entry.predictions for entry in same}),
        parts=len({entry.held_out for entry in others}),
        seeds=len({entry.seed for entry in others}),
        folds=bool(run.folds),
        damage=tuple(damage),
        since=min((entry.date[:10] for entry in same), default=""),
    )


def ledgers(run: Run) -> dict[str, Path]:
    """The ledger in the folder that holds the run, or its folds, and the user's own, by name."""
    beside = run.path.resolve().parent
    while (beside / FOLDS).exists():
        beside = beside.parent
    named = os.environ.get(VARIABLE)
    return {
        "beside the runs": beside / LEDGER,
        "of this user": Path(named) if named else user_state_path("sequela") / LEDGER,
    }


def read(path: Path) -> tuple[list[Opening], str]:
    """The entries of a ledger that can be read, and what is wrong with it, if anything is.

    Args:
        path: The ledger; one that does not exist is empty.
    """
    try:
        lines = _lines(path)
    except OSError as error:
        return [], f"cannot be read ({error.strerror})"
    entries, damaged = [], []
    previous = _FIRST
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            entry = Opening(**{field.name: record[field.name] for field in fields(Opening)})
            hash(entry)  # a list would be no value of one
            entries.append(entry)
            linked = record["previous"] == previous
        except (ValueError, TypeError, KeyError):
            linked = False
        damaged += [number] * (not linked)
        previous = _sha256(line)
    return entries, f"was changed after it was written (line {damaged[0]})" if damaged else ""


def _write(path: Path, opening: Opening) -> None:
    """Add an entry to a ledger that does not hold it, while no other process does."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            entries, _ = read(path)
            if opening.key in {entry.key for entry in entries}:
                return
            lines = _lines(path)
            previous = _sha256(lines[-1]) if lines else _FIRST
            record = {**asdict(opening), "previous": previous}
            lines.append(json.dumps(record, ensure_ascii=False).encode())
            with whole(path) as partial:
                partial.write_bytes(b"".join(line + b"\n" for line in lines))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _ids(predictions: Predictions, kind: str) -> list[str]:
    """The ids of a kind, hashed without the key: a new key begins no new ledger.

    Only the digest of all of them together is written down.
    """
    named = {"row": predictions.example_id, "subject": predictions.subject_id}
    return PLAIN.distinct(named.get(kind, predictions.group_id))


def _digest(ids: Iterable[str]) -> str:
    """SHA-256 of hashed ids, whatever their order."""
    return _sha256("\n".join(sorted(ids)).encode())


def _of_all(digests: Iterable[str]) -> str:
    """One digest for all folds: a run of one split has its own."""
    distinct = sorted(set(digests))
    return distinct[0] if len(distinct) == 1 else _digest(distinct)
