from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError, SettingError, SplitError
from sequela.evaluation import conformal
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]


def tuning(made: Predictions) -> Predictions:
    return replace(made, split=np.full(made.n_examples, "tuning"))


def test_scores_by_hand(make_predictions: Make) -> None:
    made = make_predictions(classes=3, groups=1, per_group=1)
    made = replace(made, probabilities=np.array([[0.25, 0.5, 0.25]], dtype=np.float32))
    assert conformal.Conformal(0.9, 0.6).sets(made).tolist() == [[False, True, False]]
    assert conformal.Conformal(0.9, 0.75).sets(made).tolist() == [[True, True, True]]
    assert conformal.Conformal(0.9, 0.4).sets(made).sum() == 0


@given(st.integers(1, 40), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_with_one_example_a_group_it_is_the_ranked_score(
    count: int, promised: float, seed: int
) -> None:
    score = np.random.default_rng(seed).integers(1, 16, size=count) / 16
    made = two_classes(score.astype(np.float32), np.zeros(count), split="tuning")
    rule = conformal.fit_conformal(made, promised)
    rank = int(np.ceil(promised * (count + 1) - 1e-9))
    expected = np.sort(score)[rank - 1] if rank <= count else np.inf
    assert rule.cutoff == pytest.approx(expected)


@pytest.mark.parametrize("per_group", [1, 6])
def test_the_promise_is_kept_for_new_groups(make_predictions: Make, per_group: int) -> None:
    covered = []
    for seed in range(150):
        made = make_predictions(groups=49, per_group=per_group, classes=4, seed=seed)
        new = make_predictions(groups=30, per_group=per_group, classes=4, seed=10_000 + seed)
        sets = conformal.fit_conformal(tuning(made), 0.8).sets(new)
        covered.append(sets[np.arange(new.n_examples), new.label].mean())
    error = np.std(covered) / np.sqrt(len(covered))
    assert 0.8 - 3 * error < np.mean(covered) < 0.8 + 1 / 50 + 3 * error


def test_with_too_few_groups_all_classes_are_in_the_set(make_predictions: Make) -> None:
    made = make_predictions(groups=4, per_group=200, classes=3)
    rule = conformal.fit_conformal(tuning(made), 0.9)
    assert rule.cutoff == np.inf
    assert rule.sets(made).all()
    assert conformal.fit_conformal(tuning(made), 0.75).cutoff < 1


def test_coverage_is_checked_group_by_group(make_predictions: Make) -> None:
    made = make_predictions(groups=40, per_group=5, classes=3)
    made = made.where(np.arange(made.n_examples) % 7 < 5)
    rule = conformal.fit_conformal(tuning(made), 0.7)
    found = conformal.check_coverage(rule, made, np.random.default_rng(0), Bootstrap(resamples=200))
    sets = rule.sets(made)
    holds = np.array([row[label] for row, label in zip(sets, made.label, strict=True)])
    groups = [holds[made.group_id == one].mean() for one in np.unique(made.group_id)]
    assert found.coverage.value == pytest.approx(np.mean(groups))
    assert found.mean_size.value == pytest.approx(sets.sum() / len(sets))
    for index, one in enumerate(found.of_class):
        assert one.value == pytest.approx(holds[made.label == index].mean())
    assert found.kept
    assert found.coverage.interval is not None


def test_a_broken_promise_is_found(make_predictions: Make) -> None:
    made = make_predictions(groups=40, classes=3)
    rule = conformal.fit_conformal(tuning(made), 0.9)
    other = replace(made, label=(made.label + 1) % 3)
    rng = np.random.default_rng(0)
    assert not conformal.check_coverage(rule, other, rng, Bootstrap(resamples=200)).kept


def test_what_cannot_be_promised_is_refused(make_predictions: Make) -> None:
    made = make_predictions()
    with pytest.raises(SplitError, match="for the test set"):
        conformal.fit_conformal(made)
    with pytest.raises(SettingError, match="promised coverage is 90"):
        conformal.fit_conformal(tuning(made), 90)
    rule = conformal.fit_conformal(tuning(made))
    with pytest.raises(DataError, match="empty"):
        conformal.check_coverage(rule, made.part("train"), np.random.default_rng(0))
