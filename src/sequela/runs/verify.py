"""Are a run's numbers those that its predictions give? Computed again wherever they are shown."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sequela.errors import RunError
from sequela.evaluation.metrics import reported
from sequela.evaluation.summary import summarise_parts
from sequela.runs.find import Run
from sequela.runs.folder import METRICS
from sequela.runs.folds import FOLDS, FoldsFolder
from sequela.runs.recipe import summarise_runs

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
        means = summarise_runs(run.runs, intervals=intervals)["test"]
        _refuse_differences(run.path / FOLDS, run.test, means, "folds")


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
            # A metric may have been registered after the run.
            if key in stated or key not in metrics:
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
