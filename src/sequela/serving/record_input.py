"""Prediction on hospital records, with the task and vocabulary of a model."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.events import open_events
from sequela.cohort.labels import example_ids
from sequela.cohort.split import PARTS
from sequela.cohort.tasks import Task
from sequela.cohort.unlabelled import LeftOut, ask_without_labels
from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet
from sequela.errors import SettingError
from sequela.intake.one_row import people_of, rows_of_model
from sequela.sequences.build import build_sequences
from sequela.sequences.flat import Sequences, examples_of
from sequela.serving.drift import patients_of
from sequela.serving.records import inputs_of
from sequela.serving.scored import Scored
from sequela.tables.events import events_of

_NUMBERS = 1 << 21
"""Numbers of a batch, after padding."""
_MOST = 1024
_PATIENTS = 5_000
"""Patients that are compared with the fingerprints at once."""


def check(signals: SignalSettings, _: Path | None) -> None:
    """Raise a SettingError for options of other data."""
    if options := sorted(signals.model_dump(exclude_defaults=True).keys() - {"id", "time"}):
        raise SettingError(f"--{options[0]} is for signals, but the model reads hospital records")


def format_of(path: Path, usual: str) -> str:
    """Return the format of the records at a path."""
    return "meds" if (path / "data").is_dir() else usual


def score(
    scored: Scored,
    data_set: DataSet,
    path: Path | None,
    signals: SignalSettings,
    times: Path | None,
    work: Path,
    done: Callable[[float | None], None],
) -> tuple[list[str], dict[str, float]]:
    """Score the records at a path, and return sentences on the preparation, and unknown codes.

    ``times`` is a label file, for a model that was trained with one. ``done`` is called with the
    finished share, or ``None`` if it is unknown.
    """
    reads, known, name = scored.model.records, scored.known, data_set.name
    tables = tuple(reads.tables) if name == scored.model.facts.training.name else ()
    done(None)
    table = rows_of_model(_described(reads.rows, signals), data_set, reads.words.to_dict())
    located = events_of(name, path, work / "events", tables, labelled=False, rows=table)
    people = people_of(path, table) if path and table else {}
    texts = {str(number): text for (number, _), text in people.items()}

    def called(subjects: Iterable[str]) -> list[str]:
        return [texts.get(each, each) for each in subjects]

    events = open_events(located.path, located.origin)
    asked = ask_without_labels(events, Task.from_dict(reads.task), times)
    for each in asked.left_out:
        _refuse(scored, each, *called([str(each.subject_id)]))
    done(None)
    sequences = build_sequences(
        asked.cohort,
        np.full(len(asked.cohort.labels), PARTS.index("held_out")),
        work / "sequences",
        reads.settings,
        of_model=reads.words,
    )
    for rows in patients_of(sequences, _PATIENTS):
        some = examples_of(sequences, rows)
        scored.drift.see_records(some)
        scored.recognise(*map(called, known.records(some)))
        scored.recognise(called(known.names(np.unique(some.subject_id).astype(np.str_).tolist())))
    wide = max(1, len(reads.channels))
    places = {key: place for place, key in enumerate(people)}
    keys = zip(sequences.subject_id.tolist(), sequences.prediction_time.tolist(), strict=True)
    order = np.argsort([places.get(key, 0) for key in keys], kind="stable")
    for batch in _batches(sequences, wide):
        rows = order[batch]
        subjects = sequences.subject_id[rows]
        names = called(subjects.astype(np.str_).tolist())
        ids = example_ids(subjects, sequences.prediction_time[rows]).tolist()
        ids = [
            f"{name} at {each.rpartition(' at ')[2]}" for name, each in zip(names, ids, strict=True)
        ]
        scored.score(inputs_of(scored.model, sequences, rows), ids, names, names)
        done(int(batch[-1] + 1) / len(sequences))
    notes = [*located.notes, *([] if table else asked.notes)]  # which are of times in the future
    if empty := sequences.header["examples_without_events"]:
        notes.append(
            f"examples without an event by the time of prediction: {empty:,} (they are scored too)"
        )
    return notes, dict(sequences.header["unknown"].get("held_out", {"codes": 0, "unknown": 0}))


def _described(rows: Mapping[str, Any], given: SignalSettings) -> SignalSettings | None:
    """Return the description of a model's table of one row per patient, with other columns."""
    said = given.model_dump(exclude_defaults=True)
    if said and not rows:
        raise SettingError(f"--{min(said)} is not for hospital records: leave it out")
    return SignalSettings.of(**{**rows, **said}) if rows else None


def _refuse(scored: Scored, left_out: LeftOut, subject: str) -> None:
    id_ = ""
    if left_out.time is not None:
        (id_,) = example_ids(
            np.array([left_out.subject_id]), np.array([left_out.time], "datetime64[us]")
        ).tolist()
    place = "" if left_out.visit_id is None else f"stay {left_out.visit_id}"
    scored.refuse(left_out.reason, id_=id_, group=subject, subject=subject, place=place)


def _batches(sequences: Sequences, wide: int) -> Iterator[NDArray[np.int64]]:
    """Yield consecutive rows that fit into memory after padding."""
    widest = np.maximum(wide, np.diff(sequences.code_offsets).max(initial=1))
    lengths = sequences.lengths
    first = longest = 0
    for row in range(len(lengths)):
        longest = max(longest, int(lengths[row]))
        count = row - first
        if count and (count >= _MOST or (count + 1) * longest * widest > _NUMBERS):
            yield np.arange(first, row)
            first, longest = row, int(lengths[row])
    if first < len(lengths):
        yield np.arange(first, len(lengths))
