"""From an OMOP database with the people, stays, conditions and drugs of MIMIC-IV to sequences.

Writes synthetic tables where the folder has none (300,000 persons, 430,000 hospital stays,
5,000,000 conditions, 15,000,000 drugs, 30,000 concepts; no real data), then builds events, asks
``in-hospital`` and cuts sequences in a process of its own, start-up included: seconds and memory.
There are no measurements, which are most rows of MIMIC-IV. The fastest of ``--runs`` counts.
``--limit`` is a target in seconds and megabytes, which is printed beside.

    python benchmarks/omop_path.py FOLDER [--scale 1] [--runs 1] [--format csv.gz]
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PERSONS, VISITS, CONDITIONS, DRUGS, CONCEPTS = 300_000, 430_000, 5_000_000, 15_000_000, 30_000
SECONDS, MEGABYTES = 60, 2_000

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


def make(folder: Path, scale: float, suffix: str) -> None:
    """Write the tables."""
    import duckdb

    sizes = {
        "persons": PERSONS, "visits": VISITS, "conditions": CONDITIONS, "drugs": DRUGS,
    }  # fmt: skip
    counts = {name: int(n * scale) for name, n in sizes.items()} | {"concepts": CONCEPTS}
    parts = {name: text.format(**counts) for name, text in PARTS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for name, query in TABLES.items():
        path = folder / f"{name}.{suffix}"
        how = "parquet" if suffix == "parquet" else "csv, HEADER, COMPRESSION gzip"
        rows = query.format(**counts, **parts)
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT {how})")
        print(path)


def run(root: Path, out: Path) -> None:
    """Do the work in this process, and print what it took."""
    from sequela.cohort.events import open_events
    from sequela.cohort.selection import select_cohort
    from sequela.cohort.subject_splits import parts_of_labels, read_subject_splits
    from sequela.cohort.tasks import in_hospital
    from sequela.sequences.build import build_sequences
    from sequela.sources.build import build
    from sequela.sources.hospitals import source_of

    begin = time.perf_counter()
    account = build(source_of("omop"), root, out / "events")
    built = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    cohort = select_cohort(open_events(out / "events"), in_hospital())
    splits = read_subject_splits(out / "events/metadata/subject_splits.parquet")
    sequences = build_sequences(cohort, parts_of_labels(cohort.labels, splits), out / "sequences")
    cut = time.perf_counter()
    print(
        f"{account.events:,} events of {account.subjects:,} persons, {len(sequences):,} examples; "
        f"to events {built - begin:.1f} s and {peak:.0f} MB, to sequences {cut - built:.1f} s"
    )
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / 1e3)


def main() -> None:
    """Make the tables where they are missing and measure; or be the process that is measured."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--scale", type=float, default=1)
    arguments.add_argument("--runs", type=int, default=1)
    arguments.add_argument("--format", choices=("csv.gz", "parquet"), default="csv.gz")
    arguments.add_argument("--out", type=Path)
    given = arguments.parse_args()
    if given.out:
        run(given.folder, given.out)
        return
    if not any(given.folder.glob("person.*")):
        make(given.folder, given.scale, given.format)
    for _ in range(given.runs):
        out = Path(tempfile.mkdtemp(prefix="omop-"))
        begin = time.perf_counter()
        found = subprocess.run(  # noqa: S603 (this very file)
            [sys.executable, __file__, str(given.folder), "--out", str(out)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        shutil.rmtree(out)
        if found.returncode:
            raise SystemExit(found.stderr)
        said, numbers = found.stdout.strip().splitlines()[-2:]
        processor, peak = map(float, numbers.split())
        print(
            f"{seconds:.1f} s (target {SECONDS}), {processor:.1f} s of processors, "
            f"{peak:.0f} MB (target {MEGABYTES}): {said}"
        )


if __name__ == "__main__":
    main()
