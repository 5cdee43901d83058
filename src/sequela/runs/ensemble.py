"""Ensembles: the mean of the predictions of finished runs, as a new run.

Only the threshold is chosen, on the validation set. The predictions are read from the
``predictions.parquet`` of the members, so that neither data nor models are needed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sequela.config import RunSettings, TrainingSettings
from sequela.cost import record as record_cost
from sequela.cost.several import account_of_several, averaging
from sequela.errors import RunError
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import summarise_parts
from sequela.files import writing
from sequela.models import stored
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import ENSEMBLE, title_of
from sequela.runs.compare import check_distinct, check_same_split
from sequela.runs.environment import environment
from sequela.runs.find import Run, named_runs, open_run
from sequela.runs.folder import COST, METRICS, RunFolder, work_beside
from sequela.runs.folds import FOLDS
from sequela.runs.manifest import seal
from sequela.runs.model import FILE, Mean, averaged, in_one_file
from sequela.runs.recipe import places, summarise_runs
from sequela.runs.verify import verify

_TWO = 2
_SUMMED = ("parameters", "operations", "macs", "train_seconds")
_SAME = ("example_id", "group_id", "subject_id", "split", "label")


@dataclass(frozen=True)
class Member:
    """A model of an ensemble, as the ensemble's ``config.toml`` names it.

    Attributes:
        run: The name of its run's folder.
        sha256: The SHA-256 of its ``model.safetensors``.
        settings: The settings of its run, as plain values.
    """

    run: str
    sha256: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, folder: RunFolder, run: str) -> "Member":
        """Describe the model of a run, or of one fold."""
        digest = hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest()
        return cls(run, digest, folder.settings.model_dump(mode="json", exclude_none=True))


def members_of(settings: RunSettings) -> list[Member]:
    """Return the members of an ensemble; empty for any other run."""
    named = settings.model_settings.get("members", ()) if settings.model == ENSEMBLE else ()
    return [Member(**each) for each in named]


def has_network(settings: RunSettings) -> bool:
    """Return whether the model of a run is a network, or an ensemble with one."""
    members = [RunSettings.of(**each.settings) for each in members_of(settings)]
    return any(map(has_network, members)) if members else settings.model not in REFERENCE_MODELS


def title(settings: RunSettings) -> str:
    """Return the title of the model of a run; for an ensemble, with its members.

    Example:
        >>> title(RunSettings(model="boosting", data="eicu"))
        'Boosting'
    """
    members = [title(RunSettings.of(**each.settings)) for each in members_of(settings)]
    if not members:
        return title_of(settings.model)
    counts = {name: members.count(name) for name in members}
    named = [name + f" ({count} times)" * (count > 1) for name, count in counts.items()]
    return f"Ensemble of {' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))}"


def make_ensemble(paths: Sequence[Path], out: Path, *, mean: Mean = "arithmetic") -> Run:
    """Average the probabilities of finished runs, and write the result as a run.

    Runs of several folds or seeds are averaged fold by fold and seed by seed; one folder of several
    seeds alone is averaged over its seeds. The ``model.safetensors`` of the ensemble has copies of
    the models of its members, so that it can be moved. Their settings and checksums are in its
    ``config.toml``.

    Args:
        paths: Two run folders or more, or one of several seeds.
        out: The ensemble's folder, written completely or not at all.
        mean: See :func:`sequela.runs.model.averaged`.

    Raises:
        RunError: If a path is not a finished run, one is named twice, data, questions or splits of
            the runs differ, a run is damaged, or ``out`` is taken.
        SplitError: If the predictions of a run do not match its split.
    """
    runs = named_runs(paths)
    groups = _together(runs)
    for run in runs:
        verify(run)
    for group in groups:
        _check_same_data(group)
    RunFolder(out).check_free(groups[0][0].settings, resume=False)
    of_folds = bool(runs[0].folds) or len(groups) > 1
    with work_beside(out) as work:
        new = work / out.name
        made = [
            _make(group, _names(runs, group), new / (_place(runs, group) if of_folds else ""), mean)
            for group in groups
        ]
        if of_folds:
            RunFolder(new).write(FOLDS, summarise_runs(made))
            seal(new)
        with writing(out):
            new.replace(out)
    return open_run(out)


def _together(runs: Sequence[Run]) -> list[list[RunFolder]]:
    """Return the runs to average, for each run of the ensemble."""
    first, *others = runs
    if not others:
        if first.seeds < _TWO:
            raise RunError(
                f"{first.path}: an ensemble needs two runs or more, or one run of several seeds"
            )
        alike: dict[tuple[int, int], list[RunFolder]] = {}
        for run, place in zip(first.runs, places(first.runs), strict=True):
            alike.setdefault((place.repeat, place.fold), []).append(run)
        return list(alike.values())
    check_distinct(runs)
    for other in others:
        check_same_split(first, other)
    return [list(group) for group in zip(*(run.runs for run in runs), strict=True)]


def _check_same_data(group: Sequence[RunFolder]) -> None:
    """Raise an error unless runs have the same question and the same examples."""
    first, *others = group
    for other in others:
        what = None
        if first.data["question"] != other.data["question"]:
            what = f"have different questions ({first.data['question']}; {other.data['question']})"
        elif _digest(first) != _digest(other) or not _same_examples(first, other):
            what = "have different data: other files, or other settings of the records"
        if what:
            raise RunError(
                f"{first.path} and {other.path} {what}; train both on the same data, with the same "
                "settings but for the model and its training"
            )


def _digest(run: RunFolder) -> Any:
    return run.json("split.json").get("data_sha256")


def _same_examples(one: RunFolder, other: RunFolder) -> bool:
    return all(
        np.array_equal(getattr(one.predictions, name), getattr(other.predictions, name))
        for name in _SAME
    )


def _names(runs: Sequence[Run], group: Sequence[RunFolder]) -> list[str]:
    """Name the members of a group after their runs, or after the seeds of one run."""
    named = [run.path.resolve().name for run in runs]
    return named if len(runs) > 1 else [f"{named[0]}-seed-{n}" for n in range(len(group))]


def _place(runs: Sequence[Run], group: Sequence[RunFolder]) -> str:
    """Return the folder of one fold of the ensemble, named after its first member."""
    name = group[0].path.name
    return name if len(runs) > 1 else name.partition(".seed-")[0]


def _make(group: Sequence[RunFolder], names: Sequence[str], out: Path, mean: Mean) -> RunFolder:
    """Write one run of the ensemble."""
    first = group[0]
    members = [Member.of(run, name) for run, name in zip(group, names, strict=True)]
    settings = first.settings.model_copy(
        update={
            "model": ENSEMBLE,
            "split_seed": first.settings.seed_of_split,
            "model_settings": {"mean": mean, "members": [asdict(each) for each in members]},
            "training": TrainingSettings(),
        }
    )
    folder = RunFolder(out)
    folder.open(settings, resume=False)
    folder.begin(first.json("split.json"))
    folder.write("environment.json", environment())
    facts = _facts(group, folder, mean)
    stored.write(folder.path / FILE, *in_one_file(group, mean))
    _averaged(group, mean).write(folder.path / "predictions.parquet")
    if first.attributes:
        folder.write_attributes(first.attributes)
    kept = {n: first.metrics[n] for n in ("data", "split", "looked_for", "leaks", "suspicions")}
    recordings = first.data["classes_fixed"]
    parts = summarise_parts(folder.predictions, settings, recordings=recordings)
    folder.write(METRICS, {"model": ENSEMBLE, **kept, **facts, "parts": parts})
    seal(out)
    return folder


def _averaged(group: Sequence[RunFolder], mean: Mean) -> Predictions:
    said = [run.predictions.probabilities for run in group]
    return replace(group[0].predictions, probabilities=averaged(said, mean))


def _facts(group: Sequence[RunFolder], folder: RunFolder, mean: Mean) -> dict[str, Any]:
    """Sum facts over the members, and write ``cost.json`` if one of them is counted."""
    models = [run.settings.model for run in group]
    named = [
        name + f" {number + 1}" * (models.count(name) > 1) for number, name in enumerate(models)
    ]
    pairs = list(zip(named, group, strict=True))
    counted = {name: run.account for name, run in pairs if run.account}
    uncounted = {name: run.metrics["parameters"] for name, run in pairs if not run.account}
    summed = {name: sum(run.metrics[name] or 0 for run in group) for name in _SUMMED}
    bound = any(run.metrics["operations"] is None for run in group)
    if counted:
        networks = sum(run.metrics["epochs"] > 0 for run in group)
        classes, geometric = len(group[0].data["classes"]), mean == "geometric"
        work = averaging(len(group), networks, classes, geometric=geometric)
        account = account_of_several(ENSEMBLE, counted, uncounted, work)
        record_cost.save(account, folder.path / COST)
        summed["operations"] = account.operations
    return {
        **summed,
        **dict.fromkeys(("operations", "macs") if bound else ()),
        "inference_us": None,
        "epochs": 0,
        "best_epoch": 0,
    }
