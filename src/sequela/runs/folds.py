"""Cross-validation by subject: a run for each fold, and what they say together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import RunSettings
from sequela.errors import RunError, SettingError
from sequela.evaluation.comparison import repeated_folds
from sequela.evaluation.metrics import reported
from sequela.evaluation.predictions import Predictions, joined
from sequela.runs import fit
from sequela.runs.folder import RunFolder, work_beside

FOLDS = "folds.json"
OnRun = Callable[[RunFolder, int, int], None]
"""Called with each finished fold, how many are finished, and how many there are."""


@dataclass(frozen=True)
class FoldsFolder:
    """The folder of a cross-validation: ``fold-00/``..., each the folder of a run, and a summary.

    Attributes:
        path: The folder.
    """

    path: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the folds say together (``folds.json``).

        Raises:
            RunError: If it is missing or damaged.
        """
        return RunFolder(self.path).json(FOLDS)

    @cached_property
    def runs(self) -> list[RunFolder]:
        """The runs, fold by fold."""
        return [RunFolder(self.path / name) for name in self.summary["runs"]]

    @property
    def first(self) -> RunFolder:
        """The first fold's run, which tells what all share."""
        return self.runs[0]

    @property
    def folds(self) -> int:
        """Into how many folds the data are divided."""
        return self.settings.folds

    @property
    def repeats(self) -> int:
        """How many times the cross-validation is repeated."""
        return len(self.runs) // self.folds

    @property
    def settings(self) -> RunSettings:
        """Those of the first fold."""
        return self.first.settings

    @property
    def metrics(self) -> dict[str, Any]:
        """Those of the first fold: cost and data are alike in all."""
        return self.first.metrics

    @property
    def data(self) -> dict[str, Any]:
        """The runs' description of their data."""
        return self.first.data

    @property
    def environment(self) -> dict[str, Any]:
        """Where it ran."""
        return self.first.environment

    @property
    def test(self) -> dict[str, Any]:
        """The held-out numbers, each the mean over the folds."""
        numbers: dict[str, Any] = self.summary["test"]
        return numbers

    @property
    def tuning(self) -> dict[str, Any]:
        """The numbers of the tuning parts: means over all folds, and counts of the first."""
        parts = [run.tuning for run in self.runs]
        had = [m.key for m in reported() if all(each.get(m.key) is not None for each in parts)]
        recalls = np.array([each["per_class_recall"] for each in parts], float)
        return {
            **{key: float(np.mean([each[key] for each in parts])) for key in had},
            "examples": parts[0]["examples"],
            "groups": parts[0]["groups"],
            "per_class_recall": recalls.mean(axis=0).tolist(),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What one fold's model costs, and how long all were trained."""
        return {
            **self.first.facts,
            "train_seconds": self.summary["train_seconds"],
            "epochs": max(run.metrics["epochs"] for run in self.runs),
            "best_epoch": float(np.median([run.metrics["best_epoch"] for run in self.runs])),
        }

    @property
    def split_ids(self) -> Any:
        """The hashed ids of each part of each fold: folds that share them can be compared."""
        return [run.split.ids for run in self.runs]

    def describe_split(self) -> dict[str, Any]:
        """The folds, and how many ids stand in two parts of one."""
        shared: dict[str, dict[str, int]] = {}
        for each in self.runs:
            for kind, pairs in each.split.shared().items():
                for pair, n in pairs.items():
                    shared.setdefault(kind, {}).setdefault(pair, 0)
                    shared[kind][pair] += n
        first = self.first.describe_split()
        return {
            **first,
            "folds": self.folds,
            "repeats": self.repeats,
            "ids_in_two_parts": shared,
        }

    def require_complete(self) -> None:
        """Make sure that all folds are finished."""
        for each in self.runs:
            each.require_complete()

    @cached_property
    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Who the examples of the predictions are, where that is known."""
        place = {id_: i for i, id_ in enumerate(self.first.predictions.example_id.tolist())}
        order = [place[id_] for id_ in self.predictions.example_id.tolist()]
        return {name: values[order] for name, values in self.first.attributes.items()}

    @cached_property
    def predictions(self) -> Predictions:
        """Each example once, as the model of the fold that held it out saw it (first repeat)."""
        return joined([each.predictions.part("held_out") for each in self.runs[: self.folds]])


def cross_validate(
    settings: RunSettings,
    out: Path,
    *,
    folds: int,
    repeats: int = 1,
    root: Path | None = None,
    work: Path | None = None,
    resume: bool = False,
    on_epoch: fit.OnEpoch = lambda _: None,
    on_run: OnRun = lambda *_: None,
) -> FoldsFolder:
    """Hold out each fold once, ``repeats`` times, with a run for each.

    Within a fold a tuning part is drawn from what is not held out; all that is chosen (the epoch,
    the threshold, a penalty) is chosen on it, so that the choice is nested in the fold.

    Args:
        settings: Of each run.
        out: Folder for the runs and the summary.
        folds: At least 2.
        repeats: How many times the cross-validation is repeated.
        root: Folder or file of the data (default: the usual search path).
        work: As in :func:`sequela.runs.fit.train`.
        resume: Continue what the folder holds.
        on_epoch: Called with the history of the fold after each of its epochs.
        on_run: Called after each fold.

    Raises:
        SettingError: If there are fewer than two folds or no repeat.
        SequelaError: As :func:`sequela.runs.fit.train`.
    """
    if folds < 2 or repeats < 1:  # noqa: PLR2004
        raise SettingError(
            f"{folds} fold(s) and {repeats} repeat(s): cross-validation needs 2 folds and 1 repeat"
        )
    wanted = fold_runs(settings, out, folds, repeats)
    check_free(out, wanted, resume=resume)
    done = []
    with work_beside(out, work) as made:  # the events are built once for all folds
        for path, each in wanted:
            done.append(
                fit.train(each, path, root=root, work=made, resume=resume, on_epoch=on_epoch)
            )
            on_run(done[-1], len(done), len(wanted))
    RunFolder(out).write(FOLDS, summarise_folds(done))
    return FoldsFolder(out)


def check_free(out: Path, wanted: list[tuple[Path, RunSettings]], *, resume: bool) -> None:
    """Make sure that folds may be written here: nothing is there, or folds to continue.

    Args:
        out: Folder of the folds.
        wanted: See :func:`fold_runs`.
        resume: Whether to continue what is there.

    Raises:
        RunError: If something else is there, or folds of other settings.
    """
    begun = wanted[0][0].is_dir()
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (resume and begun):
        hint = "continue it with --resume or choose" if begun else "choose"
        raise RunError(f"{out}: is not empty; {hint} another --out")
    if begun:
        for path, settings in wanted:
            RunFolder(path).check_free(settings, resume=True)


def fold_runs(
    settings: RunSettings, out: Path, folds: int, repeats: int
) -> list[tuple[Path, RunSettings]]:
    """Where the run of each fold stands, and its settings."""
    return [
        (out / f"fold-{n:02d}", settings.model_copy(update={"folds": folds, "fold": n}))
        for n in range(folds * repeats)
    ]


def summarise_folds(runs: list[RunFolder]) -> dict[str, Any]:
    """The mean of each held-out number over the folds, with the interval of Nadeau and Bengio."""
    tests = [run.metrics["parts"]["held_out"] for run in runs]
    first = runs[0]
    sizes = [each.sizes for each in runs]
    return {
        "model": first.settings.model,
        "folds": first.settings.folds,
        "repeats": len(runs) // first.settings.folds,
        "runs": [run.path.name for run in runs],
        "train_seconds": sum(run.metrics["train_seconds"] for run in runs),
        "test": {
            **_means(
                {m.key: [test.get(m.key) for test in tests] for m in reported()},
                sizes,
                {m.key: m.bounds for m in reported()},
            ),
            "examples": sum(test["examples"] for test in tests[: first.settings.folds]),
            "groups": sum(test["groups"] for test in tests[: first.settings.folds]),
            "confusion": _summed([test["confusion"] for test in tests[: first.settings.folds]]),
            "per_class_recall": np.nanmean(
                [test["per_class_recall"] for test in tests], axis=0
            ).tolist(),
            "interval": {
                "level": 0.95,
                "method": f"t over {len(runs)} folds, corrected for shared training data "
                "(Nadeau-Bengio)",
            },
            "operating_points": [
                _operation([test["operating_points"][which] for test in tests], sizes, first)
                for which in range(2 * ("operating_points" in tests[0]))
            ],
        },
    }


def _operation(
    points: list[Mapping[str, Any]], sizes: list[tuple[int, int]], first: RunFolder
) -> dict[str, Any]:
    names = ("sensitivity", "specificity", "precision", "f1", "alarm_rate")
    once = points[: first.settings.folds]
    return {
        "threshold": float(np.mean([point["threshold"] for point in points])),
        "chosen_for": points[0]["chosen_for"],
        "confusion": _summed([point["confusion"] for point in once]),
        **_means({name: [point[name] for point in points] for name in names}, sizes, {}),
    }


def _means(
    values: Mapping[str, list[float | None]],
    sizes: list[tuple[int, int]],
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    """Mean and interval of each number; a number that a fold lacks is left out of the mean."""
    found: dict[str, Any] = {}
    for name, given in values.items():
        there = [(v, size) for v, size in zip(given, sizes, strict=True) if v is not None]
        if len(there) < 2:  # noqa: PLR2004
            continue
        mean = repeated_folds([v for v, _ in there], [size for _, size in there])
        low, high = mean.interval.low, mean.interval.high
        least, most = bounds.get(name, (0.0, 1.0))  # numbers at a threshold are shares
        found[name] = mean.value
        found[f"{name}_ci"] = [max(low, least), min(high, most)]
        found[f"{name}_folds"] = len(there)
    return found


def _summed(tables: list[list[list[int]]]) -> list[list[int]]:
    total: list[list[int]] = np.sum(tables, axis=0).tolist()
    return total
