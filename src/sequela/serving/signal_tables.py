"""Graphs of featurisers of a signal: signals in µV to float32 (batch, column)."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.sequences.featurisers import _QUIET, BANDWIDTH, TAPERS
from sequela.sequences.scaling import Scaling
from sequela.serving.graph import Graph

State = Mapping[str, NDArray[Any]]
_LENGTH = 9
"""Number of samples of a kernel of MiniRocket."""


def scaled(g: Graph, scaling: Scaling, signal: str) -> str:
    """Add a scaled signal (batch, n_chans, n_times)."""
    mean = np.asarray(scaling.mean, np.float32)[:, None]
    std = np.asarray([s or 1.0 for s in scaling.std], np.float32)[:, None]
    return g.op("Div", g.op("Sub", signal, g.constant(mean)), g.constant(std))


def _samples(g: Graph, state: State, signal: str, _: Mapping[str, Any]) -> str:
    scaling = Scaling(tuple(state["mean"].tolist()), tuple(state["std"].tolist()))
    return g.op("Flatten", scaled(g, scaling, signal), axis=1)


def _spectrum(g: Graph, _: State, signal: str, header: Mapping[str, Any]) -> str:
    from scipy.signal.windows import dpss

    n_times, frequencies = header["n_times"], header["n_times"] // 2
    tapers = dpss(n_times, BANDWIDTH, TAPERS)
    turn = np.fft.rfft(tapers[:, :, None] * np.eye(n_times), axis=1)[:, 1:]
    parts = np.concatenate([turn.real, turn.imag])  # (part · taper, frequency, time)
    wide = g.cast(signal, np.float64)
    centred = g.op("Sub", wide, g.reduce("Mean", wide, 2, keep=True))
    found = g.op("MatMul", centred, g.constant(parts.reshape(-1, n_times).T))
    squares = g.reshape(g.op("Mul", found, found), (0, 0, len(parts), frequencies))
    size = g.constant(TAPERS * header["sfreq"], np.float64)
    power = g.op("Div", g.reduce("Sum", squares, 2), size)
    columns = g.op("Concat", _log(g, power), *_shape_of(g, centred, n_times), axis=2)
    return g.cast(g.op("Flatten", columns, axis=1), np.float32)


def _log(g: Graph, x: str) -> str:
    return g.op("Log", g.op("Add", x, g.constant(_QUIET, np.float64)))


def _shape_of(g: Graph, centred: str, n_times: int) -> list[str]:
    """Add the numbers of ``_shape_of`` in the featurisers, each (batch, n_chans, 1)."""

    def mean(x: str) -> str:
        return g.reduce("Mean", x, 2, keep=True)

    squares = g.op("Mul", centred, centred)
    deviation = g.op("Add", g.op("Sqrt", mean(squares)), g.constant(_QUIET, np.float64))
    unit = g.op("Div", centred, deviation)
    square = g.op("Mul", unit, unit)
    steps = g.op("Sub", g.slice(centred, 1, n_times), g.slice(centred, 0, n_times - 1))
    bends = g.op("Sub", g.slice(steps, 1, n_times - 1), g.slice(steps, 0, n_times - 2))
    ends = [g.reduce(kind, centred, 2, keep=True) for kind in ("Max", "Min")]
    logs = [deviation, *(mean(g.op("Abs", each)) for each in (steps, bends)), g.op("Sub", *ends)]
    shapes = [mean(g.op("Mul", each, unit)) for each in (square, g.op("Mul", square, unit))]
    return [*(_log(g, each) for each in logs), *shapes]


def _minirocket(g: Graph, state: State, signal: str, header: Mapping[str, Any]) -> str:
    """Add MiniRocket, with sums in the order of sktime so that all comparisons are the same."""
    n_chans, n_times = header["n_chans"], header["n_times"]
    kernels = np.array([*combinations(range(_LENGTH), 3)])
    places = np.split(state["channels"], np.cumsum(state["channel_counts"])[:-1])
    found, first, combination = [], 0, 0
    pairs = zip(state["dilations"].tolist(), state["numbers"].tolist(), strict=True)
    for number, (dilation, count) in enumerate(pairs):
        reach = _LENGTH // 2 * dilation
        sums = _convolved(g, signal, kernels, dilation, n_times)  # (batch, n_chans, kernel, time)
        if n_chans > 1:
            chosen = places[combination : combination + len(kernels)]
            seen = np.array([np.isin(np.arange(n_chans), each) for each in chosen], np.float32)
            sums = g.op("Mul", sums, g.constant(seen.T[:, :, None]))
        sums = g.reduce("Sum", sums, 1)
        end = first + len(kernels) * count
        thresholds = state["thresholds"][first:end].reshape(len(kernels), count, 1)
        inner = (number + np.arange(len(kernels))) % 2 == 1  # these do not see beyond the ends
        shares = [
            _above(g, sums, np.flatnonzero(~inner), thresholds, (0, n_times)),
            _above(g, sums, np.flatnonzero(inner), thresholds, (reach, n_times - reach)),
        ]
        order = np.argsort(np.concatenate([np.flatnonzero(~inner), np.flatnonzero(inner)]))
        together = g.op("Concat", *shares, axis=1)
        found.append(g.op("Flatten", g.op("Gather", together, g.constant(order), axis=1), axis=1))
        first, combination = end, combination + len(kernels)
    return g.op("Concat", *found, axis=1)


def _convolved(
    g: Graph, signal: str, kernels: NDArray[np.int64], dilation: int, n_times: int
) -> str:
    """Add convolutions (batch, n_chans, kernel, time) with three weights of 2 and six of -1."""
    reach = _LENGTH // 2 * dilation
    padded = g.op("Pad", signal, g.constant([0, 0, reach, 0, 0, reach], np.int64))
    shifted = [g.slice(padded, i * dilation, i * dilation + n_times, 2) for i in range(_LENGTH)]
    alpha, *others = shifted[_LENGTH // 2], *shifted[: _LENGTH // 2], *shifted[_LENGTH // 2 + 1 :]
    for each in others:
        alpha = g.op("Add", alpha, each)
    sums = g.unsqueeze(g.op("Neg", alpha), 2)
    rows = g.op("Concat", *(g.unsqueeze(each, 2) for each in shifted), axis=2)
    gamma = g.op("Mul", rows, g.constant(3, np.float32))
    for column in kernels.T:
        sums = g.op("Add", sums, g.op("Gather", gamma, g.constant(column), axis=2))
    return sums


def _above(
    g: Graph,
    sums: str,
    kernels: NDArray[np.int64],
    thresholds: NDArray[np.float32],
    within: tuple[int, int],
) -> str:
    """Add shares of time above the thresholds of some kernels: (batch, kernel, threshold)."""
    chosen = g.op("Gather", g.slice(sums, *within), g.constant(kernels), axis=1)
    above = g.op("Greater", g.unsqueeze(chosen, 2), g.constant(thresholds[kernels], np.float32))
    return g.reduce("Mean", g.cast(above, np.float32), 3)


TABLES: dict[str, Callable[[Graph, State, str, Mapping[str, Any]], str]] = {
    "samples": _samples,
    "spectrum": _spectrum,
    "minirocket": _minirocket,
}
"""The graph of each featuriser, by name."""
