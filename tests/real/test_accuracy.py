"""Default networks on records are about as good as they were, on two folds and in few epochs.

Numbers are of the tuning parts, on another deal of subjects than that of the benchmarks.
"""

from pathlib import Path
from typing import Any

import pytest

from sequela.runs.folds import cross_validate
from sequela.studies.settings import run_settings

CODES = ("EICU_ADX", "EICU_DX", "EICU_TX", "EICU_HX")
APACHE = {
    "min_subjects": 5,
    "demographics": True,
    "bins": 5,
    "inputs": (*CODES, "APACHE", "EICU_APACHE_DX"),
    "tables": (
        "admissionDx", "diagnosis", "treatment", "pastHistory", "apacheApsVar", "apachePredVar",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "data", "folder", "asked", "epochs", "least"),
    [
        ("values-lstm", "physionet2012", "physionet2012", {}, 3, 0.77),
        ("visits-attention", "eicu", "eicu-demo", APACHE, 8, 0.74),
    ],
)
def test_a_default_model_is_as_good_as_it_was(
    model: str,
    data: str,
    folder: str,
    asked: dict[str, Any],
    epochs: int,
    least: float,
    real_data: Path,
    tmp_path: Path,
) -> None:
    training = {"epochs": epochs, "refit": False}
    settings = run_settings(model, data, split_seed=1, records=asked, training=training)
    run = cross_validate(settings, tmp_path / "run", folds=2, root=real_data / folder)
    assert least < run.tuning["auroc"] < 0.95
