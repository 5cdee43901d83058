"""The floors that any reader asks for: the most frequent class, a linear model of the samples."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sequela.config import RunSettings
from sequela.studies.signals import SignalData

FLOORS = {
    "majority-class": "Most frequent class",
    "logistic-regression": "Logistic regression",
}


@dataclass(frozen=True)
class Trained:
    """A trained model, as far as a run folder is concerned.

    Attributes:
        tensors: For ``model.safetensors``.
        probabilities: float32 (example, class), of all parts.
        facts: Parameters, seconds and epochs, for ``metrics.json``.
    """

    tensors: dict[str, Tensor]
    probabilities: NDArray[np.float32]
    facts: dict[str, Any]


def train(settings: RunSettings, data: SignalData) -> Trained:
    """Fit a floor on the training part; nothing is chosen, so the tuning part is not used."""
    started = time.perf_counter()
    rows = data.rows("train").numpy()
    samples = data.scaled.flatten(1).numpy()
    labels = data.segments.label
    n_classes = len(data.segments.classes)
    if settings.model == "majority-class":
        share = np.bincount(labels[rows], minlength=n_classes) / len(rows)
        tensors = {"share": torch.from_numpy(share.astype(np.float32))}
        probabilities = np.tile(share, (len(labels), 1))
    else:
        model = LogisticRegression(max_iter=1000).fit(samples[rows], labels[rows])
        tensors = {
            "weight": torch.from_numpy(np.ascontiguousarray(model.coef_, dtype=np.float32)),
            "bias": torch.from_numpy(model.intercept_.astype(np.float32)),
        }
        probabilities = model.predict_proba(samples)
    return Trained(
        tensors=tensors,
        probabilities=probabilities.astype(np.float32),
        facts={
            "parameters": sum(t.numel() for t in tensors.values()),
            "operations": None,
            "macs": None,
            "train_seconds": time.perf_counter() - started,
            "epochs": 0,
            "best_epoch": 0,
        },
    )
