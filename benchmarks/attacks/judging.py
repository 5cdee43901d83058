"""Attacks on evaluation: known data, a chosen part, edited numbers."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench

from sequela.analysis.evaluate import evaluate_run
from sequela.api.signal_classifier import SignalClassifier
from sequela.config import CohortSettings, RunSettings
from sequela.errors import SequelaError
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.runs import fit
from sequela.runs.find import named_runs
from sequela.runs.folder import METRICS

_ASIDE = "_set_aside_as_trained_or_tuned_on"
_SEEDS = 5
_MISSED = "nothing is reported"


def _evaluated(run: Path, data: str, root: Path) -> Outcome:
    """Evaluate a run on its training data under other names."""
    try:
        numbers = evaluate_run(run, data=data, root=root)
    except SequelaError as error:
        return Outcome("blocked", str(error))
    counts = {name: n for name, n in numbers.items() if name.endswith(_ASIDE)}
    if any(counts.values()):
        return Outcome("blocked", f"{sum(counts.values())} set aside by evaluate")
    return Outcome("found", "a leak") if numbers["leaks"] else Outcome("missed", _MISSED)


def _renamed(bench: Bench) -> Outcome:
    """Renumber the recordings of each set in another order, from 500."""
    root = bench.write_recordings(bench.recordings, "trained on")
    settings = RunSettings(model="majority-class", data="bonn")
    run = fit.train(settings, bench.work / "runs" / "of recordings", root=root)
    other = {
        f"{id_[0]}{500 + n}": bench.recordings[id_]
        for n, id_ in enumerate(reversed(bench.recordings))
    }
    return _evaluated(run.path, "bonn", bench.write_recordings(other, "renamed"))


def _own_patients(bench: Bench) -> Outcome:
    """Write patients of MIMIC-III as a MEDS data set, with other ids and dates."""
    renamed = (
        "UPDATE planted SET subject_id = 90000000 - subject_id, visit_id = 90000000 - visit_id",
        "UPDATE planted SET time = time + INTERVAL 2 YEAR",
    )
    settings = RunSettings(
        model="prevalence",
        data="mimic3",
        split="subject",
        cohort=CohortSettings(task="in-hospital"),
    )
    run = fit.train(
        settings, bench.work / "runs" / "of records", root=bench.events("mimic3"), work=bench.work
    )
    return _evaluated(run.path, "meds", bench.plant("mimic3", "own patients", renamed))


def _trained_on(bench: Bench) -> Outcome:
    """Score a classifier on its training data."""
    X = np.stack([signal[:178] for signal in bench.recordings.values()]).astype(np.float32)
    y = np.array([id_[0] for id_ in bench.recordings])
    fitted = SignalClassifier("mlp-baseline", epochs=1, random_state=0).fit(
        X, y, groups=range(len(y))
    )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted.score(X, y)
    except SequelaError as error:
        return Outcome("blocked", str(error))
    said = [f"{each.category.__name__}: {each.message}" for each in caught]
    return Outcome("found", said[0]) if said else Outcome("missed", _MISSED)


def _edited(bench: Bench) -> Outcome:
    """Raise the accuracy in metrics.json to 99 %."""
    root = bench.write_recordings(bench.recordings, "edited")
    settings = RunSettings(model="majority-class", data="bonn")
    path = fit.train(settings, bench.work / "runs" / "edited", root=root).path
    metrics = json.loads((path / METRICS).read_text("utf-8"))
    metrics["parts"]["held_out"]["accuracy"] = 0.99
    (path / METRICS).write_text(json.dumps(metrics), "utf-8")
    shows: tuple[Callable[[], Path], ...] = (
        lambda: build(named_runs([path]), bench.work / "page.html"),
        lambda: build_card(named_runs([path])[0], bench.work / "card.md"),
    )
    refused = []
    for show in shows:
        try:
            show()
        except SequelaError as error:
            refused.append(str(error))
    return Outcome("blocked", refused[0]) if len(refused) > 1 else Outcome("missed", _MISSED)


def _seeds(bench: Bench) -> Sequence[Path]:
    """Train the same model on several splits."""
    root = bench.write_recordings(bench.recordings, "seeds")
    return [
        fit.train(
            RunSettings(model="majority-class", data="bonn", seed=seed),
            bench.work / "seeds" / f"seed-{seed}",
            root=root,
        ).path
        for seed in range(_SEEDS)
    ]


def _best_seed(bench: Bench) -> Outcome:
    """Evaluate several seeds, and show the page of the best."""
    paths = _seeds(bench)
    best = max(paths, key=lambda path: float(evaluate_run(path)["accuracy"]))
    page = build(named_runs([best]), bench.work / "best.html").read_text("utf-8")
    words = f"from {_SEEDS} seeds"
    return Outcome("found", "the page") if words in page else Outcome("missed", _MISSED)


ATTACKS = (
    Attack("trained recordings under other names, before evaluate", _renamed),
    Attack("own patients as a MEDS data set, before evaluate", _own_patients),
    Attack("a classifier judged on its training data", _trained_on),
    Attack("metrics.json edited by hand", _edited),
    Attack("the best of several seeds", _best_seed),
)
