"""Featurisers of signals, against plain loops and known spectra."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.signal import periodogram, windows
from scipy.sparse import csr_array
from scipy.stats import kurtosis, skew
from tests.sequences.conftest import written

from sequela.cost.formula import Symbol, parse
from sequela.errors import SettingError
from sequela.sequences import feature_tables, featurisers
from sequela.sequences.feature_tables import SparseTable
from sequela.sequences.featurisers import FEATURISERS, Features, Standardised, lookup


def signals(n: int = 12, n_chans: int = 2, n_times: int = 64) -> Any:
    signal = np.random.default_rng(0).normal(scale=30, size=(n, n_chans, n_times))
    return SimpleNamespace(signal=signal.astype(np.float32), sfreq=64.0)


@pytest.mark.parametrize("name", ["samples", "spectrum"])
def test_a_column_for_each_number(name: str) -> None:
    source, featuriser = signals(), lookup(name)
    state = featuriser.fit(source, np.arange(6))
    table = featuriser.apply(source, state)
    assert isinstance(table, np.ndarray)
    assert table.dtype == np.float32
    assert table.shape == (12, len(featuriser.columns(source, state)))


def test_a_sine_has_its_power_at_its_frequency_and_twice_the_amplitude_four_times_it() -> None:
    time = np.arange(64) / 64
    wave = np.sin(2 * np.pi * 10 * time)
    source = SimpleNamespace(signal=np.stack([wave, 2 * wave])[:, None].astype("f4"), sfreq=64.0)
    featuriser = lookup("spectrum")
    table = np.asarray(featuriser.apply(source, {}))
    names = [column.name for column in featuriser.columns(source, {})]
    at = names.index("channel 0, power at 10 Hz")
    assert abs(int(table[0, :32].argmax()) - at) <= 2  # the tapers spread it over 2.5 Hz
    assert table[1, at] - table[0, at] == pytest.approx(np.log(4), rel=1e-4)
    level = names.index("channel 0, log standard deviation")
    assert table[1, level] - table[0, level] == pytest.approx(np.log(2), rel=1e-4)


def test_the_spectrum_is_the_mean_of_four_slepian_tapers() -> None:
    source = signals(n=3, n_chans=1)
    signal = source.signal.astype(np.float64)
    centred = signal - signal.mean(axis=2, keepdims=True)
    spectra = [
        64 * periodogram(centred * taper, 64.0, detrend=False, return_onesided=False)[1]
        for taper in windows.dpss(64, 2.5, 4)  # a taper's squares sum to 1, a plain window's to 64
    ]
    expected = np.log(np.mean(spectra, axis=0)[:, 0, 1:33])
    table = np.asarray(lookup("spectrum").apply(source, {}))
    np.testing.assert_allclose(table[:, :32], expected, rtol=1e-4)


def test_shape_is_the_textbooks_moments_whatever_the_length() -> None:
    source = signals(n=3, n_chans=2, n_times=9)
    table = np.asarray(lookup("spectrum").apply(source, {})).reshape(3, 2, 4 + 6)
    signal = source.signal.astype(np.float64)
    centred = signal - signal.mean(axis=2, keepdims=True)
    sizes = [np.std(signal, axis=2), np.abs(np.diff(signal)).mean(axis=2),
             np.abs(np.diff(signal, 2)).mean(axis=2), np.ptp(signal, axis=2)]  # fmt: skip
    moments = [skew(centred, axis=2), kurtosis(centred, axis=2, fisher=False)]
    expected = np.stack([*np.log(sizes), *moments], axis=2)
    np.testing.assert_allclose(table[..., 4:], expected, rtol=1e-4)


def test_operations_of_the_spectrum_are_those_of_its_steps() -> None:
    found = lookup("spectrum").operations({"n_chans": 2, "n_times": 64})
    symbols = {name: Symbol(name, *of) for name, of in found.symbols.items()}
    transform = 5 * 64 * 6 // 2
    each_taper = 64 + transform + 4 * 32
    expected = 2 * (2 * 64 + 4 * each_taper + 2 * 32 + 18 * 64)
    assert parse(found.formula, symbols).value == expected


def test_a_silent_channel_has_features() -> None:
    source = SimpleNamespace(signal=np.zeros((2, 1, 64), np.float32), sfreq=64.0)
    assert np.isfinite(np.asarray(lookup("spectrum").apply(source, {}))).all()


@given(st.lists(st.lists(st.floats(-9, 9, width=32) | st.just(np.nan), min_size=3, max_size=3),
                min_size=2, max_size=8))  # fmt: skip
@example([[0.0, 0.0, 1e-45], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # no float32 is its deviation
@settings(max_examples=50, deadline=None)
def test_columns_are_standardised_by_the_training_part(rows: list[list[float]]) -> None:
    table = np.array(rows, np.float32)
    train = np.arange(len(table) - 1)
    found = Standardised(table, *Standardised.learn(table, train).values()).rows(train)
    for column in range(3):
        known = [float(table[i, column]) for i in train if not np.isnan(table[i, column])]
        mean, deviation = (np.mean(known), np.std(known)) if known else (0.0, 0.0)
        for row in train:
            value = table[row, column]
            if np.isnan(value):
                assert found[row, column] == 0
            elif deviation > 1e-3:
                expected = np.clip((value - mean) / deviation, -5, 5)
                assert found[row, column] == pytest.approx(expected, abs=1e-2)


def test_a_sparse_table_is_standardised_as_a_full_one() -> None:
    counts = np.random.default_rng(0).poisson(0.7, (40, 6)).astype(np.float32)
    counts[:, 5] = 0  # a column that does not vary
    tables = counts, SparseTable(csr_array(counts), np.zeros(6, np.float32))
    full, sparse = (Standardised.learn(each, np.arange(30)) for each in tables)
    assert {n: a.tobytes() for n, a in sparse.items()} == {n: a.tobytes() for n, a in full.items()}
    rows = [Standardised(each, *full.values()).rows(np.arange(40)).tobytes() for each in tables]
    assert rows[0] == rows[1]


def test_what_was_learnt_describes_other_data() -> None:
    own, other = signals(), signals(n=3)
    learnt = Features.of(("features:samples",), own, np.arange(6), standardise=True)
    assert learnt is not None
    applied = Features.of(
        ("features:samples",), other, np.arange(0), learnt.state, standardise=True
    )
    assert applied is not None
    assert applied.standardised is not None
    assert learnt.standardised is not None
    np.testing.assert_array_equal(
        applied.standardised.rows(np.arange(3)), learnt.standardised.rows(np.arange(3))
    )


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(SettingError, match="'spectrum' is registered already"):
        FEATURISERS.add(FEATURISERS["spectrum"])


@pytest.mark.parametrize("numbers", [1, 50])
def test_a_table_in_blocks_is_the_whole_table(
    numbers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few numbers at once bound the memory, and change no bit."""
    rng = np.random.default_rng(0)
    codes = [[np.flatnonzero(rng.random(9) < 0.4).tolist()] * 3 for _ in range(60)]
    values = [
        [[(c, float(rng.normal())) for c in range(3) if rng.random() < 0.6] for _ in range(3)]
        for _ in range(60)
    ]
    sequences = written(tmp_path / "s", codes, measured=values)

    def described() -> Features:
        found = Features.of(
            ("codes", "features:summaries"), sequences, np.arange(40), standardise=True
        )
        assert found is not None
        return found

    whole = described()
    monkeypatch.setattr(featurisers, "NUMBERS", numbers)
    monkeypatch.setattr(feature_tables, "_VALUES", numbers)
    blocks = described()
    assert len(featurisers._blocks(*whole.table.shape)) > 5
    assert isinstance(whole.table, SparseTable)
    assert isinstance(blocks.table, SparseTable)
    assert whole.table.cells.nnz < whole.table.toarray().size
    assert blocks.table.toarray().tobytes() == whole.table.toarray().tobytes()
    rows, columns = np.array([7, 3, 7]), slice(2, 9)
    assert whole.table[rows].tobytes() == whole.table.toarray()[rows].tobytes()
    assert whole.table[:, columns].tobytes() == whole.table.toarray()[:, columns].tobytes()
    dense = Features.of(
        ("features:summaries",), sequences, np.arange(40), whole.state, standardise=False
    )
    assert dense is not None
    assert isinstance(dense.table, np.ndarray)
    assert dense.table.tobytes() == whole.table.toarray().tobytes()
    assert {n: a.tobytes() for n, a in blocks.state.items()} == {
        n: a.tobytes() for n, a in whole.state.items()
    }
