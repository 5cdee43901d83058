"""Running sums over the examples of an epoch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

Metric = Callable[[Tensor, Tensor], Tensor]
"""A metric: from logits (example, class) and labels (example,) to one number an example."""


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1.0 where the largest logit is the label's: float (example,)."""
    return (logits.argmax(1) == labels).double()


class Totals:
    """Sums over the examples of an epoch, so that a small last batch has its proper weight."""

    def __init__(self, metrics: Mapping[str, Metric], class_weight: Tensor | None) -> None:
        self.metrics = metrics
        self.class_weight = class_weight
        self.sums = torch.zeros(3 + len(metrics), dtype=torch.float64)

    def add(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        smoothing: float = 0.0,
        toward: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Add a batch with its plain cross-entropy, and return the mean loss to minimise.

        Labels (example, class) are the share of each class that an example may be in: of these it
        counts the probability of all together (a time to an event whose follow-up ended).
        ``smoothing`` is the share of the label that the training loss spreads over all classes
        (Szegedy 2016, arXiv 1512.00567), or as the probabilities ``toward`` (example, class).
        """
        log_probabilities = logits.float().log_softmax(1)
        weights = self.class_weight
        if labels.ndim > 1:  # the share of each class that an example may be in
            losses = -(log_probabilities + labels.log()).logsumexp(1)
            # The probabilities of rare events are what is wanted.
            smoothing = 0.0 if toward is None else smoothing
        else:
            losses = nn.functional.nll_loss(log_probabilities, labels, reduction="none")
        weight = losses.new_ones(len(labels)) if weight is None else weight
        weight = weight if weights is None else weight * weights[labels]
        losses = losses * weight
        values = [metric(logits, labels).sum() for metric in self.metrics.values()]
        sums = torch.stack([losses.sum(), weight.sum(), *values, losses.new_tensor(len(labels))])
        self.sums = self.sums.to(sums.device) + sums.detach()
        if toward is None:
            toward = torch.full_like(log_probabilities, 1 / log_probabilities.shape[1])
        spread = -((log_probabilities * toward).sum(1) * weight)
        loss: Tensor = ((1 - smoothing) * losses + smoothing * spread).sum() / weight.sum()
        return loss

    def record(self, accelerator: Accelerator) -> dict[str, Any]:
        """Return the means over all examples of all processes."""
        sums = accelerator.reduce(self.sums.to(accelerator.device), reduction="sum")
        loss, weight, *values, n_examples = sums.tolist()
        means = {name: value / n_examples for name, value in zip(self.metrics, values, strict=True)}
        return {"loss": loss / weight, "metrics": means}
