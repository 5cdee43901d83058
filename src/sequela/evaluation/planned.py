"""The plan of a run: the patients that training and evaluation have, need, and would gain from.

A metric of a model follows ``a - b * events ** -c`` (Viering and Loog, IEEE Transactions on Pattern
Analysis 2023, 45:7799-7819, doi:10.1109/TPAMI.2022.3220744).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.sample_size import Need

_EXPONENTS = np.linspace(0.1, 2, 77)  # from slower than any reported curve to faster
_ENDS = (0.025, 0.975)  # of a 95 % interval


@dataclass(frozen=True)
class CurvePoint:
    """The mean metric of models fitted on so many events, with its 95 % interval."""

    models: int
    events: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve, and the change of the metric with twice the patients, with its interval."""

    metric: str
    points: tuple[CurvePoint, ...]
    gain: float
    low: float
    high: float

    def sentence(self, people: str) -> str:
        """Return the gain in a sentence."""
        if round(self.low, 3) <= 0 <= round(self.high, 3):
            return (
                "The learning curve is not distinguishable from a flat line: doubling the "
                f"{people} would change the {self.metric} by {self.gain:+z.3f} "
                f"({self.low:+z.3f} to {self.high:+z.3f})."
            )
        word = "gain" if self.low > 0 else "lose"
        low, high = sorted((abs(self.low), abs(self.high)))
        return (
            f"Doubling the {people} would {word} {abs(self.gain):.3f} of {self.metric} "
            f"({low:.3f} to {high:.3f})."
        )


def curve_of(
    metric: str, events: float, tables: Sequence[NDArray[np.float64]], seed: int
) -> LearningCurve:
    """Return the learning curve of models that were fitted on parts of the training set.

    Args:
        metric: Title of the metric.
        events: Events of the whole training set.
        tables: The metric at each size, (run, part, 1 + resample): first on all patients of the
            validation set, then on resamples of them. The parts of a size are together the
            training set; the last size has one.
        seed: Seed of the interval.
    """
    parts = np.array([table.shape[1] for table in tables])
    means = np.stack([table.mean(axis=(0, 1)) for table in tables], axis=1)  # (1 + resample, size)
    # The variance of one model falls with its patients, so the mean over the parts of any size
    # varies like a model of the whole training set: by this pooled sum over k parts of
    # (k - 1) * (variance of one / k), divided by the sum of k - 1.
    free = parts.sum() - len(parts)
    variance = sum(table[..., 0].var(axis=1).mean() for table in tables) / free
    noise = np.random.default_rng(seed).standard_t(free, means[1:].shape)
    means[1:] += np.sqrt(variance) * noise
    gains = gains_of_doubling(1 / parts, means)
    low, high = np.quantile(gains[1:], _ENDS).tolist()
    values = np.stack([means[0], *np.quantile(means[1:], _ENDS, axis=0)], axis=1)  # (size, 3)
    points = [
        CurvePoint(int(n), float(events / n), *row)
        for n, row in zip(parts, values.tolist(), strict=True)
    ]
    return LearningCurve(metric, tuple(points), float(gains[0]), low, high)


def gains_of_doubling(
    sizes: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit curves by least squares, and return the change from the last, largest size to its double.

    Sizes are (size,), values (row, size), and changes float64 (row,).
    """
    # For one exponent the curve is a line, so only the exponent is searched.
    shapes = (sizes / sizes[-1]) ** -_EXPONENTS[:, None]  # (exponent, size)
    away = shapes - shapes.mean(axis=1, keepdims=True)
    slopes = values @ away.T / (away**2).sum(axis=1)  # (row, exponent)
    best = (slopes**2 * (away**2).sum(axis=1)).argmax(axis=1)
    slope = slopes[np.arange(len(values)), best]
    return np.asarray(slope * (2 ** -_EXPONENTS[best] - 1))


@dataclass(frozen=True)
class Purpose:
    """Patients and events of the set for a purpose, and its needs, or why there are none."""

    name: str  # such as "To train it"
    part: str  # such as "training set"
    patients: int
    events: int
    needs: tuple[Need, ...]
    why: str


@dataclass(frozen=True)
class Plan:
    """The plan of a run (``plan.json``).

    People are independent: patients, sessions or recordings, with the event or ``in the rarest
    class``. The ``cells`` are the people of each class in each set, some of which may be too few
    to be shown; ``no_curve`` is why there is no curve.
    """

    people: str
    event: str
    purposes: tuple[Purpose, ...]
    cells: tuple[int, ...]
    curve: LearningCurve | None = None
    no_curve: str = ""
    stability: Mapping[str, object] | None = None

    @property
    def sentences(self) -> list[str]:
        """The needs and the learning curve, in a sentence each."""
        sentences = []
        for purpose in self.purposes:
            needed = f"the number needed is unknown ({purpose.why})"
            if purpose.needs:
                most = max(purpose.needs, key=lambda need: need.patients)
                needed = f"{most.patients:,} {self.people} are needed ({most.events:,} {self.event}"
                needed += f"; {most.criterion} decides)"
            has = f"{purpose.patients:,} ({purpose.events:,} {self.event})"
            sentences.append(f"{purpose.name}, {needed}; the {purpose.part} has {has}.")
        learning = f"No learning curve: {self.no_curve}."
        return [*sentences, self.curve.sentence(self.people) if self.curve else learning]
