"""Fixed, differentiable layers that describe segments; nothing in them is learnt.

Each takes segments (batch, n_chans, n_times) of mean 0 and returns ``n_out`` numbers of a channel.
"""

import math

import torch
from torch import Tensor, nn

QUIET = 1e-8
"""A floor of the training variance, far below any noise: a silent channel has a logarithm."""


class Reflections(nn.Module):
    """Autoregression by Burg's recursion: reflection coefficients, then the log of the residual.

    The coefficients are returned as inverse hyperbolic tangents, which have no bounds (Burg 1975,
    Maximum entropy spectral analysis).
    """

    _MOST = 0.99999  # of a coefficient: its inverse hyperbolic tangent is then finite

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self.n_out = order + 1

    def forward(self, centred: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of segments (batch, n_chans, n_times)."""
        ahead = behind = centred  # errors of the forward and of the backward prediction
        residual, coefficients = centred.square().mean(-1) + QUIET, []
        for _ in range(self.order):
            ahead, behind = ahead[..., 1:], behind[..., :-1]
            size = (ahead * ahead + behind * behind).sum(-1) + QUIET
            # Burg's k minimises the errors of both directions together, and is never beyond 1 in
            # size.
            k = (-2 * (ahead * behind).sum(-1) / size).clamp(-self._MOST, self._MOST)
            coefficients.append(torch.log((1 + k) / (1 - k)) / 2)
            residual = residual * (1 - k * k)  # each order explains its share of what is left
            ahead, behind = ahead + k[..., None] * behind, behind + k[..., None] * ahead
        return torch.stack([*coefficients, torch.log(residual + QUIET)], -1)


class Envelopes(nn.Module):
    """Changes of band power within a segment, from Morlet wavelets.

    The features are mean, deviation, maximum and minimum of the log power of each band over time,
    then the correlations between bands. Bands are evenly spaced on a logarithmic scale.
    """

    pairs: Tensor

    _LOWEST = 0.0086  # the lowest frequency in cycles a sample: 1.5 Hz at 173.61 Hz
    _HIGHEST = 0.3  # the highest frequency in cycles a sample: 52 Hz at 173.61 Hz
    _CYCLES = 3.5  # cycles of a wavelet within its width
    _WIDTH = 3.0  # widths of a wavelet on each side of its middle, where it is cut off
    _STRIDE = 3  # samples between two times at which power is computed

    def __init__(self, n_times: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.n_out = 4 * bands + bands * (bands - 1) // 2
        step = (self._HIGHEST / self._LOWEST) ** (1 / (bands - 1))
        for band in range(bands):
            frequency = self._LOWEST * step**band
            width = self._CYCLES / (2 * math.pi * frequency)
            reach = min(int(self._WIDTH * width), (n_times - 1) // 2)
            time = torch.arange(-reach, reach + 1, dtype=torch.float64)
            window = torch.exp(-((time / width) ** 2) / 2)  # the Gaussian of a Morlet wavelet
            phase = 2 * math.pi * frequency * time
            wavelet = torch.stack([phase.cos(), phase.sin()]) * window / window.sum()
            self.register_buffer(f"wavelet{band}", wavelet[:, None].float(), persistent=False)
        pairs = torch.triu_indices(bands, bands, 1)
        self.register_buffer("pairs", pairs[0] * bands + pairs[1], persistent=False)

    def forward(self, centred: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of segments (batch, n_chans, n_times)."""
        rows = centred.flatten(0, 1)[:, None]  # (batch · n_chans, 1, n_times)
        powers = []
        for band in range(self.bands):
            wavelet = self.get_buffer(f"wavelet{band}")
            half = int(wavelet.shape[-1]) // 2  # torch 2.6 would trace a size as a tensor
            parts = nn.functional.conv1d(rows, wavelet, padding=half, stride=self._STRIDE)
            powers.append(torch.log(parts.square().sum(1) + QUIET))  # of both parts: phase is free
        power = torch.stack(powers, 1)  # (batch · n_chans, band, time)
        mean = power.mean(-1, keepdim=True)
        away = power - mean
        size = (away.square().mean(-1, keepdim=True) + QUIET).sqrt()
        scaled = away / size
        together = (scaled @ scaled.transpose(1, 2) / power.shape[-1]).flatten(1)[:, self.pairs]
        features = [mean[..., 0], size[..., 0], power.amax(-1), power.amin(-1), together]
        return torch.cat(features, -1).view(*centred.shape[:2], self.n_out)


class Quantiles(nn.Module):
    """Quantiles of samples and of their differences, relative to the root mean square.

    The outer ones of the ``n`` quantiles are closer.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self.n_out = 3 * n

    def forward(self, centred: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of segments (batch, n_chans, n_times)."""
        steps = centred[..., 1:] - centred[..., :-1]
        bends = steps[..., 1:] - steps[..., :-1]
        return torch.cat([self._of(numbers) for numbers in (centred, steps, bends)], -1)

    def _of(self, numbers: Tensor) -> Tensor:
        size = (numbers.square().mean(-1, keepdim=True) + QUIET).sqrt()
        ordered = torch.sort(numbers, -1).values
        # Chebyshev's places are closer at both ends, where spikes are.
        turn = torch.arange(1, self.n + 1) * (math.pi / (self.n + 1))
        places = ((1 - turn.cos()) / 2 * (numbers.shape[-1] - 1)).round().long()
        return ordered[..., places] / size
