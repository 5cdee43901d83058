"""Severity scores as reference models, on the data in the package."""

from pathlib import Path

import numpy as np
import pytest
from tests.runs.challenge import write_set
from tests.runs.conftest import Place

from sequela.analysis.evaluate import predict_other
from sequela.config import Options
from sequela.errors import SettingError
from sequela.runs import fit
from sequela.studies.settings import run_settings


def test_apache_is_calibrated_and_applied_again(excerpt_events: Place, tmp_path: Path) -> None:
    root = excerpt_events("eicu")
    options = Options.of(inputs=("APACHE_PREDICTION",))
    settings = run_settings("apache-iva", "eicu", options)
    folder = fit.train(settings, tmp_path / "run", root=root)
    tuning = folder.metrics["parts"]["tuning"]
    assert tuning["auroc"] > 0.75
    assert folder.metrics["parameters"] == 3  # the score, whether it is there, and a bias
    training = folder.predictions.part("train")
    assert training.probabilities[:, 1].mean() == pytest.approx(training.label.mean(), abs=1e-3)
    _, found = predict_other(folder, "eicu", root, tmp_path / "other")
    held_out = folder.predictions.part("held_out")
    np.testing.assert_allclose(
        np.sort(found.probabilities[:, 1]), np.sort(held_out.probabilities[:, 1]), atol=1e-6
    )


@pytest.mark.slow(but="apache-iva-eicu")
@pytest.mark.parametrize(("model", "data"), [("saps-i", "physionet2012"), ("apache-iva", "eicu")])
def test_a_score_is_only_read_where_it_is_let_in(
    model: str, data: str, excerpt_events: Place, tmp_path: Path
) -> None:
    if data == "eicu":
        root = excerpt_events(data)
    else:
        root = write_set(tmp_path / "a", "a", range(132_000, 132_060), seed=0)
    settings = run_settings(model, data)
    with pytest.raises(SettingError, match=r"let it in with --inputs (SCORE|APACHE_PRED)"):
        fit.train(settings, tmp_path / "run", root=root)
    assert not (tmp_path / "run").exists()
