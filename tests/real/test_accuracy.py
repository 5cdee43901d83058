"""Default networks on records are about as good as they were, on one split and in few epochs.

Numbers are of the tuning part, on another deal of subjects than that of the benchmarks.
"""

from pathlib import Path
from typing import Any

import pytest
from tests.real.conftest import Built

from sequela.config import Options
from sequela.runs.fit import train
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


@pytest.fixture
def root(built: Built, data: str, asked: dict[str, Any]) -> Path:
    return built(data, asked.get("tables", ()))


@pytest.mark.parametrize(
    ("model", "data", "asked", "epochs", "least"),
    [("values-lstm", "physionet2012", {}, 2, 0.79), ("visits-attention", "eicu", APACHE, 6, 0.74)],
)
def test_a_default_model_is_as_good_as_it_was(
    model: str,
    data: str,
    asked: dict[str, Any],
    epochs: int,
    least: float,
    root: Path,
    work: Path,
    tmp_path: Path,
) -> None:
    options = Options.of(split_seed=1, epochs=epochs, refit=False, **asked)
    settings = run_settings(model, data, options)
    run = train(settings, tmp_path / "run", root=root, work=work)
    assert least < run.metrics["parts"]["tuning"]["auroc"] < 0.95
