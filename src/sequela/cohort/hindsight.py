"""What tells a model its answer: found by looking at the events, not by trusting a declaration."""

import duckdb
import pyarrow as pa

from sequela.cohort.events import one_row
from sequela.cohort.finding import Finding
from sequela.cohort.tasks import Task

# Codes that billing assigns after discharge. Known earlier, they are from the future.
BILLING = ("ICD9CM", "ICD10CM", "ICD9PROC", "ICD10PROC", "CPT", "DRG")

# Of stays in no known order only the current one can tell. A death dated without a time is known at
# the end of its day.
KNOWN_OUTCOMES = """
WITH positives AS (
    SELECT l.subject_id, l.prediction_time, CASE WHEN NOT $in_order THEN s.admitted END AS since
    FROM asked AS l ASOF LEFT JOIN stays AS s
        ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
    WHERE l.boolean_value
), deaths AS (
    SELECT subject_id, time, CASE
        WHEN family = 'MEDS_DEATH' AND time = date_trunc('day', time)
        THEN time + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND ELSE time END AS known
    FROM marks WHERE family = 'MEDS_DEATH' OR code = 'HOSPITAL_OUTCOME//expired'
)
SELECT (SELECT count(*) FROM positives), count(DISTINCT (p.subject_id, p.prediction_time))
FROM positives AS p JOIN deaths AS d ON d.subject_id = p.subject_id
    AND d.known <= p.prediction_time AND (p.since IS NULL OR d.time >= p.since)
"""
OPEN_STAYS = """
CREATE TEMP TABLE open_stays AS
SELECT l.subject_id, l.prediction_time, s.visit_id, s.admitted
FROM asked AS l JOIN stays AS s ON s.subject_id = l.subject_id
    AND s.admitted <= l.prediction_time AND l.prediction_time < s.discharged
"""
# Billing codes inside a stay that had not ended when the prediction is made.
EARLY_CODES = """
WITH billed AS (
    SELECT e.subject_id, e.time, e.visit_id
    FROM events AS e JOIN codes AS c ON c.code = e.code AND c.family IN $families
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

    Beside what a task says of itself, two things are counted: positive labels whose death is on
    record by the time of prediction, and billing codes that stand inside a stay which had not ended
    when the prediction is made.

    Args:
        connection: With what :func:`sequela.cohort.stays.create_stays` makes.
        task: What is asked.
        labels: See :mod:`sequela.cohort.labels`.
        in_order: Whether the order of one subject's stays is known.
    """
    found = []
    if task.leaks:
        found.append(("declared leak", task.leaks, "choose another task; this reproduces"))
    connection.register("asked", labels)
    positives, known = one_row(connection, KNOWN_OUTCOMES, {"in_order": in_order})
    if known:
        what = f"{known} of {positives} positive labels stand after the death is on record"
        found.append(("known outcome", what, "predict earlier, or leave out who has died"))
    seen = [family for family in BILLING if not task.inputs or family in task.inputs]
    connection.execute(OPEN_STAYS)
    codes, examples = 0, 0
    if one_row(connection, "SELECT count(*) FROM open_stays")[0]:
        codes, examples = one_row(connection, EARLY_CODES, {"families": seen})
    if codes:
        what = (
            f"{examples} of {len(labels)} examples see {codes} billing codes of a stay that had "
            "not ended: they are assigned after discharge, so they come from the future"
        )
        found.append(("codes from the future", what, "date them at discharge"))
    connection.unregister("asked")
    return tuple(Finding(check, what, task.name, "leak", remedy) for check, what, remedy in found)
