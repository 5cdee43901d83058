"""Verification of a finished run: its files, its numbers and its predictions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sequela.config import RunSettings
from sequela.cost import record as record_cost
from sequela.cost.references import account_of_reference
from sequela.errors import RunError, SequelaError
from sequela.evaluation.predictions import Predictions
from sequela.files import temporary
from sequela.integrity.verify import differences, in_words, same_words, verify
from sequela.runs.data import Examples, load, root_of
from sequela.runs.find import Run, find_runs
from sequela.runs.fit import cost_of, looked
from sequela.runs.folder import CONFIG, COST, METRICS, RunFolder
from sequela.runs.leaks import KINDS, sentences
from sequela.runs.manifest import MANIFEST, changes
from sequela.runs.members import members_of
from sequela.runs.model import FILE, TrainedModel, trained
from sequela.runs.ranges import outside

SEARCH = "search.json"
TOLERANCE = 1e-3
"""Largest difference of two probabilities: another machine adds in another order."""
_ASKED = "split, description, leak audit, cost and all probabilities match the data and the model"


@dataclass(frozen=True)
class Verified:
    """Sentences on what agrees in a run, what is wrong, and what was not checked and why."""

    path: Path
    agrees: tuple[str, ...]
    wrong: tuple[str, ...]
    unknown: tuple[str, ...]


def verify_folder(path: Path, root: Path | None = None) -> Iterator[Verified]:
    """Verify a run, or the runs in a folder, one after the other; see :func:`verify_run`.

    A folder of runs with its own manifest, such as a study, is compared with it too.
    """
    runs = find_runs([path], check=False)
    if (path / MANIFEST).exists() and runs[0].path != path:
        inside = tuple(each.path for each in runs)
        wrong = [
            str(change)
            for change in changes(path)
            if not any(change.path.is_relative_to(run) for run in inside)
        ]
        agrees = () if wrong else (f"all files next to the runs match {MANIFEST}",)
        yield Verified(path, agrees, tuple(wrong), ())
    for run in runs:
        yield verify_run(run, root)


def verify_run(run: Run, root: Path | None = None) -> Verified:
    """Check everything in a run that can be checked without training it again.

    1. Each file is compared with the manifest.
    2. Every number, intervals included, is computed again from the predictions.
    3. If the data are available, they are read again. The split, the description of the data, the
       findings of the leak audit, the cost and all probabilities of the model are computed again.

    Each step is skipped if a step before it found an error.
    """
    agrees: list[str] = []
    wrong: list[str] = []
    unknown = ""
    try:
        wrong += map(str, changes(run.path))
        if not wrong:
            agrees.append(f"all files match {MANIFEST}")
            verify(run, intervals=True)
            agrees.append("all numbers match the predictions")
            for each in run.runs:
                wrong += _other_search(each)
            with temporary() as work:
                for each in run.runs:
                    data, unknown = _data_again(each, root, work)
                    if data is None:
                        break
                    wrong += _differences(each, data)
                else:
                    agrees += [_ASKED] * (not wrong)
    except SequelaError as error:
        wrong.append(str(error))
    return Verified(run.path, tuple(agrees), tuple(wrong), (unknown,) * bool(unknown))


def _other_search(folder: RunFolder) -> Iterator[str]:
    """Yield sentences on trials outside their search space, and on a run without the best one."""
    if not (folder.path / SEARCH).exists():
        return
    found, place = folder.json(SEARCH), folder.path / SEARCH
    finished = [each for each in found["trials"] if each["loss"] is not None]
    for each in finished:
        if value := outside(found["space"], each["values"]):
            yield f"{place}: trial {each['number']} has {value}, outside its search space"
    settings = folder.settings
    used = {**settings.training.model_dump(), **settings.model_settings}
    best = min(finished, key=lambda each: each["loss"])["values"]
    if other := [name for name, value in best.items() if used.get(name) != value]:
        yield f"{folder.path / CONFIG}: {other[0]} is not that of the best trial in {SEARCH}"


def _data_again(folder: RunFolder, root: Path | None, work: Path) -> "tuple[Examples | None, str]":
    """Read the data of a run again, or return the reason why predictions cannot be checked."""
    try:
        data = load(folder.settings, root or root_of(folder), work)
    except SequelaError as error:
        if root is not None:
            raise
        return None, f"predictions were not checked, because the data were not found: {error}"
    if folder.json("split.json").get("data_sha256") == data.digest:
        return data, ""
    said = f"the data found now ({data.origin}) are not the data of the run"
    if root is not None:
        raise RunError(f"{folder.path}: {said}")
    return None, f"predictions were not checked, because {said}: name them with --root"


def _differences(folder: RunFolder, data: Examples) -> Iterator[str]:
    model, metrics = trained(folder), folder.path / METRICS
    if any(leaf.is_network for leaf in model.leaves):
        import torch

        torch.set_num_threads(1)
    again = _plain(data.header)
    for difference in differences(
        {name: model.header.get(name) for name in again}, again, words=True
    ):
        yield f"{folder.path / FILE}: {in_words(difference, 'data')}"
    words = same_words(folder)
    about = {**_plain(data.describe()), "origin": folder.metrics.data.origin}
    for difference in differences(folder.metrics.data, about, words=words):
        yield f"{metrics}: {in_words(difference, 'data')}"
    for difference in differences(_audit(folder.metrics), _audit(looked(data)), words=words):
        yield f"{metrics}: {in_words(difference, 'leak audit')}"
    if isinstance(model, TrainedModel):
        yield from _other_model(folder, data, model)
    with threadpool_limits(limits=1):
        predictions = data.predictions(model.probabilities_of(data))
    yield from _other_predictions(folder, predictions)


def _audit(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the leak audit looked for and found, in words."""
    found = {kind: sentences(metrics[kind]) for kind in KINDS}
    return {"looked_for": metrics.get("looked_for"), **found}


def _other_model(folder: RunFolder, data: Examples, model: TrainedModel) -> Iterator[str]:
    given = data.inputs(model.reads, standardise=model.is_network)
    for name, learnt in given.state.items():
        stored = model.state.get(name)  # NaN for a column without a value in the training set
        if stored is None or not np.array_equal(stored, learnt, equal_nan=True):
            yield f"{folder.path / FILE}: has another {name} than the data give; train again"
    if (folder.path / COST).exists():
        again = (
            cost_of(model.name, model.network("a cost account"), given)
            if model.is_network
            else account_of_reference(model.name, model.arrays, given)
        )
        cost = _plain(again and record_cost.to_json(again))
        for difference in differences(folder.json(COST), cost, words=same_words(folder)):
            yield f"{folder.path / COST}: {in_words(difference, 'model')}"


def _is_refit(settings: RunSettings) -> bool:
    """Return ``True`` if a model of a run was refitted, so its validation predictions are lost."""
    inside = [RunSettings.of(**member.settings) for member in members_of(settings)]
    return settings.training.refit or any(map(_is_refit, inside))


def _other_predictions(folder: RunFolder, again: Predictions) -> Iterator[str]:
    stored, path = folder.predictions, folder.path / "predictions.parquet"
    for name in ("example_id", "group_id", "subject_id", "split", "label"):
        if not np.array_equal(getattr(stored, name), getattr(again, name)):
            yield f"{path}: has another {name} than the data give; train again"
            return
    rows = (stored.split != "tuning") | (not _is_refit(folder.settings))
    gap = np.abs(stored.probabilities - again.probabilities).max(axis=1)
    other = rows & (gap > TOLERANCE)
    if other.any():
        worst = int(np.where(rows, gap, -1).argmax())
        yield (
            f"{path}: {int(other.sum())} of {int(rows.sum())} predictions differ from "
            f"{FILE}: row {worst + 1} has "
            f"{_row(stored.probabilities[worst])}, and the model predicts "
            f"{_row(again.probabilities[worst])}; one of both files was changed: train again"
        )


def _row(probabilities: NDArray[np.float32]) -> str:
    return " ".join(f"{each:.3f}" for each in probabilities.tolist())


def _plain(record: Any) -> Any:
    """Return a record as it is read back from JSON."""
    return json.loads(json.dumps(record))
