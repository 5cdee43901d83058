"""Networks that compute the spectrum of a segment themselves, from its raw samples.

Their first layers are fixed: only a mean and a standard deviation for each number are learnt, over
the training set. They are part of the network, so their operations are counted and one file is
enough for predictions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.cpu_training import Dropout
from sequela.models.signal import SignalConfig
from sequela.models.signal_features import QUIET, Envelopes, Quantiles, Reflections
from sequela.sequences.featurisers import BANDWIDTH, CLIP

_FEWEST = 32  # the fewest samples of a segment for spectra and lags


class LogSpectrum(nn.Module):
    """Log power at each frequency above 0, averaged over Slepian tapers (Thomson 1982).

    It can be averaged over shorter windows too (Welch 1967).

    Args:
        n_times: Samples of a segment.
        tapers: Number of tapers.
        bandwidth: Their time-bandwidth.
        windows: Number of windows, evenly placed from the start to the end.
        window: Samples of a window; 0 is the whole segment, as is a longer window.
        bands: Means over about so many bands instead of single frequencies, evenly spaced on a
            logarithmic scale and none narrower than a frequency; 0 keeps the frequencies.
        cepstrum: Number of first coefficients of the log spectrum's cosine transform to add.
        autocorrelation: Number of lags of the tapered segment's autocorrelation to add.
    """

    tapers: Tensor
    cosines: Tensor

    def __init__(
        self,
        n_times: int,
        tapers: int,
        *,
        bandwidth: float = BANDWIDTH,
        windows: int = 1,
        window: int = 0,
        bands: int = 0,
        cepstrum: int = 0,
        autocorrelation: int = 0,
    ) -> None:
        super().__init__()
        from scipy.fft import dct
        from scipy.signal.windows import dpss

        self.window = min(window or n_times, n_times)
        self.step = max((n_times - self.window) // (windows - 1), 1) if windows > 1 else n_times
        n = self.window // 2  # frequencies above 0
        self.edges = logarithmic_edges(n, bands) if bands else tuple(range(n + 1))
        slepian = torch.tensor(dpss(self.window, bandwidth, tapers).copy(), dtype=torch.float32)
        cosines = torch.tensor(dct(torch.eye(len(self.edges) - 1).numpy(), norm="ortho", axis=0))
        self.register_buffer("tapers", slepian, persistent=False)  # (taper, window)
        self.register_buffer("cosines", cosines[:cepstrum].T.contiguous(), persistent=False)
        self.autocorrelation = min(autocorrelation, n)
        self.n_out = len(self.edges) - 1 + self.cosines.shape[1] + self.autocorrelation

    def forward(self, centred: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of segments of mean 0 (batch, n_chans, n_times)."""
        windows = centred.unfold(-1, self.window, self.step)  # (batch, n_chans, window, time)
        spectra = torch.fft.rfft(windows[:, :, :, None] * self.tapers)[..., 1:]
        squares = torch.view_as_real(spectra).square()  # (batch, n_chans, window, taper, n, 2)
        power = (squares[..., 0] + squares[..., 1]).mean((2, 3))  # sum(-1) takes ten times as long
        level = torch.log(self._banded(power) + QUIET)  # (batch, n_chans, band)
        features = [level]
        if self.cosines.shape[1]:
            # The cepstrum (Bogert et al. 1963): slow changes of the log spectrum, such as its
            # slope, are its first coefficients.
            features.append(level @ self.cosines)
        if self.autocorrelation:
            # Wiener-Khinchin: the autocorrelation is the inverse transform of the power. The power
            # at 0, which is that of the mean, is left out.
            products = torch.fft.irfft(nn.functional.pad(power, (1, 0)), n=self.window)
            lags = products[..., 1 : self.autocorrelation + 1]  # (batch, n_chans, lag)
            features.append(lags / (products[..., :1] + QUIET))
        return torch.cat(features, -1)

    def _banded(self, power: Tensor) -> Tensor:
        if len(self.edges) == power.shape[-1] + 1:
            return power
        bands = (
            power[..., a] if b == a + 1 else power[..., a:b].mean(-1)
            for a, b in pairwise(self.edges)
        )
        return torch.stack([*bands], -1)


def logarithmic_edges(n: int, bands: int) -> tuple[int, ...]:
    """Return the edges of at most ``bands`` bands of ``n`` frequencies, increasing in width.

    Example:
        >>> logarithmic_edges(20, 8)
        (0, 1, 2, 4, 6, 9, 13, 20)
    """
    step = (n + 1) ** (1 / bands)
    return tuple(sorted({round(step**edge) - 1 for edge in range(bands + 1)}))


class LagMoments(nn.Module):
    """Differences of samples at several lags: log size, mean, skewness and kurtosis."""

    def __init__(self, lags: tuple[int, ...]) -> None:
        super().__init__()
        self.lags = lags
        self.n_out = 4 * len(lags)

    def forward(self, signal: Tensor) -> Tensor:
        """Compute (batch, n_chans, n_out) of segments (batch, n_chans, n_times)."""
        means = []
        for lag in self.lags:
            steps = signal[..., lag:] - signal[..., :-lag]  # (batch, n_chans, time - lag)
            squares = steps * steps
            powers = squares, steps.abs(), squares * steps, squares * squares
            means.append([numbers.mean(-1) for numbers in powers])
        # Each of (batch, n_chans, lag).
        square, absolute, cube, fourth = (
            torch.stack(part, -1) for part in zip(*means, strict=True)
        )
        power = square + QUIET
        size = power.sqrt()
        moments = (
            torch.log(size),
            torch.log(absolute / size + QUIET),  # small where few steps are large: spikes
            cube / (power * size),  # skewness: rises that are faster than falls
            torch.log(fourth / (power * power) + QUIET),  # kurtosis
        )
        return torch.stack(moments, -1).flatten(-2)


Described = LogSpectrum | LagMoments | Reflections | Envelopes | Quantiles
"""A layer of fixed features."""


class Standardise(nn.Module):
    """Standardisation by mean and deviation over the training set, clipped at 5 deviations."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("deviation", torch.ones(n))

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Learn mean and deviation from batches (example, n)."""
        count = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for batch in batches:
            wide = batch.double()
            count += len(wide)
            total += wide.sum(0)
            squares += wide.square().sum(0)
        mean = total / count  # (n,)
        deviation = (squares / count - mean**2).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > QUIET, deviation, 1.0))

    def forward(self, numbers: Tensor) -> Tensor:
        """Standardise (example, n)."""
        return ((numbers - self.mean) / self.deviation).clamp(-CLIP, CLIP)


@dataclass(frozen=True)
class SpectralMLPConfig(SignalConfig):
    """The config: fixed features of each channel, and the hidden layers after them.

    The features of a member are drawn at random (Ho 1998, The random subspace method for
    constructing decision forests).
    """

    tapers: int = 4  # of the spectrum
    bandwidth: float = BANDWIDTH  # time-bandwidth of the tapers
    windows: int = 1  # over which the spectrum is averaged
    window: int = 0  # samples of such a window; 0 is the whole segment
    bands: int = 0  # of the spectrum; 0 keeps each frequency
    cepstrum: int = 20  # coefficients
    autocorrelation: int = 0  # lags of it
    lags: tuple[int, ...] = tuple(range(1, 9))  # of differences of samples
    reflections: int = 0  # order of the autoregression
    envelopes: int = 0  # bands with features of their power over time
    quantiles: int = 0  # of samples and of their differences
    hidden: tuple[int, ...] = (128, 64)  # units of each hidden layer
    dropout: float = 0.25  # after each hidden layer
    members: int = 1  # networks after the features; their probabilities are averaged
    share: float = 1.0  # of the features that each member reads


class SpectralMLP(nn.Module):
    """Fixed features of the raw samples, standardised, then Linear, GELU and dropout, repeated."""

    def __init__(self, config: SpectralMLPConfig) -> None:
        super().__init__()
        n_times = config.n_times
        if n_times < _FEWEST:
            raise ModelError(
                f"a segment has n_times={n_times}, but a spectrum needs at least {_FEWEST} "
                "samples: give longer segments, or choose another model (mlp-improved)"
            )
        names = ("bandwidth", "windows", "window", "bands", "cepstrum", "autocorrelation")
        how = {name: getattr(config, name) for name in names}
        described: dict[str, Described] = {"spectrum": LogSpectrum(n_times, config.tapers, **how)}
        if config.lags:
            described["lags"] = LagMoments(config.lags)
        if config.reflections:
            described["reflections"] = Reflections(config.reflections)
        if config.envelopes:
            described["envelopes"] = Envelopes(n_times, config.envelopes)
        if config.quantiles:
            described["quantiles"] = Quantiles(config.quantiles)
        self.described = nn.ModuleDict(described)
        size = config.n_chans * sum(layer.n_out for layer in described.values())
        self.standardise = Standardise(size)
        self.members = nn.ModuleList(_member(size, i, config) for i in range(config.members))

    def features(self, signal: Tensor) -> Tensor:
        """Compute the fixed features (batch, feature) of scaled (batch, n_chans, n_times)."""
        centred = signal - signal.mean(-1, keepdim=True)
        return torch.cat([layer(centred) for layer in self.described.values()], -1).flatten(1)

    def fit_scales(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Learn mean and deviation of each feature from the inputs of the training set."""
        self.standardise.learn(self.features(signal) for (signal,) in batches)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of scaled segments (batch, n_chans, n_times).

        In training, several members return their own: (member, batch, n_outputs).
        """
        scaled = self.standardise(self.features(signal))  # (batch, feature)
        of_members = [member(scaled) for member in self.members]
        if len(of_members) == 1:
            return of_members[0]  # type: ignore[no-any-return]
        logits = torch.stack(of_members)
        return logits if self.training else logits.log_softmax(-1).logsumexp(0)


class Chosen(nn.Module):
    """A fixed random choice of a share of ``n`` features."""

    places: Tensor

    def __init__(self, n: int, share: float, seed: int) -> None:
        super().__init__()
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("places", order[: round(share * n)].sort().values, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Select (batch, chosen) of (batch, feature)."""
        return features[:, self.places]


def _member(size: int, index: int, config: SpectralMLPConfig) -> nn.Sequential:
    """Build hidden layers on ``size`` features, and logits."""
    layers: list[nn.Module] = []
    if config.share < 1:
        layers.append(Chosen(size, config.share, index))
        size = len(layers[0].places)  # type: ignore[arg-type]
    return nn.Sequential(*layers, *hidden_layers((size, *config.hidden), config.dropout, config))


def hidden_layers(sizes: tuple[int, ...], dropout: float, shape: SignalConfig) -> list[nn.Module]:
    """Build hidden layers between numbers of these sizes, with dropout, and logits."""
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), nn.GELU(), Dropout(dropout)]
    return [*layers, nn.Linear(sizes[-1], shape.n_outputs)]


@dataclass(frozen=True)
class SpectralMLPSmallConfig(SpectralMLPConfig):
    """Four short windows, one lag, one hidden layer: at most 10,000 operations a segment."""

    tapers: int = 1
    bandwidth: float = 1.5
    windows: int = 4
    window: int = 64
    cepstrum: int = 0
    lags: tuple[int, ...] = (1,)
    hidden: tuple[int, ...] = (32,)
    dropout: float = 0.1


class SpectralMLPSmall(SpectralMLP):
    """A spectral MLP for devices with little computing power."""


@dataclass(frozen=True)
class SpectralMLPLargeConfig(SpectralMLPConfig):
    """All families of features, and members that read half of them each."""

    lags: tuple[int, ...] = tuple(range(1, 17))
    autocorrelation: int = 40
    reflections: int = 12
    envelopes: int = 11
    quantiles: int = 13
    members: int = 6
    share: float = 0.5


class SpectralMLPLarge(SpectralMLP):
    """The spectral MLP with the best scores."""
