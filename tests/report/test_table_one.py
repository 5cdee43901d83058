"""Table 1: counts by class, and none of few people."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.records import part_of

from sequela.report.entry import Entry
from sequela.report.sections.table_one import Line, table_one
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.record import DataRecord


def total(lines: list[Line]) -> list[int]:
    return [sum(line.counts[place] for line in lines if line.counts) for place in range(2)]


def test_it_counts_the_examples_of_a_run(record_runs: list[Run]) -> None:
    run = next(each for each in record_runs if each.settings.data == "eicu")
    found = table_one(Entry(run, hide_below=1))
    assert found
    label = run.predictions.label
    whole = np.bincount(label)
    first = found.lines[""][0]
    assert first.counts == tuple(whole.tolist())
    assert run.data["positives"] == whole[1]
    parts = [line for line in found.lines[""] if line.name.endswith(" set")]
    assert total(parts) == whole.tolist()
    for attribute, values in run.attributes.items():
        lines = {line.name: line for line in found.lines[attribute]}
        assert total(list(lines.values())) == whole.tolist()
        for value in np.unique(values):
            rows = values == value
            counts = tuple(np.bincount(label[rows], minlength=2).tolist())
            assert lines[value or "unknown"].counts == counts
        for line in found.lines[attribute]:
            assert line.shares == pytest.approx(np.array(line.counts) / whole)
    assert found.hidden == 0


def test_recordings_are_counted_by_class(small_runs: list[RunFolder]) -> None:
    found = table_one(Entry(small_runs[0]))
    assert found
    names = [line.name for line in found.lines[""]]
    assert names == ["segments", "sessions", "training set", "validation set", "test set"]
    predictions = small_runs[0].predictions
    for place, counted in enumerate(found.lines[""][1].counts or ()):
        assert counted == len(np.unique(predictions.group_id[predictions.label == place]))


def entry_of(values: list[str], label: list[int], held_out: list[bool]) -> Any:
    """Examples of one subject each."""
    ids = np.array([f"{n}" for n in range(len(label))])
    predictions = SimpleNamespace(
        classes=("alive", "died"),
        split=np.where(held_out, "held_out", "train"),
        label=np.array(label),
        group_id=ids,
        subject_id=ids,
    )
    run = SimpleNamespace(predictions=predictions, attributes={"ward": np.array(values)})
    data = part_of(DataRecord, example="stay", unit="subject")
    return SimpleNamespace(run=run, smallest=10, data=data)


@pytest.mark.parametrize("few", [3, 9])
def test_a_value_of_few_is_not_named_and_cannot_be_worked_out(few: int) -> None:
    values = ["rare"] * few + ["small"] * 40 + ["large"] * 200
    label = [n % 2 for n in range(len(values))]
    found = table_one(entry_of(values, label, [True] * len(values)))
    assert found
    assert found.hidden == 1
    assert {line.name: line.counts for line in found.lines["ward"]} == {
        "small": None,
        "large": (100, 100),
    }


def test_a_value_of_few_in_a_part_is_hidden() -> None:
    """Its counts in the held-out part may stand elsewhere: the difference would tell the others."""
    values = ["a"] * 100 + ["b"] * 100 + ["c"] * 100
    label = [n % 2 for n in range(300)]
    held_out = [n < 95 or n % 4 == 0 for n in range(300)]
    found = table_one(entry_of(values, label, held_out))
    assert found
    assert [(line.name, line.counts is None) for line in found.lines["ward"]] == [
        ("b", True),
        ("c", False),
    ]


def test_where_a_class_is_of_few_there_is_no_table() -> None:
    label = [1] * 5 + [0] * 95
    assert table_one(entry_of(["x"] * 100, label, [True] * 100)) is None
