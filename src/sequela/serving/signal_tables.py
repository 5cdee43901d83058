"""Featurisers of a signal in torch: signals in µV to float32 (batch, column)."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.sequences.featurisers import _QUIET, BANDWIDTH, TAPERS
from sequela.sequences.scaling import Scaling

State = Mapping[str, NDArray[Any]]
_LENGTH = 9
"""Number of samples of a kernel of MiniRocket."""


def scaled(scaling: Scaling, signal: Tensor) -> Tensor:
    """Scale a signal (batch, n_chans, n_times)."""
    std = [s or 1.0 for s in scaling.std]
    return (signal - torch.tensor(scaling.mean)[:, None]) / torch.tensor(std)[:, None]


def _samples(state: State, signal: Tensor, _: Mapping[str, Any]) -> Tensor:
    scaling = Scaling(tuple(state["mean"].tolist()), tuple(state["std"].tolist()))
    return scaled(scaling, signal).flatten(1)


def _spectrum(_: State, signal: Tensor, header: Mapping[str, Any]) -> Tensor:
    from scipy.signal.windows import dpss

    tapers = torch.from_numpy(dpss(header["n_times"], BANDWIDTH, TAPERS).copy())
    wide = signal.double()
    centred = wide - wide.mean(2, keepdim=True)
    spectra = torch.view_as_real(torch.fft.rfft(centred[:, :, None] * tapers)[..., 1:])
    power = spectra.square().sum(-1).mean(2) / header["sfreq"]  # (batch, n_chans, frequency)
    return torch.cat([torch.log(power + _QUIET), _shape_of(centred)], 2).flatten(1).float()


def _shape_of(centred: Tensor) -> Tensor:
    """Compute the numbers of ``_shape_of`` in the featurisers: (batch, n_chans, number)."""
    deviation = centred.square().mean(2, keepdim=True).sqrt() + _QUIET
    unit = centred / deviation
    steps = centred[..., 1:] - centred[..., :-1]
    bends = steps[..., 1:] - steps[..., :-1]
    sizes = [each.abs().mean(2) for each in (steps, bends)]
    logs = [deviation[..., 0], *sizes, centred.amax(2) - centred.amin(2)]
    square = unit.square()
    shapes = [(square * unit).mean(2), square.square().mean(2)]
    return torch.stack([*(torch.log(each + _QUIET) for each in logs), *shapes], 2)


def _minirocket(state: State, signal: Tensor, header: Mapping[str, Any]) -> Tensor:
    """Compute MiniRocket, with sums in the order of sktime so that all comparisons are the same."""
    n_chans, n_times = header["n_chans"], header["n_times"]
    kernels = np.array([*combinations(range(_LENGTH), 3)])
    places = np.split(state["channels"], np.cumsum(state["channel_counts"])[:-1])
    found, first, combination = [], 0, 0
    pairs = zip(state["dilations"].tolist(), state["numbers"].tolist(), strict=True)
    for number, (dilation, count) in enumerate(pairs):
        sums = _convolved(signal, kernels, dilation, n_times)  # (batch, n_chans, kernel, time)
        if n_chans > 1:
            chosen = places[combination : combination + len(kernels)]
            seen = np.array([np.isin(np.arange(n_chans), each) for each in chosen], np.float32)
            sums = sums * torch.from_numpy(seen.T[:, :, None].copy())
        end = first + len(kernels) * count
        thresholds = torch.from_numpy(state["thresholds"][first:end].astype(np.float32))
        above = sums.sum(1)[:, :, None] > thresholds.reshape(len(kernels), count, 1)
        inner = (number + np.arange(len(kernels))) % 2 == 1  # these do not see beyond the ends
        reach = _LENGTH // 2 * dilation
        within = above[..., reach : n_times - reach].float().mean(3)
        shares = torch.where(torch.from_numpy(inner)[:, None], within, above.float().mean(3))
        found.append(shares.flatten(1))
        first, combination = end, combination + len(kernels)
    return torch.cat(found, 1)


def _convolved(signal: Tensor, kernels: NDArray[np.int64], dilation: int, n_times: int) -> Tensor:
    """Convolve (batch, n_chans, kernel, time) with three weights of 2 and six of -1."""
    reach = _LENGTH // 2 * dilation
    padded = nn.functional.pad(signal, (reach, reach))
    shifted = [padded[..., i * dilation : i * dilation + n_times] for i in range(_LENGTH)]
    alpha, *others = shifted[_LENGTH // 2], *shifted[: _LENGTH // 2], *shifted[_LENGTH // 2 + 1 :]
    for each in others:
        alpha = alpha + each
    sums = -alpha[:, :, None]
    gamma = 3 * torch.stack(shifted, 2)
    for column in kernels.T:
        sums = sums + gamma[:, :, torch.from_numpy(column.copy())]
    return sums


TABLES: dict[str, Callable[[State, Tensor, Mapping[str, Any]], Tensor]] = {
    "samples": _samples,
    "spectrum": _spectrum,
    "minirocket": _minirocket,
}
"""The featurisers by name."""
