"""Evaluation of a finished run: from its predictions, or of its model on other people."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError
from sequela.evaluation.calibration import calibration_in_words
from sequela.evaluation.decision import Threshold
from sequela.evaluation.intervals import Estimate, estimates
from sequela.evaluation.metrics import METRICS, statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import MORE_PROBABLE, points, summarise, summarise_parts
from sequela.files import temporary
from sequela.integrity.openings import open_held_out
from sequela.runs.data import Examples, load_other
from sequela.runs.find import Run, named_runs, single_run
from sequela.runs.folder import RunFolder
from sequela.runs.model import averaged, open_model
from sequela.runs.recipe import summarise_runs
from sequela.runs.record import DataRecord
from sequela.runs.released import public

CHOSE = "on which settings were chosen"  # its numbers are a little too good
JUDGED = (
    *("accuracy", "auroc", "average_precision", "brier_score", "log_loss"),
    *("concordance", "auroc_at_last_horizon", "integrated_brier_score", "observed_minus_expected"),
)
_BINARY = 2  # classes with one threshold
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

    ``path`` is a run folder, or the folder of a cross-validation, whose models are averaged on the
    data set ``data`` at ``root`` (default: the run's data set, on the usual search path). Without
    both, the run's own predictions are evaluated. ``labels`` is the label file of the other data,
    for a run trained with one. With ``trust_code``, the model may be a class of a file or module.

    The result is that of ``sequela.evaluation.summary.summarise`` with the names of run and data,
    and ``openings``, the number of evaluations on the test set, if this is one. A SequelaError is
    raised if the run is damaged, its sets overlap, or the data do not fit the model.
    """
    (folder,) = named_runs([path])
    if data is None and root is None and labels is None:
        opened = open_held_out(folder, "evaluate").to_dict()
        data = folder.settings.data
        return {"run": path.name, "data": data, "openings": opened, **_own(folder)}
    data = data or folder.settings.data
    with temporary() as work:
        new_data, predictions = predict_other(
            folder, data, root, work, labels, trust_code=trust_code
        )
        numbers = judge_other(folder, new_data, predictions)
    if folder.of_many:
        numbers["models"] = len(folder.runs)
    by_subject = folder.first.split.whose == "subject"
    ids = predictions.subject_id if by_subject else predictions.group_id
    if any(run.split.holds_out(ids) for run in folder.runs):
        numbers["openings"] = open_held_out(folder, "evaluate").to_dict()
    return {"run": path.name, "data": data, **numbers, "origin": public(numbers["origin"])}


def _own(folder: Run) -> dict[str, object]:
    predictions, settings = folder.predictions, folder.settings
    leaks = any(run.split.leaks or run.metrics.leaks for run in folder.runs)
    numbers: dict[str, object] = {"leaks": leaks}
    if calibration := calibration_in_words(predictions.part("held_out")):
        numbers["calibration"] = calibration
    if folder.of_many:
        return {**numbers, **summarise_runs(folder.runs)["test"]}
    fixed, test_set = folder.data.classes_fixed, ("held_out",)
    parts = summarise_parts(predictions, settings, recordings=fixed, parts=test_set)
    return {**numbers, **parts["held_out"]}


def predict_other(
    folder: Run,
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
    *,
    trust_code: bool = False,
) -> tuple[Examples, Predictions]:
    """Load other data as inputs of a run's model, and predict for each example.

    Nothing is fitted: vocabulary, quantiles, scaling and columns are those stored with the model.
    Units of its training and validation set are left out; several models are averaged.
    """
    datasets, tables = [], []
    for number, run in enumerate(folder.runs):
        model, place = open_model(run, trust_code=trust_code), work / str(number)
        place.mkdir(parents=True, exist_ok=True)
        data = load_other(run, model.header, name, root, place, labels)
        datasets.append(data)
        tables.append(data.predictions(model.probabilities_of(data)))
    if len(tables) == 1:
        return datasets[0], tables[0]
    new_ids = reduce(np.intersect1d, [table.example_id for table in tables])  # new to all models
    if not len(new_ids):
        reason = f"each example of {name} is in the training or validation set of a model of"
        raise SettingError(f"{reason} {folder.path}, so none is left for an evaluation")
    parts = [table.where(np.isin(table.example_id, new_ids)) for table in tables]
    mean = averaged([part.probabilities for part in parts], "arithmetic")  # as of folds
    dropped = len(np.unique(tables[0].group_id)) - len(np.unique(parts[0].group_id))
    renamed = max(data.renamed for data in datasets)
    data = replace(datasets[0], set_aside=datasets[0].set_aside + dropped, renamed=renamed)
    return data, replace(parts[0], probabilities=mean)


def judge_other(folder: Run, data: Examples, predictions: Predictions) -> dict[str, Any]:
    """Compute the numbers of a model's predictions for other data, and differences of the data."""
    seed = folder.settings.seed
    marked = "subject" if data.unit == "site" else data.unit
    numbers = {
        "origin": data.origin,
        "unit": data.unit,
        "leaks": any(finding.severity == "leak" for finding in data.leaks),
        f"{data.unit}s_set_aside_as_trained_or_tuned_on": data.set_aside,
        f"{marked}s_set_aside_under_another_name": data.renamed,
        **data.unlike_training,
        **summarise(predictions, seed=seed, recordings=data.classes_fixed),
    }
    if calibration := calibration_in_words(predictions):
        numbers["calibration"] = calibration
    if marked == "subject" and folder.first.split.pseudonyms is None:
        numbers["overlap_unknown"] = NO_KEY
    if len(predictions.classes) == _BINARY and not predictions.horizons:
        point = folder.test.operating_points[1]
        stored = Threshold(point.threshold, point.chosen_for)
        numbers["operating_points"] = points(predictions, [MORE_PROBABLE, stored], seed=seed)
    return numbers


@dataclass(frozen=True)
class Side:
    """The people of one side: the development data, or the new data.

    Those whose predictions are evaluated are ``judged``, in words; ``everybody`` are predictions
    for all, to describe them, and ``attributes`` what is known of all: str (example,) by name.
    ``unknown_codes`` is the share of codes outside the vocabulary; ``None`` without codes.
    """

    title: str
    judged: str
    everybody: Predictions
    attributes: Mapping[str, NDArray[np.str_]]
    predictions: Predictions
    unknown_codes: float | None
    seed: int

    @cached_property
    def numbers(self) -> Mapping[str, Estimate]:
        """The estimate of each metric that is defined."""
        numbers = {}
        for name in JUDGED:
            if METRICS[name].can_be_had(self.predictions, whole_groups=False):
                rng = np.random.default_rng(self.seed)
                (numbers[name],) = estimates(statistic_of(name, self.predictions), rng)
        return numbers


@dataclass(frozen=True)
class External:
    """The external validation of a model on the data of its development and on new data.

    ``numbers`` are the result of :func:`evaluate_run`, ``data`` the descriptions of both data.
    """

    run: RunFolder
    home: Side
    away: Side
    numbers: Mapping[str, Any]
    data: tuple[DataRecord, ...]
    opened: tuple[str, ...]


def judge_elsewhere(
    path: Path,
    *,
    data: str | None = None,
    root: Path | None = None,
    labels: Path | None = None,
    trust_code: bool = False,
) -> External:
    """Evaluate a run's model on other data, or on the sites of its test set.

    See :func:`evaluate_run`. Without ``data`` and ``root``, a run that was split by site is
    evaluated on its test sites.
    """
    run = single_run(path)
    opened = open_held_out(run, "evaluate").sentences
    if data is None and root is None and labels is None:
        return _held_out_sites(run, opened)
    name = data or run.settings.data
    with temporary() as work:
        new_data, predictions = predict_other(run, name, root, work, labels, trust_code=trust_code)
        numbers = judge_other(run, new_data, predictions)
        described = DataRecord.model_validate(new_data.describe())
        names = new_data.data_set.title, "all new people"
        unknown, who = _unknown(described, "held_out"), new_data.attributes()
        away = Side(*names, predictions, who, predictions, unknown, run.settings.seed)
    own_predictions, title = run.predictions, run.data.title
    if np.isin(predictions.example_id, own_predictions.part("held_out").example_id).any():
        rest = own_predictions.split != "held_out"
        home = _own_side(run, title, f"its validation set, {CHOSE}", rest, "tuning")
    else:
        everybody = np.ones(own_predictions.n_examples, np.bool_)
        home = _own_side(run, title, "its own test set", everybody, "held_out")
    evaluation = {"run": path.name, "data": name, **numbers, "origin": public(numbers["origin"])}
    return External(run, home, away, evaluation, (run.data, described), opened)


def _held_out_sites(run: RunFolder, opened: tuple[str, ...]) -> External:
    """Evaluate a run that was split by site on the sites of its test set."""
    if run.settings.split != "site":
        raise SettingError(
            f"{run.path} was split by {run.settings.split}, so its test set has no other sites: "
            "name other data with --data or --root, or train with --split site"
        )
    test, title = run.predictions.split == "held_out", run.data.title
    away = _own_side(run, f"the test sites of {title}", "all new people", test, "held_out")
    names = f"the training and validation sites of {title}", f"the validation sites, {CHOSE}"
    home = _own_side(run, *names, ~test, "tuning")
    return External(run, home, away, run.test, (run.data,), opened)


def _own_side(run: RunFolder, title: str, judged: str, rows: NDArray[np.bool_], part: str) -> Side:
    """Return some people of a run, of which a part of the split is evaluated."""
    who = {name: values[rows] for name, values in run.attributes.items()}
    everybody, predictions = run.predictions.where(rows), run.predictions.part(part)
    unknown = _unknown(run.data, part)
    return Side(title, judged, everybody, who, predictions, unknown, run.settings.seed)


def _unknown(data: DataRecord, part: str) -> float | None:
    """Return the share of codes of a part outside the vocabulary; ``None`` without codes."""
    share = data.sequences.unknown.get(part, {}).get("share") if data.sequences else None
    return None if share is None else float(share)
