"""How near honest data come to the bounds of the audit: what small models and single codes tell.

Run ``python benchmarks/audit_bounds.py`` with the open data under ``$SEQUELA_DATA``. Each line is a
cohort; an AUROC that chance could reach with as few subjects is 0.5. The last lines are the
greatest, and how far apart the classes are in single measurements.
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import norm

from sequela.audit import tells
from sequela.audit.overlaps import area
from sequela.cohort.split import PARTS
from sequela.errors import SequelaError
from sequela.runs.audit import audit
from sequela.runs.data import Examples
from sequela.runs.records import load
from sequela.sequences.leaks import small_models
from sequela.sequences.tables import bag_of_codes, summary_table
from sequela.studies.settings import run_settings

FOLDERS = {
    "eicu": "eicu-demo",
    "mimic3": "mimic3-demo",
    "mimic4": "mimic4-demo",
    "physionet2012": "physionet2012",
}
_RARE = 20  # patients with and without the event, and values, that a measurement needs
TASKS = ("in-hospital", "post-discharge", "readmission-30d", "length-of-stay-7d", "icu-transfer")
ASKED: tuple[dict[str, Any], ...] = ({}, {"inputs": (), "tables": ()})


def measured(data: Examples) -> list[float]:
    """The AUROC of each small model, and the greatest of the presence of one code."""
    sequences, label = data.arrays, data.labels
    present = csr_array(bag_of_codes(sequences, np.arange(len(sequences)), "presence"))
    rows = np.flatnonzero(data.part != PARTS.index("held_out"))
    told = [
        tells.told(m.table, label[rows], sequences.subject_id[rows], least=0.5, model=m.model)
        for m in small_models(sequences, present, rows)
    ]
    shares = [np.asarray(present[label == one].mean(axis=0)).ravel() for one in (0, 1)]
    return [*(auroc or 0.5 for auroc in told), (1 + np.abs(shares[1] - shares[0]).max()) / 2]


def separations(data: Examples) -> list[float]:
    """The distance of the classes, in deviations, of each measurement that enough patients have."""
    sequences, label = data.arrays, data.labels
    values = np.asarray(summary_table(sequences, np.arange(len(sequences)))[:], np.float64)
    distances = []
    for column in values.T:
        known = np.isfinite(column)
        events = label[known].sum()
        if _RARE < events < known.sum() - _RARE and len(np.unique(column[known])) > _RARE:
            auroc = area(label[known], column[known])
            distances.append(float(np.sqrt(2) * norm.ppf(max(auroc, 1 - auroc))))
    return distances


def main() -> None:
    """Print a line for each cohort, then the greatest of each number."""
    apart: list[float] = []
    root, all_found = Path(os.environ["SEQUELA_DATA"]), []
    print("counts and times, tree, logistic regression, one code; seconds of the audit")
    with TemporaryDirectory() as work:
        for name, folder in FOLDERS.items():
            for task in TASKS:
                for said in ASKED:
                    for seed in (0, 1):
                        records = {"task": task, **said}
                        asked = run_settings(
                            "prevalence", name, seed=seed, records=records, training={}
                        )
                        try:
                            data = load(asked, root / folder, Path(work))
                        except SequelaError:  # the data cannot answer the task
                            continue
                        found = measured(data)
                        all_found.append(found)
                        if said and seed == 0:
                            apart += separations(data)
                        started = time.process_time()
                        audit(data)
                        seconds = time.process_time() - started
                        numbers = " ".join(f"{each:.3f}" for each in found)
                        what = "everything" if said else "the study's inputs"
                        print(f"{numbers}  {seconds:.2f}  {name} {task}, {what}, seed {seed}")
    print(" ".join(f"{each:.3f}" for each in np.max(all_found, axis=0)) + "  greatest")
    distances = f"{np.mean(apart):.3f} deviations apart, {max(apart):.2f} at most"
    print(f"{len(apart)} measurements, {distances}")


if __name__ == "__main__":
    main()
