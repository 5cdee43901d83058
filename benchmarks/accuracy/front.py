"""The best spectral network at each budget of operations, found by a search: ``front.json``.

The search is nested. All that is chosen (features, hidden layers, members) is chosen by the loss on
the validation set of one split, which no reported number uses. Then the best network within each
budget is trained in five folds of the usual deal, and its test sets are opened once.

    python -m benchmarks.accuracy.front                     # search, then five folds
    python -m benchmarks.accuracy.front --trials 200

Interrupted, the command goes on where it was. It writes ``front.json`` next to this file and
``docs/pictures/front.svg``. One process, one thread.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import optuna
import torch
from benchmarks.accuracy.run import FOLDS, commit, entry
from optuna.storages.journal import JournalFileBackend

from sequela.config import RunSettings
from sequela.cost import account
from sequela.figures.pareto import accuracy_against_operations
from sequela.integrity.openings import open_held_out
from sequela.models.registry import lookup_network
from sequela.runs import signals
from sequela.runs.data import Examples
from sequela.runs.folds import FoldsFolder
from sequela.runs.pool import PlannedRun
from sequela.studies.settings import run_settings
from sequela.training.fit import fit
from sequela.training.history import best_epoch
from sequela.training.totals import correct

HERE = Path(__file__).parent
PICTURE = HERE.parent.parent / "docs" / "pictures" / "front.svg"
MODEL = "spectral-mlp"
BUDGETS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SEARCHED_SPLIT = 101
"""Seed of the split that the search sees; the five folds are drawn with another."""
SEARCH = {"epochs": 10, "batch_size": 128, "average": 0.98, "learning_rate": 8e-3, "refit": False}
LAGS = (1, 2, 3, 4, 6, 8, 12, 16)
STARTS: Sequence[dict[str, Any]] = (
    {"window": 24, "windows": 1, "first": 0},
    {"window": 32, "windows": 1, "first": 8},
    {"window": 64, "windows": 4, "lags": 1, "first": 32},
    {"tapers": 4, "cepstrum": 20, "lags": 8, "first": 128, "second": 64},
    {"tapers": 4, "cepstrum": 20, "lags": 8, "autocorrelation": 40, "reflections": 12}
    | {"envelopes": 11, "quantiles": 13, "first": 128, "second": 64, "members": 6, "share": 0.5},
)
"""What the search tries first: ``config_of`` says what is meant; what is left out is least."""
LEAST: dict[str, Any] = {
    "tapers": 1,
    "bandwidth": 1.5,
    "windows": 1,
    "window": 0,
    "bands": 0,
    "cepstrum": 0,
    "autocorrelation": 0,
    "lags": 0,
    "reflections": 0,
    "envelopes": 0,
    "quantiles": 0,
    "first": 0,
    "second": 0,
    "members": 1,
    "share": 1.0,
}
CHOICES: dict[str, Sequence[Any]] = {
    "tapers": (1, 2, 3, 4),
    "bandwidth": (1.0, 1.5, 2.5),
    "windows": (1, 2, 3, 4, 5, 7),
    "window": (24, 32, 48, 64, 88, 120, 0),
    "bands": (0, 8, 16, 24, 32, 48),
    "cepstrum": (0, 10, 20),
    "autocorrelation": (0, 16, 40),
    "lags": tuple(range(len(LAGS) + 1)),
    "reflections": (0, 6, 12),
    "envelopes": (0, 6, 11),
    "quantiles": (0, 7, 13),
    "first": (0, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    "second": (0, 16, 32, 64, 128),
    "members": (1, 2, 4, 6, 8),
    "share": (0.5, 0.7, 1.0),
}


def config_of(drawn: dict[str, Any]) -> dict[str, Any]:
    """Settings of the model, from what was drawn."""
    hidden = [units for units in (drawn["first"], drawn["second"]) if units]
    rest = {name: drawn[name] for name in LEAST if name not in ("first", "second")}
    lags = list(LAGS[: drawn["lags"]])
    return {**rest, "lags": lags, "hidden": hidden}


def operations_of(config: dict[str, Any]) -> int:
    """Operations of one segment."""
    network = lookup_network(MODEL)
    return account(network.build(network.config(**config)), (torch.zeros(1, 1, 178),)).operations


def tuning_loss(config: dict[str, Any], data: Examples) -> tuple[float, float]:
    """Loss and accuracy on the validation set, after a short training on the training set."""
    network = lookup_network(MODEL)
    given = data.inputs(network.reads)
    torch.manual_seed(0)
    how = network.training.model_copy(update=SEARCH)
    train = given.loader("train", how.batch_size, torch.Generator().manual_seed(0), how)
    model = network.build(network.config(**config))
    history = fit(model, train, given.loader("tuning", 1024), how, metrics={"accuracy": correct})
    best = next(r for r in history if r.part == "tuning" and r.epoch == best_epoch(history))
    return best.loss, best.metrics["accuracy"]


def search(data: Examples, trials: int, path: Path) -> optuna.Study:
    """Loss and operations, both as low as can be."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="front",
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(path / "search.jsonl"))),
        load_if_exists=True,
        directions=("minimize", "minimize"),
        sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
    )
    if not study.trials:
        for start in STARTS:
            study.enqueue_trial({**LEAST, **start})

    def judged(trial: optuna.Trial) -> tuple[float, float]:
        drawn = {name: trial.suggest_categorical(name, CHOICES[name]) for name in CHOICES}
        config = config_of(drawn)
        operations = operations_of(config)
        loss, accuracy = tuning_loss(config, data)
        for name, value in (("operations", operations), ("accuracy", accuracy), ("config", config)):
            trial.set_user_attr(name, value)
        print(f"{trial.number}: {loss:.4f}, {accuracy:.1%}, {operations:,}", flush=True)
        return loss, float(torch.tensor(operations).log10())

    done = sum(trial.state.is_finished() for trial in study.trials)
    study.optimize(judged, n_trials=max(trials - done, 0))
    return study


def chosen(study: optuna.Study, budget: int) -> optuna.trial.FrozenTrial | None:
    """The trial with the lowest validation loss within a budget, if one is within."""
    state = (optuna.trial.TrialState.COMPLETE,)
    within = [
        trial
        for trial in study.get_trials(states=state)
        if trial.user_attrs["operations"] <= budget
    ]
    return min(within, key=lambda trial: trial.values[0]) if within else None


def judged_once(trial: optuna.trial.FrozenTrial, path: Path) -> dict[str, Any]:
    """Held-out figures of a chosen network, over five folds."""
    settings = run_settings(MODEL, "bonn", records={}, training={})
    settings = settings.model_copy(update={"model_settings": trial.user_attrs["config"]})
    planned = PlannedRun(path, settings, FOLDS)
    planned.train(resume=True)
    run = FoldsFolder(planned.path)
    open_held_out(run, "evaluate")
    return {
        "trial": trial.number,
        "config": trial.user_attrs["config"],
        "tuning": {"loss": trial.values[0], "accuracy": trial.user_attrs["accuracy"]},
        **entry(run, "accuracy"),
        "recording_accuracy": run.test["recording_accuracy"],
        "recording_accuracy_ci": run.test["recording_accuracy_ci"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("front"))
    parser.add_argument("--trials", type=int, default=120)
    said = parser.parse_args()
    torch.set_num_threads(1)
    said.out.mkdir(parents=True, exist_ok=True)
    settings = RunSettings(model=MODEL, data="bonn", split_seed=SEARCHED_SPLIT, folds=FOLDS)
    study = search(signals.load(settings, None), said.trials, said.out)
    found: dict[str, Any] = {}
    for budget in BUDGETS:
        if (trial := chosen(study, budget)) is None:
            print(f"{budget:,} operations: no network of the search is within")
            continue
        one = judged_once(trial, said.out / f"trial-{trial.number}")
        found[str(budget)] = one
        low, high = one["ci"]
        print(f"{budget:,} operations: {one['accuracy']:.3f} ({low:.3f} to {high:.3f})", flush=True)
    made = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}, one thread",
        "commit": commit(),
        "trials": len(study.trials),
    }
    written = json.dumps({"budgets": found, "made": made}, indent=1)
    (HERE / "front.json").write_text(written + "\n", encoding="utf-8")
    once = {one["trial"]: one for one in found.values()}
    rows = [
        {"model": f"{one['operations']:,}", "operations": one["operations"]}
        | {"accuracy": one["accuracy"], "low": one["ci"][0], "high": one["ci"][1]}
        for one in once.values()
    ]
    accuracy_against_operations(rows).save(PICTURE)


if __name__ == "__main__":
    main()
