"""Normal scores: the rank of a number on the line between quantiles, as a normal deviate."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from sequela.sequences import scaling
from sequela.sequences.scaling import LEVELS, knots, normal_scores, quantiles

Floats = NDArray[np.float32]


def by_column(table: Floats, ends: Floats) -> Floats:
    """Compute the scores of one column after the other."""
    found = np.full_like(table, np.nan)
    levels = np.linspace(0, 1, LEVELS)
    for column, of_column in enumerate(ends):
        values = np.unique(of_column)
        if np.isnan(values).any():
            continue
        ranks = [levels[of_column == value].mean() for value in values]
        share = np.interp(table[:, column], values, ranks).clip(0.005, 0.995)
        found[:, column] = np.where(np.isnan(table[:, column]), np.nan, ndtri(share))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_each_column_has_its_own_quantiles(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuous, counts, mostly zero, constant, without a value, and with missing values."""
    monkeypatch.setattr(scaling, "_AT_ONCE", 100)
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(70, 6)).astype(np.float32)
    table[:, 1] = table[:, 1].round()
    table[:, 2] = np.maximum(table[:, 2] - 1, 0)
    table[:, 3] = 3
    table[:, 4] = np.nan
    table[rng.random(70) < 0.3, 5] = np.nan
    ends = quantiles(table)
    far = np.array([[-np.inf] * 6, [np.inf] * 6], np.float32)
    asked = np.concatenate([table, table + rng.normal(size=table.shape).astype(np.float32), far])
    found = normal_scores(asked.ravel(), np.tile(np.arange(6), len(asked)), ends)
    np.testing.assert_allclose(found.reshape(asked.shape), by_column(asked, ends), atol=1e-6)
    for column, (values, of_values) in enumerate(knots(ends)):
        one = np.full((len(values), 6), np.nan, np.float32)
        one[:, column] = values
        np.testing.assert_allclose(of_values, by_column(one, ends)[:, column], atol=1e-6)


def test_no_columns() -> None:
    none = np.empty(0, np.float32)
    assert not len(normal_scores(none, np.empty(0, np.int64), np.empty((0, LEVELS), np.float32)))
