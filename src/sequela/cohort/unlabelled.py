"""Cohorts without labels, where the outcome is not known yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from sequela.cohort.events import Events, one_row
from sequela.cohort.flow import Flow
from sequela.cohort.labels import read_times
from sequela.cohort.selection import (
    LOOK_BACK,
    Cohort,
    chosen_labels,
    create_candidates,
    create_chosen,
    in_known_order,
)
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import DUPLICATES, LABEL_FILE, RULES, Rule, Task
from sequela.errors import DataError, SettingError

_LEFT_OUT = """
SELECT subject_id, visit_id, prediction_time, reason FROM chosen
WHERE reason > 0 ORDER BY subject_id, prediction_time, visit_id
"""
# Without any event after the prediction time, that time may still be in the future.
_OPEN = """
SELECT count(*) FROM asked_now AS a
WHERE a.prediction_time > (SELECT max(time) FROM events AS e WHERE e.subject_id = a.subject_id)
"""
_NO_EVENT = "the records have no event of this subject"


@dataclass(frozen=True)
class LeftOut:
    """A candidate who is not included; the reason is a part of a sentence."""

    subject_id: int
    visit_id: int | None
    time: np.datetime64 | None
    reason: str


@dataclass(frozen=True)
class Unlabelled:
    """A cohort without outcomes: its labels are all false and mean nothing.

    Candidates that are left out are in the order of the subjects; the notes are for readers.
    """

    cohort: Cohort
    left_out: Sequence[LeftOut]
    notes: tuple[str, ...]


def ask_without_labels(events: Events, task: Task, times: Path | None = None) -> Unlabelled:
    """Build the cohort of a task without its outcome, which may be in the future.

    Rules that need the future (``later`` in :data:`sequela.cohort.tasks.RULES`) are not applied.
    ``times`` is a file of subjects and prediction times, for a model trained on a label file.
    """
    of_file = task.name == LABEL_FILE
    if of_file != (times is not None):
        raise SettingError(
            "the model was trained on times and labels from a file: give subjects and times with "
            "--times"
            if of_file
            else f"the model's task {task.name} finds its times in the records: leave --times out"
        )
    task, notes = in_known_order(events, task)
    # A rule on what came later cannot be applied to people whose future is unknown.
    task = replace(task, exclude=tuple(n for n in task.exclude if not RULES[n].later))
    with events.connect() as connection:
        create_stays(connection)
        if times is None:
            labels, left_out = _of_task(connection, events, task)
        else:
            labels, left_out = _of_times(connection, times)
        if not len(labels):
            reasons = {candidate.reason for candidate in left_out}
            raise DataError(
                f"these data have no example to predict: {len(left_out):,} left out "
                f"({'; '.join(sorted(reasons)[:3]) or 'there is no candidate'}); look at the data, "
                "or at the task of the model"
            )
        notes += _open(connection, labels)
    unit = "labels" if of_file else task.candidates
    counts = (len(labels), len(labels["subject_id"].unique()), 0)
    flow = Flow.of(unit, {}, counts=counts, notes=tuple(notes))
    return Unlabelled(Cohort(events, task, labels, flow, ()), left_out, tuple(notes))


def _of_task(
    connection: duckdb.DuckDBPyConnection, events: Events, task: Task
) -> tuple[pa.Table, list[LeftOut]]:
    rules: list[Rule] = [RULES[name] for name in task.exclude]
    create_candidates(connection, task, events, labelled=False)
    create_chosen(connection, rules)
    if task.hindsight:  # the stay is read to its end, as in training
        connection.execute(LOOK_BACK)
    labels = chosen_labels(connection, "false")
    reasons = [rule.sentence for rule in (*rules, DUPLICATES)]
    return labels, [
        # Rules are numbered from 1 in the table ``chosen``.
        LeftOut(subject, visit, None if time is None else np.datetime64(time), reasons[rule - 1])
        for subject, visit, time, rule in connection.execute(_LEFT_OUT).fetchall()
    ]


def _of_times(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[pa.Table, list[LeftOut]]:
    """Return the subjects of a file who are on record, and the others."""
    times = read_times(path)
    subjects = connection.sql("SELECT DISTINCT subject_id FROM events").fetchnumpy()["subject_id"]
    on_record = np.isin(times["subject_id"].to_numpy(), subjects)
    return times.filter(pa.array(on_record)), [
        LeftOut(row["subject_id"], None, np.datetime64(row["prediction_time"]), _NO_EVENT)
        for row in times.filter(pa.array(~on_record)).to_pylist()
    ]


def _open(connection: duckdb.DuckDBPyConnection, labels: pa.Table) -> Iterator[str]:
    """Warn about examples whose prediction time may be in the future."""
    connection.register("asked_now", labels)
    (count,) = one_row(connection, _OPEN)
    connection.unregister("asked_now")
    if count:
        yield (
            f"{count:,} of {len(labels):,} examples have no event on record after the time of "
            "prediction: if that time is in the future, the prediction is too early"
        )
