"""Are a run's numbers those that its predictions give? Computed again wherever they are shown."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sequela.errors import RunError
from sequela.evaluation.metrics import reported
from sequela.evaluation.summary import summarise_parts
from sequela.runs.find import Run
from sequela.runs.folder import METRICS
from sequela.runs.folds import FOLDS, FoldsFolder, summarise_folds

_COUNTS = ("examples", "groups")
_AT_THRESHOLD = ("threshold", "sensitivity", "specificity", "precision", "f1", "alarm_rate")
_TOLERANCE = 1e-6
"""Another machine adds in another order; no number here is shown to more digits."""


def verify(run: Run, *, intervals: bool = False) -> None:
    """Make sure that the numbers of a run are those of its predictions.

    Every number of every part is computed again, and so are the means over folds.

    Args:
        run: A finished run, or folds.
        intervals: Whether to compute the intervals again too, which take a bootstrap.

    Raises:
        RunError: If a number is another: which file, which number, and what it should be.
        SplitError: If the predictions are not of the run's split.
    """
    for each in run.runs:
        found = summarise_parts(
            each.predictions,
            each.settings,
            recordings=each.data["classes_fixed"],
            intervals=intervals,
        )
        _refuse_differences(each.path / METRICS, each.metrics.get("parts"), found, "predictions")
    if isinstance(run, FoldsFolder):
        means = summarise_folds(run.runs)["test"] if intervals else _means(run)
        _refuse_differences(run.path / FOLDS, run.test, means, "folds")


def _means(run: FoldsFolder) -> dict[str, Any]:
    """The numbers over folds, from those of each fold; counts are of the first repeat."""
    tests = [each.test for each in run.runs]
    first = run.settings
    once = [
        n
        for n, each in enumerate(run.runs)
        if each.settings.fold < max(run.folds, 1) and each.settings.seed == first.seed
    ]
    found: dict[str, Any] = {name: sum(tests[n][name] for n in once) for name in _COUNTS}
    found |= _mean([m.key for m in reported()], tests)
    found["confusion"] = _summed([tests[n] for n in once])
    found["per_class_recall"] = np.nanmean(
        np.array([test["per_class_recall"] for test in tests], float), axis=0
    ).tolist()
    points = zip(*(test.get("operating_points", ()) for test in tests), strict=True)
    found["operating_points"] = [
        {**_mean(_AT_THRESHOLD, each), "confusion": _summed([each[n] for n in once])}
        for each in points
    ]
    return found


def _mean(names: Sequence[str], numbers: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of each number over the folds that have it."""
    had = {name: [n[name] for n in numbers if n.get(name) is not None] for name in names}
    return {name: float(np.mean(some)) for name, some in had.items() if some}


def _summed(numbers: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    total: list[list[int]] = np.sum([each["confusion"] for each in numbers], axis=0).tolist()
    return total


def _refuse_differences(path: Path, stated: Any, found: Any, given_by: str) -> None:
    different = next(_differences(stated, found), None)
    if different is None:
        return
    name, says, gives = different
    raise RunError(
        f"{path}: says {name or 'parts'} = {_short(says)}, but the {given_by} give "
        f"{_short(gives)}: the file was changed after the run; put the original back, or train "
        "again"
    )


def _differences(stated: Any, found: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, stated and found, wherever they differ; what is not computed again is not compared."""
    if isinstance(found, Mapping) and isinstance(stated, Mapping):
        metrics = {m.key for m in reported()}
        for key in {**found, **dict.fromkeys(metrics & stated.keys())}:
            # A metric may have been registered after the run, and few folds may have a number.
            if key in stated or not (key in metrics or key in _AT_THRESHOLD):
                yield from _differences(stated.get(key), found.get(key), f"{name} {key}".strip())
    elif isinstance(found, list) and isinstance(stated, list) and len(found) == len(stated):
        for n, (says, gives) in enumerate(zip(stated, found, strict=True)):
            yield from _differences(says, gives, f"{name}[{n}]")
    elif not _same(stated, found):
        yield name, stated, found


def _same(stated: Any, found: Any) -> bool:
    numbers = (int, float)
    if not isinstance(stated, numbers) or not isinstance(found, numbers):
        return bool(stated == found)
    return math.isclose(stated, found, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
