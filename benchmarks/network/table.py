"""Write what three hospitals have in common as a table: one row per stay, 24 hours after admission.

    sequela build eicu --root ~/data/eicu-demo --out events/eicu
    python -m benchmarks.network.table events/eicu tables/eicu.csv

The columns are age, sex, whether and for how long intensive care had begun, and the outcome.
"""

import argparse
from pathlib import Path

import duckdb

from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import in_hospital

TABLE = """
COPY (
    SELECT
        stay.subject_id AS patient,
        least(90, coalesce(
            max(numeric_value) FILTER (code = 'AGE'),
            date_diff('year', min(time) FILTER (code = 'MEDS_BIRTH'), any_value(prediction_time))
        )) AS age,
        bool_or(code = 'GENDER//F') FILTER (code LIKE 'GENDER//%')::INT AS female,
        bool_or(in_stay)::INT AS icu,
        coalesce(min(hours) FILTER (in_stay), 0) AS hours_in_icu,
        any_value(boolean_value)::INT AS died
    FROM stays AS stay JOIN (
        SELECT
            event.*,
            number,
            date_diff('minute', time, prediction_time) / 60 AS hours,
            code LIKE 'ICU_ADMISSION//%' AND hours BETWEEN 0 AND 30 AS in_stay
        FROM stays AS other JOIN events AS event USING (subject_id)
        WHERE time IS NULL OR time <= prediction_time
    ) AS fact USING (number)
    GROUP BY number, stay.subject_id ORDER BY number
)
TO '{out}' (HEADER)
"""


def write_table(root: Path, out: Path) -> int:
    """Write the table of the stays in a MEDS data set, and return their number."""
    stays = select_cohort(open_events(root), in_hospital(24)).labels  # noqa: F841 - DuckDB reads it
    out.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        labels = "SELECT *, row_number() OVER (ORDER BY subject_id, prediction_time) AS number"
        connection.execute(f"CREATE TABLE stays AS {labels} FROM stays")
        connection.execute(f"CREATE VIEW events AS FROM read_parquet('{root}/data/**/*.parquet')")
        connection.execute(TABLE.format(out=out))
        return int(connection.execute("SELECT count(*) FROM stays").fetchall()[0][0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", type=Path, help="folder that sequela build wrote")
    parser.add_argument("out", type=Path, help="csv file to write")
    choices = parser.parse_args()
    print(f"{choices.out}: {write_table(choices.events, choices.out):,} stays")
