"""The log of evaluations on test sets: JSON, a line an entry.

Evaluating many models on one test set, or many seeds, and reporting the best inflates the score.
So each evaluation is logged, and every output with a test-set number has the count.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from platformdirs import user_state_path

from sequela.errors import OutputError
from sequela.evaluation.predictions import Predictions
from sequela.files import writing
from sequela.identity.pseudonyms import PLAIN
from sequela.integrity.verify import verify
from sequela.runs.find import Run, is_run
from sequela.runs.recipe import update_in_words

LEDGER = "openings.jsonl"
VARIABLE = "SEQUELA_OPENINGS"  # environment variable with the path of the user's log
Command = Literal["train", "update", "evaluate", "compare", "report", "card"]


@dataclass(frozen=True)
class Opening:
    """One evaluation of a model on its test set by a command.

    ``population`` is the SHA-256 of the hashed ids of all sets: the same for every split of the
    same subjects or recordings.
    """

    date: str  # the time in UTC, to the second
    command: str
    model: str
    run: str  # the name of the run's folder
    predictions: str  # SHA-256 of ``predictions.parquet``; for folds, of their SHA-256
    data: str  # the name of the data set
    population: str
    unit: str  # the unit of the split
    seed: int  # the seed of the split
    held_out: str  # SHA-256 of the hashed ids of the test set; for folds, of their SHA-256

    @classmethod
    def of(cls, run: Run, command: Command) -> Self:
        """Make the entry of a run."""
        update = run.metrics.update
        split, files = run.first.split, [folder.path / "predictions.parquet" for folder in run.runs]
        parts = [folder.predictions.part("held_out") for folder in run.runs]
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            model=run.settings.model if update is None else update_in_words(run, update),
            run=run.path.resolve().name,
            predictions=_of_all(_sha256(file.read_bytes()) for file in files),
            data=run.settings.data,
            population=_digest(_ids(run.first.predictions, split.whose)),
            unit=split.unit,
            seed=split.seed,
            held_out=_of_all(_digest(_ids(part, split.whole)) for part in parts),
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of an entry: repeating a command on a model adds no entry."""
        # Looking at the same numbers again teaches nothing new, so it is not another evaluation.
        return (self.held_out, self.predictions, self.command)


@dataclass(frozen=True)
class Openings:
    """The number of evaluations on a test set, and on other test sets of the same data."""

    times: int  # number of evaluations on this test set
    models: int  # number of models among them, distinguished by their predictions
    parts: int  # number of evaluated test sets of these data, split by the same unit
    seeds: int  # number of seeds of these test sets
    folds: bool  # whether the test set consists of folds
    damage: tuple[str, ...]  # sentences on damaged logs
    since: str = ""  # the day of the first evaluation in UTC; empty if no log has one

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences to show with a test-set number.

        Example:
            >>> Openings(7, 4, 1, 1, folds=False, damage=()).sentences
            ('This test set was evaluated 7 times, with 4 models.',)
            >>> Openings(1, 1, 20, 20, folds=False, damage=()).sentences[1]
            'Evaluations on these data used 20 test sets from 20 seeds.'
        """
        what = "These folds were" if self.folds else "This test set was"
        times = "once" if self.times == 1 else f"{self.times} times"
        models = "1 model" if self.models == 1 else f"{self.models} models"
        sentences = [f"{what} evaluated {times}, with {models}."]
        if self.parts > 1:
            seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
            sentences.append(f"Evaluations on these data used {self.parts} test sets from {seeds}.")
        return (*sentences, *self.damage)

    def to_dict(self) -> dict[str, object]:
        """Return the counts for JSON."""
        counts = {name: getattr(self, name) for name in ("times", "models", "parts", "seeds")}
        return {**counts, "sentences": list(self.sentences)}


def open_held_out(run: Run, command: Command) -> Openings:
    """Check the test-set numbers of a run, and log the evaluation.

    The entry is added to the log next to the run and to the user's log, so that runs in several
    folders and moved folders are counted. The same command on the same model adds no entry. Several
    processes may write at once.
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
    # Counted after the entry was written, so that the sentence includes this evaluation.
    counts = openings(run, opening)
    unwritten = [f"This evaluation could not be added to the log {whose}." for whose in refused]
    return replace(counts, damage=(*counts.damage, *unwritten))


def openings(run: Run, this: Opening | None = None) -> Openings:
    """Count the logged evaluations of a run or folds on the test set, of which ``this`` is one."""
    this = this or Opening.of(run, "evaluate")
    logged: dict[tuple[str, str, str], Opening] = {}
    damage = []
    for whose, path in ledgers(run).items():
        entries, wrong = read(path)
        logged |= {entry.key: entry for entry in entries}
        if wrong:
            damage.append(f"The log {whose} {wrong}: evaluations may be missing here.")
    same = [entry for entry in logged.values() if entry.held_out == this.held_out]
    kind = (this.population, this.unit)  # splits of the same people, by the same unit
    alike = [entry for entry in logged.values() if (entry.population, entry.unit) == kind]
    return Openings(
        times=len(same),
        models=len({entry.predictions for entry in same}),
        parts=len({entry.held_out for entry in alike}),
        seeds=len({entry.seed for entry in alike}),
        folds=bool(run.folds),
        damage=tuple(damage),
        since=min((entry.date[:10] for entry in same), default=""),
    )


def ledgers(run: Run) -> dict[str, Path]:
    """Return the log in the parent folder of the run, and the user's log, by name."""
    # A log in the parent survives the deletion of a run, and counts all runs of a project.
    parent = run.path.resolve().parent
    while is_run(parent):
        parent = parent.parent
    variable = os.environ.get(VARIABLE)
    return {
        "next to the runs": parent / LEDGER,
        "of this user": Path(variable) if variable else user_state_path("sequela") / LEDGER,
    }


def read(path: Path) -> tuple[list[Opening], str]:
    """Read the valid entries of a log, and describe its damage; a missing log is empty."""
    try:
        lines = _lines(path)
    except OSError as error:
        return [], f"cannot be read ({error.strerror})"
    entries, damaged = [], []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            entry = Opening(**{field.name: record[field.name] for field in fields(Opening)})
            hash(entry)  # fails for a list in place of a value
            entries.append(entry)
        except (ValueError, TypeError, KeyError):
            damaged.append(number)
    return entries, f"has a line that cannot be read (line {damaged[0]})" if damaged else ""


def _write(path: Path, opening: Opening) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if opening.key in {entry.key for entry in read(path)[0]}:
            return
        line = json.dumps(asdict(opening), ensure_ascii=False).encode() + b"\n"
        with path.open("ab+") as log:
            if log.tell():
                log.seek(-1, os.SEEK_END)
                line = line if log.read() == b"\n" else b"\n" + line  # after half a line
            log.write(line)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _ids(predictions: Predictions, kind: str) -> list[str]:
    """Hash the ids of a kind without the key, as the log must not depend on it."""
    by_kind = {"row": predictions.example_id, "subject": predictions.subject_id}
    return PLAIN.distinct(by_kind.get(kind, predictions.group_id))


def _digest(ids: Iterable[str]) -> str:
    return _sha256("\n".join(sorted(ids)).encode())


def _of_all(digests: Iterable[str]) -> str:
    """Combine the digests of all folds; a run of one split keeps its digest."""
    distinct = sorted(set(digests))
    return distinct[0] if len(distinct) == 1 else _digest(distinct)
