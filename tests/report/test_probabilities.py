"""What the page says of probabilities comes from the parts it may come from."""

import numpy as np
import pytest

from sequela.evaluation import metrics
from sequela.evaluation.calibration import calibration_error, expected_calibration_error
from sequela.evaluation.conformal import check_coverage, fit_conformal
from sequela.evaluation.predictions import joined
from sequela.evaluation.recalibration import fit_temperature
from sequela.report.entry import Entry
from sequela.report.sections.probabilities import (
    PROMISED,
    held_out,
    ranked,
    recalibrated,
    scores,
    sets,
)
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder


def test_one_split_is_recalibrated_on_its_tuning_part(small_runs: list[RunFolder]) -> None:
    run = small_runs[1]
    tuning, test = (run.predictions.part(name) for name in ("tuning", "held_out"))
    expected = joined([fit_temperature(tuning).apply(test)])
    found = recalibrated(run)
    assert np.array_equal(found.example_id, expected.example_id)
    assert np.array_equal(found.probabilities, expected.probabilities)


def test_each_fold_is_recalibrated_on_its_own_tuning_part(record_runs: list[Run]) -> None:
    folds = next(run for run in record_runs if isinstance(run, FoldsFolder))
    found = recalibrated(folds)
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
    found = sets(Entry(run))
    assert found["coverage"] == pytest.approx(expected.coverage.value)
    assert found["interval"] == expected.coverage.interval
    assert found["kept"] == expected.kept


def test_legends_show_the_tables_means_over_folds(record_runs: list[Run]) -> None:
    folds = next(run for run in record_runs if isinstance(run, FoldsFolder))
    pooled = metrics.auroc(held_out(folds))
    assert f"{pooled:.2f}" != f"{folds.test['auroc']:.2f}"  # what there is to tell apart
    pictures = ranked([Entry(folds)], "death", "")
    for picture, key in zip(pictures, ("auroc", "average_precision"), strict=True):
        low, high = folds.test[f"{key}_ci"]
        mean = f"mean of 2 models {folds.test[key]:.2f} ({low:.2f} to {high:.2f});"
        assert mean in picture.drawing


def test_a_calibration_error_that_chance_explains_is_not_shown_as_zero(
    cards: list[tuple[Run, str]],
) -> None:
    seen = set()
    for run, card in cards:
        row = scores(Entry(run))
        assert row["binned_error"] == expected_calibration_error(held_out(run))
        assert row["beyond_chance"] == calibration_error(held_out(run))
        beyond = f"{row['beyond_chance']:.3f}" if row["beyond_chance"] else "none"
        assert f"| {row['binned_error']:.3f} | {beyond} |" in card
        seen.add(beyond == "none")
    assert seen == {True, False}
