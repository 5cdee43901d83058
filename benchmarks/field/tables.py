"""Hospital tables to events and sequences; all tables are synthetic."""

from functools import partial
from pathlib import Path

import numpy as np
from benchmarks.field import omop
from benchmarks.field.measure import Work


def make_mimic3(folder: Path, _: float) -> None:
    """Write tables of MIMIC-III's size."""
    from benchmarks.make_mimic3_scale import make

    make(folder)


def make_mimic4(folder: Path, scale: float) -> None:
    """Write tables of up to 1/20 of MIMIC-IV's size."""
    from benchmarks.make_mimic4_scale import make

    make(folder, scale / 20)


def sequences(source: str, task: str, tables: list[str] | None, root: Path, out: Path) -> str:
    """Tables to MEDS events, cohort, cut at the prediction time, vocabulary and arrays."""
    from sequela.cohort.events import open_events
    from sequela.cohort.selection import select_cohort
    from sequela.cohort.tasks import in_hospital, report_2019
    from sequela.sequences.build import build_sequences
    from sequela.tables.build import build
    from sequela.tables.hospitals import source_of
    from sequela.tables.meds_events import read_splits

    asked = report_2019() if task == "report-2019" else in_hospital()
    account = build(source_of(source), root, out / "events", tables=tables)
    cohort = select_cohort(open_events(out / "events"), asked)
    splits = read_splits(out / "events") or {}
    made = build_sequences(cohort, np.vectorize(splits.get)(cohort.subject_id), out / "sequences")
    return f"{account.events:,} events, {len(made):,} sequences of {len(made.codes):,} codes"


def by_polars(root: Path, out: Path) -> str:
    """Join and group by hand: no times of knowledge, no rules, no account, no split."""
    import polars as pl

    admissions = pl.read_csv(
        root / "ADMISSIONS.csv.gz",
        columns=["SUBJECT_ID", "HADM_ID", "ADMITTIME", "HOSPITAL_EXPIRE_FLAG"],
    )
    diagnoses = pl.read_csv(
        root / "DIAGNOSES_ICD.csv.gz",
        columns=["HADM_ID", "ICD9_CODE"],
        schema_overrides={"ICD9_CODE": pl.String},
    )
    words = diagnoses["ICD9_CODE"].unique().sort()
    numbered = pl.DataFrame({"ICD9_CODE": words, "code": np.arange(len(words), dtype=np.int32)})
    codes = diagnoses.join(numbered, on="ICD9_CODE").select("HADM_ID", "code").unique()
    visits = admissions.join(
        codes.group_by("HADM_ID").agg(pl.col("code").sort()), on="HADM_ID", how="left"
    ).sort("SUBJECT_ID", "ADMITTIME")
    patients = visits.group_by("SUBJECT_ID", maintain_order=True).agg(
        pl.col("code"), pl.col("HOSPITAL_EXPIRE_FLAG").max()
    )
    patients.write_parquet(out / "patients.parquet")
    return f"{patients.height:,} sequences of {int(visits['code'].list.len().sum()):,} codes"


def by_pyhealth(root: Path, out: Path) -> str:
    """Use PyHealth's own mortality task; it needs a diagnosis, a procedure and a drug a visit."""
    from importlib import import_module

    data = import_module("pyhealth.datasets").MIMIC3Dataset(
        root=str(root),
        tables=["diagnoses_icd", "procedures_icd", "prescriptions"],
        cache_dir=str(out / "cache"),
    )
    samples = data.set_task(import_module("pyhealth.tasks").MortalityPredictionMIMIC3())
    return f"{len(samples):,} samples"


def events(source: str, engine: str, tables: list[str] | None, root: Path, out: Path) -> str:
    """Build events."""
    import sequela

    made = sequela.build(source, out / "events", root=root, engine=engine, tables=tables)
    return f"{made.events:,} events"


CHARTED = {
    "hosp/labevents.csv.gz": ("LAB", "storetime"),
    "icu/chartevents.csv.gz": ("CHART", "charttime"),
}


def sorted_by_polars(root: Path, out: Path) -> str:
    """Read, sort in memory and write the two large tables: no checks, other codes, split or log."""
    import polars as pl

    frames = []
    for name, (prefix, time) in CHARTED.items():
        types = {"valuenum": pl.Float32, "valueuom": pl.String, "hadm_id": pl.Int64}
        frame = pl.read_csv(
            root / name,
            columns=["subject_id", "itemid", time, *types],
            schema_overrides=types,
            try_parse_dates=True,
        )
        unit = pl.col("valueuom").fill_null("UNKNOWN")
        code = pl.concat_str(pl.lit(prefix), pl.col("itemid"), unit, separator="//")
        frames.append(frame.select("subject_id", "hadm_id", "valuenum", time=time, code=code))
    found = pl.concat(frames).sort("subject_id", "time", "code", "valuenum", "hadm_id")
    found.write_parquet(out / "events.parquet", compression="zstd")
    return f"{found.height:,} rows"


DIAGNOSES = ["DIAGNOSES_ICD"]
WORKS = {
    "sequences": Work(
        "Stays and diagnoses of MIMIC-III's size to the sequences of each patient",
        make_mimic3,
        1,
        {
            "sequela": partial(sequences, "mimic3", "report-2019", DIAGNOSES),
            "polars": by_polars,
            "PyHealth": by_pyhealth,
        },
    ),
    "engines": Work(
        "Stays and diagnoses of MIMIC-III's size to events",
        make_mimic3,
        1,
        {
            "sequela": partial(events, "mimic3", "duckdb", DIAGNOSES),
            "sequela with Spark": partial(events, "mimic3", "spark", DIAGNOSES),
        },
    ),
    "charted": Work(
        "1/20 of MIMIC-IV's bedside and laboratory rows to sorted events",
        make_mimic4,
        0.1,
        {"sequela": partial(events, "mimic4", "duckdb", None), "polars": sorted_by_polars},
    ),
    "omop": Work(
        "OMOP with MIMIC-IV's people, stays, conditions and drugs, no measurements, to sequences",
        omop.make,
        0.02,
        {"sequela": partial(sequences, "omop", "in-hospital", None)},
    ),
}
