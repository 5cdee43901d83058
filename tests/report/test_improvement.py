"""Is the improved model better than its baseline? One sentence for each pair of a study."""

import pytest

from sequela.analysis.compare import compare
from sequela.evaluation.metrics import named
from sequela.runs.folder import RunFolder
from sequela.studies.registry import STUDIES
from sequela.studies.verdicts import Rival, compared_with, improvements

MINUS = "\N{MINUS SIGN}"
BETTER, WORSE = "significantly better than", "significantly worse than"
UNKNOWN = "not significantly different from"


@pytest.mark.parametrize(("better", "answer"), [(True, BETTER), (False, WORSE), (None, UNKNOWN)])
def test_the_answer(*, better: bool | None, answer: str) -> None:
    rival = Rival("mlp-baseline", "its baseline", 0.05, (0.01, 0.09), 0.012, better, None)
    gap = "+5 points (+1 to +9; p 0.012)"
    assert rival.in_words(named("accuracy")) == f"{answer} MLP baseline, its baseline: {gap}"


def test_each_of_two_models_is_compared_with_the_other(small_runs: list[RunFolder]) -> None:
    """The difference changes its sign, its interval turns around, and the p-value stays."""
    first, other = small_runs[0], small_runs[2]
    _, (one,), _ = compared_with(first, {"rival": other})
    value, (two,), metric = compared_with(other, {"rival": first})
    found = compare([other, first])
    assert (value, metric.name) == (found.runs[0], found.metric)
    gap = found.runs[1].difference
    assert gap
    assert two.difference == -gap.value == -one.difference
    assert two.ci == (-gap.interval.high, -gap.interval.low)
    assert one.better == (None if gap.p_value >= 0.05 else gap.value > 0)
    assert two.better == (None if gap.p_value >= 0.05 else gap.value < 0)


def test_pairs_that_were_both_run(small_runs: list[RunFolder]) -> None:
    (sentence,) = improvements(STUDIES["seizure"], small_runs)
    gap = compare([small_runs[1], small_runs[0]]).runs[1].difference
    assert gap
    points = f"{-100 * gap.value:+.0f} points"
    assert sentence.startswith("MLP improved is ")
    assert f" MLP baseline, its baseline: {points} (" in sentence.replace(MINUS, "-")
    assert sentence.endswith(", with 82.4 times its operations.")  # 487,936 by 5,920
    assert improvements(STUDIES["seizure"], small_runs[1:]) == []  # the baseline by row leaks
