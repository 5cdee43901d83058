"""Check of a run's numbers against its files, before they are shown.

Files are compared with the manifest first. Then all numbers are computed again from the
predictions, which detects many forgeries with a new manifest. A forger could make all files
consistent.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sequela.errors import RunError
from sequela.evaluation.metrics import OURS, reported
from sequela.evaluation.summary import summarise_parts
from sequela.models.registry import ENSEMBLE
from sequela.runs.find import Run
from sequela.runs.folder import COST, METRICS, RunFolder
from sequela.runs.folds import FOLDS, FoldsFolder
from sequela.runs.recipe import summarise_runs
from sequela.training.history import kept_epoch
from sequela.version import __version__

_TOLERANCE = 1e-6
"""Largest relative difference: another machine adds in another order."""


def verify(run: Run, *, intervals: bool = False) -> None:
    """Make sure that a run's files were not changed, and that its numbers match them.

    Every number of every set, and every mean over folds, is computed again from the predictions.
    Cost and time are compared with the cost account and the history.
    """
    run.require_complete()
    checked: set[bool] = vars(run).setdefault("_checked", set())  # as files are hashed once
    if intervals in checked:
        return
    for each in run.runs:
        found = summarise_parts(
            each.predictions, each.settings, recordings=each.data.classes_fixed, intervals=intervals
        )
        path = each.path / METRICS
        words = same_words(each)
        _refuse_differences(path, each.metrics.parts, found, "predictions", words=words)
        for file, facts in _facts(each).items():
            stated = {name: each.metrics.get(name) for name in facts}
            _refuse_differences(path, stated, facts, file, words=words)
    if isinstance(run, FoldsFolder):
        said = summarise_runs(run.runs, intervals=intervals)
        path, words = run.path / FOLDS, same_words(run)
        _refuse_differences(path, run.test, said.pop("test"), "folds", words=words)
        stated = {name: run.summary.get(name) for name in said}
        _refuse_differences(path, stated, said, "folds", words=words)
    checked.add(intervals)


def same_words(run: Run) -> bool:
    """Return whether this version wrote a run: another one may have worded sentences otherwise."""
    return bool(run.environment.get("sequela") == __version__)


def _facts(run: RunFolder) -> dict[str, dict[str, object]]:
    """Return facts on cost and training from other files, by file."""
    found: dict[str, dict[str, object]] = {}
    if (run.path / COST).exists():
        cost = run.json(COST)
        # The cost account of an ensemble with a baseline model is a lower bound.
        bound = run.settings.model == ENSEMBLE and run.metrics.get("operations") is None
        names = ("parameters",) if bound else ("parameters", "operations", "macs")
        found[COST] = {name: cost.get(name) for name in names}
    if history := run.history:
        found["history"] = {
            "epochs": max(record.epoch for record in history),
            "best_epoch": kept_epoch(history, run.settings.training.keep),
        }
        if not run.settings.training.refit:  # a refit has no history
            found["history"]["train_seconds"] = sum(record.seconds for record in history)
    return found


def _refuse_differences(path: Path, stated: Any, found: Any, given_by: str, *, words: bool) -> None:
    if different := next(differences(stated, found, words=words), None):
        raise RunError(f"{path}: {in_words(different, given_by)}")


def in_words(difference: tuple[str, Any, Any], given_by: str) -> str:
    """Describe a difference: the value of a file, the computed value, and what to do."""
    name, says, gives = difference
    give = "give" if given_by.endswith("s") else "gives"
    return (
        f"has {name or 'parts'} = {_short(says)}, but the {given_by} {give} {_short(gives)}: the "
        "file was changed after the run; put the original back, or train again"
    )


def differences(
    stated: Any, found: Any, name: str = "", *, words: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, stated and computed value of each difference; texts only if ``words``."""
    if isinstance(found, Mapping) and isinstance(stated, Mapping):
        metrics = {m.key for m in reported()}
        for key in {**found, **dict.fromkeys(metrics & stated.keys())}:
            # A metric of the user's own may have been registered after the run.
            if key in stated or key not in metrics - OURS:
                path = f"{name} {key}".strip()
                yield from differences(stated.get(key), found.get(key), path, words=words)
    elif isinstance(found, list) and isinstance(stated, list) and len(found) == len(stated):
        for n, (says, gives) in enumerate(zip(stated, found, strict=True)):
            yield from differences(says, gives, f"{name}[{n}]", words=words)
    elif not _same(stated, found) and (words or not isinstance(stated, str)):
        yield name, stated, found


def _same(stated: Any, found: Any) -> bool:
    numbers = (int, float)
    if not isinstance(stated, numbers) or not isinstance(found, numbers):
        return bool(stated == found)
    return math.isclose(stated, found, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
