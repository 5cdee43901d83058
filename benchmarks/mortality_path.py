"""From csv.gz to visit sequences on disk: Sequela beside a straight polars script and PyHealth.

All sides read the same tables of MIMIC-III's size (``make_mimic3_scale.py`` writes them where the
folder has none): admissions and diagnoses, and what each needs beside them. Each side runs in a
process of its own, start-up included. They take turns; the fastest of ``--runs`` counts (PyHealth
runs once), and the largest resident memory of that process or of one that it started.

    python benchmarks/mortality_path.py FOLDER [--scale 1] [--runs 3] [--pyhealth PYTHON]

``PYTHON`` is an interpreter that has PyHealth 2 (``python3.12 -m venv``, ``pip install pyhealth``;
its dependencies take some 6 GB); without it that side is left out, and the table says so.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

SIDES = ("sequela", "polars", "pyhealth")


def sequela(root: Path, out: Path) -> None:
    """Tables to MEDS events, cohort of the 2019 report, cut, vocabulary, arrays."""
    from sequela.cohort.events import open_events
    from sequela.cohort.selection import select_cohort
    from sequela.cohort.subject_splits import parts_of_labels, read_subject_splits
    from sequela.cohort.tasks import report_2019
    from sequela.sequences.build import build_sequences
    from sequela.sources.build import build
    from sequela.sources.hospitals import source_of

    begin = time.perf_counter()
    build(source_of("mimic3"), root, out / "events", tables=["DIAGNOSES_ICD"])
    built = time.perf_counter()
    events = open_events(out / "events")
    cohort = select_cohort(events, report_2019())
    splits = read_subject_splits(out / "events/metadata/subject_splits.parquet")
    parts = parts_of_labels(cohort.labels, splits)
    sequences = build_sequences(cohort, parts, out / "sequences")
    cut = time.perf_counter()
    print(
        f"{len(sequences)} patients, {len(sequences.codes)} codes; tables to events "
        f"{built - begin:.2f} s, events to sequences {cut - built:.2f} s"
    )


def polars(root: Path, out: Path) -> None:
    """What one writes by hand: no times of knowledge, no rules, no account, no split."""
    import numpy as np
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
    n_codes = int(visits["code"].list.len().sum())
    print(f"{patients.height} patients, {n_codes} codes")


def pyhealth(root: Path, out: Path) -> None:
    """PyHealth's own mortality task; it needs a diagnosis, a procedure and a drug a visit."""
    data = import_module("pyhealth.datasets").MIMIC3Dataset(
        root=str(root),
        tables=["diagnoses_icd", "procedures_icd", "prescriptions"],
        cache_dir=str(out / "cache"),
    )
    samples = data.set_task(import_module("pyhealth.tasks").MortalityPredictionMIMIC3())
    print(f"{len(samples)} samples")


class Run(NamedTuple):
    """What one side took: seconds, of them the processors' own, MB of memory and on disk."""

    seconds: float
    processor: float
    memory: float
    disk: float
    said: str


def measure(python: str, side: str, root: Path) -> Run:
    """Run one side.

    Raises:
        RuntimeError: If the side fails.
    """
    out = Path(tempfile.mkdtemp(prefix=f"{side}-"))
    try:
        begin = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 (this very file)
            [python, __file__, str(root), "--side", side, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said, failed = process.communicate()
        seconds = time.perf_counter() - begin
        if process.returncode:
            raise RuntimeError(f"{side}: {failed.strip().splitlines()[-1] if failed else 'failed'}")
        *words, numbers = said.strip().splitlines()
        processor, peak = map(float, numbers.split())
        disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        return Run(seconds, processor, peak, disk / 1e6, words[-1])
    finally:
        shutil.rmtree(out)


def run_side(side: str, root: Path, out: Path) -> None:
    """Be one side: do the work, then print processor seconds and the largest memory in MB."""
    import resource

    {"sequela": sequela, "polars": polars, "pyhealth": pyhealth}[side](root, out)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / 1e3)


def compare(root: Path, runs: int, pythons: dict[str, str]) -> None:
    """Run the sides by turns, so that what else the machine does meets all, and print the table."""
    results: dict[str, list[Run]] = {side: [] for side in pythons}
    for number in range(runs):
        for side, python in pythons.items():
            if side != "pyhealth" or number == 0:
                results[side].append(measure(python, side, root))
    print(f"{'':<10}{'seconds':>9}{'processor':>11}{'MB memory':>11}{'MB disk':>9}")
    best = {side: min(taken) for side, taken in results.items()}
    for side, run in best.items():
        print(
            f"{side:<10}{run.seconds:>9.2f}{run.processor:>11.2f}{run.memory:>11.0f}"
            f"{run.disk:>9.1f}  {run.said}"
        )
    ratio = best["sequela"].seconds / best["polars"].seconds
    print(f"sequela / polars: {ratio:.2f} (target: at most 1.5)")
    if "pyhealth" in best:
        ratio = best["pyhealth"].seconds / best["sequela"].seconds
        print(f"pyhealth / sequela: {ratio:.0f} (target: at least 50)")
    else:
        print("PyHealth was left out: name an interpreter that has it with --pyhealth")


def main() -> None:
    """Make the tables where they are missing, and compare; or be one side."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--scale", type=int, default=1)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--pyhealth", default="")
    arguments.add_argument("--side", choices=SIDES)
    arguments.add_argument("--out", type=Path)
    given = arguments.parse_args()
    if given.side:
        run_side(given.side, given.folder, given.out)
        return
    if not (given.folder / "ADMISSIONS.csv.gz").exists():
        maker = Path(__file__).with_name("make_mimic3_scale.py")
        scale = str(given.scale)
        subprocess.run(  # noqa: S603 (the script beside this one)
            [sys.executable, str(maker), str(given.folder), "--scale", scale], check=True
        )
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pythons = {"sequela": sys.executable, "polars": sys.executable}
    if given.pyhealth:
        pythons["pyhealth"] = given.pyhealth
    compare(given.folder, given.runs, pythons)


if __name__ == "__main__":
    main()
