"""Prediction on hospital records, with the task and vocabulary of a model, without torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

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
from sequela.serving.prediction_table import PredictionTable
from sequela.serving.sequence_inputs import inputs_of
from sequela.tables.built_events import events_of

_NUMBERS = 1 << 21  # numbers of a batch, after padding
_MOST = 1024  # examples of a batch
_PATIENTS = 5_000  # patients that are compared with the fingerprints at once


def check(signals: SignalSettings, _: Path | None) -> None:
    """Raise a SettingError for options of other data."""
    if options := sorted(signals.model_dump(exclude_defaults=True).keys() - {"id", "time"}):
        raise SettingError(f"--{options[0]} is for signals, but the model reads hospital records")


def format_of(path: Path, usual: str) -> str:
    """Return the format of the records at a path."""
    return "meds" if (path / "data").is_dir() else usual


def score(
    scored: PredictionTable,
    data_set: DataSet,
    path: Path | None,
    signals: SignalSettings,
    times: Path | None,
    work: Path,
    progress: Callable[[float | None], None],
) -> tuple[list[str], dict[str, float]]:
    """Score the records at a path, and return sentences on the preparation, and unknown codes.

    ``times`` is a label file, for a model that was trained with one. ``progress`` is called with
    the finished share, or ``None`` if it is unknown.
    """
    reads, overlap, name = scored.model.records, scored.overlap, data_set.name
    # Names of tables mean something only in the data set of the training.
    tables = tuple(reads.tables) if name == scored.model.facts.training.name else ()
    progress(None)
    table = rows_of_model(_described(reads.rows, signals), data_set, reads.words.to_dict())
    located = events_of(name, path, work / "events", tables, labelled=False, rows=table)
    people = people_of(path, table) if path and table else {}
    texts = {str(number): text for (number, _), text in people.items()}

    def called(subjects: Iterable[str]) -> list[str]:
        return [texts.get(subject, subject) for subject in subjects]

    events = open_events(located.path, located.origin)
    selection = ask_without_labels(events, Task.from_dict(reads.task), times)
    for stay in selection.left_out:
        _refuse(scored, stay, *called([str(stay.subject_id)]))
    progress(None)
    sequences = build_sequences(
        selection.cohort,
        np.full(len(selection.cohort.labels), PARTS.index("held_out")),
        work / "sequences",
        reads.settings,
        of_model=reads.words,
    )
    for rows in patients_of(sequences, _PATIENTS):
        some = examples_of(sequences, rows)
        scored.drift.see_records(some)
        scored.recognise(*map(called, overlap.records(some)))
        scored.recognise(called(overlap.names(np.unique(some.subject_id).astype(np.str_).tolist())))
    places = {key: place for place, key in enumerate(people)}
    keys = zip(sequences.subject_id.tolist(), sequences.prediction_time.tolist(), strict=True)
    # Sequences are sorted by patient, but users expect the rows of their own table in its order.
    order = np.argsort([places.get(key, 0) for key in keys], kind="stable")  # that of the table
    _score_in_order(scored, sequences, order, called, progress)
    notes = [*located.notes]
    if not table:  # else these notes are of times in the future
        notes += selection.notes
    if empty := sequences.header["examples_without_events"]:
        notes.append(
            f"examples without an event by the time of prediction: {empty:,} (they are scored too)"
        )
    return notes, dict(sequences.header["unknown"].get("held_out", {"codes": 0, "unknown": 0}))


def _score_in_order(
    scored: PredictionTable,
    sequences: Sequences,
    order: NDArray[np.int64],
    called: Callable[[Iterable[str]], list[str]],
    progress: Callable[[float | None], None],
) -> None:
    for batch in _batches(sequences, max(1, len(scored.model.records.channels))):
        rows = order[batch]
        subjects = sequences.subject_id[rows]
        names = called(subjects.astype(np.str_).tolist())
        ids = example_ids(subjects, sequences.prediction_time[rows]).tolist()
        moments = [id_.rpartition(" at ")[2] for id_ in ids]
        ids = [f"{name} at {moment}" for name, moment in zip(names, moments, strict=True)]
        scored.score(inputs_of(scored.model, sequences, rows), ids, names, names)
        progress(int(batch[-1] + 1) / len(sequences))


def _described(rows: Mapping[str, object], options: SignalSettings) -> SignalSettings | None:
    changes = options.model_dump(exclude_defaults=True)
    if changes and not rows:
        raise SettingError(f"--{min(changes)} is not for hospital records: leave it out")
    return SignalSettings.of(**{**rows, **changes}) if rows else None


def _refuse(scored: PredictionTable, left_out: LeftOut, subject: str) -> None:
    id_ = ""
    if left_out.time is not None:
        (id_,) = example_ids(
            np.array([left_out.subject_id]), np.array([left_out.time], "datetime64[us]")
        ).tolist()
    place = "" if left_out.visit_id is None else f"stay {left_out.visit_id}"
    scored.refuse(left_out.reason, id_=id_, group=subject, subject=subject, place=place)


def _batches(sequences: Sequences, wide: int) -> Iterator[NDArray[np.int64]]:
    """Yield consecutive rows that fit into memory after padding."""
    # Padded arrays have (row, longest, widest) numbers, however few of them are codes.
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
