"""How the AUROC on MIMIC-III grows with the number of patients that a model learns from.

The demo has 100 patients. Five folds are drawn as often as asked; each model learns from a fifth to
seven tenths of the patients, and each is judged on the same held-out folds. What it does not learn
from is its tuning part, so networks are not refitted on it. The held-out numbers open each split.

    python benchmarks/accuracy/learning_curve.py --repeats 5
    python benchmarks/accuracy/learning_curve.py --tasks in-hospital --models logistic-regression

``report-2019`` leaks: it reads codes that are assigned after the outcome is known.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from sequela.runs.folds import FoldsFolder
from sequela.runs.openings import open_held_out
from sequela.runs.pool import PlannedRun
from sequela.studies.settings import run_settings

TASKS = ("report-2019", "in-hospital")
MODELS = (
    "logistic-regression",
    "boosting",
    "visits-baseline",
    "visits-improved",
    "visits-attention",
)
SHARES = (0.2, 0.4, 0.6, 0.7)
HELD_OUT = 0.2
FOLDS = 5


def point(task: str, model: str, share: float, repeats: int, out: Path) -> dict[str, Any]:
    """One model of so many patients: held-out AUROC, its interval, and patients to learn from."""
    asked = run_settings(
        model, "mimic3", records={"task": task}, training={"refit": False}
    ).model_copy(update={"fractions": (share, 1 - HELD_OUT - share, HELD_OUT)})
    planned = PlannedRun(out / task / f"{model}-{share:g}", asked, FOLDS, repeats=repeats)
    planned.train(resume=True)
    run = FoldsFolder(planned.path)
    open_held_out(run, "evaluate")
    return {
        "patients": run.first.metrics["data"]["parts"]["train"]["subjects"],
        "auroc": run.test["auroc"],
        "ci": run.test["auroc_ci"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=TASKS)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--out", type=Path, default=Path("learning-curve"))
    parser.add_argument("--repeats", type=int, default=5)
    said = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for task in said.tasks:
        for model in said.models:
            points = found.setdefault(task, {}).setdefault(model, [])
            for share in SHARES:
                points.append(point(task, model, share, said.repeats, said.out))
                one = points[-1]
                low, high = one["ci"]
                print(
                    f"{task}, {model}, {one['patients']} patients: {one['auroc']:.3f} "
                    f"({low:.3f} to {high:.3f})",
                    flush=True,
                )
    (said.out / "learning_curve.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
