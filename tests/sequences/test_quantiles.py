"""Quantiles of training values, against the definition on sorted lists."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sequela.sequences.vocabulary import bin_edges

MEASURED = st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 6)), min_size=1, max_size=60)


@given(measured=MEASURED, bins=st.integers(2, 20))
def test_the_least_value_that_enough_do_not_exceed(
    measured: list[tuple[int, int]], bins: int
) -> None:
    pairs = sorted(Counter(measured).items())
    kind, value = np.array([pair for pair, _ in pairs], np.int64).T
    counts = np.array([n for _, n in pairs], np.int64)
    kinds, ends = bin_edges(kind, value.astype(np.float32), counts, bins)
    assert ends.dtype == np.float32
    expected = {}
    for each in sorted({kind for kind, _ in measured}):
        values = sorted(value for kind, value in measured if kind == each)
        expected[each] = [values[-(-len(values) * k // bins) - 1] for k in range(1, bins)]
    assert dict(zip(kinds.tolist(), ends.tolist(), strict=True)) == expected
