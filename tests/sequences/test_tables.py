from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sequela.sequences.featurisers import lookup
from sequela.sequences.flat import Sequences, SequencesWriter, open_sequences
from sequela.sequences.tables import (
    SUMMARIES,
    bag_of_codes,
    last_values,
    summaries,
    summary_names,
)

Write = Callable[..., Sequences]
Nested = list[list[list[int]]]
Measured = list[list[list[tuple[int, float]]]]

steps = st.lists(st.integers(0, 8), unique=True, max_size=4).map(sorted)
nested_lists = st.lists(st.lists(steps, min_size=1, max_size=5), min_size=1, max_size=6)
values = st.tuples(st.integers(0, 2), st.integers(-4, 4).map(float))
measured_lists = st.lists(
    st.lists(st.lists(values, max_size=4), min_size=1, max_size=4), min_size=1, max_size=5
)


def write_measured(folder: Path, measured: Measured) -> Sequences:
    """Examples -> steps -> (channel, value) as stored sequences; a step a day."""
    by_channel = [[sorted(step, key=lambda v: v[0]) for step in one] for one in measured]
    flat_steps = [step for one in by_channel for step in one]
    flat = [value for step in flat_steps for value in step]
    header = {"digest": "", "parts": [], "vocabulary": [], "channels": ["a", "b", "c"]}
    n = len(measured)
    with SequencesWriter(folder, header) as writer:
        writer.append(
            examples={
                "subject_id": np.arange(n),
                "prediction_time": np.zeros(n, "M8[us]"),
                "label": np.zeros(n),
                "part": np.zeros(n),
                "age": np.zeros(n),
                "followed": np.zeros(n),
            },
            steps_per_example=np.array([len(one) for one in measured]),
            step_time=np.arange(len(flat_steps)).astype("M8[D]").astype("M8[us]"),
            codes_per_step=np.zeros(len(flat_steps), np.int64),
            codes=np.empty(0, np.int32),
            values_per_step=np.array([len(step) for step in flat_steps], np.int64),
            channels=np.array([c for c, _ in flat], np.int32),
            values=np.array([v for _, v in flat], np.float32),
        )
    return open_sequences(folder)


@given(nested=nested_lists, data=st.data())
@settings(max_examples=30, deadline=None)
def test_bags_count_steps(write_nested: Write, nested: Nested, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(nested) - 1), max_size=8))
    expected = np.zeros((len(rows), 9))
    for i, row in enumerate(rows):
        for step in nested[row]:
            expected[i, step] += 1
    with TemporaryDirectory() as name:
        sequences = write_nested(Path(name) / "s", nested)
        examples = np.array(rows, np.int64)
        counted = bag_of_codes(sequences, examples)
        present = bag_of_codes(sequences, examples, "presence")
    assert counted.toarray().tolist() == expected.tolist()
    assert present.toarray().tolist() == (expected > 0).tolist()


def plain_summary(measured: list[tuple[int, float]]) -> list[float]:
    """Of (day, value) in the order of time."""
    if not measured:
        return [np.nan] * 4 + [0] + [np.nan] * 3
    days, values = zip(*measured, strict=True)
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
    slope = np.polyfit(days, values, 1)[0] if len(set(days)) > 1 else 0.0
    known = [values[-1], min(values), max(values), mean, len(values)]
    return [*known, values[0], deviation, slope]


@given(measured=measured_lists, data=st.data())
@settings(max_examples=30, deadline=None)
def test_summaries_are_those_of_plain_lists(measured: Measured, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(measured) - 1), max_size=8))
    expected = [
        [
            number
            for channel in range(3)
            for number in plain_summary(
                [
                    (day, v)
                    for day, step in enumerate(measured[row])
                    for c, v in step
                    if c == channel
                ]
            )
        ]
        for row in rows
    ]
    with TemporaryDirectory() as name:
        sequences = write_measured(Path(name) / "s", measured)
        found = summaries(sequences, np.array(rows, np.int64))
        assert len(summary_names(sequences)) == 3 * len(SUMMARIES) == found.shape[1]
    table = np.array(expected).reshape(len(rows), 24)
    np.testing.assert_allclose(found, table, rtol=1e-4, atol=1e-4)


@given(measured=measured_lists)
@settings(max_examples=30, deadline=None)
def test_a_step_shows_its_last_values_and_what_is_missing(measured: Measured) -> None:
    with TemporaryDirectory() as name:
        sequences = write_measured(Path(name) / "s", measured)
        found, mask = last_values(sequences, np.arange(len(sequences.step_time)))
    expected = [dict(step) for one in measured for step in one]
    assert [
        {c: row[c] for c in range(3) if there[c]} for row, there in zip(found, mask, strict=True)
    ] == expected
    assert not found[~mask].any()


@given(measured=measured_lists)
@settings(max_examples=20, deadline=None)
def test_normal_scores_keep_the_order_of_the_training_part(measured: Measured) -> None:
    everyone = np.arange(len(measured))
    with TemporaryDirectory() as name:
        sequences = write_measured(Path(name) / "s", measured)
        plain = summaries(sequences, everyone)
        featuriser = lookup("summaries")
        state = featuriser.fit(sequences, everyone)
        scores = np.asarray(featuriser.apply(sequences, state))
        names = [column.name for column in featuriser.columns(sequences, state)]
    assert names == ["age", *summary_names(sequences)]
    assert scores.shape == (len(measured), len(names))
    for numbers, score in zip(plain.T, scores[:, 1:].T, strict=True):
        known = ~np.isnan(numbers)
        assert (np.isnan(score) == ~known).all()
        order = np.argsort(numbers[known], kind="stable")
        assert (np.diff(score[known][order]) >= -1e-6).all()
        assert (np.abs(score[known]) < 2.6).all()
