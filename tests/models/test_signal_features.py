"""Fixed layers, against numpy and signals whose description is known."""

import numpy as np
import torch
from torch import Tensor

from sequela.models.signal_features import Envelopes, Quantiles, Reflections
from sequela.models.spectral import LogSpectrum, SpectralMLPLarge, SpectralMLPLargeConfig


def noise(n: int = 4, n_chans: int = 2, n_times: int = 178) -> Tensor:
    return torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(1))


def test_reflections_of_a_known_autoregression() -> None:
    """x[t] = 0.75 x[t-1] - 0.5 x[t-2] + e: reflection coefficients -0.5 and 0.5."""
    drive, signal = noise(1, 1, 6000).double()[0, 0], torch.zeros(6000, dtype=torch.float64)
    for t in range(2, 6000):
        signal[t] = 0.75 * signal[t - 1] - 0.5 * signal[t - 2] + drive[t]
    said = Reflections(3)(signal[None, None])[0, 0]
    np.testing.assert_allclose(said[:3].tanh(), [-0.5, 0.5, 0], atol=0.03)
    np.testing.assert_allclose(said[3].exp(), drive.square().mean(), rtol=0.03)


def test_envelopes_find_the_band_and_its_beat() -> None:
    layer, time = Envelopes(178, 11), torch.arange(178) / 173.61
    steady = torch.sin(2 * torch.pi * 12 * time)
    beating = steady * (1 + 0.8 * torch.sin(2 * torch.pi * 3 * time))
    mean, size = layer(torch.stack([steady, beating])[:, None])[:, 0, :22].split(11, -1)
    step = (0.3 / 0.0086) ** 0.1
    centres = 173.61 * 0.0086 * step ** torch.arange(11)
    nearest = int((centres / 12).log().abs().argmin())
    assert mean[0].argmax() == nearest
    assert size[1, nearest] > 2 * size[0, nearest]


def test_envelopes_correlate_bands_over_time() -> None:
    """Noise that swells and fades does so in all bands at once."""
    layer = Envelopes(178, 11)
    swelling = torch.sin(torch.arange(178) / 178 * 2 * torch.pi * 2).mul(1.5).exp()
    plain = noise(40, 1)
    together = layer(torch.cat([plain, plain * swelling]))[..., 44:].mean((1, 2))
    assert together[40:].mean() > together[:40].mean() + 0.1


def test_quantiles_are_those_of_numpy() -> None:
    signal = noise().double()
    said = Quantiles(4)(signal).reshape(4, 2, 3, 4)
    for order in range(3):
        differences = np.diff(signal.numpy(), order)
        size = np.sqrt((differences**2).mean(-1))
        places = [(1 - np.cos(np.pi * i / 5)) / 2 for i in range(1, 5)]
        expected = np.quantile(differences, places, axis=-1, method="nearest") / size
        np.testing.assert_allclose(said[:, :, order], expected.transpose(1, 2, 0), rtol=1e-6)


def test_autocorrelation_and_windows_of_the_spectrum() -> None:
    time = torch.arange(178)
    wave = torch.sin(2 * torch.pi * time / 20)[None, None]
    lags = LogSpectrum(178, 4, autocorrelation=40)(wave)[0, 0, -40:]
    assert lags[10:30].argmax() + 11 == 20  # a period later it is alike
    assert lags[9] < -0.8  # and half a period later the contrary
    short = LogSpectrum(178, 1, windows=4, window=64, bands=8)
    assert short.n_out == short(noise()).shape[-1] <= 8
    # Averaged over windows, the level of noise varies less from segment to segment.
    whole = LogSpectrum(178, 1)
    many = noise(200, 1)
    windowed = LogSpectrum(178, 1, windows=4, window=64)
    assert windowed(many).std(0).mean() < 0.7 * whole(many).std(0).mean()


def test_members_answer_each_for_itself_while_they_train() -> None:
    model = SpectralMLPLarge(SpectralMLPLargeConfig(members=3, dropout=0.0))
    signal = noise(5, 1)
    each = model.train()(signal)
    assert each.shape == (3, 5, 5)
    assert (each.std(0) > 0).any()
    mean = each.softmax(-1).mean(0)
    torch.testing.assert_close(model.eval()(signal).softmax(-1), mean)


def test_members_read_the_same_features_after_loading() -> None:
    models = [SpectralMLPLarge(SpectralMLPLargeConfig()).eval() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    torch.testing.assert_close(models[1](noise(5, 1)), models[0](noise(5, 1)))
