"""TRIPOD+AI filled from runs: what they say, and that nothing is invented."""

from dataclasses import replace

import pytest

from sequela.evaluation.planned import Plan, Purpose
from sequela.evaluation.sample_size import Need
from sequela.report.entry import Entry
from sequela.report.tripod import ITEMS, Checklist, checklist
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder

PERSONAL = ("2", "3b", "3c", "17", "18a", "18b", "18c", "18d", "19", "25", "27a", "27b", "27c")
"""Items that no run can answer."""


def said(found: Checklist, number: str) -> str:
    return next(a.text for a in found.answers if a.item.number == number)


def test_there_are_27_items_with_52_parts() -> None:
    numbers = [item.number for item in ITEMS]
    assert len(set(numbers)) == len(numbers) == 52
    assert {int(number.rstrip("abcdefg")) for number in numbers} == set(range(1, 28))


def test_every_item_is_answered_or_visibly_open(
    small_runs: list[RunFolder], record_runs: list[Run]
) -> None:
    for run in (*small_runs, *record_runs):
        found = checklist(Entry(run))
        assert [a.item for a in found.answers] == list(ITEMS)
        assert all(a.text or a.open for a in found.answers)
        by_number = {a.item.number: a for a in found.answers}
        assert all(by_number[number].text == "" for number in PERSONAL)
        states = [found.count(state) for state in ("filled", "in part", "open")]
        assert sum(states) == 52
        assert found.share == states[0] / 52


def test_answers_are_the_numbers_of_the_run(
    small_runs: list[RunFolder], record_runs: list[Run]
) -> None:
    run = small_runs[1]
    found = checklist(Entry(run))
    low, high = run.test["accuracy_ci"]
    assert f"accuracy {run.test['accuracy']:.3f} ({low:.3f} to {high:.3f})" in said(found, "23a")
    record = record_runs[0]
    found = checklist(Entry(record))
    point = record.test["operating_points"][1]
    assert f"of {point['threshold']:.3f} or more" in said(found, "15")


def test_a_leak_and_weights_and_folds_are_said(record_runs: list[Run]) -> None:
    by_name = {run.path.name: run for run in record_runs}
    leaking = checklist(Entry(by_name["visits-baseline.hindsight"]))
    assert "LEAKS: " in said(leaking, "9b")
    assert "end of the stay" in said(leaking, "26")
    weighted = checklist(Entry(by_name["visits-baseline.weighted"]))
    assert "weighted by the inverse" in said(weighted, "13")
    assert "LEAKS" not in said(weighted, "9b")
    folded = checklist(Entry(record_runs[-1]))
    assert said(folded, "12a").startswith("2 folds by subject")
    assert "(first fold)" in said(folded, "21")


def test_sample_sizes_come_from_the_plan(
    record_runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record_runs[0]
    assert "is not computed (sequela plan RUN)" in said(checklist(Entry(run)), "10")
    needs = (Need("shrinkage of 0.9 or more", 1951, 235), Need("overall risk within 0.05", 163, 20))
    training = Purpose("To train it", "training set", 900, 80, needs, "")
    evaluation = Purpose("To evaluate it", "test set", 300, 20, (), "the reason")
    plan = Plan("patients", "with the event", (training, evaluation), (80, 820), no_curve="why")
    monkeypatch.setitem(vars(run), "plan", plan)
    (answer,) = (a for a in checklist(Entry(run)).answers if a.item.number == "10")
    assert "1,951 patients are needed (235 with the event; shrinkage of 0.9 or more decides)" in (
        answer.text
    )
    assert answer.open == "whether the sample size is sufficient"  # of the evaluation
    complete = replace(plan, purposes=(training, replace(training, part="test set")))
    monkeypatch.setitem(vars(run), "plan", complete)
    (answer,) = (a for a in checklist(Entry(run)).answers if a.item.number == "10")
    assert answer.open == ""
    assert "is hidden" in said(checklist(Entry(run, 100)), "10")
