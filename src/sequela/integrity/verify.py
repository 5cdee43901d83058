"""Verification of a finished run: its files, and its numbers before they are shown.

Files are compared with the manifest first. Then all numbers are computed again from the
predictions, which detects many forgeries with a new manifest. A forger could make all files
consistent.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sequela.errors import RunError, SequelaError
from sequela.evaluation import metrics
from sequela.evaluation.metrics import OURS, reported
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import summarise_parts
from sequela.runs.find import SIMPLE, Run, find_runs, is_run, open_run
from sequela.runs.folder import COST, METRICS, UNCHANGED, RunFolder
from sequela.runs.folds import FOLDS, FoldsFolder
from sequela.runs.manifest import MANIFEST, changes
from sequela.runs.model import members_of
from sequela.runs.recipe import bootstrap_of, effect_of_update, summarise_runs
from sequela.training.history import kept_epoch
from sequela.version import __version__

_LATER = {"group_differences"}  # keys that runs of earlier versions do not have
_TOLERANCE = 1e-6  # largest relative difference: another machine adds in another order


def verify(run: Run, *, intervals: bool = False) -> None:
    """Make sure that a run's files were not changed, and that its numbers match them.

    Every number of every set, and every mean over folds, is computed again from the predictions.
    Cost and time are compared with the cost account and the history.
    """
    run.require_complete()
    checked: set[bool] = vars(run).setdefault("_checked", set())  # as files are hashed once
    if intervals in checked:
        return
    for folder in run.runs:
        # The bootstrap takes most of the time, and is needed only by `sequela verify`.
        numbers = summarise_parts(
            folder.predictions,
            folder.settings,
            recordings=folder.data.classes_fixed,
            intervals=intervals,
            attributes=folder.attributes if intervals else None,
        )
        path = folder.path / METRICS
        words = same_words(folder)
        _refuse_differences(path, folder.metrics.parts, numbers, "predictions", words=words)
        for file, facts in _facts(folder).items():
            stated = {name: folder.metrics.get(name) for name in facts}
            _refuse_differences(path, stated, facts, file, words=words)
        if folder.metrics.update:
            before, seed = Predictions.read(folder.path / UNCHANGED), folder.settings.seed
            sides, how = (before, folder.predictions), bootstrap_of(folder)
            effect = effect_of_update(*sides, seed if intervals else None, how)
            _refuse_differences(path, folder.metrics.update, effect, "predictions", words=words)
    if isinstance(run, FoldsFolder):
        summary = summarise_runs(run.runs, intervals=intervals)
        path, words = run.path / FOLDS, same_words(run)
        _refuse_differences(path, run.test, summary.pop("test"), "folds", words=words)
        stated = {name: run.summary.get(name) for name in summary}
        _refuse_differences(path, stated, summary, "folds", words=words)
    checked.add(intervals)


@dataclass(frozen=True)
class Verification:
    """Sentences on what agrees in a run, and on what is wrong."""

    path: Path
    agrees: tuple[str, ...]
    wrong: tuple[str, ...]


def verify_folder(path: Path) -> Iterator[Verification]:
    """Verify a run, or the runs in a folder, one after the other; see :func:`verify_run`.

    A folder of runs with its own manifest, such as a study, is compared with it too.
    """
    runs = find_runs([path], check=False)
    if (path / MANIFEST).exists() and runs[0].path != path:
        paths = tuple(run.path for run in runs)
        wrong = [
            str(change)
            for change in changes(path)
            if not any(change.path.is_relative_to(folder) for folder in paths)
        ]
        agrees = () if wrong else (f"all files next to the runs match {MANIFEST}",)
        yield Verification(path, agrees, tuple(wrong))
    for run in runs:
        yield verify_run(run)
        if is_run(run.path / SIMPLE):
            yield verify_run(open_run(run.path / SIMPLE))


def verify_run(run: Run) -> Verification:
    """Compare each file with the manifest, then each number, intervals included, with predictions.

    The second step is skipped if the first one found a difference.
    """
    agrees: list[str] = []
    wrong: list[str] = []
    try:
        wrong += map(str, changes(run.path))
        if not wrong:
            agrees.append(f"all files match {MANIFEST}")
            verify(run, intervals=True)
            plugins = _of_plugins(run)
            names = f", but for {', '.join(plugins)} (of a plugin that is not loaded)"
            agrees.append(f"all numbers match the predictions{names if plugins else ''}")
    except SequelaError as error:
        wrong.append(str(error))
    return Verification(run.path, tuple(agrees), tuple(wrong))


def _of_plugins(run: Run) -> list[str]:
    """Return the metrics of a run that this process does not have, so that it verifies none."""
    keys: set[str] = set()
    for folder in run.runs:
        keys.update(*folder.metrics.parts.values())
    with_interval = {key.removesuffix("_ci") for key in keys if key.endswith("_ci")}
    return sorted(with_interval - {metric.key for metric in metrics.METRICS.values()})


def same_words(run: Run) -> bool:
    """Return whether this version wrote a run: another one may have worded sentences otherwise."""
    return bool(run.environment.get("sequela") == __version__)


def _facts(run: RunFolder) -> dict[str, dict[str, object]]:
    facts: dict[str, dict[str, object]] = {}
    if (run.path / COST).exists():
        cost = run.json(COST)
        # The cost account of an ensemble with a baseline model is a lower bound.
        bound = bool(members_of(run.settings)) and run.metrics.get("operations") is None
        names = ("parameters",) if bound else ("parameters", "operations", "macs")
        facts[COST] = {name: cost.get(name) for name in names}
    if history := run.history:
        facts["history"] = {
            "epochs": max(record.epoch for record in history),
            "best_epoch": kept_epoch(history, run.settings.training.keep),
        }
        if not run.settings.training.refit:  # a refit has no history
            facts["history"]["train_seconds"] = sum(record.seconds for record in history)
    return facts


def _refuse_differences(
    path: Path, stated: object, computed: object, source: str, *, words: bool
) -> None:
    # The first difference is enough: a changed file often has many.
    if different := next(differences(stated, computed, words=words), None):
        raise RunError(f"{path}: {in_words(different, source)}")


def in_words(difference: tuple[str, object, object], source: str) -> str:
    """Describe a difference: the value of a file, the computed value, and what to do."""
    name, value, computed = difference
    give = "give" if source.endswith("s") else "gives"
    return (
        f"has {name or 'parts'} = {_short(value)}, but the {source} {give} {_short(computed)}: the "
        "file was changed after the run; put the original back, or train again"
    )


def differences(
    stated: object, computed: object, name: str = "", *, words: bool
) -> Iterator[tuple[str, object, object]]:
    """Yield name, stated and computed value of each difference; texts only if ``words``."""
    if isinstance(computed, Mapping) and isinstance(stated, Mapping):
        keys = {m.key for m in reported()}
        for key in {**computed, **dict.fromkeys(keys & stated.keys())}:
            # A metric of the user's own may have been registered after the run.
            if key in stated or key not in keys - OURS | _LATER:
                path = f"{name} {key}".strip()
                yield from differences(stated.get(key), computed.get(key), path, words=words)
    elif isinstance(computed, list) and isinstance(stated, list) and len(computed) == len(stated):
        for n, (value, computed_value) in enumerate(zip(stated, computed, strict=True)):
            yield from differences(value, computed_value, f"{name}[{n}]", words=words)
    elif not _same(stated, computed) and (words or not isinstance(stated, str)):
        yield name, stated, computed


def _same(stated: object, computed: object) -> bool:
    numbers = (int, float)
    # NaN is equal to nothing, but files hold null in its place, so this compares as expected.
    if not isinstance(stated, numbers) or not isinstance(computed, numbers):
        return bool(stated == computed)
    return math.isclose(stated, computed, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
