"""A finished run judged again: from its predictions, or by its model on other data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sequela.cohort.segments import cut
from sequela.cohort.split import hashed
from sequela.errors import RunError, SettingError
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import summarise
from sequela.models.registry import lookup
from sequela.sequences.scaling import Scaling
from sequela.sources import catalog
from sequela.studies import floors, signals
from sequela.studies.folder import RunFolder


def evaluate_run(
    path: Path, *, data: str | None = None, root: Path | None = None
) -> dict[str, Any]:
    """The numbers of a run's held_out part, or of its model on another data set.

    Args:
        path: Run folder.
        data: Data set to apply the model to; ``None`` judges the run's own predictions.
        root: Where the data lie, if not where they are looked for by themselves.

    Returns:
        As ``sequela.evaluation.summary.summarise``, and what was judged.

    Raises:
        SequelaError: If the run is damaged, its parts overlap, or the data do not fit the model.
    """
    folder = RunFolder(path)
    folder.require_complete()
    if data is None:
        predictions = folder.predictions.part("held_out")
        return {
            "run": path.name,
            "data": folder.settings.data,
            "leaks": folder.split.leaks,
            **summarise(predictions, seed=folder.settings.seed, recordings=True),
        }
    predictions, set_aside, origin = _on(folder, data, root)
    return {
        "run": path.name,
        "data": data,
        "origin": origin,
        "leaks": False,
        "recordings_set_aside_as_trained_or_tuned_on": set_aside,
        **summarise(predictions, seed=folder.settings.seed, recordings=True),
    }


def _on(folder: RunFolder, data: str, root: Path | None) -> tuple[Predictions, int, str]:
    """Predictions on other data, how many recordings were set aside, and where the data lay."""
    if folder.settings.model in floors.FLOORS:
        raise SettingError(f"{folder.settings.model} is a floor: it is judged on its own data only")
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
    header, tensors = _stored_model(folder.path / "model.safetensors")
    segments = cut(new, n_times=header["n_times"], classes=tuple(header["classes"]))
    if segments.signal.shape[1] != header["n_chans"] or segments.sfreq != header["sfreq"]:
        raise SettingError(
            f"{data} has {segments.signal.shape[1]} channel(s) at {segments.sfreq} Hz, but the "
            f"model reads {header['n_chans']} at {header['sfreq']} Hz"
        )
    entry = lookup(header["model"])
    model = entry.build(entry.config(**header["config"]))
    model.load_state_dict(tensors)
    scaled = Scaling.from_json(header["scaling"]).apply(segments.signal)
    held_out = np.full(len(segments), "held_out")
    found = signals.probabilities(model, torch.from_numpy(scaled))
    predictions = signals.predictions_of(segments, held_out, found)
    return predictions, len(recordings) - len(new), located.origin


def _stored_model(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a run's model."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["sequela"])
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found; expected the model of a run, train again") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); train again") from error
