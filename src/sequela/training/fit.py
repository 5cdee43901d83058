"""The training loop, over Hugging Face Accelerate: devices and processes are configuration."""

import ctypes
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
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
from sequela.training.history import EpochRecord, History, kept_epoch
from sequela.training.totals import Metric, Totals

CHECKPOINT_SECONDS = 5.0
"""The least time between two checkpoints of a fit."""
_TEN = 10
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of settings in ``mallopt(3)``."""
_ema = cache(get_ema_multi_avg_fn)


def fit(
    model: nn.Module,
    train: DataLoader[Any],
    tuning: DataLoader[Any] | None,
    settings: TrainingSettings,
    *,
    metrics: Mapping[str, Metric],
    class_weight: Tensor | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    prepared: float = 0.0,
    on_epoch: Callable[[History], None] = lambda _: None,
) -> History:
    """Fit a model by Adam; it ends with the weights of the epoch that ``settings.keep`` names.

    The running average of the weights is evaluated on the validation set and kept; it equals the
    weights where ``settings.average`` is 0.

    The model takes ``*batch.inputs`` and returns logits (example, class). If it has a method
    ``fit_scales``, this receives the inputs of each training batch before the first epoch. In
    training it may return logits and a second number (example,), see ``settings.second_target``, or
    the logits of several independently trained members (member, example, class).

    Batches have ``inputs`` (arguments of ``forward``), ``labels``, ``weight`` (of each example in
    the loss, or ``None``) and, with ``settings.distil``, ``teacher`` (its probabilities (example,
    class), or ``None``); their order is drawn from the loader's own ``generator``. Those of
    ``tuning`` decide on the best epoch and on stopping; with ``None`` all epochs are run and the
    weights are from the last. The means of ``metrics`` are recorded in each epoch.

    ``checkpoint`` is the folder for the state of the fit, which is written at the end, and after an
    epoch if the last one is ``CHECKPOINT_SECONDS`` old. ``resume`` continues from it: the result
    has the same bytes as if never interrupted. Each of several processes takes other batches. The
    first epoch includes the seconds in which the batches were ``prepared``.
    """
    learn_scales: Any = getattr(model, "fit_scales", None)
    if learn_scales and not resume:
        with torch.no_grad():
            learn_scales(batch.inputs for batch in train)
    run = _Fit(model, train, tuning, settings, metrics, class_weight)
    history: History = []
    best: dict[str, Tensor] = {}
    if resume:
        if checkpoint is None:
            raise ValueError("resume needs the folder of a checkpoint")
        saved = Checkpoint.load(checkpoint)
        run.restore(saved)
        history, best = saved.history, saved.best
    saved_at = time.perf_counter()
    for number in _epochs_left(history, settings):
        record = run.epoch(number, "train")
        history.append(replace(record, seconds=record.seconds + prepared * (number == 1)))
        if run.tuning is not None:
            history.append(run.epoch(number, "tuning"))
        if run.tuning is None or kept_epoch(history, settings.keep) == number:
            best = clone(run.average.module.state_dict())
        is_due = time.perf_counter() - saved_at > CHECKPOINT_SECONDS
        if checkpoint is not None and run.accelerator.is_main_process and is_due:
            run.checkpoint(history, best).save(checkpoint)
            saved_at = time.perf_counter()
        on_epoch(history)
    if checkpoint is not None and run.accelerator.is_main_process:
        run.checkpoint(history, best).save(checkpoint)
    model.load_state_dict(best)
    model.eval()
    return history


class _Fit:
    """The state of a fit, which is ``alone`` in one process on a CPU, or shared by Accelerate.

    The fields named ``raw`` are those that a checkpoint holds.
    """

    def __init__(
        self,
        raw_model: nn.Module,
        train: DataLoader[Any],
        tuning: DataLoader[Any] | None,
        settings: TrainingSettings,
        metrics: Mapping[str, Metric],
        class_weight: Tensor | None,
    ) -> None:
        self.settings, self.metrics, self.raw_model = settings, metrics, raw_model
        use_bf16 = (
            settings.mixed_precision
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported()
        )
        self.accelerator = Accelerator(mixed_precision="bf16" if use_bf16 else "no")
        device = self.accelerator.device
        self.raw_adam = AdamW(
            raw_model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.raw_schedule = _schedule(self.raw_adam, settings, settings.epochs * len(train))
        self.data_order: Any = train.generator
        average = AveragedModel(raw_model, multi_avg_fn=get_ema_multi_avg_fn(settings.average))
        # One process on a CPU needs nothing of what Accelerate does in each step.
        self.alone = device.type == "cpu" and self.accelerator.num_processes == 1
        if device.type == "cpu":
            _keep_freed_memory()
        prepare: Any = (lambda *objects: objects) if self.alone else self.accelerator.prepare
        raw = raw_model, self.raw_adam, train, self.raw_schedule
        self.model, _, self.train, self.schedule = prepare(*raw)
        # Processes train on equally many batches; the validation set is used as it is, without
        # duplicates.
        self.accelerator.even_batches = False
        aside = tuning is None or self.alone
        self.tuning: Any = tuning if aside else self.accelerator.prepare(tuning)
        self.average = average.to(device)
        self.weights: Any = list(self.average.module.parameters()), list(raw_model.parameters())
        self.buffers = list(self.average.module.buffers()), list(raw_model.buffers())
        self.class_weight = None if class_weight is None else class_weight.to(device)

    def restore(self, saved: Checkpoint) -> None:
        self.raw_model.load_state_dict(saved.model)
        self.average.load_state_dict(saved.average)
        self.raw_adam.load_state_dict(saved.optimiser)
        self.raw_schedule.load_state_dict(saved.schedule)
        restore_generators(saved.generators, self.data_order)

    def checkpoint(self, history: History, best: dict[str, Tensor]) -> Checkpoint:
        return Checkpoint(
            model=self.raw_model.state_dict(),
            average=self.average.state_dict(),
            best=best,
            optimiser=self.raw_adam.state_dict(),
            schedule=self.raw_schedule.state_dict(),
            generators=generator_states(self.data_order),
            history=history,
        )

    def epoch(self, number: int, part: str) -> EpochRecord:
        """Train on the training set, or evaluate on the validation set."""
        started = time.perf_counter()
        totals, learns = Totals(self.metrics, self.class_weight), part == "train"
        network = (self.model if learns else self.average).train(learns)
        with torch.set_grad_enabled(learns):
            for batch in self.train if learns else self.tuning:
                answer, labels = network(*batch.inputs), batch.labels
                logits, said = answer if isinstance(answer, tuple) else (answer, None)
                weight = batch.weight
                toward = batch.teacher if learns and self.settings.distil else None
                if logits.ndim > 2:  # noqa: PLR2004 # several members
                    labels = torch.cat([labels] * len(logits))
                    weight = None if weight is None else weight.repeat(len(logits))
                    toward = None if toward is None else toward.repeat(len(logits), 1)
                    logits = logits.flatten(0, 1)
                how = self.settings
                smoothing = how.label_smoothing if toward is None else how.distil
                loss = totals.add(logits, labels, smoothing=smoothing, toward=toward, weight=weight)
                if learns and said is not None and self.settings.second_target:
                    away = (said - batch.second).square().mean()
                    loss = loss + self.settings.second_target * away
                elif learns and said is not None and self.accelerator.num_processes > 1:
                    loss = loss + 0 * said.sum()  # processes wait for a gradient of each weight
                if learns:
                    self._step(loss)
        return EpochRecord(
            epoch=number,
            part=part,
            seconds=time.perf_counter() - started,
            learning_rate=float(self.raw_schedule.get_last_lr()[0]),
            **totals.record(self.accelerator),
        )

    def _step(self, loss: Tensor) -> None:
        # Accelerate's own step looks for another optimiser's package, in all folders, twice.
        self.raw_adam.zero_grad()
        if self.alone:
            loss.backward()
        else:
            self.accelerator.backward(loss)
        if self.settings.clip_norm is not None:
            clip = nn.utils.clip_grad_norm_ if self.alone else self.accelerator.clip_grad_norm_
            clip(self.weights[1], self.settings.clip_norm)
        self.raw_adam.step()
        self.schedule.step()
        self._update_average()

    @torch.no_grad()
    def _update_average(self) -> None:
        """Add the weights to the average, as ``AveragedModel.update_parameters`` does."""
        decay = self.settings.average if self.average.n_averaged else 0.0  # the first is a copy
        _ema(decay)(*self.weights, self.average.n_averaged)
        for averaged, now in zip(*self.buffers, strict=True):
            averaged.copy_(now)
        self.average.n_averaged += 1


def _epochs_left(history: History, settings: TrainingSettings) -> Iterator[int]:
    """Yield the remaining epochs, until the last or until the validation loss stops falling."""
    done = max((record.epoch for record in history), default=0)
    for number in range(done + 1, settings.epochs + 1):
        judged = any(record.part == "tuning" for record in history)
        if judged and number - kept_epoch(history, settings.keep) > settings.patience:
            return
        yield number


def _schedule(adam: AdamW, settings: TrainingSettings, steps: int) -> lr_scheduler.LRScheduler:
    if settings.schedule == "one-cycle":
        rate = settings.learning_rate
        rise = 0.2 if steps == _TEN else 0.1  # torch divides by the steps of the rise less one
        return lr_scheduler.OneCycleLR(adam, rate, steps, pct_start=rise, cycle_momentum=False)
    return lr_scheduler.ConstantLR(adam, factor=1.0, total_iters=0)


@cache
def _keep_freed_memory() -> None:
    """Make the C library of Linux keep up to 256 MB of freed memory for the next tensors.

    It returns large blocks to the system else, which clears them again, page by page, in each step.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 1 << 25)
        library.mallopt(_TRIM_THRESHOLD, 1 << 28)
