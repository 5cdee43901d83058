"""MiniRocket: the share of time a signal exceeds thresholds after many fixed convolutions.

A. Dempster, D. F. Schmidt, G. I. Webb, MiniRocket: A very fast (almost) deterministic transform for
time series classification, KDD 2021 (arXiv 2012.08791). Uses sktime, which no other file imports.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, extra

if TYPE_CHECKING:
    from sktime.transformations.rocket import MiniRocketMultivariate

NUMBERS = 9996  # number of features: the paper's 10,000 as a multiple of its 84 kernels
KERNELS = 84  # of length 9 with three weights of 2 and six of -1: 9 choose 3
MOST_DILATIONS = 32  # the default of the paper
_FEWEST = 9  # samples: the length of a kernel
_SEED = 0  # of the draw of segments, whose values become thresholds
# The arrays that sktime learns, in its order.
_STATE = ("channel_counts", "channels", "dilations", "numbers", "thresholds")


def learnt(signal: NDArray[np.float32]) -> dict[str, NDArray[np.number]]:
    """Learn thresholds and channels of convolutions from signals (segment, n_chans, n_times)."""
    if signal.shape[2] < _FEWEST:
        raise DataError(
            f"a segment has {signal.shape[2]} samples, and MiniRocket needs at least {_FEWEST}: "
            "give longer segments"
        )
    return dict(zip(_STATE, map(np.asarray, _transformer().fit(signal).parameters), strict=True))


def transformed(
    signal: NDArray[np.float32], state: Mapping[str, NDArray[np.number]]
) -> NDArray[np.float32]:
    """Compute shares of time (segment, number) of signals (segment, n_chans, n_times)."""
    transformer = _transformer()
    transformer.parameters = tuple(state[name] for name in _STATE)
    transformer._is_fitted = True  # noqa: SLF001 - sktime has no other way to take up what was learnt
    return np.asarray(transformer.transform(signal), np.float32)


def dilations(n_times: int) -> Sequence[int]:
    """Return the dilations of the kernels in a signal of so many samples.

    Example:
        >>> list(dilations(40))
        [1, 2, 3, 4]
    """
    most = np.log2((n_times - 1) / (_FEWEST - 1))
    return [int(n) for n in np.unique(np.logspace(0, most, MOST_DILATIONS, base=2).astype(int))]


def _transformer() -> "MiniRocketMultivariate":
    with extra("rocket", "minirocket"):
        import numba  # noqa: F401 - sktime says what is missing in many lines
        from sktime.transformations.rocket import MiniRocketMultivariate
    return MiniRocketMultivariate(
        num_kernels=NUMBERS, max_dilations_per_kernel=MOST_DILATIONS, random_state=_SEED
    )
