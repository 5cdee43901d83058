"""How much better models become with more recordings or patients to learn from.

Five folds are drawn as often as asked; each model learns from an eighth to seven tenths of the
sessions or patients, and each is evaluated on the same test folds. What it does not learn from
is its tuning part, so networks are not refitted on it. Each test set is opened once.

    python benchmarks/accuracy/learning_curve.py --repeats 5
    python benchmarks/accuracy/learning_curve.py --tasks bonn --models spectral-mlp

They are written to ``learning_curve.json`` next to this file; interrupted, the command goes on.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sequela.config import Options
from sequela.integrity.openings import open_held_out
from sequela.runs.folds import FoldsFolder
from sequela.runs.pool import PlannedRun
from sequela.studies.settings import run_settings

TASKS: Mapping[str, Sequence[str]] = {
    "bonn": ("spectral-logistic-regression", "spectral-mlp-small", "spectral-mlp"),
    "physionet2012": ("summaries-boosting", "values-lstm"),
}
"""The models of segments of EEG, and of death in the stay at 48 hours."""
SHARES = {"bonn": (0.2, 0.4, 0.6, 0.7), "physionet2012": (0.125, 0.25, 0.5, 0.7)}
"""Of all sessions or patients; the validation set has at least a tenth."""
HELD_OUT = 0.2
FOLDS = 5


def point(task: str, model: str, share: float, repeats: int, out: Path) -> dict[str, Any]:
    """Test-set number of a model that learnt from so much, its interval, and how much that was."""
    unit, metric = ("sessions", "accuracy") if task == "bonn" else ("patients", "auroc")
    settings = run_settings(model, task, Options.of(refit=False)).model_copy(
        update={"fractions": (share, 1 - HELD_OUT - share, HELD_OUT)}
    )
    planned = PlannedRun(out / task / f"{model}-{share:g}", settings, FOLDS, repeats=repeats)
    planned.train(resume=True)
    run = FoldsFolder(planned.path)
    open_held_out(run, "evaluate")
    found = run.test[metric], *run.test[f"{metric}_ci"]
    learnt_from = run.first.metrics["parts"]["train"]["groups"]
    print(f"{task}, {model}, {learnt_from} {unit}: %.3f (%.3f to %.3f)" % found, flush=True)
    return {unit: learnt_from, metric: found[0], "ci": found[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="*", help="those of the task by default")
    parser.add_argument("--out", type=Path, default=Path("learning-curve"))
    parser.add_argument("--repeats", type=int, default=1)
    said = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        task: {
            model: [point(task, model, share, said.repeats, said.out) for share in SHARES[task]]
            for model in said.models or TASKS[task]
        }
        for task in said.tasks
    }
    path = Path(__file__).parent / "learning_curve.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**before, **found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
