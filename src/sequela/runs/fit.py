"""One run, from settings to a finished run folder: the place that joins the rooms."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from sequela.cohort.split import PARTS
from sequela.config import RunSettings
from sequela.cost import account
from sequela.cost import record as record_cost
from sequela.errors import SettingError
from sequela.evaluation.summary import operating_points, summarise
from sequela.models import stored
from sequela.models.registry import lookup
from sequela.runs import floors
from sequela.runs.audit import audit, looked_for
from sequela.runs.data import RunData, load
from sequela.runs.folder import METRICS, RunFolder, environment, work_beside
from sequela.runs.network import FILE
from sequela.sources import catalog
from sequela.training import checkpoint as checkpoints
from sequela.training.fit import fit
from sequela.training.history import History, best_epoch, to_lines
from sequela.training.totals import correct

OnEpoch = Callable[[History], None]
_PREDICTION_BATCH = 1024
_TWO = 2


def train(
    settings: RunSettings,
    out: Path,
    *,
    root: Path | None = None,
    work: Path | None = None,
    resume: bool = False,
    on_epoch: OnEpoch = lambda _: None,
) -> RunFolder:
    """Train one model and write its run folder; a finished run that is resumed is left as it is.

    Args:
        settings: What to compute.
        out: The run folder.
        root: Where the data lie, if not where they are looked for by themselves.
        work: Folder for what is made of hospital tables on the way, which several runs may share;
            if not given it stands beside the run folder, and goes at the end.
        resume: Continue an interrupted run of the same settings.
        on_epoch: Called with the history after each epoch.

    Raises:
        SequelaError: If the model or data are not known or not found, if ``out`` is taken, or if
            the run to resume was begun on other data.
    """
    torch.set_num_threads(1)
    _check_reads(settings)
    folder = RunFolder(out)
    folder.check_free(settings, resume=resume)
    with work_beside(out, work) as made:
        data = load(settings, root, made)
        if settings.model not in floors.FLOORS:
            model_config(settings, data)  # refused, if it must be, before anything is written
        folder.open(settings, resume=resume)
        folder.begin({**data.split.to_json(), "data_sha256": data.digest})
        if not folder.complete:
            _finish(settings, data, folder, resume=resume, on_epoch=on_epoch)
    return folder


def _finish(
    settings: RunSettings, data: RunData, folder: RunFolder, *, resume: bool, on_epoch: OnEpoch
) -> None:
    """Train the model of a run that was begun, and write what it gave; the numbers come last."""
    folder.write("environment.json", environment())
    with threadpool_limits(limits=1):
        if settings.model in floors.FLOORS:
            trained = floors.train(settings, data)
        else:
            trained = _train_network(settings, data, folder, resume=resume, on_epoch=on_epoch)
    stored.write(folder.path / FILE, trained.tensors, _header(settings, data))
    data.predictions(trained.probabilities).write(folder.path / "predictions.parquet")
    if attributes := data.attributes():
        folder.write_attributes(attributes)
    folder.write(METRICS, _metrics(settings, data, folder, trained.facts))


def _check_reads(settings: RunSettings) -> None:
    """Make sure that the model reads what the data hold.

    Raises:
        UnknownNameError: If there is no such model or data set.
        SettingError: If the model reads one and the data hold the other.
    """
    holds = "signal" if catalog.lookup(settings.data).kind == "eeg" else "visits"
    floor = floors.FLOORS.get(settings.model)
    reads = floor.reads if floor else (lookup(settings.model).reads,)
    if holds not in reads:
        what, such = {
            "signal": ("recordings", "signals, for example gru-improved"),
            "visits": ("hospital records", "visits, for example visits-improved"),
        }[holds]
        raise SettingError(
            f"{settings.model} reads {reads[0]}, but data set '{settings.data}' holds {what}: "
            f"choose a model that reads {such}"
        )


def _train_network(
    settings: RunSettings, data: RunData, folder: RunFolder, *, resume: bool, on_epoch: OnEpoch
) -> floors.Trained:
    """Fit a network, its history written after each epoch."""
    torch.manual_seed(settings.seed)
    model = build(settings, data)
    checkpoint = folder.path / "checkpoint"

    def record(history: History) -> None:
        folder.write("history.jsonl", to_lines(history))
        on_epoch(history)

    cost = account(model, data.example, name=settings.model, allow_unknown=True)
    record_cost.save(cost, folder.path / "cost.json")
    order = torch.Generator().manual_seed(settings.seed)
    weights = _class_weight(data) if settings.training.class_weights else None
    history = fit(
        model,
        data.loader("train", settings.training.batch_size, order),
        data.loader("tuning", _PREDICTION_BATCH),
        settings.training,
        metrics={"accuracy": correct},
        class_weight=weights,
        checkpoint=checkpoint,
        resume=resume and (checkpoint / checkpoints.FILE).exists(),
        on_epoch=record,
    )
    return floors.Trained(
        tensors={name: t.cpu().contiguous() for name, t in model.state_dict().items()},
        probabilities=data.probabilities(model),
        facts={
            "parameters": cost.parameters,
            "operations": cost.operations,
            "macs": cost.macs,
            "train_seconds": sum(r.seconds for r in history),
            "epochs": max(r.epoch for r in history),
            "best_epoch": best_epoch(history),
        },
    )


def build(settings: RunSettings, data: RunData) -> nn.Module:
    """The model of a run, in the shape of its data."""
    return lookup(settings.model).build(model_config(settings, data))


def model_config(settings: RunSettings, data: RunData) -> Any:
    """The frozen config of a run's model."""
    return lookup(settings.model).config(**{**data.shape, **settings.model_settings})


def _class_weight(data: RunData) -> Tensor:
    """Weights (class,) that give each class the same share of the loss; their mean is 1."""
    labels = data.labels[data.rows("train")]
    counts = torch.from_numpy(np.bincount(labels, minlength=len(data.classes))).float()
    return counts.sum() / (len(counts) * counts)


def _header(settings: RunSettings, data: RunData) -> dict[str, Any]:
    """What a model needs beside its tensors, stored in the header of ``model.safetensors``."""
    header: dict[str, Any] = {"model": settings.model, **data.header()}
    if settings.model not in floors.FLOORS:
        header["config"] = asdict(model_config(settings, data))
    return header


def _metrics(
    settings: RunSettings, data: RunData, folder: RunFolder, facts: dict[str, Any]
) -> dict[str, Any]:
    """The content of ``metrics.json``."""
    started = time.perf_counter()
    found = audit(data)
    predictions = folder.predictions
    parts = {
        name: summarise(predictions.part(name), seed=settings.seed, recordings=data.classes_fixed)
        for name in PARTS
    }
    if len(data.classes) == _TWO:
        parts["held_out"]["operating_points"] = operating_points(
            predictions, seed=settings.seed, aim=settings.aim, target=settings.aim_target
        )
    return {
        "model": settings.model,
        "data": data.describe(),
        "split": {"unit": settings.split, "leaks": data.split.leaks},
        "looked_for": looked_for(data),
        "leaks": [asdict(finding) for finding in found if finding.severity == "leak"],
        "suspicions": [asdict(finding) for finding in found if finding.severity != "leak"],
        **facts,
        "parts": parts,
        "evaluation_seconds": time.perf_counter() - started,
    }
