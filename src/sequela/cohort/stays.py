"""Hospital stays and attributes of subjects, derived from the events alone."""

import duckdb

from sequela.datasets.codes import (
    ADMISSION,
    ADMISSION_DIAGNOSIS,
    AGE,
    ALIVE,
    BIRTH,
    DEATH,
    DISCHARGE,
    EXPIRED,
    FOLLOW_UP_END,
    ICU_ADMISSION,
    NOTHING_CHARTED,
    OUTCOME,
    STAY,
)

# Events that begin or end a stay or state its outcome, and events of the subject as a whole.
MARKS = f"""
CREATE TEMP TABLE marks AS
SELECT
    subject_id, time, code, family, visit_id, donor,
    CASE WHEN family = '{AGE}' AND numeric_value BETWEEN 0 AND 130
        THEN time - to_months((numeric_value * 12)::INTEGER) END AS birth_by_age
FROM events JOIN (
    SELECT code, family, family IN ('{STAY}', '{ADMISSION_DIAGNOSIS}')
        AND contains(lower(code), 'organ donor') AS donor
    FROM codes
) USING (code)
WHERE donor OR family IN (
    '{BIRTH}', '{DEATH}', '{FOLLOW_UP_END}', '{STAY}', '{AGE}',
    '{ADMISSION}', '{DISCHARGE}', '{OUTCOME}', '{ICU_ADMISSION}'
)
"""

# Some hospitals publish ages instead of births, to protect people; a birth on record comes first.
SUBJECTS = f"""
CREATE TEMP TABLE subjects AS
SELECT
    subject_id,
    coalesce(min(time) FILTER (family = '{BIRTH}'), min(birth_by_age)) AS birth,
    min(time) FILTER (family = '{DEATH}') AS death,
    max(time) FILTER (family = '{FOLLOW_UP_END}') AS follow_up_end
FROM marks
GROUP BY subject_id
"""

_OF_STAY = f"""
    min(m.time) FILTER (m.family = '{ICU_ADMISSION}') AS icu_admitted,
    coalesce(bool_or(m.code = '{EXPIRED}'), false) AS expired,
    coalesce(bool_or(m.code = '{ALIVE}'), false) AS alive,
    coalesce(bool_or(m.donor), false) AS donor,
    coalesce(bool_or(m.code = '{NOTHING_CHARTED}'), false) AS nothing_charted
"""
# Stays by their number and, where an admission has none, from one admission to the next. At the
# moment of an admission a discharge or an outcome belongs to the stay before.
STAYS = f"""
CREATE TEMP TABLE recorded_stays AS
WITH numbered AS (
    SELECT
        subject_id, visit_id,
        min(time) FILTER (family = '{ADMISSION}') AS admitted,
        max(time) FILTER (family = '{DISCHARGE}') AS discharged,
        {_OF_STAY},
        NULL::TIMESTAMP AS next_admitted,
        min(birth_by_age) AS stay_birth,
        min(time) FILTER (family = '{DEATH}') AS stay_death,
        max(time) FILTER (family = '{FOLLOW_UP_END}') AS stay_follow_up_end
    FROM marks AS m
    WHERE visit_id IS NOT NULL
    GROUP BY subject_id, visit_id
), admissions AS (
    SELECT
        subject_id, time AS admitted,
        lead(time) OVER (PARTITION BY subject_id ORDER BY time) AS next_admitted
    FROM marks
    WHERE visit_id IS NULL AND family = '{ADMISSION}' AND time IS NOT NULL
    GROUP BY subject_id, time
), delimited AS (
    SELECT
        a.subject_id, NULL::BIGINT AS visit_id, a.admitted,
        min(m.time) FILTER (m.family = '{DISCHARGE}') AS discharged,
        {_OF_STAY},
        a.next_admitted, NULL::TIMESTAMP AS stay_birth, NULL::TIMESTAMP AS stay_death,
        NULL::TIMESTAMP AS stay_follow_up_end
    FROM admissions AS a
    LEFT JOIN marks AS m ON m.subject_id = a.subject_id AND m.visit_id IS NULL AND (
        CASE WHEN m.family IN ('{DISCHARGE}', '{OUTCOME}')
        THEN m.time > a.admitted AND (a.next_admitted IS NULL OR m.time <= a.next_admitted)
        ELSE m.time >= a.admitted AND (a.next_admitted IS NULL OR m.time < a.next_admitted) END
    )
    GROUP BY a.subject_id, a.admitted, a.next_admitted
)
SELECT * FROM numbered UNION ALL SELECT * FROM delimited
"""

# The end of a stay, as recorded; in data that never record it, from a death before the discharge.
OUTCOMES = f"""
CREATE TEMP TABLE stays AS
WITH said AS (SELECT count(*) > 0 AS ever FROM marks WHERE family = '{OUTCOME}')
SELECT
    s.subject_id, s.visit_id, s.admitted, s.discharged, s.icu_admitted, s.donor,
    s.nothing_charted, s.stay_birth, s.stay_death, s.stay_follow_up_end,
    CASE
        WHEN said.ever THEN CASE WHEN s.expired <> s.alive THEN s.expired END
        WHEN s.discharged IS NOT NULL THEN
            coalesce(p.death >= date_trunc('day', s.admitted) AND p.death <= s.discharged, false)
        WHEN p.death >= date_trunc('day', s.admitted)
            AND (s.next_admitted IS NULL OR p.death <= s.next_admitted) THEN true
    END AS expired,
    min(s.admitted) OVER (
        PARTITION BY s.subject_id ORDER BY s.admitted
        RANGE BETWEEN INTERVAL 1 MICROSECOND FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_admission,
    max(s.discharged) OVER (
        PARTITION BY s.subject_id ORDER BY s.admitted
        RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
    ) AS others_until
FROM recorded_stays AS s
CROSS JOIN said
LEFT JOIN subjects AS p USING (subject_id)
"""


def create_stays(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables ``marks``, ``subjects`` and ``stays`` from the events.

    ``subjects`` has ``subject_id, birth, death, follow_up_end``. ``stays`` has ``subject_id,
    visit_id, admitted, discharged, icu_admitted, expired, donor, nothing_charted``, where
    ``expired`` is null if it is not recorded how the stay ended, and ``stay_birth, stay_death,
    stay_follow_up_end``, recorded within a numbered stay. ``next_admission`` is the subject's first
    admission after that of the stay, ``others_until`` the last discharge of stays before. Both are
    for labels and cohorts, not for models.
    """
    for statement in (MARKS, SUBJECTS, STAYS, OUTCOMES):
        connection.execute(statement)
