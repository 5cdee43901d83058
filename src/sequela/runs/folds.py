"""Cross-validation, or several seeds of one split: a run for each, and a summary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import RunSettings
from sequela.cost.ledger import Account
from sequela.errors import RunError, SettingError
from sequela.evaluation.metrics import reported
from sequela.evaluation.predictions import Predictions, joined
from sequela.files import held, is_leftover
from sequela.runs import fit
from sequela.runs.folder import CONFIG, NOTICE_TEXT, RunFolder, is_taken, work_beside
from sequela.runs.inside import folder_of_run
from sequela.runs.manifest import MANIFEST, NOTICE, require_unchanged, seal, unseal
from sequela.runs.recipe import mean_recalls, places, summarise_runs
from sequela.runs.shape import folds_of

FOLDS = "folds.json"
OnRun = Callable[[RunFolder, int, int], None]
"""A function of a finished fold, the number of finished folds and the number of all folds."""


@dataclass(frozen=True)
class FoldsFolder:
    """The folder of several runs of one training procedure, and their summary.

    Folds are in ``fold-00/``..., seeds of one split in ``seed-00/``..., several seeds of each fold
    in ``fold-00.seed-00/``...: each is the folder of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    of_many = True

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary of the folds (``folds.json``).

        Raises:
            RunError: If it is missing or damaged.
        """
        return folds_of(self.path / FOLDS, RunFolder(self.path).json(FOLDS))

    @cached_property
    def runs(self) -> list[RunFolder]:
        """The runs, fold by fold, and seed by seed within a fold."""
        return [RunFolder(folder_of_run(self.path, name)) for name in self.summary["runs"]]

    @property
    def first(self) -> RunFolder:
        """The first fold's run, for facts that all folds share."""
        return self.runs[0]

    @property
    def once(self) -> list[RunFolder]:
        """The runs whose test sets have each example once: those of the first repeat and seed."""
        return [
            run
            for run, place in zip(self.runs, places(self.runs), strict=True)
            if place.repeat == place.seed == 0
        ]

    @property
    def folds(self) -> int:
        """The number of folds; 0 for one split."""
        return self.settings.folds

    @property
    def repeats(self) -> int:
        """The number of repeats of the cross-validation."""
        return len({place.repeat for place in places(self.runs)})

    @property
    def seeds(self) -> int:
        """The number of seeds of each split."""
        return len({place.seed for place in places(self.runs)})

    @property
    def settings(self) -> RunSettings:
        """The settings of the first fold."""
        return self.first.settings

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the first fold: cost and data are the same in all folds."""
        return self.first.metrics

    @property
    def data(self) -> dict[str, Any]:
        """The runs' description of their data."""
        return self.first.data

    @property
    def environment(self) -> dict[str, Any]:
        """The environment of the first fold."""
        return self.first.environment

    @property
    def test(self) -> dict[str, Any]:
        """The test-set numbers, each the mean over the folds."""
        numbers: dict[str, Any] = self.summary["test"]
        return numbers

    @property
    def tuning(self) -> dict[str, Any]:
        """The numbers of the validation sets: means over all folds, and counts of the first."""
        parts = [run.tuning for run in self.runs]
        had = [m.key for m in reported() if all(each.get(m.key) is not None for each in parts)]
        return {
            **{key: float(np.mean([each[key] for each in parts])) for key in had},
            "examples": parts[0]["examples"],
            "groups": parts[0]["groups"],
            "confusion": parts[0]["confusion"],
            "per_class_recall": mean_recalls(parts),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """The cost of one fold's model, and the training time of all."""
        return {
            **self.first.facts,
            "train_seconds": self.summary["train_seconds"],
            "epochs": max(run.metrics["epochs"] for run in self.runs),
            "best_epoch": float(np.median([run.metrics["best_epoch"] for run in self.runs])),
        }

    @property
    def traces(self) -> dict[str, Any]:
        """A recorded example of each class, from the first fold's training set."""
        return self.first.traces

    @property
    def account(self) -> Account | None:
        """The cost account of one fold's models."""
        return self.first.account

    @property
    def split_ids(self) -> Any:
        """The hashed ids of each set of each fold: folds that share them can be compared."""
        return [run.split.ids for run in self.runs]

    def describe_split(self) -> dict[str, Any]:
        """Describe the folds, with the number of ids in two sets of a fold."""
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
            "seeds": self.seeds,
            "ids_in_two_parts": shared,
        }

    @property
    def complete(self) -> bool:
        """``True`` if all runs and their summary were finished: the manifest is written last."""
        return (self.path / MANIFEST).exists()

    def require_complete(self) -> None:
        """Make sure that all runs were finished, and that no file was changed since.

        Raises:
            RunError: If not.
        """
        if not self.complete:
            raise RunError(
                f"{self.path}: the runs are not finished (there is no {MANIFEST}); continue them "
                "with --resume"
            )
        _ = self._unchanged

    @cached_property
    def _unchanged(self) -> bool:
        """``True`` if no file of any run was changed; files are hashed once."""
        require_unchanged(self.path)
        return True

    @cached_property
    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Known attributes of the people in the predictions."""
        place = {id_: i for i, id_ in enumerate(self.first.predictions.example_id.tolist())}
        order = [place[id_] for id_ in self.predictions.example_id.tolist()]
        return {name: values[order] for name, values in self.first.attributes.items()}

    @cached_property
    def predictions(self) -> Predictions:
        """The prediction for each example by the model that has it in its test set (first repeat).

        The probabilities come from several models: they may be calibrated together, but must not be
        ranked together.
        """
        return joined([each.predictions.part("held_out") for each in self.once])


def cross_validate(
    settings: RunSettings,
    out: Path,
    *,
    folds: int,
    repeats: int = 1,
    seeds: int = 1,
    root: Path | None = None,
    work: Path | None = None,
    resume: bool = False,
    on_epoch: fit.OnEpoch = lambda _: None,
    on_run: OnRun = lambda *_: None,
) -> FoldsFolder:
    """Cross-validate ``repeats`` times, with a run for each fold and seed.

    The validation set of a fold is drawn from the other folds. Epoch, threshold and penalty are
    chosen on it, so that choices are nested in the fold.

    Args:
        settings: The settings of each run.
        out: Folder for the runs and the summary.
        folds: At least 2; 0 for the one split of the settings, with several seeds.
        repeats: Number of repeats of the cross-validation.
        seeds: Number of seeds of each split, starting with the seed of the settings.
        root: Folder or file of the data (default: the usual search path).
        work: See :func:`sequela.runs.fit.train`.
        resume: Whether to continue the runs in the folder.
        on_epoch: Called with the history of the fold after each of its epochs.
        on_run: Called after each run.

    Raises:
        SettingError: If there are fewer than two folds, no repeat or no seed.
        SequelaError: See :func:`sequela.runs.fit.train`.
    """
    if seeds < 1:
        raise SettingError(f"--seeds is {seeds}; expected 1 or more")
    one_split = folds == 0 and repeats == 1 and seeds > 1
    if not one_split and (folds < 2 or repeats < 1):  # noqa: PLR2004
        raise SettingError(
            f"{folds} fold(s) and {repeats} repeat(s): cross-validation needs 2 folds and 1 repeat"
        )
    wanted = fold_runs(settings, out, folds, repeats, seeds)
    check_free(out, wanted, resume=resume)
    done = []
    # The events are built once for all folds.
    with held(out), work_beside(out, work) as made:
        check_free(out, wanted, resume=resume)  # again, as another process may have been faster
        unseal(out)
        for path, each in wanted:
            done.append(
                fit.train(each, path, root=root, work=made, resume=resume, on_epoch=on_epoch)
            )
            on_run(done[-1], len(done), len(wanted))
        RunFolder(out).write(NOTICE, NOTICE_TEXT)
        RunFolder(out).write(FOLDS, summarise_runs(done))
        seal(out)
    return FoldsFolder(out)


def check_free(out: Path, wanted: list[tuple[Path, RunSettings]], *, resume: bool) -> None:
    """Make sure that folds may be written to a folder: it is free, or has folds to continue.

    Args:
        out: Folder of the folds.
        wanted: See :func:`fold_runs`.
        resume: Whether to continue existing folds.

    Raises:
        RunError: If the folder has other files, or folds with other settings.
    """
    begun = (wanted[0][0] / CONFIG).exists()
    if _is_taken(out, [path for path, _ in wanted]) and not (resume and begun):
        hint = "continue it with --resume or choose" if begun else "choose"
        raise RunError(f"{out}: is not empty; {hint} another --out")
    if begun:
        for path, settings in wanted:
            RunFolder(path).check_free(settings, resume=True)


def _is_taken(out: Path, wanted: Sequence[Path]) -> bool:
    """Return ``True`` unless there is nothing, or only files of a killed process."""
    if not out.is_dir():
        return is_taken(out)
    there = [path for path in out.iterdir() if path not in wanted or is_taken(path)]
    return not all(map(is_leftover, there))


def fold_runs(
    settings: RunSettings, out: Path, folds: int, repeats: int, seeds: int = 1
) -> list[tuple[Path, RunSettings]]:
    """Return the folder and settings of the run of each fold and seed."""
    runs = []
    for fold in range(max(folds, 1) * repeats):
        for seed in range(seeds):
            names = [f"fold-{fold:02d}"] * bool(folds) + [f"seed-{seed:02d}"] * (seeds > 1)
            changes: dict[str, int] = {"folds": folds, "fold": fold}
            if seeds > 1:
                changes |= {"seed": settings.seed + seed, "split_seed": settings.seed_of_split}
            runs.append((out / ".".join(names), settings.model_copy(update=changes)))
    return runs
