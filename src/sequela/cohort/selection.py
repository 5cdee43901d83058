"""Cohorts, selected from events and a task: labels, flow, and leaks."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput
from sequela.audit.searches import run_checks
from sequela.cohort.attributes import attributes_of
from sequela.cohort.censoring import mark_lost
from sequela.cohort.event_checks import OpenEvents
from sequela.cohort.events import Events, one_row
from sequela.cohort.flow import Flow
from sequela.cohort.labels import SCHEMA, TIMED_SCHEMA, example_ids, read_labels, sorted_labels
from sequela.cohort.outcomes import of_labels
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import CENSORED, DUPLICATES, LABEL_FILE, ON_RECORD, RULES, Rule, Task
from sequela.datasets.codes import ENTRY, families_where
from sequela.errors import DataError

Connection = duckdb.DuckDBPyConnection

TRIGGERS = {
    "admission": "admitted",
    "ICU admission": "icu_admitted",
    "discharge": "discharged",
    "entry": "entry",
    "last event": "last_event",
}
_WORK = "selecting examples"  # in the report of progress
_PASSES = 3  # over the events
MICROSECONDS_PER_HOUR = 3_600_000_000

# The first and last event of each subject, without the events that make labels.
SPANS = f"""
CREATE TEMP TABLE spans AS
SELECT
    subject_id, max(time) AS last_event,
    CASE WHEN $entry_code = ''
        THEN coalesce(min(time) FILTER (family = '{ENTRY}'), min(time))
        ELSE min(time) FILTER (code = $entry_code) END AS entry
FROM events JOIN codes USING (code)
WHERE family NOT IN {families_where("label_only")}
GROUP BY subject_id
"""
# Tasks of stays need no span of the record, and save a pass over all events.
NO_SPANS = """
CREATE TEMP TABLE spans AS
SELECT subject_id, NULL::TIMESTAMP AS entry, NULL::TIMESTAMP AS last_event
FROM subjects WHERE $entry_code IS NULL
"""
OUTCOME_EVENTS = """
CREATE TEMP TABLE outcome_events AS
SELECT subject_id, visit_id, time FROM events JOIN codes USING (code)
WHERE time IS NOT NULL AND (
    family IN (SELECT unnest($families::VARCHAR[]))
    OR EXISTS (
        SELECT 1 FROM (SELECT unnest($names::VARCHAR[]) AS name)
        WHERE code = name OR starts_with(code, name || '//')
            OR (ends_with(name, '*') AND starts_with(code, left(name, -1)))
    )
)
"""
STAY_BASE = "SELECT * FROM stays LEFT JOIN subjects USING (subject_id)"
# Where the order of a subject's stays is not known, each stay is treated as a subject.
LONE_STAY_BASE = """
SELECT *, stay_birth AS birth, stay_death AS death, stay_follow_up_end AS follow_up_end FROM stays
"""
SUBJECT_BASE = """
SELECT * FROM (
    SELECT subject_id, NULL::BIGINT AS visit_id, bool_or(expired) AS died_in_a_stay
    FROM spans LEFT JOIN stays USING (subject_id) GROUP BY subject_id
) LEFT JOIN subjects USING (subject_id)
"""
# A date without a time counts as past at the end of its day.
CANDIDATES = """
CREATE TEMP TABLE candidates AS
WITH timed AS (
    SELECT
        *, {trigger} AS trigger_time, {trigger} + to_microseconds($wait) AS prediction_time,
        CASE WHEN death = date_trunc('day', death)
            THEN death + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND ELSE death END AS death_by,
        coalesce(
            follow_up_end, death,
            CASE WHEN (SELECT count(follow_up_end) FROM subjects) > 0 THEN last_event END
        ) AS followed_until
    FROM ({base}) LEFT JOIN spans USING (subject_id)
), ahead AS (
    SELECT *, prediction_time + to_microseconds($horizon) AS horizon FROM timed
){ended}
SELECT *, {status} AS status FROM (SELECT *, {label} AS label FROM {ahead})
"""
# What ended first: the time to the event (1), a competing event (2) or the follow-up (0). An event
# on the day on which follow-up ended was seen.
ENDED = """, known AS (
    SELECT *, greatest(coalesce(followed_until, horizon), prediction_time) AS until,
        {at} AS event_at, {rival_at} AS rival_at
    FROM ahead
), ended AS (
    SELECT *, CASE
        WHEN event_at <= coalesce(rival_at, event_at)
            AND date_trunc('day', event_at) <= date_trunc('day', until) THEN 1
        WHEN rival_at > prediction_time
            AND date_trunc('day', rival_at) <= date_trunc('day', until) THEN 2
        ELSE 0 END AS event
    FROM known
)"""
TIMED = """,
    (epoch_us(CASE event WHEN 1 THEN event_at WHEN 2 THEN rival_at ELSE until END)
        - epoch_us(prediction_time)) / 86400e6 AS time, event"""
# A stay that is on record twice gives two rows at one time: the row with the outcome counts.
CHOSEN = """
CREATE TEMP TABLE chosen AS
WITH judged AS (
    SELECT
        subject_id, visit_id, prediction_time, label, {competing} AS competing,
        {reason} AS reason{timed}
    FROM candidates
)
SELECT
    * EXCLUDE (reason), CASE WHEN reason = 0 AND row_number() OVER (
        PARTITION BY reason, subject_id, prediction_time ORDER BY label DESC, visit_id
    ) > 1 THEN {duplicate} ELSE reason END AS reason
FROM judged
"""
# With ``Task.hindsight`` the same examples are read up to their discharge.
LOOK_BACK = """
UPDATE chosen SET prediction_time = s.discharged
FROM stays AS s
WHERE reason = 0 AND s.discharged IS NOT NULL AND s.subject_id = chosen.subject_id
    AND s.visit_id IS NOT DISTINCT FROM chosen.visit_id
    AND (s.visit_id IS NOT NULL OR (s.admitted <= prediction_time AND prediction_time < discharged))
"""
CHOSEN_LABELS = "SELECT subject_id, prediction_time, {label} FROM chosen WHERE reason = 0"
ENDS = (
    "{} examples had the event by day {days}.",
    "{} examples had the competing event “{rival}” by then.",
    "{} examples were followed for less than {days} days, without an event, and count until then.",
)
NO_FOLLOW_UP = "The events have no FOLLOW_UP_END: {assumed}."
NOT_IN_ORDER = (
    "These data do not give the order of a subject's stays: only the current stay is used."
)


@dataclass(frozen=True)
class Cohort:
    """The examples of a task: subjects, prediction times and outcomes.

    ``labels`` are ``subject_id, prediction_time, boolean_value``, sorted; one row is one example.
    Of a task of times to an event there are ``time`` and ``event`` too (``TIMED_SCHEMA``).
    Labels were made, and sequences will be, from ``events``. ``leaks`` reveal the outcome.
    ``notes`` are sentences on what was read of a user's own table.
    """

    events: Events
    task: Task
    labels: pa.Table
    flow: Flow
    leaks: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def attributes(self) -> Mapping[str, NDArray[np.str_]]:
        """Known attributes of the people, for subgroups: str (example,) by name."""
        return attributes_of(self.events, self.labels)

    @property
    def origin(self) -> str:
        """Description of where the data were found."""
        return self.events.origin

    @cached_property
    def subject_id(self) -> NDArray[np.int64]:
        """The subject of each example: int64 (example,), rising."""
        return np.asarray(self.labels["subject_id"])

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """The label of each example: int64 (example,), 1 where the outcome came."""
        return np.asarray(self.labels["boolean_value"], np.int64)

    @cached_property
    def example_id(self) -> NDArray[np.str_]:
        """The id of each example, a subject and its prediction time: str (example,)."""
        return example_ids(self.subject_id, self.labels["prediction_time"].to_numpy())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the events, the task and the labels."""
        # Runs with equal digests have the same examples, labels and inputs.
        total = hashlib.sha256(self.events.digest.encode())
        total.update(json.dumps(self.task.to_dict(), sort_keys=True).encode())
        for name in self.labels.column_names:
            column = self.labels[name].to_numpy()
            # The bytes themselves, since a text of a float could differ between versions of NumPy.
            total.update(np.ascontiguousarray(column).view(np.uint8).data)
        return total.hexdigest()

    def only(
        self, included: NDArray[np.bool_], removed: Mapping[str, tuple[str, NDArray[np.bool_]]]
    ) -> Self:
        """Return the cohort restricted to some of its examples.

        ``removed`` has for each further rule its sentence, and which examples it removed
        (example,).
        """
        labels = self.labels.filter(pa.array(included))
        positives = int(self.label[included].sum())
        counts = (len(labels), len(np.unique(self.subject_id[included])), positives)
        counted = {
            rule: (sentence, int(gone.sum()), int(self.label[gone].sum()))
            for rule, (sentence, gone) in removed.items()
        }
        flow = self.flow.then(counted, counts=counts)
        _check_classes(labels, flow)
        return replace(self, labels=labels, flow=flow)


def select_cohort(events: Events, task: Task) -> Cohort:
    """Build the cohort of a task.

    Raises:
        DataError: If no example is left, all labels are equal, or the data do not fit the task.
    """
    task, notes = in_known_order(events, task)

    def choose(connection: Connection) -> tuple[pa.Table, Flow]:
        create_candidates(connection, task, events)
        # Without a recorded end, everybody counts as followed. Readers must know.
        (followed,) = one_row(connection, "SELECT count(follow_up_end) FROM subjects")
        if (task.horizon_days or task.horizons_days) and not followed:
            notes.append(NO_FOLLOW_UP.format(assumed=task.outcome.assumed))
        flow = _apply_rules(connection, task, tuple(notes))
        if task.hindsight:
            connection.execute(LOOK_BACK)
        labels = chosen_labels(connection, "label", timed=task.horizons_days is not None)
        return labels, _with_ends(flow, task, labels)

    return _cohort(events, task, choose)


def cohort_of_labels(
    events: Events, path: Path, task: Task | None = None, outcome: str = ""
) -> Cohort:
    """Build the cohort of a label file, for example one that ACES made.

    ``task`` gives only the inputs and the history of a model, since the file lists the examples.
    ``outcome`` is the name of the outcome, such as ``readmitted``.
    """
    labels, of_file = read_labels(path), of_labels(outcome)
    task = task or Task(LABEL_FILE, "last event", of_file)
    task = replace(task, name=LABEL_FILE, exclude=(), outcome=of_file, horizon_days=None)
    task, notes = in_known_order(events, task)
    positives = pc.sum(labels["boolean_value"]).as_py() or 0
    counts = (len(labels), len(labels["subject_id"].unique()), positives)
    flow = Flow.of("labels", {}, counts=counts, notes=tuple(notes))

    def given(connection: Connection) -> tuple[pa.Table, Flow]:
        _check_subjects(connection, labels, path)
        return labels, flow

    return _cohort(events, task, given)


def _cohort(
    events: Events, task: Task, label: Callable[[Connection], tuple[pa.Table, Flow]]
) -> Cohort:
    """Build a cohort with labels that are made or checked while the events are open."""
    with events.connect() as connection:
        events.passed(_WORK, 1, _PASSES)
        create_stays(connection)
        events.passed(_WORK, 2, _PASSES)
        labels, flow = label(connection)
        _check_classes(labels, flow)
        opened = OpenEvents(connection, task, labels, events)
        # The checks run while the events are open, since they query the same tables.
        leaks = tuple(leak for leak, _ in run_checks(AuditInput(events=opened)).findings)
        events.passed(_WORK, _PASSES, _PASSES)
        return Cohort(events, task, labels, flow, leaks)


def in_known_order(events: Events, task: Task) -> tuple[Task, list[str]]:
    """Return the task, without history where the order of stays is unknown, and notes about it."""
    extent = "a subject's whole record" if not task.of_stays else "the time after a stay"
    of_file = task.name == LABEL_FILE
    needs = task.outcome.needs_order or not task.of_stays  # times after a stay, or a whole record
    if not events.stays_in_order and needs and not of_file:
        raise DataError(
            f"{task.name} needs {extent}, and these data do not give the order of a subject's "
            "stays; choose a task about single stays, such as in-hospital"
        )
    if events.stays_in_order or task.history != "record":
        return task, []
    return replace(task, history="stay"), [NOT_IN_ORDER]


def create_candidates(
    connection: Connection, task: Task, events: Events, *, labelled: bool = True
) -> None:
    """Create the table ``candidates``: a row per stay or subject, with all columns the rules read.

    Without ``labelled`` the outcome is not looked for, and the labels are null.
    """
    stay_base = STAY_BASE if events.stays_in_order else LONE_STAY_BASE
    connection.execute(SPANS if task.needs_spans else NO_SPANS, {"entry_code": task.entry_code})
    if task.outcome.events or ON_RECORD in task.exclude:
        names = {"families": [*task.outcome.families], "names": [*task.outcome.events]}
        connection.execute(OUTCOME_EVENTS, names)
        if labelled:
            _check_outcome(connection, task)
    outcome, ends = task.outcome, labelled and task.horizons_days is not None
    days = task.horizons_days[-1] if task.horizons_days else task.horizon_days or 0
    # The label of a task of times: whether the event came by the last horizon.
    label = "event = 1 AND event_at <= horizon" if ends else outcome.label_expression
    connection.execute(
        CANDIDATES.format(
            base=stay_base if task.of_stays else SUBJECT_BASE,
            trigger=TRIGGERS[task.trigger],
            label=label if labelled else "NULL::BOOLEAN",
            status="expired" if task.of_stays else "label",
            ended=ENDED.format(
                at=outcome.time_expression, rival_at=outcome.rival_at or "NULL::TIMESTAMP"
            )
            if ends
            else "",
            ahead="ended" if ends else "ahead",
        ),
        {
            "wait": round(task.hours * MICROSECONDS_PER_HOUR),
            "horizon": round(days * 24 * MICROSECONDS_PER_HOUR),
        },
    )


def _apply_rules(connection: Connection, task: Task, notes: tuple[str, ...]) -> Flow:
    """Apply the rules of a task, and count the reasons."""
    rules = {name: RULES[name] for name in task.exclude}
    if CENSORED in rules:
        # Those whom earlier rules leave out do not count among the lost.
        before = task.exclude[: task.exclude.index(CENSORED)]
        mark_lost(connection, [RULES[name].condition for name in before])
    ends = task.horizons_days is not None
    create_chosen(connection, rules.values(), "" if ends else task.outcome.competing, timed=ends)
    reasons = "SELECT reason, count(*), count(*) FILTER (label) FROM chosen GROUP BY 1"
    # A candidate counts at the first rule that it fails; reason 0 are the examples.
    removed = {i: (n, died) for i, n, died in connection.execute(reasons).fetchall()}
    counts = one_row(
        connection,
        "SELECT count(*), count(DISTINCT subject_id), count(*) FILTER (label), "
        "count(*) FILTER (label IS NULL), count(*) FILTER (competing) "
        "FROM chosen WHERE reason = 0",
    )
    if counts[3]:
        raise DataError(
            f"{task.name}: '{task.label}' is not known for {counts[3]} of the {counts[0]} "
            "candidates that the rules kept; add a rule that leaves them out"
        )
    if task.outcome.competing and not ends:
        notes = (*notes, f"{counts[4]} of the negative examples {task.outcome.competing_words}.")
    rules = {**rules, "duplicates": DUPLICATES}
    steps = {
        name: (rule.sentence, *removed.get(i, (0, 0)))
        for i, (name, rule) in enumerate(rules.items(), 1)
    }
    # Readers see why, where those left out had the outcome more or less often than others.
    whys = [f"{n}: {rules[n].why}." for n, (_, left_out, _) in steps.items() if left_out]
    return Flow.of(
        task.candidates,
        steps,
        counts=(counts[0], counts[1], counts[2]),
        notes=(*notes, *(why for why in whys if not why.endswith(": ."))),
    )


def create_chosen(
    connection: Connection, rules: Iterable[Rule], competing: str = "", *, timed: bool = False
) -> None:
    """Create the table ``chosen``; ``reason`` is 0 for examples, else the number of the rule.

    The rules are numbered from 1 in their order; the number after the last one marks duplicates.
    """
    conditions = [rule.condition for rule in rules]
    # CASE takes the first condition that holds, so each candidate counts at one rule.
    cases = "".join(
        f" WHEN coalesce({condition}, false) THEN {number}"
        for number, condition in enumerate(conditions, 1)
    )
    reason = f"CASE{cases} ELSE 0 END" if cases else "0"
    connection.execute(
        CHOSEN.format(
            reason=reason,
            competing=competing or "false",
            duplicate=len(conditions) + 1,
            timed=TIMED if timed else "",
        )
    )


def chosen_labels(connection: Connection, label: str, *, timed: bool = False) -> pa.Table:
    """Return the examples of the table ``chosen`` as labels, sorted; ``label`` is SQL."""
    label, schema = (f"{label}, time, event", TIMED_SCHEMA) if timed else (label, SCHEMA)
    table = connection.sql(CHOSEN_LABELS.format(label=label)).to_arrow_table()
    return sorted_labels(table.rename_columns(schema.names).cast(schema))


def _with_ends(flow: Flow, task: Task, labels: pa.Table) -> Flow:
    """Return the flow with a note on what ended the times to an event, if the task has these."""
    if task.horizons_days is None:
        return flow
    days = task.horizons_days[-1]
    time, event = (labels[name].to_numpy() for name in ("time", "event"))
    # The longest follow-up of anybody, in days.
    last = time.max(initial=0)  # a horizon beyond it is beyond what anybody's data show
    if last < days and (event == 0).any():
        raise DataError(
            f"nobody was followed until day {days:g}, the last horizon: expected at most day "
            f"{last:.0f}, the longest follow-up; leave out later horizons"
        )
    by_then, rival = event[time <= days], task.outcome.rival
    ended = (event == 0) & (time < days)
    counts = [(by_then == 1).sum(), (by_then == 2).sum(), ended.sum()]  # noqa: PLR2004
    notes = [
        note.format(count, days=f"{days:g}", rival=rival)
        for note, count in zip(ENDS, counts, strict=True)
        if rival or note != ENDS[1]
    ]
    return replace(flow, notes=(*flow.notes, *notes))


def _check_outcome(connection: Connection, task: Task) -> None:
    names = ", ".join(task.outcome.events)
    if names and not one_row(connection, "SELECT count(*) FROM outcome_events")[0]:
        raise DataError(
            f"no event has a code of the outcome of {task.name} ({names}); "
            "expected some: see the codes in metadata/codes.parquet of the events, and read the "
            "table that holds them"
        )


def _check_classes(labels: pa.Table, flow: Flow) -> None:
    if not len(labels):
        steps = ", ".join(f"{s.removed} by {s.rule}" for s in flow.steps if s.removed)
        raise DataError(
            f"the cohort is empty: of {flow.candidates} {flow.unit}, the rules removed "
            f"{steps or 'none'}; choose another task, or other settings"
        )
    if flow.positives in {0, len(labels)}:
        value = "true" if flow.positives else "false"
        raise DataError(
            f"labels of one class only: all {len(labels)} are {value}; nothing can be learned or "
            "evaluated; choose another task or label"
        )


def _check_subjects(connection: Connection, labels: pa.Table, path: Path) -> None:
    connection.register("asked", labels)
    (strangers,) = one_row(
        connection,
        "SELECT count(DISTINCT subject_id) FROM asked "
        "WHERE subject_id NOT IN (SELECT subject_id FROM events)",
    )
    connection.unregister("asked")
    if strangers:
        raise DataError(
            f"{path} has labels for {strangers} subjects that the events do not have; "
            "labels and events must be of the same data set"
        )
