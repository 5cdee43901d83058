from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sequences.conftest import (
    Measured,
    Nested,
    measured_lists,
    nested_lists,
    write_measured,
    written,
)

from sequela.identity.fingerprint import Content
from sequela.identity.pseudonyms import PLAIN, Pseudonyms
from sequela.sequences import flat
from sequela.sequences.feature_tables import (
    SUMMARIES,
    SparseTable,
    bag_of_codes,
    last_values,
    summaries,
    summary_names,
)
from sequela.sequences.featurisers import lookup
from sequela.sequences.flat import Sequences, content_of

Write = Callable[..., Sequences]


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
        found = summaries(sequences, np.array(rows, np.int64)).toarray()
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
        plain = summaries(sequences, everyone).toarray()
        featuriser = lookup("summaries")
        state = featuriser.fit(sequences, everyone)
        table = featuriser.apply(sequences, state)
        assert isinstance(table, SparseTable)
        scores = table.toarray()
        names = [column.name for column in featuriser.columns(sequences, state)]
    assert names == ["age", *summary_names(sequences)]
    assert scores.shape == (len(measured), len(names))
    for numbers, score in zip(plain.T, scores[:, 1:].T, strict=True):
        known = ~np.isnan(numbers)
        assert (np.isnan(score) == ~known).all()
        order = np.argsort(numbers[known], kind="stable")
        assert (np.diff(score[known][order]) >= -1e-6).all()
        assert (np.abs(score[known]) < 2.6).all()


def test_the_content_of_records_is_the_same_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    codes = [[np.flatnonzero(rng.random(9) < 0.4).tolist()] * 2 for _ in range(40)]
    stored = written(tmp_path / "s", codes)
    ids = rng.integers(-9, 9, 40)  # in no order, several examples of most
    sequences = replace(stored, subject_id=ids)
    whole = content_of(sequences, PLAIN)
    assert whole.units == tuple(PLAIN.each(np.unique(ids).astype(np.str_)).tolist())
    read = []

    def counted(some: Sequences, how: Pseudonyms) -> Content:
        read.append(len(some))
        return of_block(some, how)

    of_block = flat._content_of_block
    monkeypatch.setattr(flat, "_content_of_block", counted)
    monkeypatch.setattr(flat, "_MARKED_AT_ONCE", 1)
    blocks = content_of(sequences, PLAIN)
    assert len(read) == len(whole.units)
    assert sum(read) == 40
    assert blocks.units == whole.units
    for name in ("unit", "place", "mark"):
        np.testing.assert_array_equal(getattr(blocks, name), getattr(whole, name))
