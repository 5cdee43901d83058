"""Leak checks on the events themselves, which do not rely on declarations."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.audit.finding import Code, Finding
from sequela.audit.input import CHANCE, AuditInput, Floats, Ints, Labels
from sequela.cohort.events import Events, one_row
from sequela.cohort.tasks import LABEL_FILE, Task
from sequela.datasets.codes import DISCHARGE, family_of

REVEALING_TIMES = 0.75  # AUROC from which prediction times are reported to separate the classes
_MOST_NAMED = 5  # families that a finding names
_WORDS = tomllib.loads(Path(__file__).with_name("outcome_words.toml").read_text("utf-8"))
# Words of codes that decide an outcome, or are written when it is known.
OUTCOME_WORDS = re.compile(
    "|".join(chain.from_iterable(entry["words"] for entry in _WORDS.values())), re.IGNORECASE
)
_AGREEING = 0.8  # share of stays whose destination is known early
_LEAST = 10  # stays or codes, fewer of which are not judged
_AT_START = 0.5  # share of a family's codes at the very beginning of the stay
_PER_STAY = 1.5  # such codes in a stay: one may be a triage level or a ward
_SUBJECTS = 3  # with a code whose words are of the outcome
_CHOSEN = 0.5  # Kolmogorov-Smirnov distance of the time left of stays with and without a prediction
_APART = 0.99  # AUROC of times that hardly overlap
_MOSTLY_APART = 0.9  # of one class, where times of the other class differ in the same direction
_STEADY = 0.2  # spread of the time left, in units of the spread of complete stays
_DIAGNOSES = re.compile("diag|dx|icd|problem|proc|drg|condition|discharge", re.IGNORECASE)
_ON_ARRIVAL = re.compile("admi|arriv|triage|complaint|present", re.IGNORECASE)

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
    SELECT e.subject_id, e.time, s.visit_id
    FROM events AS e LEFT JOIN (
        SELECT DISTINCT subject_id, visit_id FROM stays WHERE visit_id IS NOT NULL
    ) AS s ON s.subject_id = e.subject_id AND s.visit_id = e.visit_id
    WHERE e.code IN (SELECT unnest($codes))
)
SELECT count(*), count(DISTINCT (subject_id, prediction_time)) FROM (
    SELECT o.subject_id, o.prediction_time
    FROM chosen AS c
    JOIN open_stays AS o ON o.subject_id = c.subject_id AND o.visit_id = c.visit_id
    WHERE c.time <= o.prediction_time
    UNION ALL
    SELECT o.subject_id, o.prediction_time
    FROM chosen AS c JOIN open_stays AS o ON o.subject_id = c.subject_id
    WHERE c.visit_id IS NULL AND c.time >= o.admitted AND c.time <= o.prediction_time
        AND NOT EXISTS (
            SELECT 1 FROM stays AS s
            WHERE s.subject_id = c.subject_id AND s.discharged = c.time AND s.admitted < o.admitted
        )
)
"""
# Prediction time of each label, in hours: since the admission of its stay, of the day, and to the
# end of the stay.
TIMES_ASKED = """
SELECT
    (epoch(l.prediction_time) - epoch(s.admitted)) / 3600 AS since_admission,
    date_part('hour', l.prediction_time) + date_part('minute', l.prediction_time) / 60 AS of_day,
    (epoch(s.discharged) - epoch(l.prediction_time)) / 3600 AS left,
    l.boolean_value AS label, l.subject_id
FROM asked AS l ASOF LEFT JOIN stays AS s
    ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
ORDER BY l.subject_id, l.prediction_time
"""
# The length of stays without a prediction, in an arbitrary order.
NOT_ASKED = """
SELECT (epoch(discharged) - epoch(admitted)) / 3600 AS length FROM stays AS s
WHERE discharged > admitted AND NOT EXISTS (
    SELECT 1 FROM asked AS l WHERE l.subject_id = s.subject_id
        AND l.prediction_time BETWEEN s.admitted AND s.discharged
)
ORDER BY hash(subject_id), admitted
"""
# Codes of a stay by the prediction time that equal the destination at its discharge.
DESTINATIONS = f"""
WITH destinations AS (
    SELECT o.subject_id, o.prediction_time, o.admitted, lower(c.body) AS destination
    FROM open_stays AS o JOIN stays AS s ON s.subject_id = o.subject_id AND s.admitted = o.admitted
    JOIN events AS e ON e.subject_id = s.subject_id AND e.time = s.discharged
        AND e.visit_id IS NOT DISTINCT FROM s.visit_id
    JOIN codes AS c ON c.code = e.code AND c.family = '{DISCHARGE}' AND c.body <> ''
), early AS (
    SELECT d.subject_id, d.prediction_time, d.destination, c.family, lower(c.body) AS body
    FROM events AS e JOIN codes AS c USING (code) JOIN destinations AS d
        ON d.subject_id = e.subject_id AND e.time BETWEEN d.admitted AND d.prediction_time
    WHERE lower(c.body) IN (SELECT destination FROM destinations)
        AND c.code IN (SELECT unnest($codes))
)
SELECT
    family, count(DISTINCT (subject_id, prediction_time)) FILTER (body = destination) AS agree,
    count(DISTINCT (subject_id, prediction_time)) AS n
FROM early GROUP BY family HAVING count(DISTINCT body) > 1 ORDER BY family
"""
CODES_WITH_WORDS = """
SELECT
    c.code, count(DISTINCT e.subject_id) FILTER (l.boolean_value) AS positive,
    count(DISTINCT e.subject_id) FILTER (NOT l.boolean_value) AS negative,
    avg((e.time = o.admitted)::INTEGER) AS at_start
FROM events AS e JOIN codes AS c USING (code)
JOIN open_stays AS o ON o.subject_id = e.subject_id
    AND e.time BETWEEN o.admitted AND o.prediction_time
JOIN asked AS l ON l.subject_id = o.subject_id AND l.prediction_time = o.prediction_time
WHERE c.code IN (SELECT unnest($codes))
GROUP BY c.code ORDER BY positive DESC, c.code
"""
AT_THE_START = """
SELECT c.family, count(*) FILTER (e.time = o.admitted) AS at,
    count(*) FILTER (e.time = o.admitted OR e.time <= o.admitted + INTERVAL 1 HOUR
        AND o.discharged > o.admitted + INTERVAL 1 DAY) AS in_an_hour,
    count(*) AS n, count(DISTINCT (o.subject_id, o.admitted)) AS stays
FROM events AS e JOIN codes AS c USING (code)
JOIN (SELECT DISTINCT subject_id, admitted, discharged FROM stays) AS o
    ON o.subject_id = e.subject_id AND e.time >= o.admitted AND e.time <= o.discharged
WHERE c.code IN (SELECT unnest($codes))
    AND hour(o.admitted) * 60 + minute(o.admitted) NOT IN (0, 1439) -- of dates without a time
GROUP BY c.family ORDER BY c.family
"""


@dataclass(frozen=True)
class OpenEvents:
    """Events while a cohort is selected: their tables in SQL, the task and the labels."""

    connection: duckdb.DuckDBPyConnection
    task: Task
    labels: pa.Table
    events: Events


def find_in_events(data: AuditInput) -> Iterator[Finding]:
    """Find leaks of the outcome in the events, and those that a task or a build declares."""
    opened: OpenEvents = data.events
    connection, task, events = opened.connection, opened.task, opened.events
    connection.register("asked", opened.labels)
    yield from _declared(task, events)
    yield from _known_outcomes(connection, task, in_order=events.stays_in_order)
    yield from _early_codes(connection, task, len(opened.labels), by_row=events.dated_by_row)
    yield from _prediction_times(connection, task)
    yield from _written_later(connection, task)
    if events.dated_by_row:
        yield from _dated_at_the_start(connection, task)
    connection.unregister("asked")


def _declared(task: Task, events: Events) -> Iterator[Finding]:
    """Report a task that leaks by design, and rows dated on purpose before they were known."""
    if task.leaks:
        yield Finding.of("declared leak", task.name, reason=task.leaks)
    if events.leaks:
        yield Finding.of("dated before it was known", task.name, log=events.leaks)
    if events.earlier:
        yield Finding.of("dated by an earlier time", task.name, log=events.earlier)


def _known_outcomes(
    connection: duckdb.DuckDBPyConnection, task: Task, *, in_order: bool
) -> Iterator[Finding]:
    """Report labels whose outcome is on record by the prediction time."""
    outcome = task.outcome
    of_any = outcome.known_class == "any"
    query = KNOWN_OUTCOMES.format(known=outcome.known_expression)
    total, on_record = one_row(connection, query, {"in_order": in_order, "of_any": of_any})
    if on_record:
        yield Finding.of(
            "known outcome",
            task.name,
            counts={"known": on_record, "all": total},
            labels="labels" if of_any else "positive labels",
            when=outcome.known_words,
            leave_out=outcome.leave_out,
        )


def _early_codes(
    connection: duckdb.DuckDBPyConnection, task: Task, n: int, *, by_row: bool
) -> Iterator[Finding]:
    """Report codes in a stay that had not ended: assigned later, or of undeclared families."""
    connection.execute(OPEN_STAYS)
    if not one_row(connection, "SELECT count(*) FROM open_stays")[0]:
        return
    inputs = _input_codes(connection, task)
    later = [code for code in inputs if family_of(code).coded_later]
    early, examples = one_row(connection, EARLY_CODES, {"codes": later}) if later else (0, 0)
    if early:
        counts = {"examples": examples, "all": n}
        yield Finding.of("codes from the future", task.name, counts=counts, early=early)
    rest = [code for code in inputs if not (by_row or family_of(code).declared)]
    early, examples = one_row(connection, EARLY_CODES, {"codes": rest}) if rest else (0, 0)
    if early:
        names = sorted({family_of(code).name for code in rest})
        families = ", ".join(names[:_MOST_NAMED])
        if len(names) > _MOST_NAMED:
            families += ", ..."
        counts, facts = {"examples": examples, "all": n}, {"early": early, "families": families}
        yield Finding.of("undeclared codes", task.name, counts=counts, **facts)


def _input_codes(connection: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    """Return the codes that a model of the task may see."""
    codes = [code for (code,) in connection.execute("SELECT code FROM codes").fetchall()]
    return [code for code in codes if not task.inputs or family_of(code).name in task.families]


def _prediction_times(connection: duckdb.DuckDBPyConnection, task: Task) -> Iterator[Finding]:
    """Report prediction times that separate the classes or depend on the end of the stay."""
    rows = connection.execute(TIMES_ASKED).fetchnumpy()
    names = {"since_admission": "hours since admission", "of_day": "hour of the day"}
    times = {name: np.ma.filled(rows[key].astype(float), np.nan) for key, name in names.items()}
    # A column that is blank for all labels cannot separate anything.
    times = {name: column for name, column in times.items() if not np.isnan(column).all()}
    label = rows["label"].astype(np.int64)
    yield from _remaining_times(connection, task, rows, label)
    columns = np.column_stack([*times.values()])
    # The bound takes a sort, a model takes seconds, and most cohorts stop at the bound.
    if highest_auroc(columns, label) < REVEALING_TIMES:
        return
    from sequela.audit.small_models import model_auroc  # takes long to load, and is seldom needed

    labels = Labels(label, task.outcome.classes, rows["subject_id"])
    auroc = model_auroc(columns, labels, least=REVEALING_TIMES)
    if auroc is None:
        return
    negative, positive = task.outcome.classes
    medians = "; ".join(
        f"{name}, median: {np.nanmedian(column[label == 0]):.1f} of '{negative}' and "
        f"{np.nanmedian(column[label == 1]):.1f} of '{positive}'"
        for name, column in times.items()
    )
    yield Finding.of(
        "times that tell the outcome",
        task.name,
        auroc=auroc,
        positive=positive,
        negative=negative,
        medians=medians,
    )


def _remaining_times(
    connection: duckdb.DuckDBPyConnection,
    task: Task,
    rows: Mapping[str, NDArray[np.generic]],
    label: Ints,
) -> Iterator[Finding]:
    """Report a choice of examples or times that depends on the end of the stay."""
    remaining, since = (
        np.ma.filled(rows[key].astype(float), np.nan) for key in ("left", "since_admission")
    )
    # A prediction at the discharge or after it has no time left to compare.
    inside = remaining > 0
    if not inside.any():
        return
    remaining, since, label = remaining[inside], since[inside], label[inside]
    hours = steady_before_the_end(remaining, since, label)
    if hours is not None:
        yield Finding.of("times before the end", task.name, hours=hours)
        return
    if task.name != LABEL_FILE:  # the rules of a task are declared, and counted
        return
    # A label file lists its examples: whoever chose them may have known how the stays ended.
    lengths = connection.execute(NOT_ASKED).fetchnumpy()["length"]
    # Stays without a prediction, as if it had been made when those of the others were.
    could = lengths - np.quantile(since, (np.arange(len(lengths)) + 0.5) / max(len(lengths), 1))
    medians = chosen_by_the_future(remaining, could[could > 0], label)
    if medians is not None:
        yield Finding.of("examples chosen by the future", task.name, medians=medians)


def chosen_by_the_future(remaining: Floats, unpredicted: Floats, label: Ints) -> str | None:
    """Test whether predictions were chosen by how long the stay still lasts.

    Stays without a prediction should last as long as those with one. They are reported from a
    Kolmogorov-Smirnov distance of 0.5 on, and where they all last longer, or all end earlier, than
    the stays of one class (as where only survivors who leave soon were kept); or where nearly all
    do, and they also last longer, or end earlier, than the other class, by more than chance.

    ``remaining`` has the hours from each prediction to the end of its stay, and ``unpredicted``
    those of stays without one, at a time when it could have been made. Returns medians in words, or
    None.
    """
    from scipy import stats

    fewest = min(len(unpredicted), *np.bincount(label, minlength=2))
    if fewest < _LEAST or stats.ks_2samp(remaining, unpredicted).pvalue > CHANCE:
        return None
    by_class = [remaining[label == value] for value in (0, 1)]
    # The Mann-Whitney statistic over the number of pairs is the AUROC of one group's times against
    # the other's; 0.5 means that neither is longer.
    tests = [stats.mannwhitneyu(times, unpredicted) for times in by_class]
    sides = [
        test.statistic / len(times) / len(unpredicted) - 0.5
        for test, times in zip(tests, by_class, strict=True)
    ]
    # A mixture of both classes cannot last longer, or end earlier, than each of them.
    no_mixture = sides[0] * sides[1] > 0 and max(test.pvalue for test in tests) <= CHANCE
    apart = max(map(abs, sides)) + 0.5 >= (_MOSTLY_APART if no_mixture else _APART)
    if stats.ks_2samp(remaining, unpredicted).statistic <= _CHOSEN and not apart:
        return None
    negative, positive = (np.median(times) for times in by_class)
    return f"{negative:.0f} and {positive:.0f} hours in both classes, {np.median(unpredicted):.0f}"


def steady_before_the_end(remaining: Floats, since: Floats, label: Ints) -> float | None:
    """Test whether predictions were made at a fixed time before the end of the stay.

    The quartiles of the remaining hours are then near each other, and those of complete stays are
    not. Predictions in the last hour are made at the discharge, and are not tested.

    ``remaining`` has the hours from each prediction to the end of its stay, ``since`` those from
    its beginning; each class is also tested alone. Returns the median of the remaining hours, or
    None.
    """
    from scipy import stats

    for members in (label >= 0, label == 0, label == 1):
        hours, length = remaining[members], (remaining + since)[members]
        # A median of an hour or less is a discharge, and no choice of patients.
        if len(hours) < _LEAST or np.median(hours) <= 1:
            continue
        if stats.iqr(hours) < _STEADY * stats.iqr(length):
            return float(np.median(hours))
    return None


def _written_later(connection: duckdb.DuckDBPyConnection, task: Task) -> Iterator[Finding]:
    """Report codes before the prediction that belong to the end of a stay, by value or by word."""
    inputs = [
        code
        for code in _input_codes(connection, task)
        if not (family_of(code).label_only or family_of(code).ending)
    ]
    for family, agree, n in connection.execute(DESTINATIONS, {"codes": inputs}).fetchall():
        if n >= _LEAST and agree >= _AGREEING * n:
            check, counts = "destinations before the discharge", {"agree": agree, "all": n}
            yield Finding.of(check, task.name, counts=counts, family=family)
    # Words of the outcome are suspicious only where they are written as the stay begins: later
    # they may be events of the course.
    worded = [code for code in inputs if OUTCOME_WORDS.search(code)]
    if not worded:
        return
    totals = one_row(
        connection,
        "SELECT count(DISTINCT subject_id) FILTER (boolean_value), "
        "count(DISTINCT subject_id) FILTER (NOT boolean_value) FROM asked",
    )
    rows = connection.execute(CODES_WITH_WORDS, {"codes": worded}).fetchall()
    codes = tuple(
        Code(code, n + m, shares=((n, totals[0]), (m, totals[1])))
        for code, n, m, at_start in rows
        if at_start >= _AT_START and n + m >= _SUBJECTS
    )
    if codes:
        positive = task.outcome.classes[1]
        yield Finding.of("words of the outcome", codes=codes, positive=positive)


def _dated_at_the_start(connection: duckdb.DuckDBPyConnection, task: Task) -> Iterator[Finding]:
    """Report undeclared families, such as diagnoses, whose codes are dated as the stay begins."""
    codes = [code for code in _input_codes(connection, task) if not family_of(code).declared]
    rows = connection.execute(AT_THE_START, {"codes": codes}).fetchall() if codes else []
    suspected = []
    for family, at, in_an_hour, n, stays in rows:
        diagnoses = bool(_DIAGNOSES.search(family))
        # Within an hour few diagnoses are known; another code is suspicious only at the very moment
        # of the admission, which a program may have filled in.
        early = in_an_hour if diagnoses else at
        judged = n >= _LEAST and not _ON_ARRIVAL.search(family)
        if judged and early >= _AT_START * n and (diagnoses or n >= _PER_STAY * stays):
            suspected.append((family, early, n))
    if suspected:
        counts = {"at": sum(at for _, at, _ in suspected), "all": sum(n for *_, n in suspected)}
        families = ", ".join(family for family, *_ in suspected[:_MOST_NAMED])
        check = "codes dated at the beginning of the stay"
        yield Finding.of(check, task.name, counts=counts, families=families)


def highest_auroc(columns: Floats, label: Ints) -> float:
    """Bound the AUROC that any model of these columns can reach, as seen through quartiles.

    Classes with a total variation of d have an AUROC of at most 1 - (1 - d)^2 / 2, after what
    chance adds to d is subtracted. Columns are (example, column), and labels 0 or 1.
    """
    quartiles = np.nanquantile(columns, (0.25, 0.5, 0.75), axis=0).T
    places = [np.searchsorted(*pair) for pair in zip(quartiles, columns.T, strict=True)]
    # Quartiles cut each column into four parts; an example's cell is the combination of its parts.
    cell = np.ravel_multi_index(places, (4,) * len(places))
    counts = np.stack([np.bincount(cell[label == v], minlength=cell.max() + 1) for v in (0, 1)])
    sizes = counts.sum(axis=1, keepdims=True)
    share = counts.sum(axis=0) / len(label)
    # The expected difference of two samples of one distribution, as if each cell were normal.
    chance = np.sqrt(share * (1 - share) * (1 / sizes).sum() * 2 / np.pi).sum() / 2
    # The total variation distance is half of the sum of the absolute differences.
    apart = np.abs(np.diff(counts / sizes, axis=0)).sum() / 2
    return float(1 - (1 - max(apart - chance, 0)) ** 2 / 2)
