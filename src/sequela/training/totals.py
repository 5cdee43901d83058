"""Running sums over the examples of an epoch."""

from collections.abc import Callable, Mapping
from typing import TypedDict

import torch
from accelerate import Accelerator
from torch import Tensor, nn

Metric = Callable[[Tensor, Tensor], Tensor]
"""A metric: from logits (example, class) and labels (example,) to one number an example."""


class Means(TypedDict):
    """The mean loss and metrics of an epoch."""

    loss: float
    metrics: dict[str, float]


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1.0 where the largest logit is the label's: float (example,)."""
    return (logits.argmax(1) == labels).double()


class Totals:
    """Sums over the examples of an epoch, so that a small last batch has its proper weight."""

    def __init__(self, metrics: Mapping[str, Metric], class_weight: Tensor | None) -> None:
        self.metrics = metrics
        self.class_weight = class_weight
        zero = torch.zeros((), dtype=torch.float64)  # float32 sums lose digits over long epochs
        self.loss, self.weight, self.values = zero, zero, dict.fromkeys(metrics, zero)
        self.n_examples = 0

    def add(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        smoothing: float = 0.0,
        toward: Tensor | None = None,
    ) -> Tensor:
        """Add a batch with its plain cross-entropy, and return the mean loss to minimise.

        Labels (example, class) are the share of each class that an example may be in: of these it
        counts the probability of all together (a time to an event whose follow-up ended).
        ``smoothing`` is the share of the label that the training loss spreads over all classes
        (Szegedy 2016, arXiv 1512.00567), or as the probabilities ``toward`` (example, class).
        """
        log_probabilities = logits.float().log_softmax(1)
        if labels.ndim > 1:  # the share of each class that an example may be in
            # The log of a sum of shares times probabilities; log(0) is -inf and drops out of the
            # sum.
            losses = -(log_probabilities + labels.log()).logsumexp(1)
            # The probabilities of rare events are what is wanted.
            smoothing = 0.0 if toward is None else smoothing
        else:
            losses = nn.functional.nll_loss(log_probabilities, labels, reduction="none")
        weight = None if self.class_weight is None else self.class_weight[labels]
        # The loss is divided by the sum of the weights, so that the mean does not depend on them.
        loss, total = _weighted(losses, weight), len(labels) if weight is None else weight.sum()
        self.loss = self.loss + loss.detach()  # on the device of the loss, without waiting for it
        self.weight = self.weight + total
        for name, metric in self.metrics.items():
            self.values[name] = self.values[name] + metric(logits.detach(), labels).sum()
        self.n_examples += len(labels)
        if smoothing:
            spread = log_probabilities.mean(1)
            if toward is not None:
                spread = (log_probabilities * toward).sum(1)
            # Cross-entropy is linear in the target, so a mixed target is a mix of losses (Hinton et
            # al. 2015, arXiv 1503.02531, for a teacher).
            loss = (1 - smoothing) * loss - smoothing * _weighted(spread, weight)
        return loss / total

    def record(self, accelerator: Accelerator) -> Means:
        """Return the means over all examples of all processes."""
        # One reduction of all sums, as each waits for every process.
        numbers = [self.loss, self.weight, *self.values.values(), torch.tensor(self.n_examples)]
        sums = torch.stack([number.to(accelerator.device, torch.float64) for number in numbers])
        loss, weight, *values, n_examples = accelerator.reduce(sums, reduction="sum").tolist()
        means = {name: value / n_examples for name, value in zip(self.metrics, values, strict=True)}
        return {"loss": loss / weight, "metrics": means}


def _weighted(numbers: Tensor, weight: Tensor | None) -> Tensor:
    """Sum numbers (example,), each times its weight."""
    return numbers.sum() if weight is None else (numbers * weight).sum()
