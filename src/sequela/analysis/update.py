"""Updates: a finished model adapted to other patients, as a new run.

Its model is a copy of the parent's, whose logits are scaled, or a baseline model that is fitted
again. The new patients are drawn into the sets of a run: the level of change is chosen on its
training and validation set, and the test set is the rest.
"""

import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sequela.config import RunSettings, TrainingSettings
from sequela.errors import DataError, SettingError
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import EVENTS_PER_PARAMETER, REFIT, choose, events_of
from sequela.evaluation.summary import summarise_parts
from sequela.files import writing
from sequela.integrity.openings import open_held_out
from sequela.integrity.verify import verify
from sequela.models import reference, stored
from sequela.models.registry import UPDATED
from sequela.runs.data import Examples, Inputs, load_local
from sequela.runs.environment import environment
from sequela.runs.find import single_run
from sequela.runs.fit import audit_record
from sequela.runs.folder import COST, METRICS, UNCHANGED, RunFolder, work_beside
from sequela.runs.manifest import seal
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
    model = open_model(parent, trust_code=trust_code)
    settings = _settings(parent, data, labels, share, seed)
    with work_beside(out) as work:
        local = load_local(parent, settings, parent.split, model.header, root, work / "data")
        settings = settings.model_copy(update={"split": local.split.unit})
        before = local.predictions(model.probabilities_of(local))
        _refuse_few(before, local, share)
        tuning = before.where(before.split != "held_out")
        tuning = replace(tuning, split=np.full(tuning.n_examples, "tuning"))  # which fits may read
        again = _Refit(model, local, seed) if isinstance(model, BaselineModel) else None
        choice = choose(tuning, again)
        tensors, header = in_one_file([parent], "arithmetic")
        scaling = {**asdict(choice.scaling), "horizons": before.horizons}
        header |= {"model": UPDATED, "scaling": scaling}
        after = choice.scaling.apply(before)
        if again and choice.level == REFIT:
            tensors = {f"0/{name}": tensor for name, tensor in again.tensors().items()}
            fitted = model_of(header, tensors).probabilities_of(local)
            after = replace(before, probabilities=fitted)
        settings.model_settings["level"] = choice.level
        folder = RunFolder(work / out.name)
        folder.open(settings, resume=False)
        folder.begin({**local.split.to_json(), "data_sha256": local.digest})
        folder.write("environment.json", environment())
        stored.write(folder.path / FILE, tensors, header)
        before.write(folder.path / UNCHANGED)
        after.write(folder.path / "predictions.parquet")
        if of_people := local.attributes():
            folder.write_attributes(of_people)
        if (parent.path / COST).exists():
            shutil.copyfile(parent.path / COST, folder.path / COST)
        fixed, attributes = local.classes_fixed, folder.attributes
        parts = summarise_parts(after, settings, recordings=fixed, attributes=attributes)
        facts = {name: parent.metrics.get(name) for name in Facts.model_fields}
        numbers = {
            "model": UPDATED,
            "data": local.describe(),
            "split": {"unit": settings.split, "leaks": local.split.leaks},
            **audit_record(local),
            **facts,
            "epochs": 0,
            "best_epoch": 0,
            "parts": parts,
        }
        folder.write(METRICS, numbers)
        update = {
            "level": choice.level,
            "patients": len(np.unique(tuning.group_id)),
            "events": choice.events,
            "needed": choice.needed,
            "p_values": choice.p_values,
            **effect_of_update(folder),
        }
        folder.write(METRICS, {**numbers, "update": update})
        seal(folder.path)
        with writing(out):
            folder.path.replace(out)
    ids = before.subject_id if parent.split.whose == "subject" else before.group_id
    if parent.split.holds_out(ids):
        open_held_out(parent, "update")
    return RunFolder(out)


def _settings(
    parent: RunFolder, data: str | None, labels: Path | None, share: float, seed: int
) -> RunSettings:
    cohort = parent.settings.cohort
    return parent.settings.model_copy(
        update={
            "model": UPDATED,
            "data": data or parent.settings.data,
            "cohort": cohort and cohort.model_copy(update={"labels": labels and str(labels)}),
            "seed": seed,
            "split_seed": None,
            "fractions": (share / 2, share / 2, 1 - share),
            "folds": 0,
            "fold": 0,
            "model_settings": {"members": [asdict(Member.of(parent, parent.path.resolve().name))]},
            "training": TrainingSettings(),
        }
    )


def _refuse_few(predictions: Predictions, local: Examples, share: float) -> None:
    """Refuse an evaluation on fewer patients of a class than may be shown."""
    held_out = events_of(predictions.part("held_out"))
    if held_out < EVENTS_PER_PARAMETER:
        raise DataError(
            f"{local.data_set.name} has {events_of(predictions)} new {local.unit}s of the rarest "
            f"class, of whom {held_out} would be left to evaluate the update on: expected at least "
            f"{EVENTS_PER_PARAMETER}; give more data, or a smaller --share than {share:g}"
        )


@dataclass(frozen=True)
class _Refit:
    """A baseline model that is fitted again, on local patients."""

    model: BaselineModel
    local: Examples
    seed: int

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs of the model, with a preprocessing that is fitted again."""
        return self.local.inputs(self.model.reads, standardise=False)

    @property
    def parameters(self) -> int:
        """The number of learnt numbers of the parent."""
        return self.model.entry.parameters(self.model.arrays)

    def _examples(self, train: str, tuning: str) -> reference.Examples:
        data, table = self.local, self.inputs.features
        sets = data.labels, data.rows(train), data.rows(tuning), len(data.classes)
        return reference.Examples(table, *sets, times=data.times)

    def of_others(self, tuning: Predictions) -> Predictions | None:
        """Predict each local patient by a model that was fitted on the others."""
        examples = self._examples("train+tuning", "")
        groups, entry = self.local.marked, self.model.entry
        probabilities = reference.cross_fitted(entry, examples, groups, self.seed)
        if probabilities is None:
            return None
        return replace(tuning, probabilities=probabilities[examples.train])

    def tensors(self) -> stored.Tensors:
        """Fit the model on the training set, with its penalty chosen on the validation set."""
        arrays = reference.fitted(self.model.entry, self._examples("train", "tuning"), self.seed)
        return {**arrays, **self.inputs.state}
