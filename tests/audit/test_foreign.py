"""Leaks that are planted in somebody's table, windows or predictions are found; clean ones not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from sklearn import datasets
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

import sequela
from sequela.errors import SequelaError
from sequela.report.pages.audit_page import Audit

LABS = [f"lab{i}" for i in range(12)]
ROWS, VISITS = 2000, 4


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


def checks(*inputs: Any, **options: Any) -> list[str]:
    """Return the names of the checks with findings."""
    return [each["check"] for each in sequela.audit(*inputs, **options).findings]


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


EVERYBODY: Callable[[pd.DataFrame], Any] = lambda frame: frame.index  # noqa: E731
TRAIN: Callable[[pd.DataFrame], Any] = lambda frame: frame.index[frame.split == "train"]  # noqa: E731
PLANTED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], list[str]]] = {
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
    "missing values": (missing, ["columns that reveal the outcome"]),
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
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    plant, expected = PLANTED[name]
    assert checks(plant(table())) == expected


def test_the_effect_is_measured() -> None:
    (shared,) = sequela.audit(by_rows(table())).findings
    assert shared["effect"]["auroc"] > shared["effect"]["without"]
    (column,) = sequela.audit(table().assign(lactate=noisy(table(), 0.4))).findings
    assert column["effect"]["auroc"] - column["effect"]["without"] > 0.1
    assert 0 < column["effect"]["low"] < column["effect"]["high"]


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_data_of_scikit_learn_are_clean(name: str) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    groups = np.arange(len(frame)) // 2 if name != "iris" else np.arange(len(frame))
    assert checks(frame, groups=groups, splits=GroupKFold(5)) == []


@pytest.mark.parametrize(
    "made",
    [
        datasets.make_classification(900, 20, n_informative=5, class_sep=2, random_state=0),
        datasets.make_classification(900, 20, n_informative=2, class_sep=1.5, random_state=0),
        datasets.make_blobs(900, random_state=0),
        datasets.make_moons(900, noise=0.2, random_state=0),
    ],
    ids=["five columns", "two columns", "blobs", "moons"],
)
def test_strong_classes_are_clean(made: tuple[Any, Any]) -> None:
    (x, y), groups = made, np.arange(900) // 3
    assert checks(x, y=y, groups=groups, splits=[*GroupKFold(5).split(x, y, groups)]) == []


def test_an_amplitude_is_no_leak_but_an_offset_is() -> None:
    x, y, recording = windows(128, recordings=80)
    apart = {"y": y, "groups": recording, "splits": GroupKFold(5)}
    centred, classes = x - x.mean(2, keepdims=True), y[:, None, None]
    assert checks(centred * (1 + classes), **apart) == []
    assert checks(centred + classes, **apart) == ["columns that reveal the outcome"]


def windows(step: int, recordings: int = 20) -> tuple[Any, Any, Any]:
    """Cut smooth signals of recordings into windows of 128 samples."""
    rng, cut = np.random.default_rng(0), []
    for recording in range(recordings):
        signal = np.cumsum(rng.standard_normal((2, 128 * 30)), axis=1)
        starts = range(0, signal.shape[1] - 127, step)
        cut += [(signal[:, start : start + 128], recording) for start in starts]
    x, of = np.stack([each for each, _ in cut]), np.array([recording for _, recording in cut])
    return x.astype(np.float32), of % 2, of


def test_windows_of_one_recording() -> None:
    by_row = KFold(5, shuffle=True, random_state=0)
    x, y, recording = windows(128)
    grouped = [*GroupKFold(5).split(x, y, recording)]
    assert checks(x, y=y, splits=grouped) == []
    assert checks(x, y=y, splits=by_row) == ["adjacent windows"]
    assert "overlapping groups" in checks(x, y=y, groups=recording, splits=by_row)
    x, y, recording = windows(64)
    assert checks(x, y=y, splits=[*GroupKFold(5).split(x, y, recording)]) == []
    for some in (x, (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True)):
        assert checks(some, y=y, splits=by_row) == ["overlapping windows"]


def predictions(strength: float = 1.5) -> pd.DataFrame:
    frame, rng = table(), np.random.default_rng(3)
    chance = 1 / (1 + np.exp(1 - strength * frame.label - rng.standard_normal(ROWS)))
    return pd.DataFrame(
        {"id": range(ROWS), "prob": chance, "label": frame.label, "split": frame.split}
    )


def test_predictions(tmp_path: Path) -> None:
    clean = predictions()
    assert checks(clean) == []
    assert checks(clean.assign(id=clean.id // 2)) == ["duplicated ids"]
    assert checks(clean.assign(prob=clean.label * 0.8 + clean.prob / 10)) == [
        "predictions without an error"
    ]
    better = clean.prob.where(clean.split == "train", predictions(3).prob)
    assert checks(clean.assign(prob=better)) == ["better on the test set"]
    assert checks(table(), predictions=predictions(4)[["prob"]]) == ["better than the data allow"]


def results(path: Path, **numbers: float) -> Path:
    path.write_text(json.dumps({"test": numbers}), "utf-8")
    return path


def test_results(tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

    frame, path = predictions(), tmp_path / "results.json"
    test, train = (frame[frame.split == part] for part in ("test", "train"))
    auroc = round(roc_auc_score(test.label, test.prob), 3)
    accuracy = round(accuracy_score(test.label, test.prob >= 0.5), 3)
    assert checks(results(path, auroc=auroc, accuracy=accuracy), frame) == []
    wrong = "numbers that the predictions do not give"
    assert checks(results(path, auroc=auroc + 0.01, accuracy=accuracy), frame) == [wrong]
    for part, expected in ((train, []), (test, ["threshold of the test set"])):
        fpr, tpr, thresholds = roc_curve(part.label, part.prob)
        best = float(thresholds[np.argmax(tpr - fpr)])
        assert checks(results(path, threshold=best), frame) == expected


def test_the_forms_of_a_table(tmp_path: Path) -> None:
    frame = by_rows(table())
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    for part in ("train", "test"):
        frame[frame.split == part].drop(columns="split").to_csv(tmp_path / f"X_{part}.csv")
    frame[["patient_id", *LABS]].assign(row_id=range(ROWS)).to_csv(tmp_path / "x.csv")
    frame[["label"]].assign(row_id=range(ROWS))[::-1].to_csv(tmp_path / "y.csv", index=False)
    frame[["split"]].assign(row_id=range(ROWS))[::-1].to_csv(tmp_path / "s.csv", index=False)
    np.savez(
        tmp_path / "arrays.npz",
        X=frame[LABS].to_numpy(),
        y=frame.label,
        patient=frame.patient_id,
        split=frame.split.to_numpy(str),
    )
    apart = [np.flatnonzero(frame.split == part) for part in ("train", "test")]
    x = frame[LABS].to_numpy()
    for audited in (
        sequela.audit(tmp_path / "all.csv"),
        sequela.audit(str(tmp_path / "all.parquet")),
        sequela.audit(pl.from_pandas(frame)),
        sequela.audit(tmp_path / "X_train.csv", tmp_path / "X_test.csv"),
        sequela.audit(tmp_path / "x.csv", y=tmp_path / "y.csv", splits=tmp_path / "s.csv"),
        sequela.audit(tmp_path / "arrays.npz"),
        sequela.audit(x, y=frame.label, groups=frame.patient_id, splits=apart),
        sequela.audit(x, y=frame.label, groups=frame.patient_id, splits=frame.split),
        sequela.audit(x, y=frame.label, groups=frame.patient_id, splits=[apart]),
    ):
        (found,) = audited.findings
        assert found["evidence"] == {"shared": 340, "found": 494, "all": 494}


def test_other_forms(tmp_path: Path) -> None:
    frame = by_rows(table())
    frame.to_csv(tmp_path / "a.csv", sep=";", index=False, na_rep="NA")
    parts = {part: frame[frame.split == part] for part in ("train", "test")}
    arrays = {f"X_{part}": some[LABS].to_numpy() for part, some in parts.items()}
    arrays |= {f"y_{part}": some.label.to_numpy() for part, some in parts.items()}
    arrays |= {f"patient_{part}": some.patient_id.to_numpy() for part, some in parts.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    for name in ("a.csv", "a.npz"):
        assert checks(tmp_path / name) == ["overlapping groups"]
    arrays["y_test"] = arrays["y_test"][1:]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(SequelaError, match="array y of shape"):
        sequela.audit(tmp_path / "b.npz")


def test_epochs_of_mne(tmp_path: Path) -> None:
    mne = pytest.importorskip("mne")
    x, y, recording = windows(64)
    events = np.stack([np.arange(len(y)), np.zeros_like(y), y + 1], axis=1)
    epochs = mne.EpochsArray(
        x * 1e-6,
        mne.create_info(2, 128.0, "eeg"),
        events,
        event_id={"rest": 1, "seizure": 2},
        metadata=pd.DataFrame({"recording": recording}),
        verbose="error",
    )
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    found = checks(tmp_path / "a-epo.fif", splits=KFold(5, shuffle=True, random_state=0))
    assert found == ["overlapping groups", "overlapping windows"]


def test_the_result_has_no_identifiers(tmp_path: Path) -> None:
    frame, page = (
        by_rows(table()).assign(mrn=[f"KLX{i:05}" for i in range(ROWS)]),
        tmp_path / "a.html",
    )
    audited = sequela.audit(frame, page=page)
    assert isinstance(audited, Audit)
    shown = page.read_text("utf-8") + json.dumps(audited.to_dict()) + audited._repr_html_()
    assert "KLX" not in shown
    assert "10000" not in shown
    assert audited.summary in page.read_text("utf-8")
    assert audited.to_pandas().check.tolist() == ["overlapping groups"]
    assert [*audited.to_dict()] == [
        "schema",
        "summary",
        "status",
        "inputs",
        "checks",
        "not_checked",
        "findings",
    ]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f, {"label": "lable"}, "unknown column 'lable': did you mean 'label'?"),
        (lambda f: f[:0], {}, "the table has no rows"),
        (lambda f: f, {"label": "lab0"}, "the label 'lab0': different values: 2000"),
        (lambda f: f, {"y": [0, 1]}, "label: 2 rows for 2000 rows of the data"),
        (lambda f: f, {"predictions": "x.csv"}, "x.csv is not there"),
        (lambda f: f, {"predictions": pd.DataFrame({"a": range(ROWS)})}, "no probabilities"),
        (lambda f: f, {"splits": [[0, 1], [5000]]}, "5000"),
        (lambda _: np.zeros((2, 2, 2, 2)), {}, "expected a DataFrame"),
    ],
)
def test_what_cannot_be_used(change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SequelaError, match=message.replace("?", r"\?")):
        sequela.audit(change(table()), **options)


def test_an_effect_of_patients_in_two_parts_is_measured_without_copies_of_the_label() -> None:
    frame = by_rows(table()).assign(discharge=lambda f: np.where(f.label == 1, "none", "home"))
    found = {each["check"]: each for each in sequela.audit(frame).findings}
    assert found.keys() == {"overlapping groups", "copies of the label"}
    effect = found["overlapping groups"]["effect"]
    assert 0.6 < effect["without"] < effect["auroc"] < 0.7


def test_what_is_not_looked_for_is_named() -> None:
    few = table().head(8 * VISITS)
    assert sequela.audit(few).to_dict()["not_checked"] == [
        "what gives the label: a class has fewer than 10 patients"
    ]
    found = sequela.audit(table().drop(columns=["split", "label"]))
    assert found.foot == [
        "nothing found in 1 group of checks: copies under several ids",
        "not checked: leaks from one part into another: no split is known",
        "not checked: what gives the label: no label is known",
    ]
    splits = [(np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS))] * 11
    assert "not checked: splits after the first 10" in sequela.audit(table(), splits=splits).foot


def test_rows_of_index_arrays_are_in_one_part() -> None:
    splits = [np.arange(ROWS // 2 + 1), np.arange(ROWS // 2, ROWS)]
    (found,) = sequela.audit(table()[LABS], splits=splits).findings
    assert (found["check"], found["remedy"]) == ("rows in two parts", "give each row one part")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.float64(3), {}, "3.0 is one value; expected a table or an array"),
        (table()[LABS].assign(label=1), {}, "what gives the label: no label is known"),
        (table().head(3)[LABS], {}, "nothing can be checked (3 rows: 12 other columns; "),
        (table()[LABS], {"splits": StratifiedKFold(5)}, "it may need y or groups"),
        (table(), {"predictions": np.full(ROWS, 2.0)}, "probability has 2 to 2, blank rows: 0"),
    ],
)
def test_what_cannot_be_audited_is_refused(given: Any, options: Any, message: str) -> None:
    with pytest.raises(SequelaError, match=re.escape(message)):
        sequela.audit(given, **options)
