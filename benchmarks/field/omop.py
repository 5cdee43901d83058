"""An OMOP database with the people, stays, conditions and drugs of MIMIC-IV; no real data.

300,000 persons, 430,000 hospital stays, 5,000,000 conditions, 15,000,000 drugs, 30,000 concepts.
There are no measurements, which are most rows of MIMIC-IV.
"""

from pathlib import Path

SIZES = {"persons": 300_000, "visits": 430_000, "conditions": 5_000_000, "drugs": 15_000_000}
CONCEPTS = 30_000

TABLES = {
    "person": """
        SELECT {person} AS person_id, CASE WHEN i % 2 = 0 THEN 8507 ELSE 8532 END
            AS gender_concept_id, 1930 + i % 60 AS year_of_birth, 8527 AS race_concept_id,
            38003564 AS ethnicity_concept_id
        FROM range({persons}) AS t(i)""",
    "visit_occurrence": """
        SELECT {visit} AS visit_occurrence_id, {of_visit} AS person_id, 9201 AS visit_concept_id,
            began::DATE AS visit_start_date, began AS visit_start_datetime,
            ended::DATE AS visit_end_date, ended AS visit_end_datetime,
            32817 AS visit_type_concept_id,
            CASE WHEN i % 25 = 0 THEN 'DIED' ELSE 'HOME' END AS discharge_to_source_value
        FROM (SELECT i, {began} AS began, {began} + to_hours(30 + (i * 13) % 300) AS ended
            FROM range({visits}) AS t(i))""",
    "condition_occurrence": """
        SELECT row AS condition_occurrence_id, {of_visit} AS person_id,
            {concept} AS condition_concept_id, {began}::DATE AS condition_start_date,
            {began} AS condition_start_datetime,
            CASE WHEN row % 3 = 0 THEN 32821 ELSE 32817 END AS condition_type_concept_id,
            {visit} AS visit_occurrence_id, 'I50.9' AS condition_source_value,
            0 AS condition_source_concept_id
        FROM (SELECT row, row * {visits} // {conditions} AS i
            FROM range({conditions}) AS t(row))""",
    "drug_exposure": """
        SELECT row AS drug_exposure_id, {of_visit} AS person_id, {concept} AS drug_concept_id,
            taken::DATE AS drug_exposure_start_date, taken AS drug_exposure_start_datetime,
            32838 AS drug_type_concept_id, {visit} AS visit_occurrence_id,
            '00002751001' AS drug_source_value, 0 AS drug_source_concept_id
        FROM (SELECT row, i, {began} + to_hours(row % 72) AS taken
            FROM (SELECT row, row * {visits} // {drugs} AS i FROM range({drugs}) AS t(row)))""",
    "observation_period": """
        SELECT i AS observation_period_id, {person} AS person_id,
            DATE '2100-01-01' AS observation_period_start_date,
            DATE '2200-01-01' AS observation_period_end_date
        FROM range({persons}) AS t(i)""",
    "concept": """
        SELECT 1000 + i AS concept_id, 'concept ' || i AS concept_name, 'Any' AS domain_id,
            CASE WHEN i % 2 = 0 THEN 'SNOMED' ELSE 'RxNorm' END AS vocabulary_id,
            (84114007 + i * 7)::VARCHAR AS concept_code
        FROM range({concepts}) AS t(i)""",
}  # fmt: skip
PARTS = {
    "person": "((hash(i)::UBIGINT >> 1)::BIGINT - 4000000000000000000)",
    "visit": "((hash(i + 1000000007)::UBIGINT >> 1)::BIGINT - 4000000000000000000)",
    "of_visit": "((hash(i % {persons})::UBIGINT >> 1)::BIGINT - 4000000000000000000)",
    "began": (
        "(TIMESTAMP '2110-01-01' + to_minutes((hash(i % {persons}) % 20000000)::BIGINT)"
        " + to_days((i // {persons}) * 400))"
    ),
    # Few concepts are frequent: the square of a uniform number.
    "concept": "(1000 + floor(pow((hash(row) % 1000003) / 1000003.0, 2) * {concepts}))::BIGINT",
}


def make(folder: Path, scale: float) -> None:
    """Write the tables as ``.csv.gz``."""
    import duckdb

    counts = {name: int(n * scale) for name, n in SIZES.items()} | {"concepts": CONCEPTS}
    parts = {name: text.format(**counts) for name, text in PARTS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for name, query in TABLES.items():
        rows = query.format(**counts, **parts)
        path = folder / f"{name}.csv.gz"
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT csv, HEADER, COMPRESSION gzip)")
