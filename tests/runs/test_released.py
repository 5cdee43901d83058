"""Counts of who came in, without those of few."""

from dataclasses import replace
from typing import Any

import pytest
from tests.records import part_of

from sequela.disclosure import HIDDEN
from sequela.evaluation.metrics import METRICS, Metric
from sequela.runs.record import DataRecord, Numbers
from sequela.runs.released import released_data, released_flow, released_numbers


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


def shown(numbers: dict[str, Any]) -> Numbers:
    return released_numbers(Numbers.model_validate(numbers), 10)


@pytest.mark.parametrize("positives", [3, 97])
def test_a_class_of_few_hides_how_many_the_other_has(positives: int) -> None:
    found = released_flow(flow(100, positives), 10)
    assert found["positives"] == HIDDEN
    assert found["examples"] == 100


@pytest.mark.parametrize(
    ("note", "public"),
    [
        ("3 of the negative examples died.", "fewer than 10 of the negative examples died."),
        ("30 of the negative examples died.", "30 of the negative examples died."),
        ("minors: under 18 years.", "minors: under 18 years."),
    ],
)
def test_a_note_on_a_cohort_loses_a_small_count(note: str, public: str) -> None:
    assert released_flow(flow(100, 30) | {"notes": [note]}, 10)["notes"] == [public]
    assert released_flow(flow(100, 30) | {"notes": [note]}, 1)["notes"] == [note]


@pytest.mark.parametrize(
    ("name", "public"),
    [("signals", "resampled from 250 Hz"), ("own", "resampled from (hidden) Hz")],
)
def test_numbers_in_notes_of_a_plugin_may_count_people(name: str, public: str) -> None:
    data = part_of(DataRecord, name=name, origin="", notes=["resampled from 250 Hz"])
    assert released_data(data, 10)["notes"] == [public]
    assert released_data(data, 1)["notes"] == ["resampled from 250 Hz"]


@pytest.mark.parametrize("positives", [0, 10, 90, 100])
def test_classes_of_enough_or_of_nobody_are_shown(positives: int) -> None:
    found = released_flow(flow(100, positives), 10)
    assert (found["positives"], found["candidates"]) == (positives, 140)
    assert found["steps"][0]["positives"] == 20


def test_a_metric_that_may_reveal_the_matrix_is_hidden_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one of a plugin that is not loaded where the page is made."""
    numbers: dict[str, Any] = {
        "examples": 100,
        "groups": 100,
        "confusion": [[50, 3], [20, 27]],
        "accuracy": 0.77,
    }
    numbers |= {"per_class_recall": [0.94, 0.57], "auroc": 0.8, "matthews": 0.7157}
    numbers |= {"matthews_ci": [0.5, 0.9]}
    assert "matthews" not in METRICS
    found = shown(numbers)
    assert (found["matthews"], found["matthews_ci"]) == (HIDDEN, None)
    assert (found["auroc"], found["accuracy"]) == (0.8, 0.77)
    own = Metric("matthews", "Matthews correlation", "", lambda _: 0.0, reported=True)
    monkeypatch.setitem(METRICS, "matthews", own)
    assert shown(numbers)["matthews"] == HIDDEN
    monkeypatch.setitem(METRICS, "matthews", replace(own, reveals=False))
    assert shown(numbers)["matthews"] == 0.7157
    enough = numbers | {"confusion": [[50, 13], [20, 27]]}
    assert shown(enough) == enough
