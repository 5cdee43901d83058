"""Write examples of PyHealth's tasks with its own splits, for ``sequela audit``.

PYTHON of_pyhealth.py ROOT FOLDER: for an environment with PyHealth; ROOT has the tables of
MIMIC-III (the open demonstration will do). Writes one table for each task and split to FOLDER: a
column for each code of a visit, the patient, the visit, the label and the part.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]

TASKS = {
    "LengthOfStayPredictionMIMIC3": "los",
    "MortalityPredictionMIMIC3": "mortality",
    "ReadmissionPredictionMIMIC3": "readmission",
}
SPLITS = ("split_by_patient", "split_by_visit", "split_by_sample")
CODES = ("conditions", "procedures", "drugs")


def row(sample: Any, label: str, part: str) -> dict[str, Any]:
    """Return a sample as a row: 1 for each code that it has."""
    visit = sample.get("visit_id", sample.get("hadm_id"))
    facts = {"patient_id": sample["patient_id"], "visit_id": visit, "split": part}
    codes = {f"{kind} {int(c)}": 1 for kind in CODES for c in sample[kind].ravel() if c}
    return {**facts, label: int(sample[label]), **codes}


def main() -> None:
    """Write the tables."""
    datasets, tasks = (import_module(f"pyhealth.{name}") for name in ("datasets", "tasks"))
    root, out = sys.argv[1], Path(sys.argv[2])
    tables = ["diagnoses_icd", "procedures_icd", "prescriptions"]
    data = datasets.MIMIC3Dataset(root=root, tables=tables, cache_dir=str(out / "cache"))
    for name, label in TASKS.items():
        task = getattr(tasks, name)
        options = {"exclude_minors": False} if name.startswith("Readmission") else {}
        samples = data.set_task(task(**options), num_workers=1)
        for split in SPLITS:
            parts = getattr(datasets, split)(samples, [0.8, 0.1, 0.1], seed=0)
            pairs = zip(("train", "validation", "test"), parts, strict=True)
            rows = [row(each[i], label, part) for part, each in pairs for i in range(len(each))]
            frame = pd.DataFrame(rows)
            codes = [c for c in frame if c.startswith(CODES)]
            frame[codes] = frame[codes].fillna(0).astype("int8")
            frame.to_parquet(out / f"{name} {split}.parquet")


if __name__ == "__main__":
    main()
