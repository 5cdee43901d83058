"""Stability of a person's risk: how much it changes with other training patients or seeds.

Riley and Collins, Biometrical Journal 2023, 65:2200302, doi:10.1002/bimj.202200302.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError

_MIDDLE = (0.025, 0.975)  # quantiles of the risks of one person over the models
_FEWEST = 2  # models that show a difference


@dataclass(frozen=True)
class Stability:
    """The difference between the risks of a model and of others that could have been trained.

    Attributes:
        models: Number of the other models.
        difference: Mean absolute difference of one person's risk, float64 (person,).
        low: Lower end of the middle 95 % of one person's risks, float64 (person,).
        high: Their upper end, float64 (person,).
        changed: Share of the models whose alarm for a person differs from the model's, float64
            (person,); ``None`` without a threshold.
    """

    models: int
    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    changed: NDArray[np.float64] | None

    @property
    def mean_difference(self) -> float:
        """The mean absolute difference over persons and models."""
        return float(self.difference.mean())

    @property
    def share_changed(self) -> float | None:
        """The mean share of models with another alarm than the model's, over persons."""
        return None if self.changed is None else float(self.changed.mean())


def stability(
    risk: NDArray[np.floating], risks: NDArray[np.floating], threshold: float | None = None
) -> Stability:
    """Compare the risks of a model with those of other models for the same persons.

    Args:
        risk: Risks of the model, (person,).
        risks: Risks of the other models, (model, person).
        threshold: Threshold of the alarms.
    """
    if risks.ndim != 2 or risks.shape[1:] != risk.shape:  # noqa: PLR2004
        raise DataError(f"risks have shape {risks.shape}: expected (model, {len(risk)})")
    if len(risks) < _FEWEST:
        raise DataError(f"{len(risks)} model: expected {_FEWEST} or more, as one shows no spread")
    low, high = np.quantile(risks, _MIDDLE, axis=0)
    changed = None
    if threshold is not None:
        changed = ((risks >= threshold) != (risk >= threshold)).mean(axis=0)
    return Stability(len(risks), abs(risks - risk).mean(axis=0), low, high, changed)
