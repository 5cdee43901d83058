"""A finished run judged again: from its predictions, or by its model on other data."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sequela.errors import SettingError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.summary import MORE_PROBABLE, operating_points, points, summarise
from sequela.runs.data import load_other
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import summarise_folds
from sequela.runs.model import TrainedModel

_TWO = 2


def evaluate_run(
    path: Path, *, data: str | None = None, root: Path | None = None
) -> dict[str, Any]:
    """The numbers of a run's held_out part, or of its model on another data set.

    Args:
        path: Run folder, or folder of a cross-validation.
        data: Data set to apply the model to; the run's own, as it lies under ``root``, if only that
            is given. Without either the run's own predictions are judged.
        root: Where the data lie; the usual search path by default.

    Returns:
        As ``sequela.evaluation.summary.summarise``, and what was judged.

    Raises:
        SequelaError: If the run is damaged, its parts overlap, or the data do not fit the model.
    """
    (folder,) = named_runs([path])
    if data is None and root is None:
        return {"run": path.name, "data": folder.settings.data, **_own(folder)}
    if folder.first.path != path:
        raise SettingError(
            f"{path} holds {len(folder.runs)} models, one a fold: name one of them, such as "
            f"{folder.first.path.name}, to apply it to other data"
        )
    data = data or folder.settings.data
    return {"run": path.name, "data": data, **_on_other(folder.first, data, root)}


def _own(folder: Run) -> dict[str, Any]:
    """What a run's own held-out predictions give."""
    leaks = any(run.split.leaks or run.metrics["leaks"] for run in folder.runs)
    if folder.folds:
        return {"leaks": leaks, **summarise_folds(folder.runs)["test"]}
    predictions, settings = folder.predictions, folder.settings
    numbers = summarise(
        predictions.part("held_out"), seed=settings.seed, recordings=folder.data["classes_fixed"]
    )
    if len(predictions.classes) == _TWO:
        numbers["operating_points"] = operating_points(
            predictions, seed=settings.seed, aim=settings.aim, target=settings.aim_target
        )
    return {"leaks": leaks, **numbers}


def _on_other(folder: RunFolder, name: str, root: Path | None) -> dict[str, Any]:
    """What a model does on other data, without the units that it was trained or tuned on."""
    model = TrainedModel.of(folder)
    seed = folder.settings.seed
    with TemporaryDirectory(prefix="sequela-") as work:
        other = load_other(folder, model.header, name, root, Path(work))
        given = other.inputs(model.reads, model.state, standardise=model.is_network)
        predictions = other.predictions(model.probabilities(given))
        found = {
            "origin": other.origin,
            "leaks": bool(other.leaks),
            f"{other.unit}s_set_aside_as_trained_or_tuned_on": other.set_aside,
            f"{other.unit}s_set_aside_under_another_name": other.renamed,
            **other.unlike_training(),
            **summarise(predictions, seed=seed, recordings=other.classes_fixed),
        }
    if len(predictions.classes) == _TWO:
        point = folder.test["operating_points"][1]
        chosen = Threshold(point["threshold"], point["chosen_for"])
        found["operating_points"] = points(predictions, [MORE_PROBABLE, chosen], seed=seed)
    return found
