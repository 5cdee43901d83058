"""Codes by how much they move the predictions, against sums made by hand."""

import numpy as np
import pytest

from sequela.evaluation.attribution import Attribution
from sequela.evaluation.importance import ranked

NAMES = ("a", "b", "c", "d")


def moved(*values: float, error: float = 0.0) -> Attribution:
    found = np.array(values)
    total = float(found.sum())
    return Attribution(found, baseline=0.0, reached=total + error, steps=8)


def test_codes_are_ranked_by_what_they_moved_on_average() -> None:
    found = ranked(
        NAMES,
        [
            (1, np.array([0, 1, 0]), moved(1.0, -4.0, 1.0)),  # a code in two visits counts together
            (1, np.array([1]), moved(2.0)),
            (2, np.array([0, 2]), moved(-1.0, 9.0)),
        ],
        examples=4,
        what="risk",
        smallest=2,
    )
    # c and b are of one subject each, d of nobody.
    assert [(each.code, each.subjects) for each in found.codes] == [("a", 2)]
    assert found.codes[0].mean_absolute == pytest.approx((2 + 1) / 4)
    assert found.codes[0].mean == pytest.approx((2 - 1) / 2)
    assert (found.suppressed, found.examples) == (2, 4)
    every = ranked(NAMES, [(1, np.array([0, 1]), moved(1.0, -4.0))], 1, "risk", 1)
    assert [each.code for each in every.codes] == ["b", "a"]
    assert [each.mean for each in every.codes] == [-4.0, 1.0]
    assert every.suppressed == 0
