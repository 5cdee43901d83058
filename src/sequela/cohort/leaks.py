"""Leak checks on the events themselves, which do not rely on declarations."""

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.cohort.events import Events, one_row
from sequela.cohort.finding import Finding
from sequela.cohort.tasks import Task
from sequela.sources.codes import family_of

TELLING_TIMES = 0.75
"""The AUROC from which prediction times are reported to separate the classes."""
_QUARTILES = (0.25, 0.5, 0.75)
_NAMED = 5
_DECLARE = (
    "if their times are those at which they were charted, declare the family: "
    "sequela.register.family(Family(NAME, charted=True)); else date them at discharge"
)
AS_KNOWN = "build the data set again without --dated-as-recorded"
BY_DESIGN = "choose another task: this one leaks by design, to reproduce the 2019 report"

# Of several stays that have begun, the last that has not ended counts: within a long stay there
# may be a record of a shorter one.
KNOWN_OUTCOMES = """
WITH asked_stays AS (
    SELECT
        l.subject_id, l.prediction_time, l.boolean_value, s.admitted, s.discharged, s.icu_admitted,
        CASE WHEN NOT $in_order THEN s.admitted END AS since
    FROM asked AS l LEFT JOIN stays AS s
        ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
    WHERE l.boolean_value OR $of_any
    QUALIFY row_number() OVER (
        PARTITION BY l.subject_id, l.prediction_time, l.boolean_value
        ORDER BY coalesce(s.discharged > l.prediction_time, false) DESC, s.admitted DESC
    ) = 1
)
SELECT count(*), count(*) FILTER (known) FROM (SELECT {known} AS known FROM asked_stays AS a)
"""
OPEN_STAYS = """
CREATE TEMP TABLE open_stays AS
SELECT l.subject_id, l.prediction_time, s.visit_id, s.admitted
FROM asked AS l JOIN stays AS s ON s.subject_id = l.subject_id
    AND s.admitted <= l.prediction_time AND l.prediction_time < s.discharged
"""
# Codes that a stay had before its end, by the prediction time: by the number of the stay or,
# where they name no existing stay, by their time. A code dated at another stay's discharge
# is attributed to that stay.
EARLY_CODES = """
WITH chosen AS (
    SELECT e.subject_id, e.time, s.visit_id, e.code
    FROM events AS e LEFT JOIN (
        SELECT DISTINCT subject_id, visit_id FROM stays WHERE visit_id IS NOT NULL
    ) AS s ON s.subject_id = e.subject_id AND s.visit_id = e.visit_id
    WHERE e.code IN (SELECT unnest($codes))
)
SELECT count(*), count(DISTINCT (subject_id, prediction_time)), min(code) FROM (
    SELECT o.subject_id, o.prediction_time, c.code
    FROM chosen AS c
    JOIN open_stays AS o ON o.subject_id = c.subject_id AND o.visit_id = c.visit_id
    WHERE c.time <= o.prediction_time
    UNION ALL
    SELECT o.subject_id, o.prediction_time, c.code
    FROM chosen AS c JOIN open_stays AS o ON o.subject_id = c.subject_id
    WHERE c.visit_id IS NULL AND c.time >= o.admitted AND c.time <= o.prediction_time
        AND NOT EXISTS (
            SELECT 1 FROM stays AS s
            WHERE s.subject_id = c.subject_id AND s.discharged = c.time AND s.admitted < o.admitted
        )
)
"""
# Prediction time of each label, in hours: since the admission of its stay, and of the day.
TIMES_ASKED = """
SELECT
    (epoch(l.prediction_time) - epoch(s.admitted)) / 3600 AS since_admission,
    date_part('hour', l.prediction_time) + date_part('minute', l.prediction_time) / 60 AS of_day,
    l.boolean_value AS label, l.subject_id
FROM asked AS l ASOF LEFT JOIN stays AS s
    ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
ORDER BY l.subject_id, l.prediction_time
"""


def find_leaks(
    connection: duckdb.DuckDBPyConnection, task: Task, labels: pa.Table, events: Events
) -> tuple[Finding, ...]:
    """Look for leaks of the outcome in the events.

    Leaks that a task and the log of a build declare are included. Four more are looked for: labels
    whose outcome is on record by the prediction time; codes assigned after discharge, in a stay
    that had not ended at the prediction time; codes in such a stay for which neither the family nor
    the row declares when they become available; and prediction times that separate the classes.

    Args:
        connection: A connection with the tables of :func:`sequela.cohort.stays.create_stays`.
        task: The task.
        labels: See :mod:`sequela.cohort.labels`.
        events: The events the labels were made from.
    """
    connection.register("asked", labels)
    found = [
        *_declared(task),
        *_dated_early(events, task),
        *_known_outcomes(connection, task, in_order=events.stays_in_order),
        *_early_codes(connection, task, len(labels), by_row=events.dated_by_row),
        *_times_that_tell(connection, task),
    ]
    connection.unregister("asked")
    return tuple(found)


def _declared(task: Task) -> list[Finding]:
    if not task.leaks:
        return []
    return [Finding("declared leak", task.leaks, task.name, "leak", BY_DESIGN)]


def _dated_early(events: Events, task: Task) -> list[Finding]:
    """Report rows that a build dated, on purpose, before they were known."""
    if not events.leaks:
        return []
    return [Finding("dated before it was known", events.leaks, task.name, "leak", AS_KNOWN)]


def _known_outcomes(
    connection: duckdb.DuckDBPyConnection, task: Task, *, in_order: bool
) -> list[Finding]:
    """Report labels whose outcome is on record by the prediction time."""
    outcome = task.outcome
    of_any = outcome.known_class == "any"
    query = KNOWN_OUTCOMES.format(known=outcome.known_expression)
    count, known = one_row(connection, query, {"in_order": in_order, "of_any": of_any})
    if not known:
        return []
    kind = "labels" if of_any else "positive labels"
    what = f"{known} of {count} {kind} are {outcome.known_words}"
    remedy = f"predict earlier, or leave out {outcome.leave_out}"
    return [Finding("known outcome", what, task.name, "leak", remedy)]


def _early_codes(
    connection: duckdb.DuckDBPyConnection, task: Task, n: int, *, by_row: bool
) -> list[Finding]:
    """Report codes in a stay that had not ended: assigned later, or of undeclared families."""
    connection.execute(OPEN_STAYS)
    if not one_row(connection, "SELECT count(*) FROM open_stays")[0]:
        return []
    found = []
    read = _codes_read(connection, task)
    later = [code for code in read if family_of(code).coded_later]
    codes, examples, _ = one_row(connection, EARLY_CODES, {"codes": later})
    if codes:
        what = (
            f"{examples} of {n} examples see {codes} codes of a stay that had not "
            "ended, and such codes are assigned after discharge, which is after the "
            "prediction"
        )
        found.append(
            Finding("codes from the future", what, task.name, "leak", "date them at discharge")
        )
    undeclared = [code for code in read if not (by_row or family_of(code).declared)]
    codes, examples, _ = one_row(connection, EARLY_CODES, {"codes": undeclared})
    if codes:
        names = sorted({family_of(code).name for code in undeclared})
        more = ", ..." * (len(names) > _NAMED)
        what = (
            f"{examples} of {n} examples see {codes} codes of a stay that had not ended, of "
            f"families that do not state when their codes become known ({', '.join(names[:_NAMED])}"
            f"{more})"
        )
        found.append(Finding("undeclared codes", what, task.name, "suspicion", _DECLARE))
    return found


def _codes_read(connection: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    """Return the codes that the task reads."""
    codes = [code for (code,) in connection.execute("SELECT code FROM codes").fetchall()]
    return [code for code in codes if not task.inputs or family_of(code).name in task.families]


def _times_that_tell(connection: duckdb.DuckDBPyConnection, task: Task) -> list[Finding]:
    """Report prediction times that separate the classes: since admission, or by hour of the day."""
    rows = connection.execute(TIMES_ASKED).fetchnumpy()
    names = {"since_admission": "hours since admission", "of_day": "hour of the day"}
    times = {name: np.ma.filled(rows[key].astype(float), np.nan) for key, name in names.items()}
    times = {name: column for name, column in times.items() if not np.isnan(column).all()}
    label, columns = rows["label"].astype(np.int64), np.column_stack([*times.values()])
    if most_told(columns, label) < TELLING_TIMES:
        return []
    from sequela.cohort.tells import told  # takes long to load, and is seldom needed

    auroc = told(columns, label, rows["subject_id"], least=TELLING_TIMES)
    if auroc is None:
        return []
    negative, positive = task.outcome.classes
    medians = "; ".join(
        f"{name}, median: {np.nanmedian(column[label == 0]):.1f} of '{negative}' and "
        f"{np.nanmedian(column[label == 1]):.1f} of '{positive}'"
        for name, column in times.items()
    )
    what = (
        f"the prediction time alone separates '{positive}' from '{negative}' with an AUROC of "
        f"{auroc:.2f} ({medians})"
    )
    remedy = "choose the prediction times of both classes by one rule, independent of the outcome"
    return [Finding("times that tell the outcome", what, task.name, "suspicion", remedy)]


def most_told(columns: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """Bound the AUROC that any model of these columns can reach, as seen through quartiles.

    Two classes whose distributions differ by a total variation of d can be separated with an AUROC
    of at most 1 - (1 - d)^2 / 2. The part of d that chance alone would add is subtracted.

    Args:
        columns: (example, column).
        label: int64 (example,), 0 or 1.
    """
    cell = np.zeros(len(label), np.int64)
    for column in columns.T:
        edges = np.unique(np.nanquantile(column, _QUARTILES))
        cell = cell * (len(_QUARTILES) + 1) + np.searchsorted(edges, column)
    counts = [np.bincount(cell[label == one], minlength=cell.max() + 1) for one in (0, 1)]
    sizes = [each.sum() for each in counts]
    apart = np.abs(counts[0] / sizes[0] - counts[1] / sizes[1]).sum() / 2
    share = (counts[0] + counts[1]) / len(label)
    chance = np.sqrt(share * (1 - share) * (1 / sizes[0] + 1 / sizes[1]) * 2 / np.pi).sum() / 2
    return float(1 - (1 - max(apart - chance, 0)) ** 2 / 2)
