"""Counts of who came in, without those of few."""

from dataclasses import replace
from typing import Any

import pytest

from sequela.evaluation.disclosure import HIDDEN
from sequela.evaluation.metrics import METRICS, Metric
from sequela.runs.released import released_flow, released_numbers


def flow(examples: int, positives: int) -> dict[str, Any]:
    step = {"reason": "too young", "removed": 40, "positives": 20, "left": examples}
    return {
        "candidates": examples + 40,
        "steps": [step],
        "examples": examples,
        "subjects": examples,
        "positives": positives,
        "notes": [],
    }


@pytest.mark.parametrize("positives", [3, 97])
def test_a_class_of_few_hides_how_many_the_other_has(positives: int) -> None:
    found = released_flow(flow(100, positives), 10)
    assert found["positives"] == HIDDEN
    assert found["examples"] == 100


@pytest.mark.parametrize("positives", [0, 10, 90, 100])
def test_classes_of_enough_or_of_nobody_are_shown(positives: int) -> None:
    found = released_flow(flow(100, positives), 10)
    assert (found["positives"], found["candidates"]) == (positives, 140)
    assert found["steps"][0]["positives"] == 20


def test_a_metric_that_may_reveal_the_matrix_is_hidden_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one of a plugin that is not loaded where the page is made."""
    data = {"name": "eicu", "subjects": 100, "examples": 100}
    numbers = {"examples": 100, "groups": 100, "confusion": [[50, 3], [20, 27]], "accuracy": 0.77}
    numbers |= {"per_class_recall": [0.94, 0.57], "auroc": 0.8, "matthews": 0.7157}
    numbers |= {"matthews_ci": [0.5, 0.9]}
    assert "matthews" not in METRICS
    found = released_numbers(numbers, data, 10)
    assert (found["matthews"], found["matthews_ci"]) == (HIDDEN, None)
    assert (found["auroc"], found["accuracy"]) == (0.8, 0.77)
    own = Metric("matthews", "Matthews correlation", "", lambda _: 0.0, reported=True)
    monkeypatch.setitem(METRICS, "matthews", own)
    assert released_numbers(numbers, data, 10)["matthews"] == HIDDEN
    monkeypatch.setitem(METRICS, "matthews", replace(own, reveals=False))
    assert released_numbers(numbers, data, 10)["matthews"] == 0.7157
    assert released_numbers(numbers | {"confusion": [[50, 13], [20, 27]]}, data, 10) == (
        numbers | {"confusion": [[50, 13], [20, 27]]}
    )
