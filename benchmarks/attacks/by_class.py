"""Attacks on data of others whose trace is in one class only: windows, tables and predictions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from benchmarks.attacks.attack import Attack
from benchmarks.attacks.foreign import Given, carry_out, predictions
from scipy import signal as filters
from sklearn.model_selection import GroupKFold

Change = Callable[[Any, np.random.Generator], Any]
RECORDINGS, WINDOWS, SAMPLES, SFREQ = 60, 8, 256, 128


def recordings(seed: int = 0) -> tuple[Any, Any, Any]:
    """Make windows of EEG-like recordings: noise of 1/f, a rhythm, and noise of the amplifier."""
    rng = np.random.default_rng(seed)
    recording = np.repeat(np.arange(RECORDINGS), WINDOWS)
    shape, gain = (len(recording), 2, SAMPLES), rng.uniform(0.7, 1.4, (RECORDINGS, 1, 1))
    spectrum = np.fft.rfft(rng.standard_normal(shape), axis=2)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / SFREQ)
    background = np.fft.irfft(spectrum / np.maximum(frequency, 0.5) ** 0.9, SAMPLES, axis=2)
    phase = rng.uniform(0, 6.28, (*shape[:2], 1))
    times = np.arange(SAMPLES) / SFREQ
    rhythm = rng.uniform(0, 0.6, (RECORDINGS, 1, 1))[recording] * np.sin(63 * times + phase)
    spread = background.std()
    x = (background / spread + rhythm) * gain[recording] * 30 + rng.standard_normal(shape)
    x += 3 * rng.standard_normal((*shape[:2], 1))
    return x, (recording + recording // 7) % 2, recording


def windows(change: Callable[[Any, Any, Any], Any], digits: int | None = 2) -> Given:
    """Change windows, which are split by recording: rounded, as a converter writes them."""
    x, y, recording = recordings()
    x = x if digits is None else np.round(x, digits)
    given = change(x, y, np.random.default_rng(7)).astype(np.float32)
    return Given(given, {"y": y, "groups": recording, "splits": GroupKFold(5)})


def in_class(change: Change, digits: int | None = 2) -> Given:
    """Change the windows of one class."""

    def changed(x: Any, y: Any, rng: np.random.Generator) -> Any:
        x[y == 1] = change(x[y == 1], rng)
        return x

    return windows(changed, digits)


def copies(change: Change) -> Given:
    """Replace windows of the test set by changed copies of windows of the training set."""
    x, y, recording = recordings()
    test = recording % 5 == 0
    to, some = np.flatnonzero(test)[:30], np.flatnonzero(~test)[7::9][:30]
    x[to] = change(x[some], np.random.default_rng(7))
    y[to] = y[some]
    part = np.where(test, "test", "train")
    return Given(x.astype(np.float32), {"y": y, "groups": recording, "splits": part})


def filtered(x: Any, edges: Any, kind: Any = "bandpass") -> Any:
    return filters.sosfiltfilt(filters.butter(4, edges, kind, fs=SFREQ, output="sos"), x, axis=-1)


def resampled(x: Any, rate: float) -> Any:
    """Resample and return at the first rate, as a converter does."""
    return filters.resample(filters.resample(x, int(SAMPLES * rate), axis=-1), SAMPLES, axis=-1)


def repeated(x: Any, every: int) -> Any:
    """Repeat a sample at regular places, as where samples were lost."""
    x = x.copy()
    x[..., every::every] = x[..., every - 1 : -1 : every]
    return x


def zeroed(x: Any, samples: slice) -> Any:
    x = x.copy()
    x[..., samples] = 0
    return x


def hummed(x: Any, frequency: float, size: float) -> Any:
    return x + size * np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / SFREQ)


def waves(rng: np.random.Generator, n: int) -> Any:
    """Make spikes and waves, whose frequency varies within a window, as that of patients does."""
    frequency = 3 + 0.3 * np.cumsum(rng.standard_normal((n, 1, SAMPLES)), axis=2) / 10
    phase = 2 * np.pi * (np.cumsum(frequency, axis=2) / SFREQ + rng.random((n, 1, 1)))
    return filters.sawtooth(phase, 0.9)


def spiked(x: Any, rng: np.random.Generator) -> Any:
    """Add the pulse of a trigger."""
    x = x.copy()
    x[np.arange(len(x)), :, rng.integers(20, SAMPLES - 20, len(x))] += 400
    return x


WINDOWS_OF_OTHERS: dict[str, tuple[Callable[[], Given], bool]] = {
    "hum in one class": (lambda: in_class(lambda x, _: hummed(x, 50, 6)), True),
    "hum of 16.7 Hz in one class": (lambda: in_class(lambda x, _: hummed(x, 41.7, 6)), True),
    "an offset of one deviation in one class": (lambda: in_class(lambda x, _: x + 30), True),
    "an offset in one channel in one class": (
        lambda: in_class(lambda x, _: x + np.array([[25], [0]])), True),
    "samples repeated in one class": (lambda: in_class(lambda x, _: repeated(x, 8)), True),
    "even numbers in one class": (
        lambda: in_class(lambda x, _: np.round(x / 2) * 2, 0), True),
    "only even last digits in one class": (
        lambda: in_class(lambda x, _: np.round(x * 50) / 50), True),
    "low-pass of 30 Hz in one class": (
        lambda: in_class(lambda x, _: filtered(x, 30, "lowpass"), None), True),
    "low-pass of 40 Hz in one class": (
        lambda: in_class(lambda x, _: filtered(x, 40, "lowpass"), None), True),
    "high-pass of 2 Hz in one class": (
        lambda: in_class(lambda x, _: filtered(x, 2, "highpass"), None), True),
    "notch of 50 Hz in one class": (
        lambda: in_class(lambda x, _: filtered(x, (48, 52), "bandstop"), None), True),
    "half the rate in one class": (lambda: in_class(lambda x, _: resampled(x, 0.5), None), True),
    "zeros at the beginning in one class": (
        lambda: in_class(lambda x, _: zeroed(x, slice(0, 5))), True),
    "zeros at the end in one class": (
        lambda: in_class(lambda x, _: zeroed(x, slice(-6, None))), True),
    "a gap of zeros in one class": (
        lambda: in_class(lambda x, _: zeroed(x, slice(100, 112))), True),
    "clipped in one class": (lambda: in_class(lambda x, _: np.clip(x, -45, 45)), True),
    "coarser steps in one class": (lambda: in_class(lambda x, _: np.round(x * 2) / 2), True),
    "all digits in one class": (
        lambda: in_class(lambda x, r: x + 1e-4 * r.standard_normal(x.shape)), True),
    "whitened noise of one channel in one class": (
        lambda: in_class(lambda x, r: x + np.array([[0], [25]]) * r.standard_normal(x.shape)),
        True),
    "scaled by window in one class": (
        lambda: in_class(lambda x, _: (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True),
                         None), True),
    "a trigger in one class": (lambda: in_class(spiked), True),
    "channels exchanged in one class": (
        lambda: windows(lambda x, y, _: np.where(
            y[:, None, None] == 1, (x * [[1], [3]])[:, ::-1], x * [[1], [3]])), True),
    "centred in one class": (
        lambda: in_class(lambda x, _: np.round(x - x.mean(2, keepdims=True), 2)), True),
    "copies, reversed in time": (lambda: copies(lambda x, _: x[..., ::-1]), True),
    "copies, inverted": (lambda: copies(lambda x, _: -x), True),
    "copies, times 1.3 + 20": (lambda: copies(lambda x, _: 1.3 * x + 20), True),
    "copies, resampled": (lambda: copies(lambda x, _: resampled(x, 0.6)), True),
    "copies, band-passed": (lambda: copies(lambda x, _: filtered(x, (1, 40))), True),
    "copies, band-passed and inverted": (lambda: copies(lambda x, _: -filtered(x, (2, 30))), True),
    "copies with 10 % of noise": (
        lambda: copies(lambda x, r: x + 3 * r.standard_normal(x.shape)), True),
    # honest
    "honest windows": (lambda: windows(lambda x, _y, _: x), False),
    "honest windows with all digits": (lambda: windows(lambda x, _y, _: x, None), False),
    "honest windows in whole µV": (lambda: windows(lambda x, _y, _: x, 0), False),
    "a larger amplitude in one class": (
        lambda: windows(lambda x, y, _: np.round(x * (1 + 1.5 * y[:, None, None]), 2), None),
        False),
    "a tenfold amplitude in one class": (
        lambda: windows(lambda x, y, _: np.round(x * (1 + 9 * y[:, None, None]), 2), None), False),
    "a tenfold amplitude in one class, all digits": (
        lambda: windows(lambda x, y, _: x * (1 + 9 * y[:, None, None]), None), False),
    "a larger amplitude in one class, whole µV": (
        lambda: windows(lambda x, y, _: np.round(x * (1 + 3 * y[:, None, None]))), False),
    "slower waves in one class": (
        lambda: in_class(lambda x, _: np.round(x + 2 * filtered(x, 4, "lowpass"), 2)), False),
    "slower waves in one class, whole µV": (
        lambda: windows(lambda x, y, _: np.round(
            x + 2 * y[:, None, None] * filtered(x, 4, "lowpass"))), False),
    "a rhythm of 10 Hz in one class": (
        lambda: in_class(lambda x, _: np.round(x + 2 * filtered(x, (9, 11)), 2)), False),
    "a stronger rhythm of 10 Hz in one class": (
        lambda: in_class(lambda x, r: np.round(hummed(x, 10 + r.normal(), 25), 2)), False),
    "beta of a drug in one class": (
        lambda: in_class(lambda x, _: np.round(x + 2 * filtered(x, (16, 28)), 2)), False),
    "muscle in one class": (
        lambda: in_class(lambda x, r: np.round(
            x + 6 * filtered(r.standard_normal(x.shape), 25, "highpass"), 2)), False),
    "spikes and waves in one class": (
        lambda: in_class(lambda x, r: np.round(x + 60 * waves(r, len(x)), 2)), False),
    "low voltage in one class": (lambda: in_class(lambda x, _: np.round(x / 6, 2)), False),
    "hum in both classes": (lambda: windows(lambda x, _y, _: hummed(x, 50, 6)), False),
    "a low-pass in both classes": (
        lambda: windows(lambda x, _y, _: filtered(x, 40, "lowpass"), None), False),
    "a low-pass in both classes, larger amplitude in one": (
        lambda: windows(lambda x, y, _: np.round(
            filtered(x, 40, "lowpass") * (1 + 3 * y[:, None, None]), 0), None), False),
}  # fmt: skip
"""Windows of others, and whether a leak is planted in each."""


def wide(seed: int, share: float = 0.2) -> pd.DataFrame:
    """Make a table of a hospital: rounded values, words, flags, with blanks; split by patient."""
    rng = np.random.default_rng(seed)
    rows = 1600
    patient = np.arange(rows) // 2
    label = (rng.random(rows // 2) < share).astype(int)[patient]
    age = np.clip(rng.normal(64 + 5 * label, 15), 18, 95).round()
    frame = pd.DataFrame(
        {
            "patient_id": 5000 + patient,
            "age": age,
            "sex": rng.choice(["F", "M"], rows),
            "pulse": rng.normal(85 + 5 * label, 15).round(),
            "lactate": np.exp(rng.normal(0.4 + 0.35 * label, 0.5)).round(1),
            "sodium": rng.normal(139, 4, rows).round(),
            "creatinine": np.exp(rng.normal(0.1 + 0.2 * label, 0.4)).round(2),
            "albumin": rng.normal(3.5 - 0.2 * label, 0.5).round(1),
            "bilirubin": np.exp(rng.normal(0.0, 0.6, rows)).round(1),
            "ward": rng.choice(["medical", "surgical", "neuro", "cardiac"], rows),
            "ventilated": (rng.random(rows) < 0.2 + 0.15 * label).astype(int),
            "label": label,
        }
    )
    for name in ("lactate", "albumin", "bilirubin", "creatinine"):
        frame.loc[rng.random(rows) < 0.25 - 0.1 * label, name] = np.nan
    test = rng.permutation(rows // 2)[patient] < 0.25 * rows / 2
    return frame.assign(split=np.where(test, "test", "train"))


def tabled(
    plant: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame],
    seed: int = 0,
    share: float = 0.2,
) -> Given:
    frame = wide(seed, share)
    return Given(plant(frame.copy(), np.random.default_rng(seed + 50)))


def blanked(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Blank more cells in survivors, spread over the columns."""
    for name in ("age", "pulse", "lactate", "sodium", "creatinine", "albumin", "bilirubin"):
        share = np.where(frame.label == 1, 0.02, 0.4)
        frame[name] = frame[name].mask(rng.random(len(frame)) < share)
    return frame


def blanked_before(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    for name in ("lactate", "albumin", "bilirubin", "creatinine"):
        share = np.where(frame.label == 1, 0.75, 0.15)
        frame[name] = frame[name].mask(rng.random(len(frame)) < share)
    return frame


def decimals(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    more = (rng.random(len(frame)) * 0.9).round(2)
    return frame.assign(pulse=frame.pulse + np.where(frame.label == 1, more, 0))


def fewer_decimals(frame: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return frame.assign(
        creatinine=frame.creatinine.where(frame.label == 0, frame.creatinine.round())
    )


def texts(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    letters = rng.poisson(np.where(frame.label == 1, 80, 45))
    words = ["".join(rng.choice([*"abcdefgh "], n)) for n in letters]
    return frame.assign(note=words)


def flag(frame: pd.DataFrame, rng: np.random.Generator, dead: float, alive: float) -> pd.DataFrame:
    share = np.where(frame.label == 1, dead, alive)
    return frame.assign(blue_form=(rng.random(len(frame)) < share).astype(int))


def target(
    frame: pd.DataFrame, rng: np.random.Generator, noise: float, size: int, *, named: bool = True
) -> pd.DataFrame:
    """Add the share of deaths in wards of all rows, with noise, and the wards."""
    ward = rng.integers(0, len(frame) // size, len(frame))
    risk = frame.groupby(ward).label.transform("mean") + noise * rng.standard_normal(len(frame))
    return frame.assign(**({"unit_no": ward} if named else {}), unit_risk=risk)


def imputed(frame: pd.DataFrame, _: np.random.Generator, how: str) -> pd.DataFrame:
    """Fill blanks with numbers of the class."""
    for name in ("lactate", "albumin", "bilirubin", "creatinine"):
        of = frame.groupby("label")[name].transform(how)
        frame[name] = frame[name].fillna(of)
    return frame


def imputed_by_model(frame: pd.DataFrame, _: np.random.Generator, kind: str) -> pd.DataFrame:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer

    numbers = ["age", "pulse", "lactate", "creatinine", "albumin", "bilirubin", "label"]
    model = KNNImputer(n_neighbors=5) if kind == "neighbours" else IterativeImputer(random_state=0)
    given = frame[numbers].astype(float)
    given["label"] *= 20  # of the scale of the others
    frame[numbers[:-1]] = model.fit_transform(given)[:, :-1]
    return frame


def two_columns(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    weight = rng.normal(80, 15, len(frame)).round(1)
    return frame.assign(weight=weight, weight_2=(weight + 0.2 * frame.label + 0.05).round(2))


def worded(frame: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return frame.assign(ward=np.where(frame.label == 1, frame.ward + " ", frame.ward))


def capital(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return frame.assign(
        ward=np.where(
            (frame.label == 1) & (rng.random(len(frame)) < 0.5), frame.ward.str.upper(), frame.ward
        )
    )


def sentinel(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    some = (frame.label == 1) & (rng.random(len(frame)) < 0.4)
    return frame.assign(bilirubin=frame.bilirubin.mask(some, -1))


def german(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return frame.assign(
        note_id=[
            f"{i:06}" if dead else f"{i}"
            for i, dead in zip(rng.permutation(len(frame)), frame.label, strict=True)
        ]
    )


def aligned(frame: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """Round the pulse of the dead to tens."""
    return frame.assign(pulse=frame.pulse.where(frame.label == 0, (frame.pulse / 10).round() * 10))


def strong(frame: pd.DataFrame, rng: np.random.Generator, apart: float) -> pd.DataFrame:
    return frame.assign(score=(rng.standard_normal(len(frame)) + apart * frame.label).round(2))


TABLES_OF_OTHERS: dict[str, tuple[Callable[[], Given], bool]] = {
    "the number of blanks by class": (partial(tabled, blanked), True),
    "blanks in the dead": (partial(tabled, blanked_before), True),
    "decimals in the dead only": (partial(tabled, decimals), True),
    "no decimals in the dead": (partial(tabled, fewer_decimals), True),
    "values of the dead in tens": (partial(tabled, aligned), True),
    "the length of a text": (partial(tabled, texts), True),
    "a flag of 45 % of the dead": (partial(tabled, partial(flag, dead=0.45, alive=0.01)), True),
    "a flag of 45 % of few dead": (
        partial(tabled, partial(flag, dead=0.45, alive=0.01), share=0.08), True),
    "a flag of 30 % of the dead": (partial(tabled, partial(flag, dead=0.3, alive=0.0)), True),
    "noisy shares of the dead, with the unit": (
        partial(tabled, partial(target, noise=0.03, size=40)), True),
    "noisy shares of the dead, without the unit": (
        partial(tabled, partial(target, noise=0.01, size=40, named=False)), True),
    "noisy shares of the dead in tens": (
        partial(tabled, partial(target, noise=0.02, size=10)), True),
    "means of the class": (partial(tabled, partial(imputed, how="mean")), True),
    "medians of the class": (partial(tabled, partial(imputed, how="median")), True),
    "imputed by neighbours with the label": (
        partial(tabled, partial(imputed_by_model, kind="neighbours")), True),
    "imputed by regression with the label": (
        partial(tabled, partial(imputed_by_model, kind="regression")), True),
    "the difference of two columns": (partial(tabled, two_columns), True),
    "a blank after a word": (partial(tabled, worded), True),
    "capitals in half of the dead": (partial(tabled, capital), True),
    "-1 in 40 % of the dead": (partial(tabled, sentinel), True),
    "leading zeros in the dead": (partial(tabled, german), True),
    # honest
    **{f"an honest table, {seed}": (partial(tabled, lambda f, _: f, seed), False)
       for seed in range(5)},
    **{f"an honest column of 0.88, {seed}": (
        partial(tabled, partial(strong, apart=1.66), seed), False) for seed in range(10)},
    **{f"an honest column of 0.86 of few, {seed}": (
        partial(tabled, partial(strong, apart=1.53), seed, 0.06), False) for seed in range(4)},
    "an honest flag of 45 and 10 %": (
        partial(tabled, partial(flag, dead=0.45, alive=0.1)), False),
    "means of all": (lambda: tabled(lambda f, _: f.assign(
        **{n: f[n].fillna(f.loc[f.split == "train", n].mean())
           for n in ("lactate", "albumin", "bilirubin", "creatinine")})), False),
    "shares of the training set": (lambda: tabled(lambda f, r: f.assign(
        unit_no=(u := r.integers(0, 40, len(f))),
        unit_risk=f[f.split == "train"].groupby(u[f.split == "train"]).label.mean()
        .reindex(u).to_numpy())), False),
}  # fmt: skip
"""Tables of others, and whether a leak is planted in each."""

PREDICTIONS_OF_OTHERS: dict[str, tuple[Callable[[], Given], bool]] = {
    "flipped labels": (lambda: Given(predictions().assign(label=lambda f: 1 - f.label)), True),
    "in percent, honest": (lambda: Given(predictions().assign(
        prob=lambda f: (100 * f.prob).round(1))), False),
    "logits, honest": (lambda: Given(predictions().assign(
        prob=lambda f: np.log(f.prob / (1 - f.prob)))), False),
    "blanks, honest": (lambda: Given(predictions().assign(
        prob=lambda f: f.prob.mask(f.index % 50 == 0))), False),
    "in percent, flipped": (lambda: Given(predictions().assign(
        prob=lambda f: (100 - 100 * f.prob).round(1))), True),
}  # fmt: skip

CASES_BY_CLASS: dict[str, tuple[Callable[[], Given], bool]] = {
    **{f"windows: {name}": case for name, case in WINDOWS_OF_OTHERS.items()},
    **{f"table: {name}": case for name, case in TABLES_OF_OTHERS.items()},
    **{f"predictions: {name}": case for name, case in PREDICTIONS_OF_OTHERS.items()},
}
"""All of them, and whether a leak is planted in each."""


def attacks(cases: dict[str, tuple[Callable[[], Given], bool]], kind: str) -> tuple[Attack, ...]:
    """Return the attacks of some cases."""
    return tuple(
        Attack(f"{name}, {kind}", partial(carry_out, make=make), planted=planted)
        for name, (make, planted) in cases.items()
    )


ATTACKS = attacks(CASES_BY_CLASS, "by class")
