"""The training loop, over Hugging Face Accelerate: devices and processes are configuration."""

import ctypes
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from sequela.config import TrainingSettings
from sequela.listeners import Listener, notify
from sequela.training.checkpoint import Checkpoint, clone, generator_states, restore_generators
from sequela.training.history import EpochRecord, History, TrainingListener, kept_epoch
from sequela.training.totals import Metric, Totals

CHECKPOINT_SECONDS = 5.0  # the least time between two checkpoints of a fit
# Steps of a fit of which a tenth is one step: torch cannot divide by its steps less one.
_STEPS_WITHOUT_A_RISE = 10
_TRIM_THRESHOLD = -1  # the name in ``mallopt(3)`` of the free memory from which on some is returned
# The name in ``mallopt(3)`` of the size from which on a block is returned at once.
_MMAP_THRESHOLD = -3
_ema = cache(get_ema_multi_avg_fn)


class Batch(Protocol):
    """A batch of any kind of examples."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of ``forward``."""

    @property
    def labels(self) -> Tensor:
        """The class of each example, or the share of each class."""


def fit(
    model: nn.Module,
    train: DataLoader[Batch],
    tuning: DataLoader[Batch] | None,
    settings: TrainingSettings,
    *,
    metrics: Mapping[str, Metric],
    class_weight: Tensor | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    prepared: float = 0.0,
    listeners: Sequence[Listener] = (),
) -> History:
    """Fit a model by Adam; it ends with the weights of the epoch that ``settings.keep`` names.

    The running average of the weights is evaluated on the validation set and kept; it equals the
    weights where ``settings.average`` is 0.

    The model takes ``*batch.inputs`` and returns logits (example, class). If it has a method
    ``fit_scales``, this receives the inputs of each training batch before the first epoch. In
    training it may return logits and a second number (example,), see ``settings.second_target``, or
    the logits of several independently trained members (member, example, class).

    Batches have ``inputs`` (arguments of ``forward``), ``labels`` and, with ``settings.distil``,
    ``teacher`` (its probabilities (example, class), or ``None``); their order is drawn from the
    loader's own ``generator``. Those of ``tuning`` decide on the best epoch and on stopping; with
    ``None`` all epochs are run and the weights are from the last. The means of ``metrics`` are
    recorded in each epoch.

    ``checkpoint`` is the folder for the state of the fit, which is written at the end, and after an
    epoch if the last one is ``CHECKPOINT_SECONDS`` old. ``resume`` continues from it: the result
    has the same bytes as if never interrupted. Each of several processes takes other batches. The
    first epoch includes the seconds in which the batches were ``prepared``.
    """
    if not resume:
        _learn_scales(model, train)
    elif checkpoint is None:
        raise ValueError("resume needs the folder of a checkpoint")
    run = _Fit(model, train, tuning, settings, metrics, class_weight)
    # The average is updated and the best weights are copied before a checkpoint is written.
    of_fit: list[Listener] = [run.average, _Selection(run)]
    if checkpoint is not None and run.accelerator.is_main_process:
        of_fit.append(_Checkpoints(run, checkpoint))
    listeners = [*of_fit, *listeners]
    if resume and checkpoint is not None:
        run.restore(Checkpoint.load(checkpoint))
    notify(listeners, "on_fit_begin", history := run.history)
    for number in range(max((r.epoch for r in history), default=0) + 1, settings.epochs + 1):
        if run.stopped:
            break
        record = run.epoch(number, "train", listeners)
        seconds = record.seconds + (prepared if number == 1 else 0)
        history.append(replace(record, seconds=seconds))
        if run.tuning is not None:
            history.append(run.epoch(number, "tuning"))
        notify(listeners, "on_epoch_end", history)
    notify(listeners, "on_fit_end", history)
    model.load_state_dict(run.best)  # of the average, see ``_Selection``
    model.eval()
    return history


@torch.no_grad()
def _learn_scales(model: nn.Module, train: DataLoader[Batch]) -> None:
    learn: Callable[[Iterable[tuple[Tensor, ...]]], None] | None
    learn = getattr(model, "fit_scales", None)
    if learn is not None:
        learn(batch.inputs for batch in train)


class _Fit:
    """The state of a fit, which is ``alone`` in one process on a CPU, or shared by Accelerate.

    The fields named ``raw`` are those that a checkpoint holds. ``best`` are the averaged tensors
    after the best epoch so far; ``stopped`` ends the fit before its last epoch.
    """

    def __init__(
        self,
        raw_model: nn.Module,
        train: DataLoader[Batch],
        tuning: DataLoader[Batch] | None,
        settings: TrainingSettings,
        metrics: Mapping[str, Metric],
        class_weight: Tensor | None,
    ) -> None:
        self.settings, self.metrics, self.raw_model = settings, metrics, raw_model
        self.history: History = []
        self.best: dict[str, Tensor] = {}
        self.stopped = False
        # bfloat16 has the range of float32, so that gradients need no scaling (float16 does).
        use_bf16 = (
            settings.mixed_precision
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported()
        )
        self.accelerator = Accelerator(mixed_precision="bf16" if use_bf16 else "no")
        device = self.accelerator.device
        # Weight decay apart from the gradient: Loshchilov & Hutter 2019, arXiv 1711.05101.
        self.raw_adam = AdamW(
            raw_model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # one kernel for all weights
        )
        self.raw_schedule = _schedule(self.raw_adam, settings, settings.epochs * len(train))
        self.data_order: Any = train.generator
        self.average = _MovingAverage(raw_model, settings.average, device)
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
        self.parameters = list(raw_model.parameters())
        self.class_weight = None if class_weight is None else class_weight.to(device)

    def restore(self, saved: Checkpoint) -> None:
        self.history, self.best = saved.history, saved.best
        self.raw_model.load_state_dict(saved.model)
        self.average.network.load_state_dict(saved.average)
        self.raw_adam.load_state_dict(saved.optimiser)
        self.raw_schedule.load_state_dict(saved.schedule)
        restore_generators(saved.generators, self.data_order)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            model=self.raw_model.state_dict(),
            average=self.average.network.state_dict(),
            best=self.best,
            optimiser=self.raw_adam.state_dict(),
            schedule=self.raw_schedule.state_dict(),
            generators=generator_states(self.data_order),
            history=self.history,
        )

    def epoch(self, number: int, part: str, listeners: Sequence[Listener] = ()) -> EpochRecord:
        """Train on the training set, or evaluate on the validation set."""
        started = time.perf_counter()
        totals, learns = Totals(self.metrics, self.class_weight), part == "train"
        # The average is what is kept, so it is what the validation set judges.
        network = (self.model if learns else self.average.network).train(learns)
        with torch.set_grad_enabled(learns):
            for batch in self.train if learns else self.tuning:
                outputs, labels = network(*batch.inputs), batch.labels
                logits, second = outputs if isinstance(outputs, tuple) else (outputs, None)
                toward = batch.teacher if learns and self.settings.distil else None
                if logits.ndim > 2:  # noqa: PLR2004 # several members
                    # Each member has its own loss: all predict the same labels.
                    n_members = len(logits)
                    labels = labels.expand(n_members, *labels.shape).flatten(0, 1)
                    toward = None if toward is None else toward.repeat(n_members, 1)
                    logits = logits.flatten(0, 1)  # (member x example, class)
                how = self.settings
                smoothing = how.label_smoothing if toward is None else how.distil
                loss = totals.add(logits, labels, smoothing=smoothing, toward=toward)
                if not learns:
                    continue
                if second is not None and how.second_target:
                    loss = loss + how.second_target * (second - batch.second).square().mean()
                elif second is not None and self.accelerator.num_processes > 1:
                    loss = loss + 0 * second.sum()  # processes wait for a gradient of each weight
                self._step(loss)
                notify(listeners, "on_step_end")
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
        # Recurrent networks have rare steps with huge gradients (Pascanu et al. 2013): the
        # direction is kept, the length limited.
        if self.settings.clip_norm is not None:
            clip = nn.utils.clip_grad_norm_ if self.alone else self.accelerator.clip_grad_norm_
            clip(self.parameters, self.settings.clip_norm)
        self.raw_adam.step()
        self.schedule.step()  # after each step, not each epoch: one-cycle counts steps


# Polyak averaging: the mean of the last weights has a lower loss than the last weights, as steps at
# a high rate circle around a minimum.
class _MovingAverage(TrainingListener):
    """The running average of a model's weights over the steps: ``network`` has it."""

    def __init__(self, model: nn.Module, decay: float, device: torch.device) -> None:
        # Buffers (learnt scales) are copied: an average of them would describe no data.
        self.network = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)).to(device)
        self.decay = decay
        averaged = self.network.module
        self.weights = list(averaged.parameters()), list(model.parameters())
        self.buffers = list(averaged.buffers()), list(model.buffers())

    @torch.no_grad()
    def on_step_end(self) -> None:
        """Add the weights to the average, as ``AveragedModel.update_parameters`` does."""
        decay = self.decay if self.network.n_averaged else 0.0  # the first is a copy
        _ema(decay)(*self.weights, self.network.n_averaged)
        for averaged, now in zip(*self.buffers, strict=True):
            averaged.copy_(now)
        self.network.n_averaged += 1


@dataclass
class _Selection(TrainingListener):
    """The weights of the epoch to keep, and the end of a fit whose loss has stopped falling."""

    run: _Fit

    def _stop_if_due(self, history: History) -> None:
        if any(record.part == "tuning" for record in history):
            since = history[-1].epoch + 1 - kept_epoch(history, self.run.settings.keep)  # epochs
            self.run.stopped = since > self.run.settings.patience

    def on_fit_begin(self, history: History) -> None:
        self._stop_if_due(history)

    def on_epoch_end(self, history: History) -> None:
        keep = self.run.settings.keep
        if self.run.tuning is None or kept_epoch(history, keep) == history[-1].epoch:
            self.run.best = clone(self.run.average.network.module.state_dict())
        self._stop_if_due(history)


@dataclass
class _Checkpoints(TrainingListener):
    """The checkpoint of a fit: written at the end, and after an epoch if the last one is old."""

    run: _Fit
    folder: Path
    saved_at: float = field(default_factory=time.perf_counter)

    def on_epoch_end(self, history: History) -> None:
        if time.perf_counter() - self.saved_at > CHECKPOINT_SECONDS:
            self.on_fit_end(history)

    def on_fit_end(self, _: History) -> None:
        self.run.checkpoint().save(self.folder)
        self.saved_at = time.perf_counter()


def _schedule(adam: AdamW, settings: TrainingSettings, steps: int) -> lr_scheduler.LRScheduler:
    if settings.schedule == "one-cycle":
        # Smith & Topin 2018, arXiv 1708.07120: the rate rises for a tenth of the steps, then falls.
        rate = settings.learning_rate
        rise = 0.2 if steps == _STEPS_WITHOUT_A_RISE else 0.1
        # AdamW's first moment stays as it is.
        return lr_scheduler.OneCycleLR(adam, rate, steps, pct_start=rise, cycle_momentum=False)
    return lr_scheduler.ConstantLR(adam, factor=1.0, total_iters=0)


@cache
def _keep_freed_memory() -> None:
    """Make the C library of Linux keep up to 256 MB of freed memory for the next tensors.

    It returns large blocks to the system else, which clears them again, page by page, in each step.
    """
    if platform.libc_ver()[0] == "glibc":  # macOS and musl have no mallopt
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 1 << 25)  # 32 MB, the most that glibc accepts
        library.mallopt(_TRIM_THRESHOLD, 1 << 28)  # 256 MB
