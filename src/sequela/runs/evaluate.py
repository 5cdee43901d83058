"""A finished run judged again: from its predictions, or by its model on other data."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from sequela.cohort.segments import cut
from sequela.cohort.split import hashed
from sequela.errors import SettingError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.summary import HALF, operating_points, points, summarise
from sequela.runs import floors, records, signals
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, summarise_folds
from sequela.runs.network import stored_network
from sequela.sequences.scaling import Scaling
from sequela.sources import catalog

_TWO = 2


def evaluate_run(
    path: Path, *, data: str | None = None, root: Path | None = None
) -> dict[str, Any]:
    """The numbers of a run's held_out part, or of its model on another data set.

    Args:
        path: Run folder, or folder of folds.
        data: Data set to apply the model to; ``None`` judges the run's own predictions.
        root: Where the data lie, if not where they are looked for by themselves.

    Returns:
        As ``sequela.evaluation.summary.summarise``, and what was judged.

    Raises:
        SequelaError: If the run is damaged, its parts overlap, or the data do not fit the model.
    """
    (folder,) = named_runs([path])
    if data is None:
        return {"run": path.name, "data": folder.settings.data, **_own(folder)}
    if isinstance(folder, FoldsFolder):
        raise SettingError(
            f"{path} holds {len(folder.runs)} models, one a fold: name one of them, such as "
            f"{folder.runs[0].path.name}, to apply it to other data"
        )
    if folder.settings.model in floors.FLOORS:
        raise SettingError(f"{folder.settings.model} is a floor: it is judged on its own data only")
    judge = _on_recordings if folder.settings.cohort is None else _on_records
    return {"run": path.name, "data": data, **judge(folder, data, root)}


def _own(folder: Run) -> dict[str, Any]:
    """What a run's own held-out predictions give."""
    if isinstance(folder, FoldsFolder):
        leaks = any(run.metrics["leaks"] for run in folder.runs)
        return {"leaks": leaks, **summarise_folds(folder.runs)["test"]}
    predictions, settings = folder.predictions, folder.settings
    recordings = settings.cohort is None
    held_out = predictions.part("held_out")
    numbers = summarise(held_out, seed=settings.seed, recordings=recordings)
    if len(predictions.classes) == _TWO:
        numbers["operating_points"] = operating_points(
            predictions, seed=settings.seed, aim=settings.aim, target=settings.aim_target
        )
    leaks = folder.split.leaks or bool(folder.metrics["leaks"])
    return {"leaks": leaks, **numbers}


def _on_records(folder: RunFolder, data: str, root: Path | None) -> dict[str, Any]:
    """What a model of visits does on other records, asked the same question."""
    header, model = stored_network(folder, "an evaluation on other data")
    with TemporaryDirectory(prefix="sequela-") as work:
        other = records.load_other(folder, header["vocabulary"], data, root, Path(work))
        point = folder.metrics["parts"]["held_out"]["operating_points"][1]
        predictions = other.predictions(other.probabilities(model))
        seed = folder.settings.seed
        chosen = Threshold(point["threshold"], point["chosen_for"])
        return {
            "origin": other.origin,
            "leaks": bool(other.cohort.leaks),
            "subjects_set_aside_as_trained_or_tuned_on": other.set_aside,
            "unknown_codes": float(np.mean(other.sequences.codes == 0)),
            **summarise(predictions, seed=seed, recordings=False),
            "operating_points": points(predictions, [HALF, chosen], seed=seed),
        }


def _on_recordings(folder: RunFolder, data: str, root: Path | None) -> dict[str, Any]:
    """What a model of signals does on other recordings."""
    recordings, located = catalog.load_recordings(data, root)
    seen = {
        h
        for part in ("train", "tuning")
        for h in folder.split.ids.get("recording", {}).get(part, [])
    }
    new = [r for r in recordings if hashed(np.array([r.recording_id]))[0] not in seen]
    if not new:
        raise SettingError(
            f"all {len(recordings)} recordings of {data} were used to train or tune this model: "
            "nothing is left to evaluate it on"
        )
    header, model = stored_network(folder, "an evaluation on other data")
    segments = cut(new, n_times=header["n_times"], classes=tuple(header["classes"]))
    if segments.signal.shape[1] != header["n_chans"] or segments.sfreq != header["sfreq"]:
        raise SettingError(
            f"{data} has {segments.signal.shape[1]} channel(s) at {segments.sfreq} Hz, but the "
            f"model reads {header['n_chans']} at {header['sfreq']} Hz"
        )
    scaled = Scaling.from_json(header["scaling"]).apply(segments.signal)
    held_out = np.full(len(segments), "held_out")
    found = signals.probabilities(model, torch.from_numpy(scaled))
    predictions = signals.predictions_of(segments, held_out, found)
    return {
        "origin": located.origin,
        "leaks": False,
        "recordings_set_aside_as_trained_or_tuned_on": len(recordings) - len(new),
        **summarise(predictions, seed=folder.settings.seed, recordings=True),
    }
