"""Nested lists as flat arrays, against plain loops."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sequela.api.visit_classifier import VisitLists

visit = st.lists(st.text("ab?", max_size=2) | st.integers(0, 3), max_size=5)
examples = st.lists(st.lists(visit, min_size=1, max_size=4), min_size=1, max_size=8)


def nested(visits: VisitLists) -> list[list[list[str]]]:
    """Back to lists of codes, as the arrays say."""
    return [
        [
            [visits.names[i] for i in visits.codes[a:b]]
            for a, b in pairwise(visits.code_offsets[first : last + 1])
        ]
        for first, last in pairwise(visits.step_offsets)
    ]


@given(given=examples)
@settings(deadline=None)
def test_nothing_is_lost_but_order_and_repetition(given: list[list[list[str | int]]]) -> None:
    visits = VisitLists.of(given)
    expected = [[{str(code) for code in v} for v in example] for example in given]
    assert [[set(v) for v in example] for example in nested(visits)] == expected
    assert [[len(v) for v in e] for e in nested(visits)] == [[len(v) for v in e] for e in expected]


@given(given=examples, data=st.data())
@settings(deadline=None)
def test_vocabulary_and_its_indices(
    given: list[list[list[str | int]]], data: st.DataObject
) -> None:
    n = len(given)
    rows = data.draw(st.lists(st.integers(0, n - 1), unique=True, min_size=1))
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    least = data.draw(st.integers(1, 3))
    subjects: dict[str, set[int]] = {}
    for row in rows:
        for code in {str(code) for v in given[row] for code in v}:
            subjects.setdefault(code, set()).add(int(group[row]))
    expected = sorted(code for code, who in subjects.items() if len(who) >= least)
    visits = VisitLists.of(given)
    if not expected:
        return
    vocabulary = visits.vocabulary(np.array(rows), group, least)
    assert vocabulary == ("UNKNOWN", *expected)
    under = visits.under(vocabulary, np.arange(n))
    index = {code: i for i, code in enumerate(vocabulary)}
    for example, flat in zip(given, nested(under), strict=True):
        for codes, names in zip(example, flat, strict=True):
            places = {index.get(str(code), 0) for code in codes}
            assert [vocabulary.index(name) for name in names] == sorted(places)
    assert under.label.tolist() == list(range(n))
