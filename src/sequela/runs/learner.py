"""The fit of a network, the same for runs, searches and estimators."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.config import TrainingSettings
from sequela.listeners import Listener
from sequela.training import checkpoint as checkpoints
from sequela.training.fit import Batch, fit
from sequela.training.history import History, kept_epoch
from sequela.training.totals import correct

Batches = Callable[[str, int, torch.Generator | None, TrainingSettings | None], DataLoader[Batch]]
"""A function of a set, the size of its batches, and for training the generator of their order."""


@dataclass(frozen=True)
class Learner:
    """A fit without its settings: first weights, batches, and what the classes are.

    ``build`` draws weights from torch's generator, ``batches`` loads ``train``, ``tuning`` or
    ``train+tuning``, and so many validation examples are predicted ``at_once``. Classes are
    intervals where the fit is ``timed``, and have a ``class_weight`` in the loss, float32 (class,).
    """

    build: Callable[[], nn.Module]
    batches: Batches
    seed: int
    at_once: int
    timed: bool = False
    class_weight: Tensor | None = None

    def built(self) -> nn.Module:
        """Build a network with the initial weights."""
        # Before each build, so that a refit starts from the same weights.
        torch.manual_seed(self.seed)
        return self.build()

    def learn(
        self,
        network: nn.Module,
        how: TrainingSettings,
        *,
        again: bool = False,
        checkpoint: Path | None = None,
        resume: bool = False,
        listeners: Sequence[Listener] = (),
    ) -> History:
        """Fit a network on the training set, or ``again`` on training and validation set together.

        Else it is evaluated on the validation set after each epoch.
        """
        # The order of batches does not depend on how many numbers a network draws.
        order = torch.Generator().manual_seed(self.seed)
        started = time.perf_counter()  # of a teacher
        train = self.batches("train+tuning" if again else "train", how.batch_size, order, how)
        return fit(
            network,
            train,
            None if again else self.batches("tuning", self.at_once, None, None),
            how,
            metrics={} if self.timed else {"accuracy": correct},
            class_weight=self.class_weight,
            checkpoint=checkpoint,
            resume=resume and checkpoint is not None and (checkpoint / checkpoints.FILE).exists(),
            prepared=time.perf_counter() - started,
            listeners=listeners,
        )

    def refit(
        self,
        how: TrainingSettings,
        history: History,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
    ) -> tuple[nn.Module, History]:
        """Fit a new network on training and validation set, for the epochs of the one kept."""
        network = self.built()
        how = how.model_copy(update={"epochs": kept_epoch(history, how.keep)})
        return network, self.learn(network, how, again=True, checkpoint=checkpoint, resume=resume)
