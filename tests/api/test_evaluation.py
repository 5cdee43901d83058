"""The evaluation of any classifier, against the numbers of the package's own rooms."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    roc_auc_score,
)

import sequela
from sequela.errors import DataError, MissingGroupsWarning, SettingError
from sequela.evaluation.intervals import metric_interval

pytestmark = pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(30), 4)
Y = np.array(["lived", "died"])[GROUPS % 2]
X = RNG.normal(size=(120, 2)) + (Y == "died")[:, None]
MODEL = LogisticRegression().fit(X, Y)


def test_numbers_and_intervals() -> None:
    found = sequela.evaluate(MODEL, X, Y, groups=GROUPS, seed=4)
    numbers = {row.pop("number"): row for row in found.frame().to_pylist()}
    assert found.predictions.classes == ("died", "lived")
    assert numbers["accuracy"]["value"] == accuracy_score(Y, MODEL.predict(X))
    scored = MODEL.predict_proba(X)[:, 1]
    assert numbers["AUROC of lived"]["value"] == pytest.approx(roc_auc_score(Y == "lived", scored))
    interval = metric_interval("accuracy", found.predictions, np.random.default_rng(4))
    assert (numbers["accuracy"]["low"], numbers["accuracy"]["high"]) == (
        interval.low,
        interval.high,
    )
    assert interval.n_groups == 30
    recall = np.mean(MODEL.predict(X)[Y == "died"] == "died")
    assert numbers["recall of died"] == {"value": recall, "low": None, "high": None}


def test_recordings_are_judged_whole_and_drawn_within_their_class() -> None:
    found = sequela.evaluate(MODEL, X, Y, groups=GROUPS, recordings=True)
    whole = MODEL.predict_proba(X).reshape(30, 4, 2).mean(1).argmax(1)
    numbers = {row["number"]: row["value"] for row in found.frame().to_pylist()}
    assert numbers["accuracy of whole recordings"] == np.mean(MODEL.classes_[whole] == Y[::4])
    assert "within strata" in repr(found)
    with pytest.raises(DataError, match="more than one label"):
        sequela.evaluate(MODEL, X, Y, groups=np.arange(120) % 7, recordings=True)
    alone = sequela.evaluate(MODEL, X, Y)
    assert alone.numbers["groups"] == 120
    assert "whole groups" not in repr(alone)


def test_a_class_without_examples() -> None:
    rows = Y == "died"
    found = sequela.evaluate(MODEL, X[rows], Y[rows], groups=GROUPS[rows])
    assert "recall of lived  not defined" in repr(found)
    assert "AUROC" not in repr(found)
    assert "not defined" in found._repr_html_()


def test_the_event_is_the_class_that_is_named() -> None:
    found = sequela.evaluate(MODEL, X, Y, groups=GROUPS, event="died")
    assert found.predictions.classes == ("lived", "died")
    risk = MODEL.predict_proba(X)[:, 0]
    assert found.numbers["average_precision"] == pytest.approx(
        average_precision_score(Y == "died", risk)
    )
    assert "average precision of died" in repr(found)
    plain = sequela.evaluate(MODEL, X, Y, groups=GROUPS, event="lived")
    assert plain.numbers["accuracy"] == found.numbers["accuracy"]
    assert plain.numbers["per_class_recall"] == found.numbers["per_class_recall"][::-1]
    with pytest.raises(SettingError, match="event = 'fled'"):
        sequela.evaluate(MODEL, X, Y, event="fled")


def test_classes_that_are_not_text() -> None:
    for labels in (GROUPS % 3, (GROUPS % 2).astype(bool)):
        model = LogisticRegression().fit(X, labels)
        found = sequela.evaluate(model, X, labels.tolist())
        assert found.numbers["accuracy"] == accuracy_score(labels, model.predict(X))


def test_a_class_that_training_lacked_is_refused() -> None:
    with pytest.raises(DataError, match=r"y holds \['fled'\]"):
        sequela.evaluate(MODEL, X, np.where(GROUPS == 0, "fled", Y))
    with pytest.raises(DataError, match="group_id has shape"):
        sequela.evaluate(MODEL, X, Y, groups=GROUPS[1:])
    missing = np.where(np.arange(len(Y)) < 2, np.nan, GROUPS)
    with pytest.raises(DataError, match=r"groups is missing in 2 of 120 rows \(the first is row 0"):
        sequela.evaluate(MODEL, X, Y, groups=missing)


def test_an_array_is_not_a_classifier() -> None:
    with pytest.raises(SettingError, match="model is of the type ndarray: expected a fitted class"):
        sequela.evaluate(
            np.full((4, 2), 0.5), np.zeros((4, 1)), np.array([0, 1, 0, 1]), groups=range(4)
        )


def test_what_it_says_of_itself() -> None:
    found = sequela.evaluate(MODEL, X, Y, groups=GROUPS)
    first, accuracy, *_, last = repr(found).splitlines()
    assert first == "120 examples in 30 groups"
    low, high = found.numbers["accuracy_ci"]
    value = found.numbers["accuracy"]
    assert accuracy.split(maxsplit=1) == ["accuracy", f"{value:.3f} ({low:.3f} to {high:.3f})"]
    assert "BCa bootstrap over groups, 2,000 resamples of 30 groups" in last
    page = found._repr_html_()
    assert "120 examples in 30 groups" in page
    assert 'role="img" aria-label="Confusion matrix. died:' in page
    assert found.confusion.rows[0]["true"] == "died"


@pytest.mark.filterwarnings("always::sequela.errors.MissingGroupsWarning")
def test_missing_groups_are_warned_about() -> None:
    with pytest.warns(MissingGroupsWarning, match="intervals are too narrow") as caught:
        sequela.evaluate(MODEL, X, Y)
    assert (len(caught), caught[0].filename) == (1, __file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequela.evaluate(MODEL, X, Y, groups=GROUPS)
        sequela.evaluate(MODEL, X, Y, recordings=True)


def test_tables_for_pandas() -> None:
    found = sequela.evaluate(MODEL, X, Y, groups=GROUPS)
    assert found.to_pandas().equals(found.frame().to_pandas())
    assert found.confusion.frame().to_pandas()["share"].tolist() == [
        row["share"] for row in found.confusion.rows
    ]
