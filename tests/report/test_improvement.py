"""Is the improved model better than its baseline? One sentence for each pair of a study."""

import pytest

from sequela.analysis.compare import Compared, compare
from sequela.evaluation.comparison import Difference
from sequela.evaluation.intervals import Interval
from sequela.evaluation.metrics import named
from sequela.runs.folder import RunFolder
from sequela.studies import seizure
from sequela.studies.beside import Rival, improvements

MINUS = "\N{MINUS SIGN}"
BETTER, WORSE = "significantly better than", "significantly worse than"
UNKNOWN = "not significantly different from"


@pytest.mark.parametrize(
    ("value", "p_value", "metric", "answer", "gap"),
    [
        (-0.05, 0.01, "accuracy", BETTER, "+5 points (+1 to +9; p 0.010)"),
        (0.05, 0.01, "accuracy", WORSE, f"{MINUS}5 points ({MINUS}9 to {MINUS}1; p 0.010)"),
        (0.05, 0.01, "brier_score", BETTER, f"{MINUS}0.05"),
        (-0.05, 0.05, "accuracy", UNKNOWN, "+5 points (+1 to +9; p 0.050)"),
    ],
)
def test_the_answer(
    small_runs: list[RunFolder], value: float, p_value: float, metric: str, answer: str, gap: str
) -> None:
    interval = Interval(value - 0.04, value + 0.04, 0.95, "paired", 2000, 80)
    difference = Difference(value, interval, p_value)
    compared = Compared("a", "mlp-baseline", 0.65, difference, p_value)
    rival = Rival.of("its baseline", small_runs[1], small_runs[0], compared, named(metric))
    assert rival.better is {BETTER: True, WORSE: False, UNKNOWN: None}[answer]
    assert rival.interval == (-interval.high, -interval.low)
    assert rival.in_words(named(metric)).startswith(f"{answer} MLP baseline, its baseline: {gap}")


def test_pairs_that_were_both_run(small_runs: list[RunFolder]) -> None:
    (sentence,) = improvements(seizure.STUDY, small_runs)
    gap = compare([small_runs[1], small_runs[0]]).runs[1].difference
    assert gap
    points = f"{-100 * gap.value:+.0f} points"
    assert sentence.startswith("MLP improved is ")
    assert f" MLP baseline, its baseline: {points} (" in sentence.replace(MINUS, "-")
    assert sentence.endswith(", with 82.4 times its operations.")  # 487,936 by 5,920
    assert improvements(seizure.STUDY, small_runs[1:]) == []  # the baseline by row leaks
