"""What the page says of probabilities comes from the parts it may come from."""

import numpy as np
import pytest

from sequela.evaluation.conformal import check_coverage, fit_conformal
from sequela.evaluation.predictions import joined
from sequela.evaluation.recalibration import fit_temperature
from sequela.report.probabilities import PROMISED, held_out, mended, sets
from sequela.report.shown import Shown
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder


def test_one_split_is_recalibrated_on_its_tuning_part(small_runs: list[RunFolder]) -> None:
    run = small_runs[1]
    tuning, test = (run.predictions.part(name) for name in ("tuning", "held_out"))
    expected = joined([fit_temperature(tuning).apply(test)])
    found = mended(run, fit_temperature)
    assert np.array_equal(found.example_id, expected.example_id)
    assert np.array_equal(found.probabilities, expected.probabilities)


def test_each_fold_is_recalibrated_on_its_own_tuning_part(record_runs: list[Run]) -> None:
    folds = next(run for run in record_runs if isinstance(run, FoldsFolder))
    found = mended(folds, fit_temperature)
    assert np.array_equal(found.example_id, held_out(folds).example_id)
    for each in folds.runs[: folds.settings.folds]:
        tuning, test = (each.predictions.part(name) for name in ("tuning", "held_out"))
        expected = fit_temperature(tuning).apply(test)
        place = np.searchsorted(found.example_id, expected.example_id)
        assert np.array_equal(found.probabilities[place], expected.probabilities)


def test_sets_are_fitted_on_the_tuning_part(small_runs: list[RunFolder]) -> None:
    run = small_runs[1]
    rule = fit_conformal(run.predictions.part("tuning"), PROMISED)
    expected = check_coverage(rule, run.predictions.part("held_out"), np.random.default_rng(0))
    found = sets(Shown.of(run, {}))
    assert found["coverage"] == pytest.approx(expected.coverage.value)
    assert found["interval"] == expected.coverage.interval
    assert found["kept"] == expected.kept
