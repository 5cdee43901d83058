from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sequela.figures.marks import thinned

Points = st.lists(
    st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)), min_size=1, max_size=40
)


def distance(point: complex, start: complex, end: complex) -> float:
    """Of a point from a segment, by trying many places on it."""
    return min(abs(point - (start + (end - start) * k / 1000)) for k in range(1001))


@given(Points, st.floats(0.01, 0.3))
def test_no_point_is_far_from_the_thinned_line(
    points: list[tuple[float, float]], tolerance: float
) -> None:
    x, y = np.array(points).T
    kept = thinned(x, y, tolerance)
    assert kept[0] == 0
    assert kept[-1] == len(points) - 1
    assert (np.diff(kept) > 0).all()
    for start, end in pairwise(kept):
        for inside in range(start + 1, end):
            away = distance(*(complex(x[i], y[i]) for i in (inside, start, end)))
            assert away <= tolerance + 0.002


def test_a_straight_line_keeps_its_ends_and_a_step_its_corners() -> None:
    along = np.linspace(0, 1, 10_000)
    assert thinned(along, along, 1e-3).tolist() == [0, 9_999]
    steps = np.array([0.0, 0, 0.5, 0.5, 1])
    assert thinned(np.array([0.0, 0.4, 0.4, 1, 1]), steps, 1e-3).tolist() == [0, 1, 2, 3, 4]


def test_nothing_stays_nothing() -> None:
    assert thinned(np.zeros(0), np.zeros(0), 0.1).tolist() == []
