"""Who is asked about, and when, where nobody knows yet what came true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from sequela.cohort.events import Events, one_row
from sequela.cohort.flow import Flow
from sequela.cohort.labels import SCHEMA, read_times, sorted_labels
from sequela.cohort.rules import DUPLICATES, RULES, Rule
from sequela.cohort.selection import (
    LOOK_BACK,
    Cohort,
    create_candidates,
    create_chosen,
    in_known_order,
)
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import LABEL_FILE, Task
from sequela.errors import DataError, SettingError
from sequela.sources.engine import MEMORY_LIMIT

_ASKED = """
SELECT subject_id, prediction_time, false AS boolean_value FROM chosen WHERE reason = 0
"""
_LEFT_OUT = """
SELECT subject_id, visit_id, prediction_time, reason FROM chosen
WHERE reason > 0 ORDER BY subject_id, prediction_time, visit_id
"""
# A subject of whom nothing is on record after the time may not have come to it yet.
_OPEN = """
SELECT count(*) FROM asked_now AS a
WHERE a.prediction_time > (SELECT max(time) FROM events AS e WHERE e.subject_id = a.subject_id)
"""
_NO_EVENT = "the records have no event of this subject"


@dataclass(frozen=True)
class LeftOut:
    """A candidate who is not asked about.

    Attributes:
        subject_id: Whose.
        visit_id: The stay, where it has a number.
        time: Of the prediction; ``None`` where it is not known.
        reason: As a part of a sentence.
    """

    subject_id: int
    visit_id: int | None
    time: np.datetime64 | None
    reason: str


@dataclass(frozen=True)
class Unlabelled:
    """A cohort without outcomes.

    Attributes:
        cohort: Whom to ask about; its labels are all false and mean nothing.
        left_out: Who is not, in the order of the subjects.
        notes: What a reader must know, as sentences.
    """

    cohort: Cohort
    left_out: Sequence[LeftOut]
    notes: tuple[str, ...]


def ask_without_labels(
    events: Events, task: Task, times: Path | None = None, memory_limit: str = MEMORY_LIMIT
) -> Unlabelled:
    """The cohort of a task, whose outcome is not looked for and need not have come.

    Rules that only the future can answer (``later`` in :data:`sequela.cohort.rules.RULES`) are left
    out.

    Args:
        events: MEDS data.
        task: What the model was asked.
        times: Whom to ask about and when, for a model that learnt those of a file.
        memory_limit: Of DuckDB; what does not fit goes to disk.

    Raises:
        SettingError: If times are given and not used, or the other way round.
        DataError: If nobody can be asked about, or the data cannot answer the task.
    """
    of_file = task.name == LABEL_FILE
    if of_file != (times is not None):
        raise SettingError(
            "the model learnt times and labels from a file: name whom to ask about, and when, with "
            "--times"
            if of_file
            else f"the model asks the task {task.name}, which finds its times in the records: "
            "leave --times out"
        )
    task, notes = in_known_order(events, task)
    task = replace(task, exclude=tuple(n for n in task.exclude if not RULES[n].later))
    with events.connect(memory_limit) as connection:
        create_stays(connection)
        if times is None:
            labels, left_out = _of_task(connection, events, task)
        else:
            labels, left_out = _of_times(connection, times)
        if not len(labels):
            found = {each.reason for each in left_out}
            raise DataError(
                f"nobody in these data can be asked about: {len(left_out):,} left out "
                f"({'; '.join(sorted(found)[:3]) or 'there is no candidate'}); look at the data, "
                "or at the task of the model"
            )
        notes += _open(connection, labels)
    unit = "labels" if of_file else "hospital stays" if task.of_stays else "subjects"
    counts = (len(labels), len(labels["subject_id"].unique()), 0)
    flow = Flow.of(unit, {}, counts=counts, notes=tuple(notes))
    return Unlabelled(Cohort(events, task, labels, flow, ()), left_out, tuple(notes))


def _of_task(
    connection: duckdb.DuckDBPyConnection, events: Events, task: Task
) -> tuple[pa.Table, list[LeftOut]]:
    """The candidates that the rules keep, and the others."""
    rules: list[Rule] = [RULES[name] for name in task.exclude]
    create_candidates(connection, task, events, labelled=False)
    create_chosen(connection, rules)
    if task.hindsight:
        connection.execute(LOOK_BACK)
    columns = connection.sql(_ASKED).to_arrow_table().columns
    labels = sorted_labels(pa.Table.from_arrays(columns, schema=SCHEMA))
    reasons = [rule.sentence for rule in (*rules, DUPLICATES)]
    rows = connection.execute(_LEFT_OUT).fetchall()
    return labels, [
        LeftOut(subject, visit, None if time is None else np.datetime64(time), reasons[rule - 1])
        for subject, visit, time, rule in rows
    ]


def _of_times(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[pa.Table, list[LeftOut]]:
    """Subjects of a file who are on record, and the others."""
    asked = read_times(path)
    known = connection.sql("SELECT DISTINCT subject_id FROM events").fetchnumpy()["subject_id"]
    there = np.isin(asked["subject_id"].to_numpy(), known)
    strangers = asked.filter(pa.array(~there))
    return asked.filter(pa.array(there)), [
        LeftOut(subject, None, np.datetime64(time), _NO_EVENT)
        for subject, time in zip(
            strangers["subject_id"].to_pylist(),
            strangers["prediction_time"].to_pylist(),
            strict=True,
        )
    ]


def _open(connection: duckdb.DuckDBPyConnection, labels: pa.Table) -> Iterator[str]:
    """Of how many it is not sure that the time of prediction has come."""
    connection.register("asked_now", labels)
    (count,) = one_row(connection, _OPEN)
    connection.unregister("asked_now")
    if count:
        yield (
            f"of {count:,} of {len(labels):,} examples nothing is on record after the time of "
            "prediction: where it has not come yet, they are asked too early"
        )
