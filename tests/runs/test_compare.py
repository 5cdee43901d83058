"""Runs beside each other: the same split, paired, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.calls import ran

from sequela.analysis.compare import Compared, compare
from sequela.cli.commands.compare import further_tests
from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SettingError, UnknownNameError
from sequela.evaluation.comparison import Difference, holm, mcnemar, paired_difference
from sequela.evaluation.intervals import Bootstrap, Interval
from sequela.evaluation.metrics import accuracy, statistic_of
from sequela.evaluation.recipe import difference_across_folds
from sequela.integrity.openings import LEDGER, read
from sequela.runs import fit
from sequela.runs.find import named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate
from sequela.runs.recipe import judged


@pytest.fixture(scope="module")
def runs(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    out = tmp_path_factory.mktemp("compare")
    training = TrainingSettings(epochs=6, learning_rate=1e-2)
    wanted: dict[str, dict[str, Any]] = {
        "baseline": {"model": "mlp-baseline"},
        "improved": {"model": "mlp-improved"},
        "floor": {"model": "majority-class"},
        "elsewhere": {"model": "majority-class", "seed": 1},
        "by-row": {"model": "majority-class", "split": "row"},
    }
    return {
        name: fit.train(
            RunSettings(data="bonn", training=training, **changes), out / name, root=synthetic
        )
        for name, changes in wanted.items()
    }


def test_each_run_beside_the_first(runs: dict[str, RunFolder]) -> None:
    chosen = [runs[name] for name in ("baseline", "improved", "floor")]
    found = compare(chosen)
    held_out = [each.predictions.part("held_out") for each in chosen]
    assert found.metric == "accuracy"
    assert found.runs[0].difference is None
    assert [r.value for r in found.runs] == [accuracy(p) for p in held_out]
    how = Bootstrap(classes_fixed=True)
    rng = np.random.default_rng(0)
    expected = paired_difference("accuracy", held_out[1], held_out[0], rng, how)
    assert found.runs[1].difference == expected
    assert found.runs[1].mcnemar == mcnemar(held_out[1].by_recording(), held_out[0].by_recording())
    p = [r.difference.p_value for r in found.runs[1:] if r.difference]
    assert [r.corrected_p for r in found.runs[1:]] == holm(p).tolist()


def test_the_page_is_that_of_a_report_and_further_tests_are_printed(
    runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, page = [runs[name].path for name in ("baseline", "improved")], tmp_path / "page.html"
    ran("compare", *chosen, "--out", page)
    test = compare(named_runs(chosen)).runs[1].mcnemar
    assert test is not None
    words = f"{test.only_one} are right in this run alone and {test.only_other} in the first alone"
    assert f"improved: of whole groups, {words} (p {test.exact_p:.2g})" in capsys.readouterr().out
    # The page of the command is not another evaluation of the runs.
    commands = {entry.command for entry in read(chosen[0].parent / LEDGER)[0]}
    assert commands == {"compare"}
    ran("report", *chosen, "--out", tmp_path / "report.html")
    texts = [path.read_text("utf-8").split("models") for path in (page, tmp_path / "report.html")]
    assert [len(text) for text in texts] == [len(texts[0])] * 2
    assert "From the best" in page.read_text("utf-8")


def test_delong_is_printed_of_two_classes() -> None:
    interval = Interval(-0.01, 0.03, 0.95, "DeLong, paired", 0, 40)
    row = Compared("b", "boosting", 0.8, delong=Difference(0.01, interval, 0.25))
    assert [*further_tests(row)] == ["b: AUROC +0.010 (-0.010 to +0.030; p 0.25) by DeLong's test"]


def test_folds_are_compared_fold_by_fold(synthetic: Path, tmp_path: Path) -> None:
    folders = []
    for model in ("majority-class", "logistic-regression"):
        settings = RunSettings(model=model, data="bonn")
        folders.append(cross_validate(settings, tmp_path / model, folds=3, root=synthetic))
    found = compare(named_runs([folder.path for folder in folders]))
    differences = [
        accuracy(b.predictions.part("held_out")) - accuracy(a.predictions.part("held_out"))
        for a, b in zip(folders[0].runs, folders[1].runs, strict=True)
    ]
    difference = found.runs[1].difference
    assert difference is not None
    assert difference.value == pytest.approx(np.mean(differences))
    (expected,) = difference_across_folds(
        judged(folders[1].runs),
        judged(folders[0].runs),
        lambda predictions: statistic_of("accuracy", predictions),
        np.random.default_rng(0),
        Bootstrap(classes_fixed=True),
    )
    assert (difference.interval, difference.p_value) == (expected.interval, expected.p_value())
    assert found.method.endswith("within classes with training variance (3 folds)")
    assert isinstance(named_runs([folders[0].path])[0], FoldsFolder)


def test_what_cannot_be_compared(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="of different splits: one may have been trained on"):
        compare([runs["baseline"], runs["elsewhere"]])
    with pytest.raises(RunError, match="of different splits"):
        compare([runs["baseline"], runs["by-row"]])
    with pytest.raises(RunError, match="expected two or more"):
        compare([runs["baseline"]])
    with pytest.raises(UnknownNameError, match="unknown metric 'f2'"):
        compare([runs["baseline"], runs["improved"]], "f2")
    with pytest.raises(SettingError, match="alarm_rate has no better direction"):
        compare([runs["baseline"], runs["improved"]], "alarm_rate")
    with pytest.raises(RunError, match="expected a run folder"):
        named_runs([tmp_path])
