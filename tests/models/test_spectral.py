"""The network that computes its own spectrum, against the featuriser and plain formulas."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tests.cost.tally import Made
from torch import Tensor

from sequela.cost import account
from sequela.errors import ModelError
from sequela.models.registry import lookup_network
from sequela.models.spectral import LagMoments, LogSpectrum, SpectralMLP, SpectralMLPConfig
from sequela.sequences.featurisers import fourier_operations, lookup


@dataclass(frozen=True)
class Source:
    signal: np.ndarray
    sfreq: float = 1.0


def noise(n: int = 5, n_chans: int = 2, n_times: int = 178) -> Tensor:
    return torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(0)).cumsum(-1)


def test_the_spectrum_is_that_of_the_featuriser() -> None:
    signal = noise()
    layer = LogSpectrum(178, tapers=4, cepstrum=20).double()
    said = layer((signal - signal.mean(-1, keepdim=True)).double())
    table = np.asarray(lookup("spectrum").apply(Source(signal.numpy()), {})).reshape(5, 2, -1)
    torch.testing.assert_close(
        said[..., :89].float(), torch.from_numpy(table[..., :89]), rtol=1e-3, atol=1e-3
    )
    from scipy.fft import dct

    cepstrum = dct(said[..., :89].numpy(), norm="ortho", axis=-1)[..., :20]
    np.testing.assert_allclose(said[..., 89:].numpy(), cepstrum, rtol=1e-4, atol=1e-4)


def test_moments_of_differences() -> None:
    signal = noise().double()
    said = LagMoments((1, 2, 3))(signal).reshape(5, 2, 3, 4)
    steps = (signal[..., 3:] - signal[..., :-3]).numpy()
    size = np.sqrt((steps**2).mean(-1))
    np.testing.assert_allclose(said[..., 2, 0], np.log(size), rtol=1e-6)
    relative = np.abs(steps).mean(-1) / size
    np.testing.assert_allclose(said[..., 2, 1], np.log(relative), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(said[..., 2, 2], (steps**3).mean(-1) / size**3, rtol=1e-6, atol=1e-6)
    kurtosis = (steps**4).mean(-1) / size**4
    np.testing.assert_allclose(said[..., 2, 3], np.log(kurtosis), rtol=1e-6, atol=1e-6)


def test_features_are_standardised_by_the_batches_it_is_given() -> None:
    model = SpectralMLP(SpectralMLPConfig(n_chans=2))
    batches = noise(40).split(16)
    features = model.features(torch.cat(batches))
    model.fit_scales((batch,) for batch in batches)
    scaled = model.standardise(features)
    inside = scaled.abs() < 5
    expected = (features - features.mean(0)) / features.std(0, correction=0)
    torch.testing.assert_close(scaled[inside], expected[inside], rtol=1e-2, atol=1e-3)
    assert model.standardise(features * 1e6).abs().max() == 5


def test_absolute_amplitude_is_kept_and_an_offset_is_not() -> None:
    model = lookup_network("spectral-mlp").build().eval()
    signal = noise(n_chans=1)
    torch.testing.assert_close(model(signal + 3), model(signal), rtol=1e-2, atol=1e-2)
    assert (model(signal * 2) - model(signal)).abs().max() > 0.05


def test_a_silent_segment_has_an_answer() -> None:
    model = lookup_network("spectral-mlp").build().eval()
    assert model(torch.zeros(1, 1, 178)).isfinite().all()


def test_short_segments_are_refused() -> None:
    with pytest.raises(ModelError, match="n_times=31, but a spectrum needs at least 32 samples"):
        SpectralMLP(SpectralMLPConfig(n_times=31))
    SpectralMLP(SpectralMLPConfig(n_times=32))


def test_fourier_transforms_are_counted() -> None:
    there_and_back = Made(lambda _, x: torch.fft.irfft(torch.fft.rfft(x), n=x.shape[-1]))
    counted = account(there_and_back, (torch.zeros(1, 3, 50),))
    # Three rows there and back; the way back is scaled by 1/n.
    assert counted.operations == 2 * 3 * fourier_operations(50) + 3 * 50
    of_complex = Made(lambda _, x: torch.view_as_real(torch.fft.fft(torch.complex(x, x))))
    with pytest.raises(ModelError, match="counting rule: aten::_fft_c2c in test_spectral"):
        account(of_complex, (torch.zeros(1, 3, 50),))
