"""MiniRocket, against the paper's formula and sktime's own transform."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sequela.errors import DataError, MissingExtraError
from sequela.sequences import minirocket
from sequela.sequences.featurisers import lookup


def signals(n: int = 20, n_chans: int = 1, n_times: int = 40) -> Any:
    signal = np.random.default_rng(0).normal(size=(n, n_chans, n_times)).astype(np.float32)
    return SimpleNamespace(signal=signal, sfreq=1.0)


@pytest.mark.slow  # numba compiles for 20 seconds, once for each environment
def test_what_was_learnt_describes_other_signals_as_sktime_does() -> None:
    pytest.importorskip("sktime")
    source, featuriser = signals(), lookup("minirocket")
    state = featuriser.fit(source, np.arange(8))
    assert list(state["dilations"]) == list(minirocket.dilations(40))
    table = featuriser.apply(source, state)
    assert table.shape == (20, len(featuriser.columns(source, state)))
    fitted = minirocket._transformer().fit(source.signal[:8])
    np.testing.assert_array_equal(table, fitted.transform(source.signal).to_numpy())
    # The first kernel has weight 2 at its first three samples and -1 at the others.
    kernel = np.array([2, 2, 2, *[-1] * 6], np.float32)
    padded = np.pad(source.signal[3, 0], 4)
    convolved = np.array([kernel @ padded[i : i + 9] for i in range(40)])
    assert table[3, 0] == pytest.approx((convolved > state["thresholds"][0]).mean())


def test_the_widest_kernel_spans_the_signal() -> None:
    """Nine samples, so eight times the widest distance."""
    assert [max(minirocket.dilations(n)) for n in (9, 16, 17, 32, 33)] == [1, 1, 2, 3, 4]


def test_short_segments_are_refused() -> None:
    with pytest.raises(DataError, match="8 samples, and MiniRocket needs at least 9"):
        minirocket.learnt(signals(n_times=8).signal)


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sktime.transformations.rocket", None)
    with pytest.raises(MissingExtraError, match=r"minirocket needs an extra: run .*\[rocket\]'"):
        minirocket.learnt(signals().signal)
