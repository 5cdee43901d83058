"""A network on whole recordings, with attention over segments and statistics over time.

As in :mod:`sequela.models.spectral`, its first layers are fixed, and only their means and
deviations are learnt. They compute means over time, so that a stretch of a recording is described
by the same numbers as the whole of it: in training the network sees random stretches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.cpu_training import Dropout
from sequela.models.signal import SignalConfig
from sequela.models.signal_features import QUIET
from sequela.models.spectral import LagMoments, LogSpectrum, Standardise, hidden_layers

_WINDOW = 64  # samples: 0.37 s at 173.61 Hz
# The edges of the bands in the frequencies of a window: 2.7 Hz to 87 Hz at 173.61 Hz.
_EDGES = (0, 1, 2, 3, 5, 7, 11, 16, 32)
_APART = (1, 2, 4, 8)  # windows between two powers whose correlation is a feature
_FEWEST = 1024  # fewest samples of a recording: the coarsest scale then has twice as many as lags


def cut(signal: Tensor, n_times: int) -> Tensor:
    """Cut a signal (..., time) into half-overlapping windows of mean 0 (..., window, n_times).

    Example:
        >>> cut(torch.tensor([1.0, 2.0, 3.0, 6.0]), 2)
        tensor([[-0.5000,  0.5000],
                [-0.5000,  0.5000],
                [-1.5000,  1.5000]])
    """
    windows = signal.unfold(-1, n_times, n_times // 2)
    return windows - windows.mean(-1, keepdim=True)


class BandStatistics(nn.Module):
    """The power of eight bands over time, in windows of 64 samples.

    For each band: mean, log deviation, skewness, log kurtosis and autocorrelation of its log power
    over windows; for each pair of bands: their correlation.
    """

    pairs: Tensor

    def __init__(self, tapers: int) -> None:
        super().__init__()
        self.spectrum = LogSpectrum(_WINDOW, tapers, cepstrum=0)
        bands = len(_EDGES) - 1
        pairs = torch.triu_indices(bands, bands, 1)
        self.register_buffer("pairs", pairs[0] * bands + pairs[1], persistent=False)
        self.n_out = bands * (4 + len(_APART)) + pairs.shape[1]

    def forward(self, signal: Tensor) -> Tensor:
        """Describe recordings (batch, n_chans, n_times): (batch, n_chans, n_out)."""
        windows = cut(signal, _WINDOW)  # (batch, n_chans, window, sample)
        # Powers are averaged over a band before the log: the mean of logs is noisier.
        power = self.spectrum(windows.flatten(1, 2)).exp().unflatten(1, windows.shape[1:3])
        bands = [power[..., low:high].mean(-1) for low, high in pairwise(_EDGES)]
        level = torch.stack(bands, -1).log()  # (batch, n_chans, window, band)
        mean = level.mean(2, keepdim=True)  # (batch, n_chans, 1, band)
        deviation = ((level - mean).square().mean(2, keepdim=True) + QUIET).sqrt()
        scaled = (level - mean) / deviation  # (batch, n_chans, window, band)
        squares = scaled * scaled
        together = scaled.transpose(2, 3) @ scaled / scaled.shape[2]  # (batch, n_chans, band, band)
        statistics = [
            mean[:, :, 0],
            deviation[:, :, 0].log(),
            (squares * scaled).mean(2),
            (squares.square().mean(2) + QUIET).log(),
            *((scaled[:, :, lag:] * scaled[:, :, :-lag]).mean(2) for lag in _APART),
            together.flatten(2)[..., self.pairs],
        ]
        return torch.cat(statistics, -1)


class Autocorrelation(nn.Module):
    """The autocorrelation of a signal at the first lags."""

    def __init__(self, lags: int) -> None:
        super().__init__()
        self.n_out = lags

    def forward(self, signal: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of signals (batch, n_chans, n_times)."""
        centred = signal - signal.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + QUIET).sqrt()
        by_lag = [
            (scaled[..., lag:] * scaled[..., :-lag]).mean(-1) for lag in range(1, self.n_out + 1)
        ]
        return torch.stack(by_lag, -1)


class TimeScales(nn.Module):
    """The autocorrelation and moments of differences of a signal, at several time scales.

    Each of the ``scales`` is twice as coarse as the one before it. The finest has ``lags`` lags of
    the moments and twice as many of the autocorrelation, the others half as many and ``lags``.
    """

    def __init__(self, scales: int, lags: int) -> None:
        super().__init__()
        self.correlations = nn.ModuleList(
            Autocorrelation(lags if scale else 2 * lags) for scale in range(scales)
        )
        self.moments = nn.ModuleList(
            LagMoments(tuple(range(1, (lags // 2 if scale else lags) + 1)))
            for scale in range(scales)
        )
        self.n_out = sum(int(layer.n_out) for layer in (*self.correlations, *self.moments))

    def forward(self, signal: Tensor) -> Tensor:
        """Describe recordings (batch, n_chans, n_times): (batch, n_chans, n_out)."""
        by_scale = []
        for correlation, moments in zip(self.correlations, self.moments, strict=True):
            by_scale += [correlation(signal), moments(signal)]
            signal = nn.functional.avg_pool1d(signal, 2)
        return torch.cat(by_scale, -1)


class Attention(nn.Module):
    """Weighted means over segments; the weights of each head are learnt, and equal at first."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.score = nn.Linear(size, heads)
        nn.init.zeros_(self.score.weight)  # so that training starts from the plain mean

    def forward(self, segments: Tensor) -> Tensor:
        """Average segments (batch, n_chans, segment, size): (batch, n_chans, head, size)."""
        weights = self.score(segments).softmax(2)  # (batch, n_chans, segment, head)
        attended: Tensor = weights.transpose(2, 3) @ segments
        return attended


@dataclass(frozen=True)
class RecordingAttentionConfig(SignalConfig):
    """The config: attention to the spectra of segments, and statistics of the whole."""

    n_times: int = 4097  # samples of a recording
    segment: int = 178  # samples of a segment whose spectrum is computed
    heads: int = 2  # weighted means over segments
    tapers: int = 4  # of spectra
    scales: int = 5  # of time, each twice as coarse as the one before it
    lags: int = 16  # of autocorrelation and of differences of samples
    stretch: float = 0.7  # in training each recording is cut to a random share, at least this one
    hidden: tuple[int, ...] = (128, 64)  # units of each hidden layer
    feature_dropout: float = 0.1  # before the first hidden layer
    dropout: float = 0.3  # after each hidden layer


class RecordingAttention(nn.Module):
    """Attention over the spectra of segments, bands and lags over time, then hidden layers."""

    def __init__(self, config: RecordingAttentionConfig) -> None:
        super().__init__()
        if config.n_times < _FEWEST:
            raise ModelError(
                f"a recording has n_times={config.n_times}, but attention to its segments needs at "
                f"least {_FEWEST} samples: give whole recordings (--segment recording), or choose "
                "another model (spectral-mlp)"
            )
        self.segment, self.stretch = config.segment, config.stretch
        self.spectrum = LogSpectrum(config.segment, config.tapers, cepstrum=0)
        self.bands = BandStatistics(config.tapers)
        self.scales = TimeScales(config.scales, config.lags)
        self.segment_scale = Standardise(self.spectrum.n_out)
        self.attention = Attention(self.spectrum.n_out, config.heads)
        described = config.n_chans * (self.bands.n_out + self.scales.n_out)
        self.standardise = Standardise(described)
        size = described + config.n_chans * config.heads * self.spectrum.n_out
        layers = hidden_layers((size, *config.hidden), config.dropout, config)
        self.layers = nn.Sequential(Dropout(config.feature_dropout), *layers)

    def spectra(self, signal: Tensor) -> Tensor:
        """Compute spectra (batch, n_chans, segment, frequency) of (batch, n_chans, n_times)."""
        segments = cut(signal, self.segment)  # (batch, n_chans, segment, sample)
        spectra: Tensor = self.spectrum(segments.flatten(1, 2)).unflatten(1, segments.shape[1:3])
        return spectra

    def statistics(self, signal: Tensor) -> Tensor:
        """Compute statistics (batch, number) of recordings (batch, n_chans, n_times)."""
        return torch.cat([self.bands(signal), self.scales(signal)], -1).flatten(1)

    def fit_scales(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Learn mean and deviation of each feature from the inputs of the training set."""
        features = [(self.spectra(x).flatten(0, 2), self.statistics(x)) for (x,) in batches]
        self.segment_scale.learn(spectra for spectra, _ in features)
        self.standardise.learn(statistics for _, statistics in features)

    def _stretches(self, signal: Tensor) -> Tensor:
        """Cut a random stretch of each recording, all of one length: (batch, n_chans, time)."""
        n, n_chans, n_times = signal.shape
        share = self.stretch + (1 - self.stretch) * torch.rand(()).item()
        length = max(round(share * n_times), _FEWEST)  # one for the batch: nothing is padded
        start = torch.randint(0, n_times - length + 1, (n, 1, 1), device=signal.device)
        samples = start + torch.arange(length, device=signal.device)
        return signal.gather(2, samples.expand(n, n_chans, length))

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled recordings (batch, n_chans, n_times)."""
        # Random crops are the only variation, as whole recordings are few: 100 in each class of
        # bonn.
        if self.training:
            signal = self._stretches(signal)
        attended = self.attention(self.segment_scale(self.spectra(signal))).flatten(1)
        numbers = self.standardise(self.statistics(signal))  # (batch, number)
        logits: Tensor = self.layers(torch.cat([attended, numbers], -1))
        return logits
