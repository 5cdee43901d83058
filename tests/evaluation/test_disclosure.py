"""Small counts of people, and what gives them away."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sequela.disclosure import HIDDEN, as_json, hidden_cells, merged_bins
from sequela.evaluation.number import number


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(1, 20))
def test_no_small_cell_can_be_had_by_subtraction(counts: list[int], smallest: int) -> None:
    hidden = hidden_cells(counts, smallest)
    small = [0 < count < smallest for count in counts]
    assert all(hidden[place] for place, one in enumerate(small) if one)
    left = sum(count for count, out in zip(counts, hidden, strict=True) if out)
    if any(small):
        everything = all(out or not count for count, out in zip(counts, hidden, strict=True))
        assert everything or (hidden.sum() > 1 and left >= smallest)
    else:
        assert not hidden.any()


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12),
    st.integers(1, 15),
)
def test_merged_bins_have_no_small_cell(bins: list[tuple[int, int]], smallest: int) -> None:
    counts = np.array(bins)
    place = merged_bins(counts, smallest)
    assert (np.diff(place) >= 0).all()
    assert place[0] == 0
    wide = np.stack([counts[place == one].sum(axis=0) for one in range(place[-1] + 1)])
    assert len(wide) == 1 or not ((wide > 0) & (wide < smallest)).any()


def test_what_is_made_of_something_hidden_is_hidden() -> None:
    made = [100 * HIDDEN / 7, 1 - HIDDEN, HIDDEN + HIDDEN, -HIDDEN, sum([3, HIDDEN])]
    assert [f"{each:,.1f}" for each in made] == ["hidden"] * 5
    assert number(made[0], "+.1%") == "hidden"
    assert (
        json.dumps(as_json({"a": [1, HIDDEN], "b": (HIDDEN,)})) == '{"a": [1, null], "b": [null]}'
    )
