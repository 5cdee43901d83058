"""Evaluation of a finished run: from its predictions, or of its model on other data."""

from pathlib import Path
from typing import Any

from sequela.errors import SettingError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import MORE_PROBABLE, points, summarise, summarise_parts
from sequela.files import temporary
from sequela.integrity.openings import open_held_out
from sequela.runs.data import Examples, load_other
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.model import trained
from sequela.runs.recipe import summarise_runs
from sequela.runs.released import public

_TWO = 2
NO_KEY = (
    "overlap with the model's training and validation set was not checked: the key of the run's "
    "hashed ids is missing"
)


def evaluate_run(
    path: Path,
    *,
    data: str | None = None,
    root: Path | None = None,
    labels: Path | None = None,
    trust_code: bool = False,
) -> dict[str, Any]:
    """Compute the numbers of a run on its test set, or of its model on another data set.

    ``path`` is a run folder, or the folder of a cross-validation. The model is applied to the data
    set ``data`` at ``root`` (default: the run's data set, on the usual search path); without both,
    the run's own predictions are evaluated. ``labels`` is the label file of the other data, for a
    run that was trained with one. With ``trust_code``, the run's model may be a class of a file or
    module.

    The result is that of ``sequela.evaluation.summary.summarise`` with the names of run and data,
    and ``openings``, the number of evaluations on the test set, if this is one. A SequelaError is
    raised if the run is damaged, its sets overlap, or the data do not fit the model.
    """
    (folder,) = named_runs([path])
    if data is None and root is None and labels is None:
        opened = open_held_out(folder, "evaluate").to_dict()
        data = folder.settings.data
        return {"run": path.name, "data": data, "openings": opened, **_own(folder)}
    run = only_model(folder, "to apply it to other data")
    data = data or run.settings.data
    with temporary() as work:
        other, predictions = predict_other(run, data, root, work, labels, trust_code=trust_code)
        numbers = judge_other(run, other, predictions)
    known = run.split.whose == "subject"
    if run.split.holds_out(predictions.subject_id if known else predictions.group_id):
        numbers["openings"] = open_held_out(run, "evaluate").to_dict()
    return {"run": path.name, "data": data, **numbers, "origin": public(numbers["origin"])}


def only_model(folder: Run, purpose: str) -> RunFolder:
    """Return the run of a folder, or raise an error if the folder has a run for each fold."""
    if folder.first.path != folder.path:
        raise SettingError(
            f"{folder.path} has {len(folder.runs)} models, one per fold or seed: name one of them, "
            f"such as {folder.first.path.name}, {purpose}; `sequela predict` averages all of them"
        )
    return folder.first


def _own(folder: Run) -> dict[str, Any]:
    leaks = any(run.split.leaks or run.metrics.leaks for run in folder.runs)
    if folder.of_many:
        return {"leaks": leaks, **summarise_runs(folder.runs)["test"]}
    predictions, settings = folder.predictions, folder.settings
    fixed, test_set = folder.data.classes_fixed, ("held_out",)
    numbers = summarise_parts(predictions, settings, recordings=fixed, parts=test_set)["held_out"]
    return {"leaks": leaks, **numbers}


def predict_other(
    folder: RunFolder,
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
    *,
    trust_code: bool = False,
) -> tuple[Examples, Predictions]:
    """Load other data as inputs of a run's model, and predict for each example.

    Nothing is fitted: vocabulary, quantiles, scaling and columns are those stored with the model.
    Units of its training and validation set are left out.
    """
    model = trained(folder, trust_code=trust_code)
    other = load_other(folder, model.header, name, root, work, labels)
    return other, other.predictions(model.probabilities_of(other))


def judge_other(folder: RunFolder, other: Examples, predictions: Predictions) -> dict[str, Any]:
    """Compute the numbers of a model's predictions for other data, and differences of the data."""
    seed = folder.settings.seed
    marked = "subject" if other.unit == "site" else other.unit
    found = {
        "origin": other.origin,
        "unit": other.unit,
        "leaks": any(each.severity == "leak" for each in other.leaks),
        f"{other.unit}s_set_aside_as_trained_or_tuned_on": other.set_aside,
        f"{marked}s_set_aside_under_another_name": other.renamed,
        **other.unlike_training,
        **summarise(predictions, seed=seed, recordings=other.classes_fixed),
    }
    if marked == "subject" and folder.split.pseudonyms is None:
        found["overlap_unknown"] = NO_KEY
    if len(predictions.classes) == _TWO and not predictions.horizons:
        point = folder.test.operating_points[1]
        chosen = Threshold(point.threshold, point.chosen_for)
        found["operating_points"] = points(predictions, [MORE_PROBABLE, chosen], seed=seed)
    return found
