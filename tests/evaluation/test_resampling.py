from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.evaluation import statistic


@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(1, 230), st.integers(0, 2**32)
)
def test_a_resample_keeps_each_stratum_its_size(
    sizes: list[int], resamples: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stratum = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    weights = np.concatenate(list(statistic.resampled_weights(stratum, resamples, rng)))
    assert weights.shape == (resamples, sum(sizes))
    for one, size in enumerate(sizes):
        of_stratum = weights[:, stratum == one]
        assert np.allclose(of_stratum.sum(axis=1), size)
        times = of_stratum * (size - 1) / size
        assert np.allclose(times, times.round())


@pytest.mark.parametrize("size", [2, 5, 20])
def test_resamples_vary_as_a_mean_does(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    stratum = np.zeros(size, dtype=np.int64)
    drawn = statistic.resampled_weights(stratum, 40_000, np.random.default_rng(0))
    means = np.concatenate([weights @ values / size for weights in drawn])
    assert means.var() == pytest.approx(values.var(ddof=1) / size, rel=0.05)


def test_the_same_resamples_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stratum, drawn, made = np.arange(40) % 3, list[Any](), list[Any]()
    counts = statistic._counts

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return counts(*arguments)

    monkeypatch.setattr(statistic, "_counts", counted)
    for seed in (5, 5, 6, 5):
        rng = np.random.default_rng(seed)
        weights = np.concatenate(list(statistic.resampled_weights(stratum, 230, rng)))
        drawn.append((weights.tolist(), rng.random()))
    assert drawn[0] == drawn[1] == drawn[3] != drawn[2]
    assert len(made) == 3


def test_a_left_out_group_is_made_up_for_by_its_stratum() -> None:
    stratum = np.array([0, 1, 1, 0, 0])
    weights = np.concatenate(list(statistic.jackknife_weights(stratum)))
    by_group = weights[np.argmin(weights, axis=1).argsort()]
    assert by_group.tolist() == [
        [0, 1, 1, 1.5, 1.5],
        [1, 0, 2, 1, 1],
        [1, 2, 0, 1, 1],
        [1.5, 1, 1, 0, 1.5],
        [1.5, 1, 1, 1.5, 0],
    ]


def test_many_groups_are_left_out_in_blocks_of_all_strata() -> None:
    stratum = np.arange(1_200) % 2
    weights = np.concatenate(list(statistic.jackknife_weights(stratum)))
    assert weights.shape == (500, 1_200)
    assert (weights == 0).sum(axis=0).tolist() == [1] * 1_200
    assert np.allclose(weights[:, stratum == 0].sum(axis=1), 600)
    assert (weights == 0).sum(axis=1).max() == 3


def test_strata_are_the_classes_and_one_alone_joins_the_largest() -> None:
    label = np.array([3, 3, 0, 1, 1, 1])
    group = np.array([0, 0, 1, 2, 3, 4])
    assert statistic.class_strata(label, group).tolist() == [0, 0, 0, 0, 0]
    label, group = np.array([0, 0, 1, 1, 1, 2]), np.arange(6)
    assert statistic.class_strata(label, group).tolist() == [0, 0, 1, 1, 1, 1]
    label, group = np.array([0, 0, 0, 1, 1, 0, 1]), np.array([0, 1, 2, 2, 3, 4, 4])
    assert statistic.class_strata(label, group).tolist() == [0, 0, 1, 0, 1]
