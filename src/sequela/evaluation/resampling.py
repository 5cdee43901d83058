"""Weights of groups: bootstrap resamples, and one group left out after the other."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 100  # resamples that are drawn at once: they fit a processor's cache
_JACKKNIFE_BLOCKS = 500  # blocks of groups that are left out one after the other, at most
# The last counts, and the state of the generator after them, by what they were drawn from.
_last_drawn: dict[object, tuple[NDArray[np.uint8], Mapping[str, Any]]] = {}


def class_strata(label: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of each group, int64 (group,), for drawing within classes.

    Label and group are int64 (example,). Groups of several classes are drawn among those of the
    same classes. A stratum with a single group joins the largest: one group alone cannot vary.
    """
    classes = np.zeros((int(group.max(initial=-1)) + 1, int(label.max(initial=0)) + 1), np.bool_)
    classes[group, label] = True
    stratum = np.unique(classes[:, ::-1], axis=0, return_inverse=True)[1]  # sorted by class
    size = np.bincount(stratum)
    stratum[size[stratum] == 1] = size.argmax()
    return np.unique(stratum, return_inverse=True)[1]


def resampled_weights(
    stratum: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Draw weights of the groups in bootstrap resamples, in chunks of (resample, group).

    For a stratum of n groups, n - 1 are drawn with replacement and count n / (n - 1) each. The last
    draws are kept: all metrics and models of a study are evaluated on the same resamples.
    """
    # The same strata, number and state of the generator give the same draws, so they are reused.
    key = (stratum.tobytes(), resamples, repr(rng.bit_generator.state))
    counts, state = _last_drawn.get(key, (None, {}))
    if counts is None:
        counts, state = _counts(stratum, resamples, rng), rng.bit_generator.state
        _last_drawn.clear()
        _last_drawn[key] = counts, state
    rng.bit_generator.state = state
    size = np.bincount(stratum)[stratum]
    for start in range(0, resamples, _CHUNK):
        # With n draws the variance would be too small by (n - 1) / n (Rao and Wu 1988).
        yield counts[start : start + _CHUNK] * (size / (size - 1))


def _counts(
    stratum: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw how often each group is in each resample: (resample, group), never above 255."""
    counts = np.empty((resamples, len(stratum)), np.uint8)
    members = [np.flatnonzero(stratum == index) for index in range(int(stratum.max()) + 1)]
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        for groups in members:
            size = len(groups)
            draws = rng.integers(size, size=(rows, size - 1))
            # Each resample counts in its own range of numbers, so that one bincount does for all.
            draws += np.arange(rows)[:, None] * size
            times = np.bincount(draws.ravel(), minlength=rows * size)
            counts[start : start + rows, groups] = times.reshape(rows, size)
    return counts


def jackknife_weights(stratum: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Return weights that leave out one group after the other: chunks of (left out, group).

    The rest of its stratum makes up for it. Where there are more than 500 groups, they are left out
    in 500 blocks, which include all strata equally: the resulting skewness stays the same, because
    blocks are less skewed as they are fewer.
    """
    n_groups = len(stratum)
    block = np.empty(n_groups, dtype=np.int64)
    n_blocks = min(n_groups, _JACKKNIFE_BLOCKS)
    block[np.argsort(stratum, kind="stable")] = np.arange(n_groups) % n_blocks
    belongs = (stratum[:, None] == np.unique(stratum)).astype(np.float64)  # (group, stratum)
    size = belongs.sum(axis=0)
    for start in range(0, n_blocks, _CHUNK):
        left_out = np.arange(start, min(start + _CHUNK, n_blocks))
        # The total weight of a stratum stays, and with it the share of its class.
        remaining = (block != left_out[:, None]).astype(np.float64)
        yield remaining * (size / (remaining @ belongs))[:, stratum]
