"""What an example looks like, whatever its codes are, and codes of other parts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.sequences.conftest import Measured, written

from sequela.audit import column_checks
from sequela.audit.input import AuditInput
from sequela.audit.window_checks import between_parts
from sequela.cohort.split import PARTS
from sequela.sequences.flat import Sequences
from sequela.sequences.input_checks import find_in_sequences, form_of


def test_the_form_of_an_example_is_its_sizes_and_its_hours(tmp_path: Path) -> None:
    measured: Measured = [[[], [(0, 0.0)]], [[(0, 0.0), (0, 0.0)]]]
    stored = written(tmp_path, [[[1], [2, 3]], [[]]], measured=measured)
    monday = np.datetime64("2024-01-01", "us")
    sequences = replace(
        stored,
        prediction_time=monday + np.array([30, 59]) * np.timedelta64(1, "h"),
        step_time=monday + np.array([3, 58, 100]) * np.timedelta64(30, "m"),
    )
    expected: list[list[float]] = [[3, 2, 1, 28.5, 1, 6, 5], [0, 1, 2, 9, 9, 11, 6]]
    assert form_of(sequences).tolist() == expected


def given(sequences: Sequences, part: NDArray[np.int64]) -> AuditInput:
    parts = {name: np.flatnonzero(part == index) for index, name in enumerate(PARTS)}
    return AuditInput(records=sequences, splits=(parts,), classes=("no", "yes"))


def test_a_known_code_that_no_training_example_has(
    write_nested: Callable[..., Sequences], tmp_path: Path
) -> None:
    sequences = write_nested(tmp_path, [[[1, 2, 3, 4]], [[5, 6, 7, 8]], [[1]], [[2]]])
    part = np.array([PARTS.index(name) for name in ("train", "train", "held_out", "tuning")])
    assert find_in_sequences(given(sequences, part)) == []
    part[[0, 3]] = part[[3, 0]]
    (found,) = find_in_sequences(given(sequences, part))
    assert (found.check, found.severity) == ("vocabulary of other parts", "leak")
    assert found.what == "3 known codes occur in no training example"


def test_of_many_segments_as_many_of_each_class_are_judged() -> None:
    label = np.repeat([0, 1, 0, 1], [500, 3, 400, 97])
    assert column_checks.spaced_by_class(label, 2).tolist() == [*range(1000)]
    rows = column_checks.spaced_by_class(label, 2, 200)
    assert np.bincount(label[rows]).tolist() == [100, 100]
    assert (np.diff(rows) > 0).all()
    assert column_checks.spaced_by_class(np.ones(1000, np.int64), 3, 200).tolist() == [
        *range(0, 1000, 15)
    ]


def test_windows_of_a_set_without_examples_and_flat_windows_are_compared() -> None:
    signal = np.random.default_rng(0).normal(size=(60, 1, 178)).astype(np.float32)
    signal[[3, 45]] = 0
    parts = {"train": np.arange(40), "tuning": np.arange(0), "held_out": np.arange(40, 60)}
    assert between_parts(signal, parts, np.arange(60).astype(np.str_)) == []
