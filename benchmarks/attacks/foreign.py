"""Attacks on data of others: a table, windows or predictions, as somebody hands them over."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench, said
from sklearn import datasets
from sklearn.model_selection import GroupKFold, KFold

import sequela
from sequela.errors import SequelaError

LABS = [f"lab{i}" for i in range(12)]
ROWS, VISITS = 2000, 4
Plant = Callable[[pd.DataFrame], pd.DataFrame]


def table() -> pd.DataFrame:
    """Make rows of patients with weak laboratory values, split by patient."""
    rng = np.random.default_rng(0)
    patient = np.arange(ROWS) // VISITS
    patients = patient.max() + 1
    label = (rng.random(patients) < 0.3).astype(int)[patient]
    values = rng.standard_normal((ROWS, len(LABS))) + rng.standard_normal((patients, 1))[patient]
    values[:, :3] += 0.6 * label[:, None]
    frame = pd.DataFrame(values * 3 + 50, columns=LABS)
    test = rng.permutation(patients)[patient] < 0.25 * patients
    return frame.assign(
        patient_id=patient + 10**8, label=label, split=np.where(test, "test", "train")
    )


def by_rows(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return frame.assign(split=np.where(rng.random(ROWS) < 0.25, "test", "train"))


def copied(frame: pd.DataFrame, noise: float = 0) -> pd.DataFrame:
    rng, (test, train) = (
        np.random.default_rng(1),
        (np.flatnonzero(frame.split == part)[:40] for part in ("test", "train")),
    )
    changed = frame.copy()
    changed.loc[test, LABS] = frame.loc[train, LABS].to_numpy() + noise * rng.standard_normal(
        (40, 12)
    )
    return changed


def rescaled(frame: pd.DataFrame, of: Any, digits: int = 9) -> pd.DataFrame:
    known = frame.loc[of, LABS]
    return frame.assign(**((frame[LABS] - known.mean()) / known.std()).round(digits))


def ranged(frame: pd.DataFrame, of: Any) -> pd.DataFrame:
    low, high = frame.loc[of, LABS].min(), frame.loc[of, LABS].max()
    return frame.assign(**((frame[LABS] - low) / (high - low)))


def imputed(frame: pd.DataFrame, of: Any, how: str) -> pd.DataFrame:
    holes = frame[LABS].mask(np.random.default_rng(1).random((ROWS, len(LABS))) < 0.1)
    return frame.assign(**holes.fillna(getattr(holes.loc[of], how)()))


def encoded(frame: pd.DataFrame, of: Any) -> pd.DataFrame:
    hospital = np.random.default_rng(1).integers(0, 30, ROWS)
    means = frame.loc[of].groupby(hospital[frame.loc[of].index]).label.mean()
    return frame.assign(hospital=means.reindex(hospital).to_numpy())


def oversampled(frame: pd.DataFrame, of: Any) -> pd.DataFrame:
    """Add mixtures of neighbours of the rare class, and split them at random unless of training."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    rare = frame.loc[of].query("label == 1")
    near = NearestNeighbors(n_neighbors=6).fit(rare[LABS]).kneighbors(rare[LABS])[1][:, 1:]
    one = rng.integers(0, len(rare), 600)
    other = near[one, rng.integers(0, 5, 600)]
    values = rare[LABS].to_numpy()
    made = values[one] + rng.random((600, 1)) * (values[other] - values[one])
    more = pd.DataFrame(made, columns=LABS).assign(label=1, split="train")
    both = pd.concat([frame.drop(columns="patient_id"), more], ignore_index=True)
    if len(rare) == (frame.label == 1).sum():
        both["split"] = np.where(rng.random(len(both)) < 0.25, "test", "train")
    return both


def noisy(frame: pd.DataFrame, noise: float) -> pd.Series:
    return frame.label + noise * np.random.default_rng(1).standard_normal(ROWS)


def missing(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    asked = (frame.label == 1) | (rng.random(ROWS) < 0.1)
    return frame.assign(drug=np.where(asked, rng.standard_normal(ROWS), np.nan))


def days() -> pd.Series:
    rng = np.random.default_rng(2)
    return pd.Timestamp("2020-01-01") + pd.Series(pd.to_timedelta(rng.integers(0, 900, ROWS), "D"))


def by_time(frame: pd.DataFrame, late: int) -> pd.DataFrame:
    frame = frame.assign(prediction_time=days(), patient_id=np.arange(ROWS))
    frame["split"] = np.where(frame.prediction_time > pd.Timestamp("2021-12-01"), "test", "train")
    frame.loc[frame[frame.split == "test"].index[:late], "split"] = "train"
    return frame


def dated(frame: pd.DataFrame, name: str, hours: int) -> pd.DataFrame:
    frame = frame.assign(prediction_time=days())
    shift = pd.to_timedelta(np.where(np.arange(ROWS) < 50, -hours, hours), "h")
    return frame.assign(**{name: frame.prediction_time + shift})


def spread(frame: pd.DataFrame, codes: int = 60) -> pd.DataFrame:
    """Give each death one of many columns, which hardly anybody else has."""
    place = np.arange(ROWS) // VISITS % codes
    columns = {f"code {c}": (place == c) & (frame.label == 1) for c in range(codes)}
    return pd.concat([frame, pd.DataFrame(columns).astype(int)], axis=1)


def shares_of_twenty(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the share of the outcome among twenty rows, without a split."""
    district = np.random.default_rng(1).permutation(ROWS) // 20
    shares = frame.groupby(district).label.mean().reindex(district).to_numpy()
    return frame.drop(columns="split").assign(district=shares)


def leaving_itself_out(frame: pd.DataFrame) -> pd.DataFrame:
    """Add a ward, and the share of the outcome among its other rows, of all parts."""
    ward = np.random.default_rng(1).integers(0, 100, ROWS)
    rows = frame.groupby(ward).label
    others = (rows.transform("sum") - frame.label) / (rows.transform("size") - 1)
    return frame.assign(ward=ward, ward_risk=others)


def components(frame: pd.DataFrame, of: Any) -> pd.DataFrame:
    """Replace the values by principal components."""
    from sklearn.decomposition import PCA

    made = PCA(8).fit(frame.loc[of, LABS]).transform(frame[LABS])
    return frame.drop(columns=LABS).join(pd.DataFrame(made).add_prefix("pc"))


def quantiles(frame: pd.DataFrame, of: Any) -> pd.DataFrame:
    """Replace the values by their place among the values of some rows."""
    from sklearn.preprocessing import QuantileTransformer

    known = frame.loc[of, LABS]
    fitted = QuantileTransformer(n_quantiles=len(known), subsample=None).fit(known)
    return frame.assign(**dict(zip(LABS, fitted.transform(frame[LABS]).T, strict=True)))


def honest_codes(frame: pd.DataFrame) -> pd.DataFrame:
    """Add sixty rare diagnoses, each of which raises the risk a little."""
    rng = np.random.default_rng(4)
    raised = np.where(frame.label.to_numpy()[:, None] == 1, 0.06, 0.03)
    present = (rng.random((ROWS, 60)) < raised).astype(int)
    return frame.join(pd.DataFrame(present).add_prefix("diagnosis "))


def strong_together(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ten honest values that separate the classes well together."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((ROWS, 10)) + 0.7 * frame.label.to_numpy()[:, None]
    return frame.join(pd.DataFrame(values).add_prefix("score "))


def code_status(frame: pd.DataFrame) -> pd.DataFrame:
    """Add a column whose texts decide the outcome."""
    rare = np.random.default_rng(1).random(ROWS) < np.where(frame.label == 1, 0.3, 0.02)
    return frame.assign(code_status=np.where(rare, "DNR", "Full code"))


def minutes(frame: pd.DataFrame, name: str, late: float) -> pd.DataFrame:
    """Add minutes since the admission, up to a prediction after a day and some minutes later."""
    drawn = np.random.default_rng(1).uniform(0, 1440, ROWS) + late
    if late < 0:  # an outcome, after the prediction for most
        drawn = np.where(frame.label == 1, np.where(drawn < 300, drawn, drawn + 1440), np.nan)
    return frame.assign(index_offset=1440.0, **{name: drawn})


EVERYBODY: Callable[[pd.DataFrame], Any] = lambda frame: frame.index  # noqa: E731
TRAIN: Callable[[pd.DataFrame], Any] = lambda frame: frame.index[frame.split == "train"]  # noqa: E731
PLANTED: dict[str, tuple[Plant, list[str]]] = {
    "nothing": (lambda f: f, []),
    "split by rows": (by_rows, ["overlapping groups"]),
    "rows copied": (copied, ["identical rows"]),
    "rows copied with noise": (lambda f: copied(f, 0.02), ["near-identical rows"]),
    "rows copied, no split": (
        lambda f: copied(f).drop(columns="split"),
        ["copies under several ids"],
    ),
    "scaled": (lambda f: rescaled(f, EVERYBODY(f)), ["fitted on all rows"]),
    "scaled and rounded": (lambda f: rescaled(f, EVERYBODY(f), 4), ["fitted on all rows"]),
    "scaled by training": (lambda f: rescaled(f, TRAIN(f)), []),
    "scaled by training and rounded": (lambda f: rescaled(f, TRAIN(f), 2), []),
    "ranged": (lambda f: ranged(f, EVERYBODY(f)), ["fitted on all rows"]),
    "ranged by training": (lambda f: ranged(f, TRAIN(f)), []),
    "mean": (lambda f: imputed(f, EVERYBODY(f), "mean"), ["fitted on all rows"]),
    "mean of training": (lambda f: imputed(f, TRAIN(f), "mean"), []),
    "median": (lambda f: imputed(f, EVERYBODY(f), "median"), ["fitted on all rows"]),
    "median of training": (lambda f: imputed(f, TRAIN(f), "median"), []),
    "encoded": (lambda f: encoded(f, EVERYBODY(f)), ["fitted on all rows"]),
    "encoded by training": (lambda f: encoded(f, TRAIN(f)), []),
    "oversampled": (
        lambda f: oversampled(f, EVERYBODY(f)),
        ["near-identical rows", "rows made from others"],
    ),
    "oversampled after the split": (lambda f: oversampled(f, TRAIN(f)), []),
    "the label in words": (
        lambda f: f.assign(status=np.where(f.label == 1, "dead", "alive")),
        ["copies of the label"],
    ),
    "a noisy label": (
        lambda f: f.assign(lactate=noisy(f, 0.4)),
        ["columns that reveal the outcome"],
    ),
    "a noisy label twice": (
        lambda f: f.assign(lactate=noisy(f, 0.4), again=noisy(f, 0.4) + 0.01 * f.lab5),
        ["columns that reveal the outcome"],
    ),
    "a strong column": (lambda f: f.assign(lactate=noisy(f, 0.75)), []),
    "missing values": (
        missing,
        ["columns that reveal the outcome", "codes that tell the outcome"],
    ),
    "a row number": (
        lambda f: f.assign(index=np.argsort(np.argsort(noisy(f, 0.2)))),
        ["identifiers that tell the outcome"],
    ),
    "file names": (
        lambda f: f.assign(image_path=np.where(f.label == 1, "a/", "b/") + f.index.astype(str)),
        ["identifiers that tell the outcome"],
    ),
    "by time": (lambda f: by_time(f, 0), []),
    "by time with exceptions": (lambda f: by_time(f, 20), ["training rows of a later time"]),
    "the hour": (
        lambda f: f.assign(prediction_time=days() + pd.to_timedelta(9 - 6 * f.label, "h")),
        ["identifiers that tell the outcome"],
    ),
    "measured before": (lambda f: dated(f, "taken", 0), []),
    "measured after": (lambda f: dated(f, "taken", 2), ["times after the prediction"]),
    "died before": (lambda f: dated(f, "death_time", 48), ["known outcome"]),
    "the deaths spread over 60 columns": (spread, ["inputs that tell the outcome"]),
    "the share of deaths in groups of 20, no split": (
        shares_of_twenty,
        ["numbers computed from the labels"],
    ),
    "principal components of all rows": (
        lambda f: components(f, EVERYBODY(f)),
        ["fitted on all rows"],
    ),
    "quantiles of all rows": (lambda f: quantiles(f, EVERYBODY(f)), ["fitted on all rows"]),
    "principal components of the training rows": (lambda f: components(f, TRAIN(f)), []),
    "quantiles of the training rows": (lambda f: quantiles(f, TRAIN(f)), []),
    "sixty rare diagnoses": (honest_codes, []),
    "ten values that are strong together": (strong_together, []),
    "a code status": (code_status, ["names of the outcome"]),
    "minutes since the admission": (lambda f: minutes(f, "charted_offset", 0), []),
    "minutes after the prediction": (
        lambda f: minutes(f, "charted_offset", 90),
        ["times after the prediction"],
    ),
    "died before, in minutes": (lambda f: minutes(f, "death_offset", -1), ["known outcome"]),
}
"""A change of the table, and the checks that report it."""


def windows(step: int, recordings: int = 20) -> tuple[Any, Any, Any]:
    """Cut smooth signals of recordings into windows of 128 samples."""
    rng, cut = np.random.default_rng(0), []
    for recording in range(recordings):
        signal = np.cumsum(rng.standard_normal((2, 128 * 30)), axis=1)
        starts = range(0, signal.shape[1] - 127, step)
        cut += [(signal[:, start : start + 128], recording) for start in starts]
    x, of = np.stack([each for each, _ in cut]), np.array([recording for _, recording in cut])
    return x.astype(np.float32), of % 2, of


def predictions(strength: float = 1.5) -> pd.DataFrame:
    frame, rng = table(), np.random.default_rng(3)
    chance = 1 / (1 + np.exp(1 - strength * frame.label - rng.standard_normal(ROWS)))
    return pd.DataFrame(
        {"id": range(ROWS), "prob": chance, "label": frame.label, "split": frame.split}
    )


@dataclass(frozen=True)
class Given:
    """What is handed to :func:`sequela.audit`: an input, options, and stated results."""

    data: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, float] = field(default_factory=dict)


def calibrated(part: str) -> pd.DataFrame:
    """Calibrate predictions by isotonic regression on one part."""
    from sklearn.isotonic import IsotonicRegression

    frame = predictions()
    of = frame[frame.split == part]
    fitted = IsotonicRegression(out_of_bounds="clip").fit(of.prob, of.label)
    return frame.assign(prob=fitted.predict(frame.prob))


def stated(part: str | None, auroc: float = 0) -> Given:
    """State the best threshold of one part, and an AUROC that is too high."""
    from sklearn.metrics import roc_auc_score, roc_curve

    frame = predictions()
    test = frame[frame.split == "test"]
    numbers = {"auroc": round(roc_auc_score(test.label, test.prob) + auroc, 3)}
    if part:
        of = frame[frame.split == part]
        fpr, tpr, thresholds = roc_curve(of.label, of.prob)
        numbers["threshold"] = float(thresholds[np.argmax(tpr - fpr)])
    return Given(frame, stated=numbers)


def halves() -> Given:
    """Give the second half of each recording another id, and split by these."""
    x, y, recording = windows(128, recordings=60)
    half = recording * 2 + (np.arange(len(y)) % 30 >= 15)
    part = np.where(half % 2, "test", "train")
    order = np.argsort(half % 2, kind="stable")  # all first halves, then all second ones
    options = {"y": y[order], "groups": half[order], "splits": part[order]}
    return Given(x[order], options)


def cut(step: int, scaled: str = "", *, grouped: bool = False) -> Given:
    """Cut windows; split them at random, or by recording; scale them by some or all windows."""
    x, y, recording = windows(step, recordings=40)
    folds = GroupKFold(5) if grouped else KFold(5, shuffle=True, random_state=0)
    splits = [*folds.split(x, y, recording if grouped else None)][:1]
    if scaled:
        of = x[splits[0][0]] if scaled == "training" else x
        x = (x - of.mean((0, 2), keepdims=True)) / of.std((0, 2), keepdims=True)
    return Given(
        x,
        {"y": y, "groups": recording, "splits": splits} if grouped else {"y": y, "splits": splits},
    )


def apart(change: Callable[[Any, Any], Any]) -> Given:
    x, y, recording = windows(128, recordings=80)
    centred = x - x.mean(2, keepdims=True)
    given = change(centred, y[:, None, None])
    return Given(given, {"y": y, "groups": recording, "splits": GroupKFold(5)})


def of_sklearn(name: str) -> Given:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    groups = np.arange(len(frame)) // 2 if name != "iris" else np.arange(len(frame))
    return Given(frame, {"groups": groups, "splits": GroupKFold(5)})


def made(kind: str, **options: Any) -> Given:
    x, y = getattr(datasets, f"make_{kind}")(900, random_state=0, **options)
    groups = np.arange(900) // 3
    return Given(x, {"y": y, "groups": groups, "splits": [*GroupKFold(5).split(x, y, groups)]})


OTHERS: dict[str, tuple[Callable[[], Given], bool]] = {
    # ideas of the list that the checks were made for
    "windows: of one recording in two parts": (lambda: cut(128), True),
    "windows: half of the samples shared by two parts": (lambda: cut(64), True),
    "windows: an offset tells the class": (lambda: apart(lambda x, y: x + y), True),
    "windows: two halves of one recording under two ids": (halves, True),
    "predictions: an AUROC that they do not give": (lambda: stated(None, 0.01), True),
    "predictions: the threshold is the best of the test set": (lambda: stated("test"), True),
    # not known when the checks were written
    "table: the share of deaths among the others of a ward": (
        lambda: Given(leaving_itself_out(table())), True),
    "windows: scaled by channel with numbers of all windows": (
        lambda: cut(128, "all", grouped=True), True),
    "predictions: calibrated on the test set": (lambda: Given(calibrated("test")), True),
    # honest
    "windows: split by recording": (lambda: cut(128, grouped=True), False),
    "windows: split by recording, scaled by training": (
        lambda: cut(128, "training", grouped=True), False),
    "windows: half of the samples shared within a part": (lambda: cut(64, grouped=True), False),
    "windows: the amplitude tells the class": (
        lambda: apart(lambda x, y: x * (1 + y)), False),
    "predictions: nothing": (lambda: Given(predictions()), False),
    "predictions: the threshold is the best of the training set": (
        lambda: stated("train"), False),
    "predictions: calibrated on the training set": (lambda: Given(calibrated("train")), False),
    **{f"scikit-learn: {name}": (partial(of_sklearn, name), False)
       for name in ("iris", "wine", "breast_cancer")},
    "made: five strong columns": (
        partial(made, "classification", n_features=20, n_informative=5, class_sep=2), False),
    "made: two strong columns": (
        partial(made, "classification", n_features=20, n_informative=2, class_sep=1.5), False),
    "made: blobs": (partial(made, "blobs"), False),
    "made: moons": (partial(made, "moons", noise=0.2), False),
}  # fmt: skip
"""What is handed over, and whether a leak is planted in it."""

CASES: dict[str, tuple[Callable[[], Given], bool]] = {
    **{
        f"table: {name}": (partial(lambda plant: Given(plant(table())), plant), bool(expected))
        for name, (plant, expected) in PLANTED.items()
    },
    **OTHERS,
}
"""All inputs of others, and whether a leak is planted in each."""


def audit(given: Given, work: Path) -> Outcome:
    """Audit what is handed over."""
    results = work / "results.json"
    results.write_text(json.dumps({"test": given.stated}), "utf-8")
    try:
        found = sequela.audit(given.data, *[results] * bool(given.stated), **given.options)
    except SequelaError as error:
        return Outcome("blocked", str(error))
    return said([each[0] if isinstance(each, tuple) else each for each in found.measured])


def carry_out(bench: Bench, *, make: Callable[[], Given]) -> Outcome:
    return audit(make(), bench.work)


ATTACKS = tuple(
    Attack(name, partial(carry_out, make=make), planted=planted)
    for name, (make, planted) in CASES.items()
)
