"""Is the improved model better than its baseline? The answer follows the paired interval."""

from dataclasses import replace

import pytest

from sequela.analysis.compare import Compared, compare
from sequela.evaluation.comparison import Difference
from sequela.evaluation.intervals import Interval
from sequela.report.entry import Entry
from sequela.report.sections.improvement import BETTER, UNKNOWN, WORSE, Improvement, improvements
from sequela.runs.folder import RunFolder
from sequela.studies import seizure


@pytest.mark.parametrize(
    ("value", "low", "high", "answer"),
    [
        (0.05, 0.01, 0.09, BETTER),
        (-0.05, -0.09, -0.01, WORSE),
        (0.05, -0.01, 0.11, UNKNOWN),
        (0.05, 0.0, 0.1, UNKNOWN),
    ],
)
def test_the_answer(value: float, low: float, high: float, answer: str) -> None:
    difference = Difference(value, Interval(low, high, 0.95, "paired", 2000, 80), 0.5)
    improved = Compared("b", "mlp-improved", 0.7, difference)
    found = Improvement("MLP", "accuracy", Compared("a", "mlp-baseline", 0.65), improved, 2.0)
    assert found.answer == answer
    assert replace(found, improved=replace(improved, difference=None)).answer == UNKNOWN


def test_pairs_that_were_both_run(small_runs: list[RunFolder]) -> None:
    by_name = {run.settings.model: Entry(run) for run in small_runs[:4]}
    (found,) = improvements(by_name, seizure.STUDY.families)
    expected = compare(small_runs[:2])
    assert (found.title, found.metric) == ("MLP", "accuracy")
    assert (found.baseline, found.improved) == expected.runs
    assert found.cost == pytest.approx(487936 / 5920)
    last_first = seizure.STUDY.families[::-1]  # those that were not run come before
    assert improvements(by_name, last_first) == [found]
