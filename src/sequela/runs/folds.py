"""Cross-validation, or several seeds of one split: a run for each, and a summary."""

import re
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import RunSettings
from sequela.errors import RunError, SettingError
from sequela.evaluation.metrics import reported
from sequela.evaluation.number import plural
from sequela.evaluation.predictions import Predictions, joined
from sequela.files import held, is_leftover
from sequela.listeners import broadcast
from sequela.runs import fit
from sequela.runs.folder import (
    CONFIG,
    NOTICE_TEXT,
    RunFolder,
    StoredRun,
    is_taken,
    places,
    work_beside,
)
from sequela.runs.manifest import NOTICE, seal, unseal
from sequela.runs.recipe import mean_recalls, summarise_runs
from sequela.runs.record import Facts, FoldsRecord, Numbers

FOLDS = "folds.json"
_NAME_OF_RUN = re.compile(r"(fold-\d+|seed-\d+|fold-\d+\.seed-\d+)")  # no other path is followed


class FoldsFolder(StoredRun):
    """The folder of several runs of one training procedure, and their summary.

    Folds are in ``fold-00/``..., seeds of one split in ``seed-00/``..., several seeds of each fold
    in ``fold-00.seed-00/``...: each is the folder of a run.
    """

    of_many = True

    @cached_property
    def summary(self) -> FoldsRecord:
        """The summary of the folds (``folds.json``)."""
        return FoldsRecord.of(self.path / FOLDS, self.json(FOLDS))

    @cached_property
    def runs(self) -> list[RunFolder]:
        """The runs, fold by fold, and seed by seed within a fold."""
        return [RunFolder(_folder_of_run(self.path, name)) for name in self.summary.runs]

    @property
    def once(self) -> list[RunFolder]:
        """The runs whose test sets have each example once: those of the first repeat and seed."""
        at = zip(self.runs, places(self.runs), strict=True)
        return [run for run, place in at if place.repeat == place.seed == 0]

    @property
    def test(self) -> Numbers:
        """The test-set numbers, each the mean over the folds."""
        return self.summary.test

    @property
    def tuning(self) -> Numbers:
        """The numbers of the validation sets: means over all folds, and counts of the first."""
        parts = [run.tuning for run in self.runs]
        keys = [m.key for m in reported() if all(part.get(m.key) is not None for part in parts)]
        means = {key: float(np.mean([part[key] for part in parts])) for key in keys}  # over folds
        names = ("examples", "groups", "confusion", "ends", "horizons")
        of_first = {name: parts[0][name] for name in names if name in parts[0]}
        recalls = {} if "ends" in of_first else {"per_class_recall": mean_recalls(parts)}
        return Numbers.model_validate(means | of_first | recalls)

    @property
    def facts(self) -> Facts:
        """The cost of one fold's model, and the training time of all."""
        return self.first.facts.replace(
            train_seconds=self.summary.train_seconds,
            epochs=max(run.metrics.epochs for run in self.runs),
            best_epoch=float(np.median([run.metrics.best_epoch for run in self.runs])),
        )

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
        return joined([run.predictions.part("held_out") for run in self.once])


def _folder_of_run(path: Path, name: object) -> Path:
    """Return the folder of one of several runs; a name in a stranger's file may lead elsewhere."""
    if not isinstance(name, str) or not _NAME_OF_RUN.fullmatch(name):
        raise RunError(
            f"{path}: names a run {str(name)[:50]!r}, which cannot be one of its folders: expected "
            "names such as fold-00 or seed-00; do not trust this folder"
        )
    return path / name


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
) -> FoldsFolder:
    """Cross-validate ``repeats`` times, with a run for each fold and seed.

    The validation set of a fold is drawn from the other folds. Epoch, threshold and penalty are
    chosen on it, so that choices are nested in the fold. With 0 folds, one split is trained with
    several seeds, the first of which is the seed of the settings.
    """
    if seeds < 1:
        raise SettingError(f"--seeds is {seeds}; expected 1 or more")
    one_split = folds == 0 and repeats == 1 and seeds > 1
    if not one_split and (folds < 2 or repeats < 1):  # noqa: PLR2004
        raise SettingError(
            f"{plural(folds, 'fold')} and {plural(repeats, 'repeat')}: cross-validation needs 2 "
            "folds and 1 repeat"
        )
    fold_settings = fold_runs(settings, out, folds, repeats, seeds)
    check_free(out, fold_settings, resume=resume)
    finished, folder = [], FoldsFolder(out)
    train_one = partial(fit.train, resume=resume)
    # The events are built once for all folds.
    with held(out), work_beside(out, work) as scratch:
        check_free(
            out, fold_settings, resume=resume
        )  # again, as another process may have been faster
        unseal(out)  # until all folds are finished
        for path, run_settings in fold_settings:
            run = train_one(run_settings, path, root=root, work=scratch)
            finished.append(run)
            broadcast("on_fold_end", path, len(finished), len(fold_settings))
        folder.write(NOTICE, NOTICE_TEXT)
        folder.write(FOLDS, summarise_runs(finished))
        seal(out)
    return folder


def check_free(out: Path, fold_settings: list[tuple[Path, RunSettings]], *, resume: bool) -> None:
    """Make sure that folds may be written to a folder: it is free, or has folds to continue."""
    begun = (fold_settings[0][0] / CONFIG).exists()
    is_occupied, folds = is_taken(out), [path for path, _ in fold_settings]
    if out.is_dir():  # files of a killed process may stay
        is_occupied = not all(
            is_leftover(p) for p in out.iterdir() if p not in folds or is_taken(p)
        )
    if is_occupied and not (resume and begun):
        hint = "continue it with --resume or choose" if begun else "choose"
        raise RunError(f"{out}: is not empty; {hint} another --out")
    if begun:
        for path, settings in fold_settings:
            RunFolder(path).check_free(settings, resume=True)


def fold_runs(
    settings: RunSettings, out: Path, folds: int, repeats: int, seeds: int = 1
) -> list[tuple[Path, RunSettings]]:
    """Return the folder and settings of the run of each fold and seed."""
    runs = []
    for fold in range(max(folds, 1) * repeats):
        for seed in range(seeds):
            names = [f"fold-{fold:02d}"] if folds else []
            changes: dict[str, int] = {"folds": folds, "fold": fold}
            if seeds > 1:
                names.append(f"seed-{seed:02d}")
                # The seed moves weights and batches; the split stays, so that its variation is not
                # mixed in.
                changes |= {"seed": settings.seed + seed, "split_seed": settings.seed_of_split}
            runs.append((out / ".".join(names), settings.model_copy(update=changes)))
    return runs
