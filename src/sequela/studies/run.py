"""One run, from settings to a finished run folder: the place that joins the rooms."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from sequela.cohort.split import PARTS
from sequela.config import RunSettings
from sequela.cost import account
from sequela.cost import record as record_cost
from sequela.errors import SettingError
from sequela.evaluation.summary import summarise
from sequela.files import whole
from sequela.models.registry import lookup
from sequela.sequences.signal_batches import signal_loader
from sequela.studies import floors, signals
from sequela.studies.folder import METRICS, RunFolder, environment
from sequela.training.checkpoint import FILE
from sequela.training.fit import fit
from sequela.training.history import History, best_epoch, to_lines

OnEpoch = Callable[[History], None]
_PREDICTION_BATCH = 1024


def train(
    settings: RunSettings,
    out: Path,
    *,
    root: Path | None = None,
    resume: bool = False,
    on_epoch: OnEpoch = lambda _: None,
) -> RunFolder:
    """Train one model and write its run folder; a finished run that is resumed is left as it is.

    Args:
        settings: What to compute.
        out: The run folder.
        root: Where the data lie, if not where they are looked for by themselves.
        resume: Continue an interrupted run of the same settings.
        on_epoch: Called with the history after each epoch.

    Raises:
        SequelaError: If the model or data are not known or not found, if ``out`` is taken, or if
            the run to resume was begun on other data.
    """
    torch.set_num_threads(1)
    floor = settings.model in floors.FLOORS
    if not floor and (reads := lookup(settings.model).reads) != "signal":
        raise SettingError(
            f"{settings.model} reads {reads}, but data set '{settings.data}' holds recordings: "
            "choose a model that reads signals, for example gru-improved"
        )
    folder = RunFolder(out)
    data = signals.load(settings, root)
    if not floor:
        model_config(settings, data)  # refused, if it must be, before anything is written
    folder.open(settings, resume=resume)
    folder.begin({**data.split.to_json(), "data_sha256": data.digest})
    if folder.complete:
        return folder
    folder.write("environment.json", environment())
    with threadpool_limits(limits=1):
        if floor:
            trained = floors.train(settings, data)
        else:
            trained = _train_network(settings, data, folder, resume=resume, on_epoch=on_epoch)
    header = {"sequela": json.dumps(_header(settings, data))}
    with whole(out / "model.safetensors") as partial:
        save_file(trained.tensors, partial, metadata=header)
    data.predictions(trained.probabilities).write(out / "predictions.parquet")
    folder.write(METRICS, _metrics(settings, data, folder, trained.facts))
    return folder


def _train_network(
    settings: RunSettings,
    data: signals.SignalData,
    folder: RunFolder,
    *,
    resume: bool,
    on_epoch: OnEpoch,
) -> floors.Trained:
    """Fit a network, its history written after each epoch."""
    torch.manual_seed(settings.seed)
    model = build(settings, data)
    train_rows, tuning_rows = data.rows("train"), data.rows("tuning")
    labels, scaled = data.labels, data.scaled
    checkpoint = folder.path / "checkpoint"

    def record(history: History) -> None:
        folder.write("history.jsonl", to_lines(history))
        on_epoch(history)

    segment = torch.zeros(1, *scaled.shape[1:])
    cost = account(model, segment, name=settings.model, allow_unknown=True)
    record_cost.save(cost, folder.path / "cost.json")
    history = fit(
        model,
        signal_loader(
            scaled[train_rows],
            labels[train_rows],
            batch_size=settings.training.batch_size,
            generator=torch.Generator().manual_seed(settings.seed),
        ),
        signal_loader(scaled[tuning_rows], labels[tuning_rows], batch_size=_PREDICTION_BATCH),
        settings.training,
        metrics={"accuracy": correct},
        class_weight=_class_weight(labels[train_rows]) if settings.training.class_weights else None,
        checkpoint=checkpoint,
        resume=resume and (checkpoint / FILE).exists(),
        on_epoch=record,
    )
    return floors.Trained(
        tensors={name: t.cpu().contiguous() for name, t in model.state_dict().items()},
        probabilities=probabilities(model, scaled),
        facts={
            "parameters": cost.parameters,
            "operations": cost.operations,
            "macs": cost.macs,
            "train_seconds": sum(r.seconds for r in history),
            "epochs": max(r.epoch for r in history),
            "best_epoch": best_epoch(history),
        },
    )


def build(settings: RunSettings, data: signals.SignalData) -> nn.Module:
    """The model of a run, in the shape of its data."""
    return lookup(settings.model).build(model_config(settings, data))


def model_config(settings: RunSettings, data: signals.SignalData) -> Any:
    """The frozen config of a run's model."""
    _, n_chans, n_times = data.segments.signal.shape
    shape = {"n_chans": n_chans, "n_times": n_times, "n_outputs": len(data.segments.classes)}
    return lookup(settings.model).config(**{**shape, **settings.model_settings})


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """1.0 where the largest logit is the label's: float (example,)."""
    return (logits.argmax(1) == labels).double()


def probabilities(model: nn.Module, signal: Tensor) -> NDArray[np.float32]:
    """Probabilities (segment, class) of scaled segments (segment, n_chans, n_times)."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        logits = [model(part.to(device)) for part in torch.split(signal, _PREDICTION_BATCH)]
        found: NDArray[np.float32] = torch.cat(logits).float().softmax(1).cpu().numpy()
    return found


def _class_weight(labels: Tensor) -> Tensor:
    """Weights (class,) that give each class the same share of the loss; their mean is 1."""
    counts = torch.bincount(labels).float()
    return counts.sum() / (len(counts) * counts)


def _header(settings: RunSettings, data: signals.SignalData) -> dict[str, Any]:
    """What a model needs beside its tensors, stored in the header of ``model.safetensors``."""
    _, n_chans, n_times = data.segments.signal.shape
    header: dict[str, Any] = {
        "model": settings.model,
        "scaling": data.scaling.to_json(),
        "classes": list(data.segments.classes),
        "sfreq": data.segments.sfreq,
        "n_chans": n_chans,
        "n_times": n_times,
    }
    if settings.model not in floors.FLOORS:
        header["config"] = asdict(model_config(settings, data))
    return header


def _metrics(
    settings: RunSettings, data: signals.SignalData, folder: RunFolder, facts: dict[str, Any]
) -> dict[str, Any]:
    """The content of ``metrics.json``."""
    started = time.perf_counter()
    parts = {
        name: summarise(folder.predictions.part(name), seed=settings.seed, recordings=True)
        for name in PARTS
    }
    return {
        "model": settings.model,
        "data": data.describe(),
        "split": {"unit": settings.split, "leaks": data.split.leaks},
        **facts,
        "parts": parts,
        "evaluation_seconds": time.perf_counter() - started,
    }
