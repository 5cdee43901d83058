"""Ensembles: the mean of the predictions of finished runs, as a new run.

Only the threshold is chosen, on the validation set. The predictions are read from the
``predictions.parquet`` of the members, so that neither data nor models are needed.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from sequela.analysis.compare import check_distinct, check_same_split
from sequela.config import TrainingSettings
from sequela.cost import record as record_cost
from sequela.cost.references import account_of_several, averaging
from sequela.errors import RunError
from sequela.evaluation.summary import summarise_parts
from sequela.files import writing
from sequela.integrity.verify import verify
from sequela.models import stored
from sequela.models.registry import ENSEMBLE
from sequela.runs.environment import environment
from sequela.runs.find import Run, named_runs, open_run
from sequela.runs.folder import COST, METRICS, RunFolder, places, work_beside
from sequela.runs.folds import FOLDS
from sequela.runs.manifest import seal
from sequela.runs.model import FILE, Member, Pooling, averaged, in_one_file
from sequela.runs.recipe import summarise_runs

_SUMMED = ("parameters", "operations", "macs", "train_seconds")  # costs: all members are run
_SAME = ("example_id", "group_id", "subject_id", "split", "label")  # else means would mix people


def make_ensemble(paths: Sequence[Path], out: Path, *, mean: Pooling = "arithmetic") -> Run:
    """Average the probabilities of finished runs, and write the result as a run.

    Runs of several folds or seeds are averaged fold by fold and seed by seed; one folder of several
    seeds alone is averaged over its seeds. The ``model.safetensors`` of the ensemble has copies of
    the models of its members, so that it can be moved. Their settings and checksums are in its
    ``config.toml``.
    """
    runs = named_runs(paths)
    groups = _together(runs)
    # The members' predictions are averaged as they are in the files.
    for run in runs:
        verify(run)
    for group in groups:
        _check_same_data(group)
    RunFolder(out).check_free(groups[0][0].settings, resume=False)
    of_folds = bool(runs[0].folds) or len(groups) > 1
    with work_beside(out) as work:
        new = work / out.name
        folders = [
            _make(group, _names(runs, group), new / (_place(runs, group) if of_folds else ""), mean)
            for group in groups
        ]
        if of_folds:
            RunFolder(new).write(FOLDS, summarise_runs(folders))
            seal(new)
        with writing(out):
            new.replace(out)
    return open_run(out)


def _together(runs: Sequence[Run]) -> list[list[RunFolder]]:
    """Return the runs to average, for each run of the ensemble."""
    first, *rest = runs
    if not rest:
        if first.seeds == 1:
            raise RunError(
                f"{first.path}: an ensemble needs two runs or more, or one run of several seeds"
            )
        alike: dict[tuple[int, int], list[RunFolder]] = {}
        for folder, place in zip(first.runs, places(first.runs), strict=True):
            alike.setdefault((place.repeat, place.fold), []).append(folder)
        return list(alike.values())
    check_distinct(runs)
    for run in rest:
        check_same_split(first, run)
    return [list(group) for group in zip(*(run.runs for run in runs), strict=True)]


def _check_same_data(group: Sequence[RunFolder]) -> None:
    first, *rest = group
    for run in rest:
        what = None
        if first.data.question != run.data.question:
            what = f"have different questions ({first.data.question}; {run.data.question})"
        elif not _same_data(first, run):
            what = "have different data: other files, or other settings of the records"
        if what:
            raise RunError(
                f"{first.path} and {run.path} {what}; train both on the same data, with the same "
                "settings but for the model and its training"
            )


def _same_data(*runs: RunFolder) -> bool:
    digest, second = (run.json("split.json").get("data_sha256") for run in runs)
    arrays = ([getattr(run.predictions, name) for name in _SAME] for run in runs)
    return digest == second and all(map(np.array_equal, *arrays))


def _names(runs: Sequence[Run], group: Sequence[RunFolder]) -> list[str]:
    """Name the members of a group after their runs, or after the seeds of one run."""
    names = [run.path.resolve().name for run in runs]
    return names if len(runs) > 1 else [f"{names[0]}-seed-{n}" for n in range(len(group))]


def _place(runs: Sequence[Run], group: Sequence[RunFolder]) -> str:
    """Return the folder of one fold of the ensemble, named after its first member."""
    name = group[0].path.name
    return name if len(runs) > 1 else name.partition(".seed-")[0]


def _make(group: Sequence[RunFolder], names: Sequence[str], out: Path, mean: Pooling) -> RunFolder:
    first = group[0]
    members = [Member.of(run, name) for run, name in zip(group, names, strict=True)]
    settings = first.settings.model_copy(
        update={
            "model": ENSEMBLE,
            "split_seed": first.settings.seed_of_split,
            "model_settings": {"mean": mean, "members": [asdict(member) for member in members]},
            "training": TrainingSettings(),
        }
    )
    folder = RunFolder(out)
    folder.open(settings, resume=False)
    folder.begin(first.json("split.json"))
    folder.write("environment.json", environment())
    facts = _facts(group, folder, mean)
    stored.write(folder.path / FILE, *in_one_file(group, mean))
    probabilities = averaged([run.predictions.probabilities for run in group], mean)
    predictions = replace(first.predictions, probabilities=probabilities)
    predictions.write(folder.path / "predictions.parquet")
    if first.attributes:
        folder.write_attributes(first.attributes)
    metrics = first.json(METRICS)
    of_data = {n: metrics[n] for n in ("data", "split", "looked_for", "leaks", "suspicions")}
    fixed, attributes = first.data.classes_fixed, first.attributes
    parts = summarise_parts(predictions, settings, recordings=fixed, attributes=attributes)
    folder.write(METRICS, {"model": ENSEMBLE, **of_data, **facts, "parts": parts})
    seal(out)
    return folder


def _facts(group: Sequence[RunFolder], folder: RunFolder, mean: Pooling) -> dict[str, object]:
    """Sum facts over the members, and write ``cost.json`` if one of them is counted."""
    models = [run.settings.model for run in group]
    names = [
        name if models.count(name) == 1 else f"{name} {number}"
        for number, name in enumerate(models, 1)
    ]
    pairs = list(zip(names, group, strict=True))
    counted = {name: run.account for name, run in pairs if run.account}
    uncounted = {name: run.metrics.parameters for name, run in pairs if not run.account}
    summed = {name: sum(run.metrics[name] or 0 for run in group) for name in _SUMMED}
    bound = any(run.metrics.operations is None for run in group)
    if counted:
        networks = sum(run.metrics.epochs > 0 for run in group)
        classes, geometric = len(group[0].data.classes), mean == "geometric"
        work = averaging(len(group), networks, classes, geometric=geometric)
        account = account_of_several(ENSEMBLE, counted, uncounted, work)
        record_cost.save(account, folder.path / COST)
        summed["operations"] = account.operations
    measured = {n: [run.facts[n] for run in group] for n in ("inference_us", "memory_bytes")}
    return {
        **summed,
        **dict.fromkeys(("operations", "macs") if bound else ()),
        **{name: None if None in numbers else sum(numbers) for name, numbers in measured.items()},
        "epochs": 0,
        "best_epoch": 0,
    }
