"""Prediction on hospital records, with the task and vocabulary of a model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.events import open_events
from sequela.cohort.labels import example_ids
from sequela.cohort.split import PARTS
from sequela.cohort.tasks import Task
from sequela.cohort.unlabelled import LeftOut, ask_without_labels
from sequela.config import SequenceSettings
from sequela.sequences.build import build_sequences
from sequela.sequences.flat import Sequences, examples_of
from sequela.sequences.vocabulary import Vocabulary
from sequela.serving.drift import Drift, patients_of
from sequela.serving.known import Known
from sequela.serving.records import inputs_of
from sequela.serving.scored import Scored
from sequela.serving.served import ServedModel
from sequela.sources.events import events_of
from sequela.sources.signals.edf import SUFFIXES

_NUMBERS = 1 << 21
"""Numbers of a batch, after padding."""
_MOST = 1024
_PATIENTS = 5_000
"""Patients that are compared with the fingerprints at once."""


def format_of(model: ServedModel, path: Path | None, data: str | None) -> str:
    """Return the format of records: the given one, else from the folder, else as in training."""
    if data is None and path is not None and (path / "data").is_dir():
        return "meds"
    if data is None and path is not None and path.suffix.lower() in SUFFIXES:
        return "signals"
    return data or str(model.about["training"]["name"])


def score_records(
    model: ServedModel,
    scored: Scored,
    drift: Drift,
    known: Known,
    *,
    name: str,
    path: Path | None,
    times: Path | None,
    work: Path,
    done: Callable[[float | None], None],
) -> tuple[list[str], dict[str, object]]:
    """Score the records at a path.

    Args:
        model: A model of records.
        scored: Takes the predictions.
        drift: Counts codes and measurements.
        known: Fingerprints of the model's data.
        name: Name of the data set or format.
        path: Folder or file of the data (default: the usual search path).
        times: Label file with subjects and times, for a model trained with a label file.
        work: Folder for events and sequences.
        done: Called with the finished share, or ``None`` if it is unknown.

    Returns:
        Sentences on the preparation, and the number of unknown codes.

    Raises:
        SequelaError: The data cannot be found or read, or do not fit the task.
    """
    about = model.about["records"]
    same = name == model.about["training"]["name"]
    tables = tuple(about.get("tables", ())) if same else ()
    done(None)
    located = events_of(name, path, work / "events", tables, labelled=False)
    events = open_events(located.path, located.origin)
    asked = ask_without_labels(events, Task.from_dict(about["task"]), times)
    for each in asked.left_out:
        _refuse(scored, each)
    done(None)
    sequences = build_sequences(
        asked.cohort,
        np.full(len(asked.cohort.labels), PARTS.index("held_out")),
        work / "sequences",
        SequenceSettings(**about["settings"]),
        of_model=Vocabulary.of(about),
    )
    for rows in patients_of(sequences, _PATIENTS):
        some = examples_of(sequences, rows)
        drift.see_records(some)
        scored.recognise(known.records(some))
        scored.recognise(known.names(np.unique(some.subject_id).astype(np.str_).tolist()))
    wide = max(1, len(about["channels"]))
    for rows in _batches(sequences, wide):
        _score(model, scored, drift, sequences, rows)
        done(int(rows[-1] + 1) / len(sequences))
    notes = list(asked.notes)
    if empty := sequences.header["examples_without_events"]:
        notes.append(
            f"examples without an event by the time of prediction: {empty:,} (they are scored too)"
        )
    unknown = dict(sequences.header["unknown"].get("held_out", {"codes": 0, "unknown": 0}))
    return notes, unknown


def _refuse(scored: Scored, left_out: LeftOut) -> None:
    subject = str(left_out.subject_id)
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


def _score(
    model: ServedModel,
    scored: Scored,
    drift: Drift,
    sequences: Sequences,
    rows: NDArray[np.int64],
) -> None:
    said = model.probabilities(inputs_of(model, sequences, rows))
    subjects = sequences.subject_id[rows]
    names = subjects.astype(np.str_).tolist()
    ids = example_ids(subjects, sequences.prediction_time[rows]).tolist()
    scored.add(ids, names, names, said)
    drift.say(said)
