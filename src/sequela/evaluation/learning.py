"""Learning curves: the gain of more training patients, from models fitted on fewer.

A metric of a model follows ``a - b * events ** -c`` (Viering and Loog, IEEE Transactions on Pattern
Analysis 2023, 45:7799-7819, doi:10.1109/TPAMI.2022.3220744).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError

_EXPONENTS = np.linspace(0.1, 2, 77)  # from slower than any reported curve to faster
_FEWEST = 3  # sizes, as the curve has three parameters
_ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class Gain:
    """The change of a metric if the training set had twice the events, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool:
        """``True`` if the curve cannot be told from a flat line."""
        return self.low <= 0 <= self.high

    @property
    def sentence(self) -> str:
        """The gain in a sentence."""
        if self.is_flat:
            return (
                "The learning curve cannot be told from a flat line: doubling the patients would "
                f"change the metric by {self.value:+z.3f} ({self.low:+z.3f} to {self.high:+z.3f})."
            )
        word, sign = ("gain", 1) if self.value > 0 else ("lose", -1)
        ends = sorted((sign * self.low, sign * self.high))
        return (
            f"Doubling the patients would {word} {abs(self.value):.3f} "
            f"({ends[0]:.3f} to {ends[1]:.3f})."
        )


def fitted(
    events: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit the curve by least squares to several rows of values at once.

    Args:
        events: Events of the training set at each size, (size,).
        values: The metric at each size, (row, size).

    Returns:
        ``a``, ``b`` and ``c``, each float64 (row,).
    """
    sizes = np.asarray(events, float)
    if len(np.unique(sizes)) < _FEWEST:
        raise DataError(f"{len(np.unique(sizes))} sizes: expected {_FEWEST} or more for a curve")
    # For one exponent the curve is a line, so only the exponent is searched.
    shapes = (sizes / sizes.max()) ** -_EXPONENTS[
        :, None
    ]  # (exponent, size), scaled to stay near 1
    away = shapes - shapes.mean(axis=1, keepdims=True)
    centred = values - values.mean(axis=1, keepdims=True)
    steepness = centred @ away.T / (away**2).sum(axis=1)  # (row, exponent)
    errors = (centred**2).sum(axis=1, keepdims=True) - steepness**2 * (away**2).sum(axis=1)
    best = errors.argmin(axis=1)
    rows = np.arange(len(values))
    slope, exponent = steepness[rows, best], _EXPONENTS[best]
    limit = values.mean(axis=1) - slope * shapes[best].mean(axis=1)
    return limit, -slope * sizes.max() ** exponent, exponent


def gain_of_doubling(
    events: NDArray[np.floating], values: NDArray[np.floating], draws: NDArray[np.floating]
) -> Gain:
    """Return the gain of twice as many events as the largest size has.

    Args:
        events: Events of the training set at each size, (size,).
        values: The metric at each size, (size,).
        draws: The metric at each size on resamples of test patients and training sets, (resample,
            size).
    """
    rows = np.concatenate([np.asarray(values)[None], draws])
    _, steepness, exponent = fitted(events, rows)
    most = np.max(events)
    gains = steepness * most**-exponent * (1 - 2**-exponent)
    low, high = np.quantile(gains[1:], _ENDS).tolist()
    return Gain(float(gains[0]), low, high)
