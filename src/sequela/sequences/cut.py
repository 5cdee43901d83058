"""The cut-off: the only place that combines events with labels and sets a model's inputs.

The table ``visible`` holds an event only if its subject has an example, its time is not after the
``prediction_time``, and its code is in ``terms``, which has no code that makes a label. All other
queries here read ``visible``, never the events. The exceptions are static facts, which have no
time, and the length of follow-up, which no model reads. Sequences, bags and summaries are all made
from these tables.
"""

from functools import partial

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.cohort.events import create_table, one_row
from sequela.cohort.selection import Cohort
from sequela.cohort.stays import create_stays
from sequela.config import SequenceSettings
from sequela.datasets.codes import AGE, BIRTH, DEATH, DISCHARGE
from sequela.sequences.vocabulary import Terms, Vocabulary, bin_edges, terms_of

Connection = duckdb.DuckDBPyConnection
_PASSES = 4  # over the events, for the progress

# An age is counted from birth, or from the last age on record.
ASKED = f"""
CREATE TEMP TABLE asked AS
WITH reported AS (
    SELECT e.subject_id, e.time, CASE WHEN c.family = '{AGE}' THEN e.numeric_value ELSE 0 END AS age
    FROM events AS e JOIN codes AS c ON c.code = e.code
    WHERE c.family = '{BIRTH}' OR (c.family = '{AGE}' AND e.numeric_value BETWEEN 0 AND 130)
), ages AS (
    SELECT subject_id, time, min(age) AS age FROM reported GROUP BY subject_id, time
), ends AS (
    SELECT e.subject_id, e.time FROM events AS e JOIN codes AS c ON c.code = e.code
    WHERE c.family IN ('{DISCHARGE}', '{DEATH}')
    UNION
    SELECT subject_id, max(time) FROM events GROUP BY subject_id
)
SELECT
    a.example, a.subject_id, a.prediction_time, a.boolean_value AS label, a.part,
    (t.age + (epoch(a.prediction_time) - epoch(t.time)) / (86400 * 365.2425))::FLOAT AS age,
    greatest(epoch(l.time) - epoch(a.prediction_time), 0)::FLOAT / 86400 AS followed
FROM asked_rows AS a
ASOF LEFT JOIN ends AS l
    ON l.subject_id = a.subject_id AND l.time > a.prediction_time
ASOF LEFT JOIN ages AS t
    ON t.subject_id = a.subject_id AND a.prediction_time >= t.time
"""

# An event belongs to its stay (kind 0); without a number, to the stay that it falls into (0, or 1
# if that has no number either); else to its day (2). Windows (3) take the place of all these. That
# a stay has ended is decided from times before the event only, never from the future.
VISIBLE = """
CREATE TEMP TABLE visible AS
SELECT
    a.example, 0 AS kind, e.visit_id AS place, e.time, t.term,
    CASE WHEN isfinite(e.numeric_value) THEN e.numeric_value END AS value
FROM events AS e
JOIN terms AS t ON t.code = e.code
JOIN asked AS a ON a.subject_id = e.subject_id AND e.time <= a.prediction_time
"""
ANY_WITHOUT_VISIT = "SELECT count(*) FROM visible WHERE place IS NULL"
PLACE = """
INSERT INTO visible
WITH seen AS (
    SELECT a.subject_id, v.* FROM visible AS v JOIN asked AS a USING (example)
    WHERE v.place IS NULL
), placed AS (
    SELECT
        e.example,
        CASE WHEN s.admitted IS NULL OR e.time > s.discharged THEN 2
            WHEN s.visit_id IS NULL THEN 1 ELSE 0 END AS kind,
        CASE WHEN s.admitted IS NULL OR e.time > s.discharged
            THEN epoch_us(date_trunc('day', e.time)::TIMESTAMP)
            ELSE coalesce(s.visit_id, epoch_us(s.admitted)) END AS place,
        e.time, e.term, e.value
    FROM seen AS e
    ASOF LEFT JOIN stays AS s ON e.subject_id = s.subject_id AND e.time >= s.admitted
)
SELECT * FROM placed WHERE kind < 2 OR term IS NOT NULL
"""

# The visit of a record that began last.
ONLY_CURRENT = """
DELETE FROM visible WHERE (example, kind, place) NOT IN (
    SELECT (example, kind, place) FROM visible GROUP BY example, kind, place
    QUALIFY row_number() OVER (
        PARTITION BY example ORDER BY min(time) DESC, kind DESC, place DESC
    ) = 1
)
"""

WINDOWS = """
UPDATE visible SET kind = 3, place = -floor(
    (epoch_us(asked.prediction_time) - epoch_us(visible.time)) / $window
)::BIGINT
FROM asked WHERE asked.example = visible.example
"""

# An example without any event yet has one empty step, at the prediction time.
STEPS = """
CREATE TEMP TABLE steps AS
WITH found AS (
    SELECT example, kind, place, min(time) AS step_time
    FROM visible
    WHERE kind < 3 OR term IS NOT NULL
    GROUP BY example, kind, place
)
SELECT
    row_number() OVER (ORDER BY a.example, f.step_time, f.kind, f.place) - 1 AS step,
    a.example, f.kind, f.place, coalesce(f.step_time, a.prediction_time) AS step_time
FROM asked AS a LEFT JOIN found AS f USING (example)
"""

# Measurements in the training set, for quantiles.
MEASURED = """
SELECT v.term, v.value, count(*) AS n
FROM visible AS v JOIN asked AS a USING (example)
WHERE a.part = $train AND v.value IS NOT NULL AND v.term IS NOT NULL
GROUP BY v.term, v.value ORDER BY v.term, v.value
"""
BINS = """
CREATE TEMP TABLE binned AS
SELECT DISTINCT term, value, 1 + (
    SELECT count(*) FROM edges AS e WHERE e.term = m.term AND e.edge < m.value
) AS bin
FROM (SELECT DISTINCT term, value FROM visible WHERE value IS NOT NULL AND term IS NOT NULL) AS m
"""
NO_BINS = """
CREATE TEMP TABLE binned AS SELECT term, value, 0 AS bin FROM visible WHERE $bins < 0
"""

# A code occurs once in a step, however often it was recorded.
PRESENT = """
CREATE TEMP TABLE present AS
SELECT DISTINCT s.step, v.term * ($bins + 1) + coalesce(b.bin, 0) AS item
FROM visible AS v
JOIN steps AS s ON s.example = v.example AND s.kind = v.kind AND s.place = v.place
LEFT JOIN binned AS b ON b.term = v.term AND b.value = v.value
WHERE v.term IS NOT NULL
"""
DEMOGRAPHICS = f"""
INSERT INTO present
WITH last AS (SELECT example, max(step) AS step FROM steps GROUP BY example), known AS (
    SELECT a.example, e.code
    FROM asked AS a JOIN events AS e ON e.subject_id = a.subject_id AND e.time IS NULL
    UNION ALL
    SELECT example, '{AGE}//' || (least(floor(age / 10), 12) * 10)::INTEGER
    FROM asked WHERE age >= 0
)
SELECT DISTINCT last.step, terms.term * ($bins + 1)
FROM known JOIN last USING (example) JOIN terms USING (code)
WHERE terms.term IS NOT NULL
EXCEPT SELECT step, item FROM present
"""


def cut(
    connection: Connection,
    cohort: Cohort,
    part: NDArray[np.uint8],
    train: int,
    settings: SequenceSettings,
    of_model: Vocabulary | None = None,
) -> Terms:
    """Create the tables with all inputs that a model may see.

    ``asked`` (``example, subject_id, prediction_time, label, part, age``); ``visible`` (``example,
    time, term, value``, and the place of the step); ``steps`` (``step, example, step_time``),
    numbered in the order of examples and, within one, of their first facts; ``present`` (``step,
    item``), the distinct items of each step, where an item is ``term * (bins + 1) + bin``.
    Quantiles are computed from the part ``train`` alone, or are those of ``of_model``.
    """
    report_pass = partial(cohort.events.passed, "cutting sequences", passes=_PASSES)
    report_pass(1)
    table = cohort.labels.append_column("part", pa.array(part))
    examples = pa.array(np.arange(len(cohort.labels)))
    connection.register("asked_rows", table.append_column("example", examples))
    connection.execute(ASKED)
    connection.unregister("asked_rows")  # the table is copied, so its memory can go
    report_pass(2)
    codes = connection.execute("SELECT code FROM codes").fetchnumpy()["code"].tolist()
    terms = terms_of(codes, cohort.task, settings)
    names = pa.array([*terms.of_code], pa.string())
    numbers = pa.array(terms.of_code.values(), pa.int64())  # null marks a visit, and is no input
    create_table(connection, "terms", {"code": names, "term": numbers})
    connection.execute(VISIBLE)
    report_pass(3)
    if one_row(connection, ANY_WITHOUT_VISIT)[0]:
        create_stays(connection)
        connection.execute(PLACE)
        connection.execute("DELETE FROM visible WHERE place IS NULL")
    if cohort.task.history != "record":
        connection.execute(ONLY_CURRENT)
    if settings.step_hours is not None:
        connection.execute(WINDOWS, {"window": round(settings.step_hours * 3_600_000_000)})
    connection.execute(STEPS)
    bins = {"bins": settings.bins}
    if settings.bins:
        if of_model is None:
            term, value, n = connection.execute(MEASURED, {"train": train}).fetchnumpy().values()
            binned, ends = bin_edges(term, value, n, settings.bins)
        else:
            binned, ends = _edges_of(of_model, terms, settings.bins)  # bins are those of training
        of_edges = {"term": np.repeat(binned, ends.shape[1]), "edge": ends.ravel()}
        create_table(connection, "edges", of_edges)
        connection.execute(BINS)
    else:
        connection.execute(NO_BINS, bins)
    connection.execute(PRESENT, bins)
    report_pass(_PASSES)
    if settings.demographics:
        connection.execute(DEMOGRAPHICS, bins)
    return terms


def _edges_of(
    of_model: Vocabulary, terms: Terms, bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return terms that are channels of a model, (term,), and bin ends, (term, bins - 1)."""
    number = {name: i for i, name in enumerate(terms.names)}
    edges_of = zip(of_model.channels, of_model.edges, strict=True)
    by_term = {number[channel]: ends for channel, ends in edges_of if channel in number}
    ends = np.array([*by_term.values()], np.float64).reshape(-1, bins - 1)
    return np.array([*by_term], np.int64), ends
