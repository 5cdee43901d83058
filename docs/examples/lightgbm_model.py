"""LightGBM on the summaries of a stay, as a baseline model.

    pip install lightgbm
    SEQUELA_PLUGINS=docs/examples/lightgbm_model.py \
        sequela train lightgbm --data physionet2012 --task in-hospital --folds 5

The sizes of trees, the learning rate and early stopping are those of ``summaries-boosting``.
"""

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from sequela import register
from sequela.models.reference import Examples, ReferenceModel


def fit(examples: Examples, seed: int) -> dict[str, NDArray[Any]]:
    """Add trees until the validation loss has not fallen for 20 rounds."""
    sets = [
        lightgbm.Dataset(examples.features[rows], examples.labels[rows])
        for rows in (examples.train, examples.tuning)
    ]
    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "num_leaves": 8,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    stop = lightgbm.early_stopping(20, verbose=False)
    model = lightgbm.train(settings, sets[0], 500, valid_sets=sets[1:], callbacks=[stop])
    text = model.model_to_string(num_iteration=model.best_iteration)
    return {"model": np.frombuffer(text.encode(), np.uint8)}


def predict(arrays: Mapping[str, NDArray[Any]], features: Any) -> NDArray[np.float64]:
    """Return the probabilities (example, class)."""
    model = lightgbm.Booster(model_str=arrays["model"].tobytes().decode())
    of_event = np.asarray(model.predict(features[np.arange(features.shape[0])]))
    return np.column_stack([1 - of_event, of_event])


register.reference_model(
    "lightgbm",
    ReferenceModel(
        title="LightGBM on summaries",
        reads=("features:summaries",),
        fit=fit,
        predict=predict,
        parameters=lambda arrays: arrays["model"].size,
    ),
)
