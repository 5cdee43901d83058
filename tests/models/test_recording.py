"""The network that sees whole recordings, against plain formulas."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from sequela.errors import ModelError
from sequela.models.recording import (
    Attention,
    Autocorrelation,
    BandStatistics,
    RecordingAttention,
    RecordingAttentionConfig,
    TimeScales,
)
from sequela.models.registry import lookup_network


def noise(n: int = 3, n_chans: int = 2, n_times: int = 2000) -> Tensor:
    return torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(0))


def test_band_statistics() -> None:
    signal = noise().cumsum(-1)
    layer = BandStatistics(tapers=4)
    said = layer(signal)
    assert said.shape == (3, 2, layer.n_out)
    windows = signal[1, 1].unfold(0, 64, 32)
    windows = windows - windows.mean(1, keepdim=True)
    power = layer.spectrum(windows[:, None])[:, 0].exp().numpy()  # (window, frequency)
    edges = (0, 1, 2, 3, 5, 7, 11, 16, 32)
    level = np.log(np.stack([power[:, a:b].mean(1) for a, b in pairwise(edges)], 1))
    scaled = (level - level.mean(0)) / level.std(0)
    expected = [
        level.mean(0),
        np.log(level.std(0)),
        (scaled**3).mean(0),
        np.log((scaled**4).mean(0)),
        *((scaled[lag:] * scaled[:-lag]).mean(0) for lag in (1, 2, 4, 8)),
        np.corrcoef(level.T)[np.triu_indices(8, 1)],
    ]
    np.testing.assert_allclose(said[1, 1].numpy(), np.concatenate(expected), rtol=1e-3, atol=1e-3)


def test_autocorrelation_is_that_of_a_sine() -> None:
    sine = torch.sin(2 * torch.pi * torch.arange(4000) / 40)[None, None]
    said = Autocorrelation(40)(sine)[0, 0]
    expected = torch.cos(2 * torch.pi * torch.arange(1, 41) / 40)
    torch.testing.assert_close(said, expected, rtol=1e-2, atol=1e-2)


def test_each_time_scale_is_twice_as_coarse() -> None:
    signal, layer = noise(), TimeScales(scales=3, lags=4)
    coarse = signal.reshape(3, 2, 500, 4).mean(-1)
    torch.testing.assert_close(layer(signal)[..., -12:-8], Autocorrelation(4)(coarse))


def test_attention_begins_at_the_mean_and_turns_to_what_scores() -> None:
    segments = noise(2, 1, 30).reshape(2, 1, 6, 5)
    layer = Attention(5, heads=2)
    mean = segments.mean(2, keepdim=True).expand(2, 1, 2, 5)
    torch.testing.assert_close(layer(segments), mean)
    with torch.no_grad():
        layer.score.weight[1, 0] = 1e4
    loudest = segments[0, 0, segments[0, 0, :, 0].argmax()]
    torch.testing.assert_close(layer(segments)[0, 0, 1], loudest)


def test_training_sees_stretches_and_a_prediction_the_whole() -> None:
    torch.manual_seed(0)
    model = RecordingAttention(RecordingAttentionConfig())
    signal = noise(2, 1, 4097)
    lengths = {model._stretches(signal).shape[2] for _ in range(20)}
    assert len(lengths) > 10
    assert min(lengths) >= round(0.7 * 4097)
    stretch = model._stretches(signal)[1, 0]
    assert any(torch.equal(each, stretch) for each in signal[1, 0].unfold(0, len(stretch), 1))
    model.eval()
    torch.testing.assert_close(model(signal), model(signal))


def test_scales_are_those_of_the_batches() -> None:
    model = RecordingAttention(RecordingAttentionConfig(n_chans=2, n_times=2000))
    batches = noise(20).split(8)
    model.fit_scales((batch,) for batch in batches)
    numbers = model.standardise(model.statistics(torch.cat(batches)))
    spectra = model.segment_scale(model.spectra(torch.cat(batches)).flatten(0, 2))
    for scaled in (numbers, spectra):
        torch.testing.assert_close(scaled.mean(0), torch.zeros(scaled.shape[1]), rtol=0, atol=0.05)


def test_a_silent_recording_has_an_answer() -> None:
    model = lookup_network("recording-attention").build().eval()
    assert model(torch.zeros(1, 1, 4097)).isfinite().all()


def test_short_recordings_are_refused() -> None:
    with pytest.raises(ModelError, match=r"n_times=178, but attention .* at least 1024 samples"):
        RecordingAttention(RecordingAttentionConfig(n_times=178))
    RecordingAttention(RecordingAttentionConfig(n_times=1024))
