"""Leaks that are planted in somebody's table, windows or predictions are found; clean ones not."""

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from benchmarks.attacks.by_class import CASES_BY_CLASS
from benchmarks.attacks.foreign import (
    LABS,
    PLANTED,
    ROWS,
    VISITS,
    by_rows,
    calibrated,
    cut,
    dated,
    halves,
    leaving_itself_out,
    noisy,
    predictions,
    table,
    windows,
)
from sklearn import datasets
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

import sequela
from sequela.errors import SequelaError
from sequela.report.pages.audit_page import Audit

FEW = 400
"""Rows that are enough where the form of the data is tested, not what is found in them."""
with_all_trees = mock.patch("sequela.analysis.foreign_checks._TREES", 30)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees measure the effect of a finding, where the test does not judge it."""
    monkeypatch.setattr("sequela.analysis.foreign_checks._TREES", 2)


def checks(*inputs: Any, **options: Any) -> list[str]:
    """Return the names of the checks with findings."""
    return [finding["check"] for finding in sequela.audit(*inputs, **options).findings]


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    plant, expected = PLANTED[name]
    assert checks(plant(table())) == expected


@with_all_trees
def test_the_effect_is_measured() -> None:
    (shared,) = sequela.audit(by_rows(table())).findings
    assert shared["effect"]["auroc"] > shared["effect"]["without"]
    (column,) = sequela.audit(table().assign(lactate=noisy(table(), 0.4))).findings
    assert column["effect"]["auroc"] - column["effect"]["without"] > 0.1
    assert 0 < column["effect"]["low"] < column["effect"]["high"]


@with_all_trees
def test_few_patients_in_both_parts_have_a_small_effect() -> None:
    """All patients but some are whole in the split, and so in the measurement."""
    rng, frame = np.random.default_rng(0), table()
    trait = rng.standard_normal((ROWS // VISITS, 3))[np.arange(ROWS) // VISITS]  # of each patient
    trait += rng.normal(scale=0.01, size=trait.shape)
    frame = frame.assign(**{f"trait {i}": trait[:, i] for i in range(3)})
    divided = by_rows(frame)
    some = frame.groupby("patient_id").head(1).index[:20]
    frame.loc[some, "split"] = np.where(frame.loc[some, "split"] == "test", "train", "test")
    effects = []
    for examples in (frame, divided):
        (finding,) = sequela.audit(examples).findings
        assert finding["code"] == "SQ001"
        effects.append(finding["effect"])
    few, all_ = effects
    assert few["without"] == all_["without"]
    assert abs(few["auroc"] - few["without"]) < (all_["auroc"] - all_["without"]) / 3


@pytest.mark.slow(but="wine")
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_data_of_scikit_learn_are_clean(name: str) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    groups = np.arange(len(frame)) // 2 if name != "iris" else np.arange(len(frame))
    assert checks(frame, groups=groups, splits=GroupKFold(5)) == []


@pytest.mark.slow(but="two columns")
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


@pytest.mark.slow
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


def test_a_recording_with_two_ids() -> None:
    """Its pieces go on in each other; windows that begin and end alike in everybody do not."""
    given = halves()
    assert checks(given.data, **given.options) == ["recordings that go on"]
    x, y, recording = windows(128, recordings=40)
    apart = {"y": y, "groups": recording, "splits": GroupKFold(5)}
    assert checks(x, **apart) == []
    beats = np.sin(2 * np.pi * 4 * np.arange(128) / 128) * 20
    assert checks(x * 0.1 + beats, **apart) == []


def test_the_share_of_deaths_among_the_others() -> None:
    frame = leaving_itself_out(table())
    (computed,) = sequela.audit(frame).findings
    assert (computed["check"], computed["where"]) == (
        "numbers computed from the labels",
        "ward_risk",
    )
    train = frame[frame.split == "train"].groupby("ward").label.mean()
    assert checks(frame.assign(ward_risk=frame.ward.map(train))) == []


def test_numbers_of_patients_that_begin_again_in_each_part() -> None:
    frame = table().drop_duplicates("patient_id")
    one, other = (frame[frame.split == part] for part in ("train", "test"))
    numbered = (each.assign(patient_id=range(len(each))) for each in (one, other))
    again = pd.concat(numbered, ignore_index=True)
    (found,) = sequela.audit(again).findings
    assert (found["check"], found["severity"]) == ("ids in two parts", "suspicion")
    later = other.assign(split="train", lab0=other.lab0 + 1)
    twice = pd.concat([later, other], ignore_index=True)
    assert "overlapping groups" in checks(twice)
    assert "overlapping groups" in checks(again[["patient_id", "label", "split", "lab0"]])


def test_windows_scaled_by_all_windows() -> None:
    for of, expected in (("all", ["fitted on all rows"]), ("training", [])):
        given = cut(128, of, grouped=True)
        assert checks(given.data, **given.options) == expected


def test_predictions_calibrated_on_the_test_set() -> None:
    assert checks(calibrated("test")) == ["numbers computed from the labels"]
    assert checks(calibrated("train")) == []


def test_years_are_in_one_part() -> None:
    frame = table().assign(year=lambda f: 2014 + (f.split == "test"))
    assert checks(frame, time="year") == []
    train = frame.index[frame.split == "train"][:20]
    frame.loc[train, "year"] = 2015
    assert checks(frame, time="year") == ["training rows of a later time"]


def test_times_of_events_are_no_outcomes() -> None:
    assert checks(dated(table(), "event_time", 0)) == []
    frame = dated(table(), "event_time", -48)
    assert checks(frame) == ["times after the prediction"]


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


@pytest.mark.parametrize("name", [
    "windows: low-pass of 40 Hz in one class", "windows: samples repeated in one class",
    "windows: copies, reversed in time", "windows: a larger amplitude in one class, whole µV",
    "table: the number of blanks by class", "table: decimals in the dead only",
    "table: the length of a text", "table: a flag of 45 % of few dead",
    "table: noisy shares of the dead, with the unit", "table: means of the class",
    "table: imputed by neighbours with the label", "table: the difference of two columns",
    "table: capitals in half of the dead", "table: an honest table, 0",
    "table: an honest column of 0.88, 3", "table: shares of the training set",
    "predictions: flipped labels", "predictions: in percent, honest", "predictions: logits, honest",
    "predictions: blanks, honest",
    *(pytest.param(f"windows: {name}", marks=pytest.mark.slow) for name in (
        "zeros at the end in one class", "a trigger in one class",
        "copies, band-passed and inverted", "spikes and waves in one class")),
])  # fmt: skip
def test_traces_of_one_class(name: str) -> None:
    make, planted = CASES_BY_CLASS[name]
    given = make()
    assert bool(checks(given.data, **given.options)) == planted


def test_a_strong_column_says_how_rare_an_honest_one_is() -> None:
    (column,) = sequela.audit(table().assign(lactate=noisy(table(), 0.4))).findings
    assert "an honest measurement is as strong in about 1 of " in column["what"]
    assert "(with 13 columns: 0.03 %)" in column["what"]


GERMAN = {"patient_id": "PatNr", "label": "verstorben", "split": "Teilmenge", "lab0": "Größe"}


def test_a_german_file_is_read_as_train_reads_it(tmp_path: Path) -> None:
    frame = by_rows(table()).head(FEW).rename(columns=GERMAN)
    frame["verstorben"] = np.where(frame.verstorben == 1, "ja", "nein")
    frame["PatNr"] = frame.PatNr.astype(str).where(
        frame.index % 2 == 0, "0" + frame.PatNr.astype(str)
    )
    frame.to_csv(tmp_path / "de.csv", sep=";", decimal=",", index=False, encoding="cp1252")
    audited = sequela.audit(tmp_path / "de.csv")
    assert [each["evidence"]["shared"] for each in audited.findings] == [67]
    roles = "400 rows: split: Teilmenge; label: verstorben; patient: PatNr; 12 other columns"
    assert audited.head == [f"de.csv: {roles}"]
    assert "not checked: 100 ids of 'PatNr' are written in several ways" in audited.foot[1]


@pytest.mark.parametrize("name", ["N° de dossier", "id_paciente", "ID paziente", "Patienten-ID"])
def test_ids_in_five_languages(name: str) -> None:
    frame = by_rows(table()).head(FEW // 4).rename(columns={"patient_id": name})
    assert "overlapping groups" in checks(frame)


def test_the_order_of_the_classes_is_that_of_the_event() -> None:
    frame = predictions().assign(label=lambda f: np.where(f.label == 1, "dead", "survived"))
    assert checks(frame) == []


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


@pytest.mark.slow
def test_the_forms_of_a_table(tmp_path: Path) -> None:
    frame = by_rows(table()).head(FEW)
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    for part in ("train", "test"):
        frame[frame.split == part].drop(columns="split").to_csv(tmp_path / f"X_{part}.csv")
    frame[["patient_id", *LABS]].assign(row_id=range(FEW)).to_csv(tmp_path / "x.csv")
    frame[["label"]].assign(row_id=range(FEW))[::-1].to_csv(tmp_path / "y.csv", index=False)
    frame[["split"]].assign(row_id=range(FEW))[::-1].to_csv(tmp_path / "s.csv", index=False)
    x, parts = frame[LABS].to_numpy(), frame.split.to_numpy(str)
    np.savez(tmp_path / "arrays.npz", X=x, y=frame.label, patient=frame.patient_id, split=parts)
    apart = [np.flatnonzero(parts == part) for part in ("train", "test")]
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
        assert found["evidence"] == {"shared": 67, "found": 99, "all": 99}


def test_other_forms(tmp_path: Path) -> None:
    frame = by_rows(table()).head(FEW)
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


@pytest.mark.slow  # what another package holds; its arrays are those of test_other_forms
def test_epochs_of_mne() -> None:
    mne = pytest.importorskip("mne")
    x, y, recording = windows(64)
    epochs = mne.EpochsArray(x * 1e-6, mne.create_info(2, 128.0, "eeg"), verbose="error")
    apart = {"groups": recording, "splits": KFold(5, shuffle=True, random_state=0)}
    assert checks(epochs, y=y, **apart) == ["overlapping groups", "overlapping windows"]


def test_the_result_has_no_identifiers(tmp_path: Path) -> None:
    frame, page = by_rows(table()).head(FEW), tmp_path / "a.html"
    frame = frame.assign(mrn=[f"KLX{i:05}" for i in range(FEW)])
    audited = sequela.audit(frame, page=page)
    assert isinstance(audited, Audit)
    shown = page.read_text("utf-8") + json.dumps(audited.to_dict()) + audited._repr_html_()
    assert "KLX" not in shown
    assert "10000" not in shown
    assert audited.to_pandas().check.tolist() == ["overlapping groups"]
    keys = "schema summary status inputs checks not_checked unchecked findings"
    assert [*audited.to_dict()] == keys.split()


def texts_of(path: Path, *inputs: Any, **options: Any) -> dict[str, str]:
    """Write the page of an audit; return the texts of its heading, header and sentence to cite."""
    sequela.audit(*inputs, page=path, **options)
    texts = {}
    for name, start, end in (
        ("heading", "<h1>", "</h1>"),
        ("header", "<header", "</header>"),
        ("sentence", '<p class="paste">', "</p>"),
        ("all", "<main>", "</main>"),
    ):
        part = path.read_text("utf-8").split(start)[1].split(end)[0]
        texts[name] = " ".join(re.sub("<[^>]+>", " ", part).split())
    return texts


def test_a_page_begins_with_the_answer(tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    leak = texts_of(page, by_rows(table()).head(FEW))
    assert re.match(r"Leak: \d+ patients are in both parts, with \d+ of ", leak["heading"])
    assert "What to do: split by patient." in leak["header"]
    assert "Not checked: times after the prediction." in leak["header"]
    assert leak["sentence"].endswith("without it. Not checked: times after the prediction.")
    assert "The audit found 1 leak: " in leak["sentence"]
    clean = texts_of(page, table().head(FEW))
    assert re.fullmatch(r"No leak found by 1\d checks", clean["heading"])
    assert "That does not prove that there is none" in clean["header"]
    assert "which does not prove that there is none. Not checked:" in clean["sentence"]
    suspicious = texts_of(page, table().assign(lactate=noisy(table(), 0.4)))
    assert suspicious["heading"] == "No leak found, 1 suspicion to check"
    assert "1 suspicion must be checked by a person: its values alone" in suspicious["sentence"]
    left_out = texts_of(page, by_rows(table()).head(FEW), ignore=["SQ001"])
    assert left_out["heading"].startswith("No leak found by ")
    assert "SQ001 (overlapping groups)" in left_out["header"]
    assert "SQ001 (overlapping groups)" in left_out["sentence"]


def test_one_patient_is_counted_in_the_singular_and_hidden_on_demand(tmp_path: Path) -> None:
    frame, page = by_rows(table()), tmp_path / "audit.html"
    first = frame.patient_id == frame.patient_id.iloc[0]
    frame["split"] = np.where(frame.patient_id.rank(method="dense") % 4 == 0, "test", "train")
    frame.loc[first, "split"] = ["test", *["train"] * (int(first.sum()) - 1)]
    shown = texts_of(page, frame.head(FEW))
    assert shown["heading"].startswith("Leak: 1 patient is in both parts, with 1 of ")
    assert "Counts below 10 are shown." in shown["all"]
    hidden = texts_of(page, frame.head(FEW), hide_below=10)
    assert hidden["heading"].startswith("Leak: fewer than 10 patients are in both parts")
    assert "Counts below 10 are shown." not in hidden["all"]
    assert "Counts below 10 are shown." not in texts_of(page, table().head(FEW))["all"]


@with_all_trees
def test_an_effect_of_patients_in_two_parts_is_measured_without_copies_of_the_label() -> None:
    frame = by_rows(table()).assign(discharge=lambda f: np.where(f.label == 1, "none", "home"))
    found = {each["check"]: each for each in sequela.audit(frame).findings}
    assert found.keys() == {"overlapping groups", "copies of the label"}
    effect = found["overlapping groups"]["effect"]
    assert 0.6 < effect["without"] < effect["auroc"] < 0.7


def test_what_is_not_looked_for_is_named() -> None:
    few, untimed = table().head(8 * VISITS), "times after the prediction: no time"
    rest = sequela.audit(few).foot[1:]
    assert rest[-1].endswith("what gives the label: a class has fewer than 10 patients")
    assert [untimed in line for line in rest] == [True, False]
    first, *others = sequela.audit(table().drop(columns=["split", "label"])).foot
    assert first == "nothing found in 1 group of checks: copies under several ids"
    assert [each.removeprefix("not checked: ").partition(";")[0] for each in others] == [
        "leaks from one part into another: no split is known",
        "times after the prediction: no time of the prediction is known, name it with --time",
        "what gives the label: no label is known",
    ]
    x, y, recording = windows(128)
    split = [np.flatnonzero(recording % 4 > 0), np.flatnonzero(recording % 4 == 0)]
    lines = sequela.audit(x[:, :1, :40], y=y, splits=split).foot
    assert any("no array of the patient or recording is known" in line for line in lines)
    splits = [(np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS))] * 11
    assert "not checked: splits after the first 10" in sequela.audit(table(), splits=splits).foot


def test_rows_of_index_arrays_are_in_one_part() -> None:
    splits = [np.arange(ROWS // 2 + 1), np.arange(ROWS // 2, ROWS)]
    (found,) = sequela.audit(table()[LABS], splits=splits).findings
    assert (found["check"], found["remedy"]) == ("rows in two parts", "give each row one part")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (table(), {"label": "lable"}, "unknown column 'lable': did you mean 'label'?"),
        (table()[:0], {}, "the table has no rows"),
        (table(), {"label": "lab0"}, "the label 'lab0': different values: 2000"),
        (table(), {"y": [0, 1]}, "label: 2 rows for 2000 rows of the data"),
        (table(), {"predictions": "x.csv"}, "x.csv is not there"),
        (table(), {"predictions": pd.DataFrame({"a": range(ROWS)})}, "no probabilities"),
        (table(), {"predictions": np.full(ROWS, 2.0)}, "probability has 2 to 2, blank rows: 0"),
        (table(), {"splits": [[0, 1], [5000]]}, "5000"),
        (table()[LABS], {"splits": StratifiedKFold(5)}, "it may need y or groups"),
        (table()[LABS].assign(label=1), {}, "what gives the label: no label is known"),
        (table().head(3)[LABS], {}, "nothing can be checked (3 rows: 12 other columns; "),
        (np.zeros((2, 2, 2, 2)), {}, "expected a DataFrame"),
        (np.float64(3), {}, "3.0 is one value; expected a table or an array"),
    ],
)
def test_what_cannot_be_audited_is_refused(given: Any, options: Any, message: str) -> None:
    with pytest.raises(SequelaError, match=re.escape(message)):
        sequela.audit(given, **options)
