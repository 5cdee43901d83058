"""What tells a model its answer: found by looking at the events, not by trusting a declaration."""

import duckdb
import pyarrow as pa

from sequela.cohort.events import one_row
from sequela.cohort.finding import Finding
from sequela.cohort.tasks import Task
from sequela.sources.codes import family_of

BY_DESIGN = "choose another task: this one leaks by design, to reproduce the 2019 report"

KNOWN_OUTCOMES = """
WITH asked_stays AS (
    SELECT
        l.subject_id, l.prediction_time, l.boolean_value, s.admitted, s.discharged, s.icu_admitted,
        CASE WHEN NOT $in_order THEN s.admitted END AS since
    FROM asked AS l ASOF LEFT JOIN stays AS s
        ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
    WHERE l.boolean_value OR $of_any
)
SELECT count(*), count(*) FILTER (known) FROM (SELECT {known} AS known FROM asked_stays AS a)
"""
OPEN_STAYS = """
CREATE TEMP TABLE open_stays AS
SELECT l.subject_id, l.prediction_time, s.visit_id, s.admitted
FROM asked AS l JOIN stays AS s ON s.subject_id = l.subject_id
    AND s.admitted <= l.prediction_time AND l.prediction_time < s.discharged
"""
# Codes assigned later inside a stay that had not ended when the prediction is made.
EARLY_CODES = """
WITH billed AS (
    SELECT e.subject_id, e.time, e.visit_id
    FROM events AS e WHERE e.code IN (SELECT unnest($coded_later))
)
SELECT count(*), count(DISTINCT (o.subject_id, o.prediction_time)) FROM (
    SELECT o.subject_id, o.prediction_time
    FROM billed AS b
    JOIN open_stays AS o ON o.subject_id = b.subject_id AND o.visit_id = b.visit_id
    WHERE b.time <= o.prediction_time
    UNION ALL
    SELECT o.subject_id, o.prediction_time
    FROM billed AS b JOIN open_stays AS o ON o.subject_id = b.subject_id
    WHERE o.visit_id IS NULL AND b.visit_id IS NULL
        AND b.time >= o.admitted AND b.time <= o.prediction_time
) AS o
"""


def find_leaks(
    connection: duckdb.DuckDBPyConnection, task: Task, labels: pa.Table, *, in_order: bool
) -> tuple[Finding, ...]:
    """What tells a model its answer.

    Beside what a task says of itself, two things are counted: labels whose outcome is on record by
    the time of prediction, and codes assigned after discharge in a stay that had not ended at the
    time of prediction.

    Args:
        connection: With what :func:`sequela.cohort.stays.create_stays` makes.
        task: What is asked.
        labels: See :mod:`sequela.cohort.labels`.
        in_order: Whether the order of one subject's stays is known.
    """
    found = []
    if task.leaks:
        found.append(("declared leak", task.leaks, BY_DESIGN))
    connection.register("asked", labels)
    outcome = task.outcome
    of_any = outcome.known_class == "any"
    query = KNOWN_OUTCOMES.format(known=outcome.known_expression)
    count, known = one_row(connection, query, {"in_order": in_order, "of_any": of_any})
    if known:
        kind = "labels" if of_any else "positive labels"
        what = f"{known} of {count} {kind} are {outcome.known_words}"
        found.append(("known outcome", what, f"predict earlier, or leave out {outcome.leave_out}"))
    connection.execute(OPEN_STAYS)
    codes, examples = 0, 0
    if one_row(connection, "SELECT count(*) FROM open_stays")[0]:
        later = {"coded_later": _coded_later(connection, task)}
        codes, examples = one_row(connection, EARLY_CODES, later)
    if codes:
        what = (
            f"{examples} of {len(labels)} examples see {codes} codes of a stay that had not "
            "ended, and such codes are assigned after discharge: they are known only after the "
            "prediction"
        )
        found.append(("codes from the future", what, "date them at discharge"))
    connection.unregister("asked")
    return tuple(Finding(check, what, task.name, "leak", remedy) for check, what, remedy in found)


def _coded_later(connection: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    """The codes that the task reads and that are assigned after the discharge of their stay."""
    codes = [code for (code,) in connection.execute("SELECT code FROM codes").fetchall()]
    return [
        code
        for code in codes
        if family_of(code).coded_later
        and (not task.inputs or family_of(code).name in task.families)
    ]
