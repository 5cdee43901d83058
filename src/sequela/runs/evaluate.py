"""A finished run judged again: from its predictions, or by its model on other data."""

from pathlib import Path
from typing import Any

from sequela.config import SMALLEST_CELL
from sequela.errors import SettingError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import MORE_PROBABLE, operating_points, points, summarise
from sequela.files import temporary
from sequela.runs.data import RunData, load_other
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.model import trained
from sequela.runs.openings import open_held_out
from sequela.runs.recipe import summarise_runs
from sequela.runs.released import public, released_numbers

_TWO = 2
NO_KEY = (
    "whether the model was trained or tuned on some of these subjects was not checked: the run's "
    "ids are hashed with a key that is not here"
)


def evaluate_run(
    path: Path,
    *,
    data: str | None = None,
    root: Path | None = None,
    labels: Path | None = None,
    smallest: int = SMALLEST_CELL,
    trust_code: bool = False,
) -> dict[str, Any]:
    """The numbers of a run's held_out part, or of its model on another data set.

    Args:
        path: Run folder, or folder of a cross-validation.
        data: Data set to apply the model to; the run's own, as it lies under ``root``, if only that
            is given. Without either the run's own predictions are judged.
        root: Where the data lie; the usual search path by default.
        labels: Times and labels of the other data, for a run that learnt those of a file.
        smallest: The smallest count of people that is shown.
        trust_code: Whether the run's model may be a class of a file or module.

    Returns:
        As ``sequela.evaluation.summary.summarise``, and what was judged; what must not be shown of
        people is ``HIDDEN``. ``openings`` counts how often the held-out part was opened, where it
        was.

    Raises:
        SequelaError: If the run is damaged, its parts overlap, or the data do not fit the model.
    """
    (folder,) = named_runs([path])
    if data is None and root is None and labels is None:
        opened = open_held_out(folder, "evaluate").to_dict()
        data = folder.settings.data
        numbers = released_numbers(_own(folder), folder.data, smallest)
        return {"run": path.name, "data": data, "openings": opened, **numbers}
    if folder.first.path != path:
        raise SettingError(
            f"{path} holds {len(folder.runs)} models, one a fold or seed: name one of them, such "
            f"as {folder.first.path.name}, to apply it to other data"
        )
    data = data or folder.settings.data
    numbers = _on_other(folder.first, data, root, labels, trust_code=trust_code)
    if "origin" in numbers:
        numbers["origin"] = public(numbers["origin"])
    described = {**folder.data, "name": data}
    return {"run": path.name, "data": data, **released_numbers(numbers, described, smallest)}


def _own(folder: Run) -> dict[str, Any]:
    """What a run's own held-out predictions give."""
    leaks = any(run.split.leaks or run.metrics["leaks"] for run in folder.runs)
    if folder.of_many:
        return {"leaks": leaks, **summarise_runs(folder.runs)["test"]}
    predictions, settings = folder.predictions, folder.settings
    numbers = summarise(
        predictions.part("held_out"), seed=settings.seed, recordings=folder.data["classes_fixed"]
    )
    if len(predictions.classes) == _TWO:
        numbers["operating_points"] = operating_points(
            predictions, seed=settings.seed, aim=settings.aim, target=settings.aim_target
        )
    return {"leaks": leaks, **numbers}


def predict_other(
    folder: RunFolder,
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
    *,
    trust_code: bool = False,
) -> tuple[RunData, Predictions]:
    """Other data as a run's model reads them, and what it says of each example.

    Nothing is fitted: vocabulary, quantiles, scaling and columns are those stored with the model.
    Units that it was trained or tuned on are left out.

    Args:
        folder: The run.
        name: A data set.
        root: Where it lies; the usual search path by default.
        work: Folder for what is made of tables on the way.
        labels: Times and labels of the other data, for a run that learnt those of a file.
        trust_code: Whether the run's model may be a class of a file or module.

    Raises:
        SequelaError: If the run is damaged, or the data do not fit the model.
    """
    model = trained(folder, trust_code=trust_code)
    other = load_other(folder, model.header, name, root, work, labels)
    return other, other.predictions(model.probabilities_of(other))


def _on_other(
    folder: RunFolder, name: str, root: Path | None, labels: Path | None, *, trust_code: bool
) -> dict[str, Any]:
    """What a model does on other data, without the units that it was trained or tuned on."""
    with temporary() as work:
        other, predictions = predict_other(folder, name, root, work, labels, trust_code=trust_code)
        found = judge_other(folder, other, predictions)
    known = folder.split.whose == "subject"
    if folder.split.holds_out(predictions.subject_id if known else predictions.group_id):
        found["openings"] = open_held_out(folder, "evaluate").to_dict()
    return found


def judge_other(folder: RunFolder, other: RunData, predictions: Predictions) -> dict[str, Any]:
    """The numbers of a model's predictions of other data, and in what these differ.

    Args:
        folder: The run.
        other: The other data.
        predictions: What the model says of them.
    """
    seed = folder.settings.seed
    marked = "subject" if other.unit == "site" else other.unit
    found = {
        "origin": other.origin,
        "unit": other.unit,
        "leaks": any(each.severity == "leak" for each in other.leaks),
        f"{other.unit}s_set_aside_as_trained_or_tuned_on": other.set_aside,
        f"{marked}s_set_aside_under_another_name": other.renamed,
        **other.unlike_training(),
        **summarise(predictions, seed=seed, recordings=other.classes_fixed),
    }
    if marked == "subject" and folder.split.pseudonyms is None:
        found["overlap_unknown"] = NO_KEY
    if len(predictions.classes) == _TWO:
        point = folder.test["operating_points"][1]
        chosen = Threshold(point["threshold"], point["chosen_for"])
        found["operating_points"] = points(predictions, [MORE_PROBABLE, chosen], seed=seed)
    return found
