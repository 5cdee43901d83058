"""Graphs of networks of a signal, from scaled segments.

The Fourier transforms of :class:`~sequela.models.spectral.LogSpectrum` are matrix products in
double precision, as segments are short.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from sequela.models import cnn, gru, mlp
from sequela.models.recording import (
    _APART,
    _EDGES,
    _QUIET,
    _WINDOW,
    Attention,
    Autocorrelation,
    BandStatistics,
    RecordingAttention,
    TimeScales,
)
from sequela.models.signal_features import QUIET, Envelopes, Quantiles, Reflections
from sequela.models.spectral import LagMoments, LogSpectrum, SpectralMLP
from sequela.serving.graph import Graph
from sequela.serving.layers import (
    array,
    in_order,
    linear,
    mean_of_members,
    recurrent,
    softmax,
    standardised,
)


def _plain(g: Graph, network: nn.Module, signal: str, _: int) -> str:
    return softmax(g, in_order(g, list(network.children()), signal, flat=False))


def _gru(g: Graph, network: nn.Module, signal: str, __: int) -> str:
    layer, *after = network.children()
    lengths = g.input("lengths", ("batch",), np.int64)
    steps = g.op("Transpose", signal, perm=[2, 0, 1])
    _, last = recurrent(g, layer, steps, lengths)  # type: ignore[arg-type]
    return softmax(g, in_order(g, after, last))


def _f32(g: Graph, number: float) -> str:
    return g.constant(number, np.float32)


def _centred(g: Graph, x: str) -> str:
    return g.op("Sub", x, g.reduce("Mean", x, -1, keep=True))


def _mean_square(g: Graph, x: str) -> str:
    return g.reduce("Mean", g.op("Mul", x, x), -1, keep=True)


def _log(g: Graph, x: str, quiet: float) -> str:
    return g.op("Log", g.op("Add", x, _f32(g, quiet)))


def windows(g: Graph, x: str, n_times: int, size: int, step: int) -> str:
    """Cut windows: (batch, n_chans, time) to (batch, n_chans, window, size)."""
    starts = np.arange(0, n_times - size + 1, step)
    if len(starts) == 1:
        return g.unsqueeze(g.slice(x, 0, size), -2)
    return g.op("Gather", x, g.constant(starts[:, None] + np.arange(size)), axis=-1)


def _power(g: Graph, spectrum: LogSpectrum, x: str) -> str:
    """Add the power, a mean over tapers: (..., time) to (batch, n_chans, window, frequency)."""
    tapers = array(spectrum.tapers).astype(np.float64)  # (taper, time)
    turn = np.fft.rfft(tapers[:, :, None] * np.eye(spectrum.window), axis=1)[:, 1:]
    parts = np.concatenate([turn.real, turn.imag])  # (part · taper, frequency, time)
    n, frequencies, _ = parts.shape
    matrix = parts.reshape(n * frequencies, -1).T
    found = g.op("MatMul", g.cast(x, np.float64), g.constant(matrix))
    squares = g.op("Mul", found, found)
    apart = g.reshape(squares, (0, 0, 0, n, frequencies))
    return g.op("Div", g.reduce("Sum", apart, -2), g.constant(len(tapers), np.float64))


def _log_spectrum(g: Graph, spectrum: nn.Module, x: str, n_times: int) -> str:
    assert isinstance(spectrum, LogSpectrum)  # noqa: S101 - the table below says so
    each = windows(g, x, n_times, spectrum.window, spectrum.step)
    return _levels(g, spectrum, g.reduce("Mean", _power(g, spectrum, each), -2))


def _levels(g: Graph, spectrum: LogSpectrum, power: str) -> str:
    """Add the numbers (..., number) of the power (..., frequency), in double precision."""
    n = spectrum.window // 2
    banded = power
    if len(spectrum.edges) != n + 1:
        banded = g.op("MatMul", power, g.constant(_bands(spectrum.edges, n)))
    quiet = g.constant(QUIET, np.float64)
    level = g.op("Log", g.op("Add", banded, quiet))
    found = [level]
    if spectrum.cosines.shape[1]:
        cosines = array(spectrum.cosines).astype(np.float64)
        found.append(g.op("MatMul", level, g.constant(cosines)))
    if lags := spectrum.autocorrelation:
        silent = np.pad(np.eye(n), ((0, 0), (1, 0)))
        back = np.fft.irfft(silent, n=spectrum.window)
        first, rest = back[:, :1], back[:, 1 : lags + 1]
        whole = g.op("Add", g.op("MatMul", power, g.constant(first)), quiet)
        found.append(g.op("Div", g.op("MatMul", power, g.constant(rest)), whole))
    together = g.op("Concat", *found, axis=-1) if len(found) > 1 else level
    return g.cast(together, np.float32)


def _bands(edges: tuple[int, ...], n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the matrix (frequency, band) of means over bands."""
    matrix = np.zeros((n, len(edges) - 1))
    for band, (low, high) in enumerate(pairwise(edges)):
        matrix[low:high, band] = 1 / (high - low)
    return matrix


def _moments(g: Graph, moments: nn.Module, x: str, n_times: int) -> str:
    assert isinstance(moments, LagMoments)  # noqa: S101 - the table below says so
    found = []
    for lag in moments.lags:
        steps = g.op("Sub", g.slice(x, lag, n_times), g.slice(x, 0, n_times - lag))
        squares = g.op("Mul", steps, steps)
        power = g.op("Add", g.reduce("Mean", squares, -1, keep=True), _f32(g, QUIET))
        size = g.op("Sqrt", power)
        absolute = g.reduce("Mean", g.op("Abs", steps), -1, keep=True)
        third = g.reduce("Mean", g.op("Mul", squares, steps), -1, keep=True)
        fourth = g.reduce("Mean", g.op("Mul", squares, squares), -1, keep=True)
        found += [
            g.op("Log", size),
            _log(g, g.op("Div", absolute, size), QUIET),
            g.op("Div", third, g.op("Mul", power, size)),
            _log(g, g.op("Div", fourth, g.op("Mul", power, power)), QUIET),
        ]
    return g.op("Concat", *found, axis=-1)


def _reflections(g: Graph, layer: nn.Module, x: str, n_times: int) -> str:
    assert isinstance(layer, Reflections)  # noqa: S101 - the table below says so
    ahead = behind = x
    left, found = g.op("Add", _mean_square(g, x), _f32(g, QUIET)), []
    bound = [_f32(g, each) for each in (-layer._MOST, layer._MOST)]  # noqa: SLF001 - its twin
    one = _f32(g, 1)
    for number in range(layer.order):
        n = n_times - number
        ahead, behind = g.slice(ahead, 1, n), g.slice(behind, 0, n - 1)
        both = g.op("Add", g.op("Mul", ahead, ahead), g.op("Mul", behind, behind))
        size = g.op("Add", g.reduce("Sum", both, -1, keep=True), _f32(g, QUIET))
        shared = g.reduce("Sum", g.op("Mul", ahead, behind), -1, keep=True)
        k = g.op("Clip", g.op("Div", g.op("Mul", _f32(g, -2), shared), size), *bound)
        ratio = g.op("Div", g.op("Add", one, k), g.op("Sub", one, k))
        found.append(g.op("Mul", g.op("Log", ratio), _f32(g, 0.5)))
        left = g.op("Mul", left, g.op("Sub", one, g.op("Mul", k, k)))
        new = g.op("Add", ahead, g.op("Mul", k, behind))
        behind = g.op("Add", behind, g.op("Mul", k, ahead))
        ahead = new
    return g.op("Concat", *found, _log(g, left, QUIET), axis=-1)


def _envelopes(g: Graph, layer: nn.Module, x: str, n_times: int) -> str:
    assert isinstance(layer, Envelopes)  # noqa: S101 - the table below says so
    rows, stride = g.reshape(x, (-1, 1, n_times)), layer._STRIDE  # noqa: SLF001 - its twin
    powers = []
    for band in range(layer.bands):
        wavelet = array(layer.get_buffer(f"wavelet{band}"))
        half = wavelet.shape[-1] // 2
        parts = g.op("Conv", rows, g.constant(wavelet), pads=[half, half], strides=[stride])
        power = g.reduce("Sum", g.op("Mul", parts, parts), 1, keep=True)
        powers.append(_log(g, power, QUIET))
    power = g.op("Concat", *powers, axis=1)  # (batch · n_chans, band, time)
    n = (n_times - 1) // stride + 1
    mean = g.reduce("Mean", power, -1, keep=True)
    away = g.op("Sub", power, mean)
    size = g.op("Sqrt", g.op("Add", _mean_square(g, away), _f32(g, QUIET)))
    scaled = g.op("Div", away, size)
    turned = g.op("Transpose", scaled, perm=[0, 2, 1])
    together = g.op("Div", g.op("MatMul", scaled, turned), _f32(g, n))
    pairs = g.op(
        "Gather", g.op("Flatten", together, axis=1), g.constant(array(layer.pairs)), axis=1
    )
    flat = [g.op("Squeeze", each, g.constant([-1], np.int64)) for each in (mean, size)]
    ends = [g.reduce(kind, power, -1) for kind in ("Max", "Min")]
    found = g.op("Concat", *flat, *ends, pairs, axis=-1)
    # (batch, n_chans, number): the channels are those of the signal
    shape = g.op("Concat", g.op("Shape", x, start=0, end=2), g.constant([layer.n_out]), axis=0)
    return g.op("Reshape", found, shape)


def _quantiles(g: Graph, layer: nn.Module, x: str, n_times: int) -> str:
    assert isinstance(layer, Quantiles)  # noqa: S101 - the table below says so
    found, numbers = [], x
    turn = torch.arange(1, layer.n + 1) * (np.pi / (layer.n + 1))
    for order in range(3):
        n = n_times - order
        if order:
            numbers = g.op("Sub", g.slice(numbers, 1, n + 1), g.slice(numbers, 0, n))
        size = g.op("Sqrt", g.op("Add", _mean_square(g, numbers), _f32(g, QUIET)))
        ordered, _ = g.ops(
            "TopK", numbers, g.constant([n], np.int64), outputs=(True, True), largest=0
        )
        places = array(((1 - turn.cos()) / 2 * (n - 1)).round().long())
        chosen = g.op("Gather", ordered, g.constant(places), axis=-1)
        found.append(g.op("Div", chosen, size))
    return g.op("Concat", *found, axis=-1)


_DESCRIBED: dict[type[nn.Module], Callable[[Graph, nn.Module, str, int], str]] = {
    LogSpectrum: _log_spectrum,
    LagMoments: _moments,
    Reflections: _reflections,
    Envelopes: _envelopes,
    Quantiles: _quantiles,
}


def _spectral(g: Graph, network: nn.Module, signal: str, n_times: int) -> str:
    assert isinstance(network, SpectralMLP)  # noqa: S101 - the table below says so
    centred = _centred(g, signal)
    layers = network.described.values()
    found = [_DESCRIBED[type(each)](g, each, centred, n_times) for each in layers]
    described = g.op("Flatten", g.op("Concat", *found, axis=-1), axis=1)
    scaled = standardised(g, network.standardise, described)
    said = [softmax(g, in_order(g, list(each), scaled)) for each in network.members]  # type: ignore[call-overload]
    return mean_of_members(g, said)


def _cut(g: Graph, x: str, n_times: int, size: int) -> str:
    return _centred(g, windows(g, x, n_times, size, size // 2))


def _band_statistics(g: Graph, layer: BandStatistics, x: str, n_times: int) -> str:
    each = _cut(g, x, n_times, _WINDOW)  # (batch, n_chans, window, sample)
    levels = _levels(g, layer.spectrum, _power(g, layer.spectrum, each))
    power = g.op(
        "MatMul", g.op("Exp", levels), g.constant(_bands(_EDGES, _WINDOW // 2), np.float32)
    )
    level = g.op("Log", power)  # (batch, n_chans, window, band)
    n = len(range(0, n_times - _WINDOW + 1, _WINDOW // 2))
    mean = g.reduce("Mean", level, 2, keep=True)
    away = g.op("Sub", level, mean)
    square = g.reduce("Mean", g.op("Mul", away, away), 2, keep=True)
    deviation = g.op("Sqrt", g.op("Add", square, _f32(g, _QUIET)))
    scaled = g.op("Div", away, deviation)
    squares = g.op("Mul", scaled, scaled)
    turned = g.op("Transpose", scaled, perm=[0, 1, 3, 2])
    together = g.op("Div", g.op("MatMul", turned, scaled), _f32(g, n))
    lags = [
        g.reduce("Mean", g.op("Mul", g.slice(scaled, lag, n, 2), g.slice(scaled, 0, n - lag, 2)), 2)
        for lag in _APART
    ]
    found = [
        g.op("Squeeze", mean, g.constant([2], np.int64)),
        g.op("Log", g.op("Squeeze", deviation, g.constant([2], np.int64))),
        g.reduce("Mean", g.op("Mul", squares, scaled), 2),
        _log(g, g.reduce("Mean", g.op("Mul", squares, squares), 2), _QUIET),
        *lags,
        g.op("Gather", g.reshape(together, (0, 0, -1)), g.constant(array(layer.pairs)), axis=-1),
    ]
    return g.op("Concat", *found, axis=-1)


def _autocorrelation(g: Graph, layer: Autocorrelation, x: str, n_times: int) -> str:
    centred = _centred(g, x)
    size = g.op("Sqrt", g.op("Add", _mean_square(g, centred), _f32(g, _QUIET)))
    scaled = g.op("Div", centred, size)
    found = []
    for lag in range(1, layer.n_out + 1):
        product = g.op("Mul", g.slice(scaled, lag, n_times), g.slice(scaled, 0, n_times - lag))
        found.append(g.reduce("Mean", product, -1, keep=True))
    return g.op("Concat", *found, axis=-1)


def _time_scales(g: Graph, layer: TimeScales, x: str, n_times: int) -> str:
    found = []
    for correlation, moments in zip(layer.correlations, layer.moments, strict=True):
        assert isinstance(correlation, Autocorrelation)  # noqa: S101 - the layer is made of them
        found += [_autocorrelation(g, correlation, x, n_times), _moments(g, moments, x, n_times)]
        x = g.op("AveragePool", x, kernel_shape=[2], strides=[2])
        n_times //= 2
    return g.op("Concat", *found, axis=-1)


def _attention(g: Graph, layer: Attention, segments: str) -> str:
    weights = g.op("Softmax", linear(g, layer.score, segments), axis=2)
    return g.op("MatMul", g.op("Transpose", weights, perm=[0, 1, 3, 2]), segments)


def _recording(g: Graph, network: nn.Module, signal: str, n_times: int) -> str:
    assert isinstance(network, RecordingAttention)  # noqa: S101 - the table below says so
    segments = _cut(g, signal, n_times, network.segment)
    spectra = _levels(g, network.spectrum, _power(g, network.spectrum, segments))
    scaled = standardised(g, network.segment_scale, spectra)
    attended = g.op("Flatten", _attention(g, network.attention, scaled), axis=1)
    statistics = [
        _band_statistics(g, network.bands, signal, n_times),
        _time_scales(g, network.scales, signal, n_times),
    ]
    numbers = g.op("Flatten", g.op("Concat", *statistics, axis=-1), axis=1)
    both = g.op("Concat", attended, standardised(g, network.standardise, numbers), axis=-1)
    return softmax(g, in_order(g, list(network.layers), both))


TRANSLATIONS: dict[type[nn.Module], Callable[[Graph, nn.Module, str, int], str]] = {
    mlp.MLPBaseline: _plain,
    mlp.MLPImproved: _plain,
    cnn.CNNBaseline: _plain,
    cnn.CNNImproved: _plain,
    gru.GRUBaseline: _gru,
    gru.GRUImproved: _gru,
    SpectralMLP: _spectral,
    RecordingAttention: _recording,
}
"""Probabilities (batch, class) of a scaled signal (batch, n_chans, n_times), by the class of a
network or of one that it is derived from."""
