"""Updates: a finished model adapted to other patients, as a new run.

Its model is a copy of the parent's, whose logits are scaled, or a baseline model that is fitted
again. The new patients are drawn into the sets of a run: the level of change is chosen on its
training and validation set, and the test set is the rest.
"""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from sequela.config import TrainingSettings
from sequela.errors import DataError, SettingError
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import EVENTS_PER_PARAMETER, REFIT, Choice, choose, events_of
from sequela.files import writing
from sequela.integrity.openings import open_held_out
from sequela.integrity.verify import verify
from sequela.models import reference, stored
from sequela.models.reference import Arrays
from sequela.models.registry import UPDATED
from sequela.runs.data import Examples, load_local
from sequela.runs.environment import environment
from sequela.runs.find import single_run
from sequela.runs.fit import fit_baseline, write_results
from sequela.runs.folder import COST, UNCHANGED, RunFolder, work_beside
from sequela.runs.model import FILE, BaselineModel, Member, in_one_file, model_of, open_model
from sequela.runs.recipe import effect_of_update
from sequela.runs.record import Facts


def update_run(
    path: Path,
    out: Path,
    *,
    data: str | None = None,
    root: Path | None = None,
    labels: Path | None = None,
    share: float = 0.5,
    seed: int = 0,
    trust_code: bool = False,
) -> RunFolder:
    """Adapt the model of a run to the patients of other data, and write the result as a run.

    Patients of the training and validation set of the run are set aside. The change is chosen by
    :func:`sequela.evaluation.recalibration.choose` on a ``share`` of the others, drawn with the
    seed. The other arguments are those of :func:`sequela.analysis.evaluate.evaluate_run`.
    """
    if not 0 < share < 1:
        raise SettingError(f"--share is {share:g}: expected a number between 0 and 1")
    parent = single_run(path)
    RunFolder(out).check_free(parent.settings, resume=False)
    verify(parent)
    model, cohort = open_model(parent, trust_code=trust_code), parent.settings.cohort
    changes = {
        "model": UPDATED,
        "data": data or parent.settings.data,
        "cohort": cohort and cohort.model_copy(update={"labels": labels and str(labels)}),
        "seed": seed,
        "split_seed": None,
        "fractions": (share / 2, share / 2, 1 - share),
        "folds": 0,
        "fold": 0,
        "model_settings": {"members": [asdict(Member.of(parent, path.resolve().name))]},
        "training": TrainingSettings(),
    }
    settings = parent.settings.model_copy(update=changes)
    with work_beside(out) as work:
        (work / "data").mkdir()
        local = load_local(parent, settings, parent.split, model.header, root, work / "data")
        settings = settings.model_copy(update={"split": local.split.unit})
        before = local.predictions(model.probabilities_of(local))
        _refuse_few(before, local, share)
        tuning = before.where(before.split != "held_out")
        tuning = replace(tuning, split=np.full(tuning.n_examples, "tuning"))  # which fits may read
        if isinstance(model, BaselineModel):
            choice = _choose_or_refit(model, local, tuning, seed)
        else:
            choice = choose(tuning)
        settings.model_settings["level"] = choice.level
        tensors, header = in_one_file([parent], "arithmetic")
        header |= {"model": UPDATED, "logits": asdict(choice.scaling)}
        after = choice.scaling.apply(before)
        if choice.level == REFIT:
            refitted = _refitted(parent, local, tuple(model.header["reads"]), seed)
            tensors = {f"0/{name}": tensor for name, tensor in refitted.items()}
            probabilities = model_of(header, tensors).probabilities_of(local)
            after = replace(before, probabilities=probabilities)
        folder = RunFolder(work / "run")
        folder.open(settings, resume=False)
        folder.begin({**local.split.to_json(), "data_sha256": local.digest})
        folder.write("environment.json", environment())
        stored.write(folder.path / FILE, tensors, header)
        before.write(folder.path / UNCHANGED)
        if (parent.path / COST).exists():
            shutil.copyfile(parent.path / COST, folder.path / COST)
        how = Bootstrap(classes_fixed=local.classes_fixed, resamples=settings.resamples)
        effect = effect_of_update(before, after, seed, how)
        record = {"patients": len(np.unique(tuning.group_id)), **asdict(choice), **effect}
        facts = {name: parent.metrics.get(name) for name in Facts.model_fields}
        facts |= {"epochs": 0, "best_epoch": 0, "update": record}
        write_results(settings, local, folder, after, facts)
        with writing(out):
            folder.path.replace(out)
    ids = before.subject_id if parent.split.whose == "subject" else before.group_id
    if parent.split.holds_out(ids):
        open_held_out(parent, "update")
    return RunFolder(out)


def _refuse_few(predictions: Predictions, local: Examples, share: float) -> None:
    """Refuse an evaluation on fewer patients of a class than may be shown."""
    held_out = events_of(predictions.part("held_out"))
    if held_out < EVENTS_PER_PARAMETER:
        rarest = "with the rarest event" if predictions.horizons else "of the rarest class"
        raise DataError(
            f"{local.data_set.name} has {events_of(predictions)} new {local.unit}s {rarest}, of "
            f"which {held_out} would be left to evaluate the update on: expected at least "
            f"{EVENTS_PER_PARAMETER}; give more data, or a smaller --share than {share:g}"
        )


def _choose_or_refit(
    model: BaselineModel, local: Examples, tuning: Predictions, seed: int
) -> Choice:
    """Choose the level of change of a baseline model, which may be a refit."""
    rows, inputs = local.rows("train+tuning"), local.inputs(model.reads, standardise=False)
    sets = local.labels, rows, rows[:0], len(local.classes)
    examples = reference.Examples(inputs.features, *sets, times=local.times)

    def of_others() -> Predictions | None:
        """Predict each local patient by a model that was fitted on the others."""
        crossed = reference.cross_fitted(model.entry, examples, local.marked, seed)
        return None if crossed is None else replace(tuning, probabilities=crossed[rows])

    return choose(tuning, of_others, model.entry.parameters(model.arrays))


def _refitted(parent: RunFolder, local: Examples, reads: tuple[str, ...], seed: int) -> Arrays:
    """Fit a baseline model on the local patients as it was fitted, and its preprocessing."""
    inputs = local.inputs(reads, standardise=False)
    settings = parent.settings.model_copy(update={"seed": seed, "folds": 0, "fold": 0})
    rows = local.rows("train"), local.rows("tuning")
    return {**fit_baseline(settings, local, inputs.features, *rows), **inputs.state}
