"""The training loop, over Hugging Face Accelerate: devices and processes are configuration."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from sequela.config import TrainingSettings
from sequela.training.checkpoint import Checkpoint, clone, generator_states, restore_generators
from sequela.training.history import EpochRecord, History, best_epoch
from sequela.training.totals import Metric, Totals


def fit(
    model: nn.Module,
    train: DataLoader[Any],
    tuning: DataLoader[Any],
    settings: TrainingSettings,
    *,
    metrics: Mapping[str, Metric],
    class_weight: Tensor | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[History], None] = lambda _: None,
) -> History:
    """Fit a model by Adam; it ends with the weights of the epoch with the lowest tuning loss.

    What is judged on the tuning part, and kept, is the running average of the weights, which is the
    weights themselves where ``settings.average`` is 0.

    Args:
        model: Takes ``*batch.inputs`` and answers logits (example, class).
        train: Batches with ``inputs`` (arguments of ``forward``) and ``labels``; its order is drawn
            from its own ``generator``.
        tuning: Batches that decide on the best epoch and on stopping.
        settings: Epochs, learning rate and so on.
        metrics: Means of these are recorded in each epoch.
        class_weight: (class,) weights of the loss.
        checkpoint: Folder for the state after each epoch.
        resume: Continue from that folder: the result has the same bytes as if never interrupted.
        on_epoch: Called with the history after each epoch.

    Returns:
        The records of all epochs.

    Raises:
        RunError: If asked to resume and there is no whole checkpoint.
    """
    use_bf16 = (
        settings.mixed_precision and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    )
    accelerator = Accelerator(mixed_precision="bf16" if use_bf16 else "no")
    rate, decay = settings.learning_rate, settings.weight_decay
    adam = AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)
    decayed = get_ema_multi_avg_fn(settings.average)
    average = AveragedModel(model, multi_avg_fn=decayed)
    schedule = _schedule(adam, settings, steps=settings.epochs * len(train))
    data_order = train.generator
    raw_model, raw_adam, raw_schedule = model, adam, schedule
    model, adam, train, schedule = accelerator.prepare(model, adam, train, schedule)
    # Several processes learn from equally many batches; the tuning part is judged as it is, no
    # example twice.
    accelerator.even_batches = False
    tuning = accelerator.prepare(tuning)
    average.to(accelerator.device)
    weight = None if class_weight is None else class_weight.to(accelerator.device)
    history: History = []
    best: dict[str, Tensor] = {}
    if resume:
        if checkpoint is None:
            raise ValueError("resume needs the folder of a checkpoint")
        saved = Checkpoint.load(checkpoint)
        raw_model.load_state_dict(saved.model)
        average.load_state_dict(saved.average)
        raw_adam.load_state_dict(saved.optimiser)
        raw_schedule.load_state_dict(saved.schedule)
        restore_generators(saved.generators, data_order)
        history, best = saved.history, saved.best

    def epoch(part: str, loader: DataLoader[Any]) -> EpochRecord:
        started = time.perf_counter()
        totals, learns = Totals(metrics, weight), part == "train"
        network = (model if learns else average).train(learns)
        with torch.set_grad_enabled(learns):
            for batch in loader:
                logits, labels = network(*batch.inputs), batch.labels
                loss = totals.add(logits, labels, smoothing=settings.label_smoothing)
                if learns:
                    adam.zero_grad()
                    accelerator.backward(loss)
                    if settings.clip_norm is not None:
                        accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
                    adam.step()
                    schedule.step()
                    average.update_parameters(raw_model)
        return EpochRecord(
            epoch=number,
            part=part,
            seconds=time.perf_counter() - started,
            learning_rate=float(raw_schedule.get_last_lr()[0]),
            **totals.record(accelerator),
        )

    for number in _epochs_left(history, settings):
        history += [epoch("train", train), epoch("tuning", tuning)]
        if best_epoch(history) == number:
            best = clone(average.module.state_dict())
        if checkpoint is not None and accelerator.is_main_process:
            Checkpoint(
                model=raw_model.state_dict(),
                average=average.state_dict(),
                best=best,
                optimiser=raw_adam.state_dict(),
                schedule=raw_schedule.state_dict(),
                generators=generator_states(data_order),
                history=history,
            ).save(checkpoint)
        on_epoch(history)
    raw_model.load_state_dict(best)
    raw_model.eval()
    return history


def _epochs_left(history: History, settings: TrainingSettings) -> Iterator[int]:
    """Numbers of the epochs to come, until the last or until the tuning loss stops falling."""
    for number in range(len(history) // 2 + 1, settings.epochs + 1):
        if history and number - best_epoch(history) > settings.patience:
            return
        yield number


def _schedule(adam: AdamW, settings: TrainingSettings, *, steps: int) -> lr_scheduler.LRScheduler:
    """The learning rate over the steps of a fit."""
    if settings.schedule == "one-cycle":
        rate = settings.learning_rate
        return lr_scheduler.OneCycleLR(adam, rate, steps, pct_start=0.1, cycle_momentum=False)
    return lr_scheduler.ConstantLR(adam, factor=1.0, total_iters=0)
