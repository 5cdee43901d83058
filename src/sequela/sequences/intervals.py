"""Intervals of time as classes, so that every classifier predicts when an event comes.

The classes of a task of the time to an event are "no event by the last horizon" and, for each kind
of event, each interval between two horizons. Their probabilities are the distribution of the time
(the discrete-time model of Lee and others 2018, AAAI 32, with competing risks). An example whose
follow-up ended has several possible classes; within an interval, events are taken to be evenly
spread over time. All times are in days from the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tensor = Any  # an array of numpy or torch
_LEAST = 1e-30  # share of patients without an event, below which it is taken as this


@dataclass(frozen=True)
class Intervals:
    """The horizons of a task, and its number of kinds of events (causes)."""

    horizons: tuple[float, ...]
    causes: int = 1

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return 1 + self.causes * len(self.horizons)

    def label(self, time: Floats, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class in which the event was seen, 0 where none was: int64 (example,)."""
        interval, size = np.searchsorted(self.horizons, time), len(self.horizons)
        observed = (event > 0) & (interval < size)  # seen by the last horizon
        return np.where(observed, 1 + (event - 1) * size + interval, 0)

    def possible(self, time: Floats, event: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the share of each class that an example may be in: float32 (example, class).

        It is 1 for the class that was seen. Where follow-up ended, it is 1 for later classes, and
        for those of the interval the share of time that was left.
        """
        starts, ends = np.array((0.0, *self.horizons[:-1])), np.array(self.horizons)
        # (example, interval): the share of the interval after the end of follow-up
        rest = ((ends - time[:, None]) / (ends - starts)).clip(0, 1)
        label = self.label(time, event)
        shares = np.concatenate([np.ones((len(time), 1)), np.tile(rest, self.causes)], axis=1)
        certain = (event > 0) | (time >= ends[-1])  # one class is possible
        shares[certain] = np.eye(self.n_classes)[label[certain]]  # (example, class)
        return shares.astype(np.float32)

    def risk(self, probabilities: NDArray[np.floating], cause: int = 1) -> Floats:
        """Return the probability of an event of a kind by each horizon: (example, horizon)."""
        size = len(self.horizons)
        first = 1 + (cause - 1) * size
        of_cause = probabilities[:, first : first + size].astype(np.float64)
        return np.cumsum(of_cause, axis=1).clip(0, 1)

    def quantile(self, probabilities: NDArray[np.floating], share: float) -> Floats:
        """Return the day by which the risk reaches a share, else infinity: (example,)."""
        days, quantiles = np.array((0.0, *self.horizons)), np.full(len(probabilities), np.inf)
        for row, risk in enumerate(self.risk(probabilities)):
            if risk[-1] >= share:
                end = int(np.searchsorted(risk, share))
                before = risk[end - 1] if end else 0.0
                part = (share - before) / (risk[end] - before)
                quantiles[row] = days[end] + part * (days[end + 1] - days[end])
        return quantiles

    def ends(self, time: Floats, event: NDArray[np.int64]) -> list[int]:
        """Count the examples by what ended before the last horizon: follow-up, or each event.

        The others were followed to the last horizon without an event.
        """
        by_then = event[(time <= self.horizons[-1]) & ((event > 0) | (time < self.horizons[-1]))]
        counts: list[int] = np.bincount(by_then, minlength=self.causes + 1).tolist()
        return counts

    def at_risk(
        self, time: Floats, event: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
        """Return a row for each example and interval that it began without an event.

        The rows (row,) have the example, the interval, the event in it (0 for none), and the share
        of the interval for which it was followed.
        """
        size = len(self.horizons)
        n_before = np.searchsorted(self.horizons, time)
        example = np.repeat(np.arange(len(time)), np.minimum(n_before + 1, size))
        first = np.searchsorted(example, np.arange(len(time)))
        interval = np.arange(len(example)) - first[example]
        last = interval == n_before[example]
        ending = np.where(last, event[example], 0)
        starts, ends = np.array((0.0, *self.horizons[:-1])), np.array(self.horizons)
        part = (time[example] - starts[interval]) / (ends - starts)[interval]
        # An example that left within an interval counts for the time it was there (actuarial
        # method).
        weight = np.where(last & (ending == 0), part, 1.0)
        followed = weight > 0
        return example[followed], interval[followed], ending[followed], weight[followed]

    def hazards(self, probabilities: Tensor) -> Tensor:
        """Return the hazards of which :meth:`from_hazards` makes these probabilities."""
        alive, by_interval = probabilities[:, :1], []
        for interval in reversed(range(len(self.horizons))):
            of_causes = probabilities[:, 1 + interval :: len(self.horizons)]
            ends = _joined([alive, of_causes])  # (example, 1 + cause)
            alive = ends.sum(1)[:, None]  # those without an event before the interval
            by_interval.append((ends / alive.clip(min=_LEAST))[:, None])
        return _joined(by_interval[::-1])

    def from_hazards(self, hazards: Tensor) -> Tensor:
        """Return the probabilities of the classes, from those of each event in each interval.

        Hazards are (example, interval, 1 + cause), of no event and of each kind, among those
        without an event before. It works on arrays of numpy and of torch.
        """
        # The chance of an event in an interval is its hazard times that of none before.
        alive, by_interval = hazards[:, 0, :1], [hazards[:, 0, 1:]]
        for interval in range(1, len(self.horizons)):
            by_interval.append(hazards[:, interval, 1:] * alive)
            alive = hazards[:, interval, :1] * alive  # (example, 1), the survival function
        by_cause = []
        for cause in range(self.causes):
            by_cause += [events[:, [cause]] for events in by_interval]
        return _joined([alive, *by_cause])


def _joined(arrays: Sequence[Tensor]) -> Tensor:
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays, axis=1)
    import torch

    return torch.cat([*arrays], 1)
