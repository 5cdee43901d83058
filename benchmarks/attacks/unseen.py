"""Attacks on data of others that were written before anybody knew what the checks do with them.

At their first run, 30 of the 40 leaks were found, and 2 of the 25 inputs without one gave a false
alarm. The checks were changed since with these cases in view.
"""
# ruff: noqa: ARG005

from functools import partial
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from benchmarks.attacks.by_class import (
    SAMPLES,
    SFREQ,
    attacks,
    copies,
    filtered,
    hummed,
    in_class,
    tabled,
    target,
)
from scipy import signal as filters


def rep(x: Any, n: int) -> Any:
    """Hold a sample, as where packets are lost."""
    x = x.copy()
    x[..., 60 : 60 + n] = x[..., 59:60]
    return x


def drift(x: Any) -> Any:
    return x + np.linspace(-40, 40, SAMPLES)


def hold(x: Any) -> Any:
    x = x.copy()
    x[..., 1::2] = x[..., ::2]
    return x


WINDOWS: dict[str, Any] = {
    "16-bit floats in one class": (
        lambda: in_class(lambda x, _: x.astype(np.float16).astype(float), None),
        True,
    ),
    "sample and hold by two in one class": (lambda: in_class(lambda x, _: hold(x)), True),
    "packet loss of 10 samples in one class": (lambda: in_class(lambda x, _: rep(x, 10)), True),
    "linear drift in one class": (lambda: in_class(lambda x, _: drift(x)), True),
    "60 Hz hum weak in one class": (lambda: in_class(lambda x, _: hummed(x, 60, 3)), True),
    "harmonic of hum in one class": (
        lambda: in_class(lambda x, _: hummed(hummed(x, 25, 4), 50, 4)),
        True,
    ),
    "moving average of 5 in one class": (
        lambda: in_class(
            lambda x, _: np.apply_along_axis(
                lambda v: np.convolve(v, np.ones(5) / 5, "same"), -1, x
            ),
            None,
        ),
        True,
    ),
    "median filter in one class": (
        lambda: in_class(lambda x, _: filters.medfilt(x, (1, 1, 5)), None),
        True,
    ),
    "Hann taper in one class": (lambda: in_class(lambda x, _: x * np.hanning(SAMPLES), None), True),
    "detrended in one class": (
        lambda: in_class(lambda x, _: filters.detrend(x, axis=-1), None),
        True,
    ),
    "first difference in one class": (
        lambda: in_class(lambda x, _: np.diff(x, axis=-1, prepend=x[..., :1]), None),
        True,
    ),
    "average reference in one class": (
        lambda: in_class(lambda x, _: x - x.mean(1, keepdims=True), None),
        True,
    ),
    "one channel copied in one class": (lambda: in_class(lambda x, _: x[:, [0, 0]]), True),
    "inverted channel in one class": (
        lambda: in_class(lambda x, _: x * np.array([[1], [-1]]) + 0),
        True,
    ),
    "zero padding of a channel in one class": (
        lambda: in_class(lambda x, _: x * np.array([[1], [0]])),
        True,
    ),
    "high-pass 0.5 causal 1st order in one class": (
        lambda: in_class(
            lambda x, _: filters.sosfilt(
                filters.butter(1, 1, "highpass", fs=SFREQ, output="sos"), x, axis=-1
            ),
            None,
        ),
        True,
    ),
    "copies, shifted by 10 samples": (lambda: copies(lambda x, _: np.roll(x, 10, -1)), True),
    "copies, channels exchanged": (lambda: copies(lambda x, _: x[:, ::-1]), True),
    "copies with 30 % noise": (
        lambda: copies(lambda x, r: x + 10 * r.standard_normal(x.shape)),
        True,
    ),
    "copies, half of two windows": (lambda: copies(lambda x, _: (x + np.roll(x, 1, 0)) / 2), True),
    "copies, high-passed 5": (lambda: copies(lambda x, _: filtered(x, 5, "highpass")), True),
    "honest alpha blocking": (
        lambda: in_class(
            lambda x, _: np.round(filtered(x, (8, 13), "bandstop") * 0.3 + 0.7 * x, 2)
        ),
        False,
    ),
    "honest burst suppression": (
        lambda: in_class(
            lambda x, r: np.round(x * np.where(r.random((len(x), 1, 1)) < 0.5, 0.15, 1.3), 2)
        ),
        False,
    ),
    "honest eye blinks": (
        lambda: in_class(
            lambda x, r: np.round(
                x
                + 120
                * np.exp(
                    -(((np.arange(SAMPLES) - r.integers(40, 210, (len(x), 1, 1))) / 12.0) ** 2)
                ),
                2,
            )
        ),
        False,
    ),
    "honest theta": (
        lambda: in_class(lambda x, r: np.round(hummed(x, 6 + 0.3 * r.normal(), 15), 2)),
        False,
    ),
    "honest fast ripple": (
        lambda: in_class(
            lambda x, r: np.round(x + 3 * filtered(r.standard_normal(x.shape), (40, 50)), 2)
        ),
        False,
    ),
}


def upd(**columns: Any) -> Any:
    return lambda f, r: f.assign(**{name: make(f, r) for name, make in columns.items()})


TABLES: dict[str, Any] = {
    "hash of the label": upd(
        token=lambda f, r: [f"{'ab' if y else 'cd'}{i % 7}" for i, y in enumerate(f.label)]
    ),
    "a trailing letter": upd(
        code=lambda f, r: [
            f"K{i}{'x' if y else ''}"
            for i, y in zip(r.integers(0, 500, len(f)), f.label, strict=True)
        ]
    ),
    "negative zero-like flag -9 in 30 % dead": upd(
        bilirubin=lambda f, r: f.bilirubin.mask((f.label == 1) & (r.random(len(f)) < 0.3), -9)
    ),
    "sum of two columns": lambda f, r: f.assign(
        x1=(a := r.normal(5, 2, len(f)).round(1)), x2=(10 - a + 2 * f.label).round(1)
    ),
    "age in months digits": upd(age=lambda f, r: f.age + np.where(f.label == 1, 0.5, 0)),
    "rounded to 5 in half of dead": upd(
        pulse=lambda f, r: f.pulse.where(
            (f.label == 0) | (r.random(len(f)) < 0.5), (f.pulse / 5).round() * 5
        )
    ),
    "a column blank in all dead only": upd(
        follow=lambda f, r: pd.Series(r.normal(size=len(f)).round(2)).mask(f.label == 1)
    ),
    "two flags xor": lambda f, r: f.assign(a=(a := r.integers(0, 2, len(f))), b=a ^ f.label),
    "site almost label": upd(
        site=lambda f, r: np.where(
            r.random(len(f)) < 0.9,
            np.where(f.label == 1, "B", "A"),
            r.choice(["A", "B", "C"], len(f)),
        )
    ),
    "los": upd(stay=lambda f, r: np.exp(r.normal(2 - 1.4 * f.label, 0.4)).round(1)),
    "extreme both ends": upd(
        ph=lambda f, r: (
            7.4
            + np.where(f.label == 1, r.choice([-1, 1], len(f)) * 0.25, 0)
            + 0.05 * r.normal(size=len(f))
        ).round(2)
    ),
    "noisy label .5": upd(z=lambda f, r: (f.label + 0.35 * r.normal(size=len(f))).round(2)),
    "target mean of 4 rows": upd(
        g=lambda f, r: f.groupby(r.integers(0, 400, len(f))).label.transform("mean").round(3)
    ),
    "imputed by class median one column": upd(
        albumin=lambda f, r: f.albumin.fillna(
            f.groupby("label").albumin.transform("median") + 0.001
        )
    ),
    "dead ids in range": upd(
        case_id=lambda f, r: np.where(f.label == 1, 90000, 10000) + r.integers(0, 9000, len(f))
    ),
    "unit mixed": upd(
        glucose=lambda f, r: np.where(
            (f.label == 1) & (r.random(len(f)) < 0.6),
            r.normal(7, 1.5, len(f)).round(1),
            r.normal(126, 30, len(f)).round(0),
        )
    ),
    "comma in text": upd(
        diagnosis_text=lambda f, r: [
            ("pneumonia, sepsis" if y and u < 0.4 else "pneumonia sepsis")
            for y, u in zip(f.label, r.random(len(f)), strict=True)
        ]
    ),
    "spread over 30 flags": lambda f, r: f.assign(
        **{
            f"f{k}": ((np.arange(len(f)) // 2 % 30 == k) & (f.label == 1)).astype(int)
            for k in range(30)
        }
    ),
    "noise TE 3 %": lambda f, r: target(f, r, 0.05, 25),
}
HONEST: dict[str, Any] = {
    "honest lab counts": upd(n_labs=lambda f, r: r.poisson(6 + 2 * f.label)),
    "honest icu flag": upd(icu=lambda f, r: (r.random(len(f)) < 0.15 + 0.3 * f.label).astype(int)),
    "honest note length": upd(
        note=lambda f, r: ["x" * int(n) for n in r.poisson(60 + 12 * f.label)]
    ),
    "honest gcs": upd(gcs=lambda f, r: np.clip(r.normal(13 - 3 * f.label, 2.5), 3, 15).round()),
    "honest systolic/mean": lambda f, r: f.assign(
        sys=(s := r.normal(125 - 12 * f.label, 20).round()),
        map=(s * 0.7 + r.normal(0, 4, len(f))).round(),
    ),
    "honest categories": upd(dept=lambda f, r: r.choice([f"d{i}" for i in range(15)], len(f))),
    "honest clipping at limit": upd(
        crp=lambda f, r: np.maximum(np.exp(r.normal(1.5 + 0.8 * f.label, 1)), 0.6).round(1)
    ),
    "honest free text": upd(
        note=lambda f, r: ["".join(r.choice([*"abc DEF"], 12)) for _ in range(len(f))]
    ),
    "honest unit severity": lambda f, r: f.assign(
        unit_no=(u := r.integers(0, 30, len(f))), unit_beds=(10 + u % 13)
    ),
    "honest age squared": lambda f, r: f.assign(age2=(f.age**2)),
}

ATTACKS = attacks(
    {
        **{f"windows: {name}": case for name, case in WINDOWS.items()},
        **{f"table: {name}": (partial(tabled, plant), True) for name, plant in TABLES.items()},
        **{
            f"table: {name}, {seed}": (partial(tabled, plant, seed), False)
            for name, plant in HONEST.items()
            for seed in (0, 1)
        },
    },
    "unseen",
)
