"""Networks that compute the spectrum of a segment themselves, from its raw samples.

Their first layers are fixed: nothing in them is learnt but a mean and a standard deviation for each
number, over the training part. They are part of the network, so their operations are counted and
one file holds all that a prediction needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.signal import SignalConfig
from sequela.sequences.featurisers import BANDWIDTH, CLIP

_QUIET = 1e-8
"""Of the training variance: far below any noise, so that a silent channel has a logarithm."""
_FEWEST = 32
"""Samples of a segment that spectra and lags need."""


class LogSpectrum(nn.Module):
    """Log power at each frequency above 0, averaged over Slepian tapers (Thomson 1982).

    Args:
        n_times: Samples of a segment.
        tapers: How many; their time-bandwidth is 2.5.
        cepstrum: Of the log spectrum, the first coefficients of a cosine transform that are added.
    """

    tapers: Tensor
    cosines: Tensor

    def __init__(self, n_times: int, tapers: int, cepstrum: int) -> None:
        super().__init__()
        from scipy.fft import dct
        from scipy.signal.windows import dpss

        self.n_frequencies = n_times // 2
        windows = torch.tensor(dpss(n_times, BANDWIDTH, tapers).copy(), dtype=torch.float32)
        cosines = torch.tensor(dct(torch.eye(self.n_frequencies).numpy(), norm="ortho", axis=0))
        self.register_buffer("tapers", windows, persistent=False)  # (taper, n_times)
        self.register_buffer("cosines", cosines[:cepstrum].T.contiguous(), persistent=False)

    @property
    def n_out(self) -> int:
        """Numbers of a channel."""
        return self.n_frequencies + self.cosines.shape[1]

    def forward(self, centred: Tensor) -> Tensor:
        """(batch, n_chans, n_out) of segments of mean 0 (batch, n_chans, n_times)."""
        spectra = torch.fft.rfft(centred[:, :, None] * self.tapers)[..., 1:]
        parts = torch.view_as_real(spectra)  # (batch, n_chans, taper, frequency, 2)
        power = torch.log(parts.square().sum(-1).mean(2) + _QUIET)
        return torch.cat([power, power @ self.cosines], -1)


class LagMoments(nn.Module):
    """What differences of samples at several lags are like: size, mean, skewness and kurtosis."""

    N_MOMENTS = 4

    def __init__(self, lags: int) -> None:
        super().__init__()
        self.lags = lags

    @property
    def n_out(self) -> int:
        """Numbers of a channel."""
        return self.N_MOMENTS * self.lags

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, n_chans, n_out) of segments (batch, n_chans, n_times)."""
        found = []
        for lag in range(1, self.lags + 1):
            steps = signal[..., lag:] - signal[..., :-lag]
            size = (steps.square().mean(-1, keepdim=True) + _QUIET).sqrt()
            scaled = steps / size
            squares = scaled * scaled
            moments = (
                torch.log(size[..., 0]),
                torch.log(scaled.abs().mean(-1) + _QUIET),
                (squares * scaled).mean(-1),
                torch.log((squares * squares).mean(-1) + _QUIET),
            )
            found.append(torch.stack(moments, -1))
        return torch.cat(found, -1)


class Standardise(nn.Module):
    """Each number by its mean and deviation over the training part, clipped at 5 deviations."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("deviation", torch.ones(n))

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Take mean and deviation from batches (example, n)."""
        count = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for batch in batches:
            wide = batch.double()
            count += len(wide)
            total += wide.sum(0)
            squares += wide.square().sum(0)
        mean = total / count
        deviation = (squares / count - mean**2).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > _QUIET, deviation, 1.0))

    def forward(self, numbers: Tensor) -> Tensor:
        """(example, n) of (example, n)."""
        return ((numbers - self.mean) / self.deviation).clamp(-CLIP, CLIP)


@dataclass(frozen=True)
class SpectralMLPConfig(SignalConfig):
    """Spectrum, cepstrum and lags of each channel, then hidden layers.

    Attributes:
        tapers: Of the spectrum.
        cepstrum: Coefficients.
        lags: Differences of samples up to this lag.
        hidden: Units of each hidden layer.
        dropout: After each hidden layer.
    """

    tapers: int = 4
    cepstrum: int = 20
    lags: int = 16
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.25


class SpectralMLP(nn.Module):
    """Fixed features of the raw samples, standardised, then Linear, GELU and dropout, repeated."""

    def __init__(self, config: SpectralMLPConfig) -> None:
        super().__init__()
        if config.n_times < _FEWEST:
            raise ModelError(
                f"a segment has n_times={config.n_times}, but a spectrum needs at least {_FEWEST} "
                "samples: give longer segments, or choose another model (mlp-improved)"
            )
        self.spectrum = LogSpectrum(config.n_times, config.tapers, config.cepstrum)
        self.lags = LagMoments(config.lags)
        size = config.n_chans * (self.spectrum.n_out + self.lags.n_out)
        self.standardise = Standardise(size)
        layers: list[nn.Module] = []
        for hidden in config.hidden:
            layers += [nn.Linear(size, hidden), nn.GELU(), nn.Dropout(config.dropout)]
            size = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(size, config.n_outputs))

    def features(self, signal: Tensor) -> Tensor:
        """The fixed features (batch, feature) of scaled segments (batch, n_chans, n_times)."""
        centred = signal - signal.mean(-1, keepdim=True)
        return torch.cat([self.spectrum(centred), self.lags(centred)], -1).flatten(1)

    def fit_scales(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Mean and deviation of each feature, from the inputs of the training part."""
        self.standardise.learn(self.features(signal) for (signal,) in batches)

    def forward(self, signal: Tensor) -> Tensor:
        """Logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times)."""
        logits: Tensor = self.layers(self.standardise(self.features(signal)))
        return logits
