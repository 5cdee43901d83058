"""Counts of who came in, without those of few."""

from typing import Any

import pytest

from sequela.evaluation.disclosure import HIDDEN
from sequela.runs.released import released_flow


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
