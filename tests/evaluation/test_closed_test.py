"""The closed test: the level of change for patients whose truth is known."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.special

from sequela.evaluation import metrics
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import (
    INTERCEPT,
    LINE,
    NONE,
    VECTOR,
    Level,
    LogitScaling,
    choose,
    fit,
    p_value,
)
from sequela.sequences.intervals import Intervals


def hospital(
    n: int, seed: int, *, intercept: float = 0.0, slope: float = 1.0, stays: int = 1
) -> Predictions:
    """Patients whose logit is that of the model, but for an intercept and a slope."""
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(-1.5, 1.2, n), stays)
    happened = np.repeat(rng.random(n), stays) < scipy.special.expit(intercept + slope * logits)
    chance = scipy.special.expit(logits)
    return predictions(happened.astype(np.int64), np.stack([1 - chance, chance], 1), stays)


def predictions(label: np.ndarray, chances: np.ndarray, stays: int = 1) -> Predictions:
    ids = np.char.mod("p%05d", np.arange(len(label)) // stays)
    return Predictions(
        example_id=np.char.mod("e%d", np.arange(len(label))),
        group_id=ids,
        subject_id=ids,
        split=np.full(len(label), "tuning"),
        label=label,
        probabilities=chances,
        classes=tuple("abcdef"[: chances.shape[1]]),
    )


@pytest.mark.parametrize(
    ("intercept", "slope", "level"), [(0, 1, NONE), (0.7, 1, INTERCEPT), (0, 0.5, LINE)]
)
def test_the_right_level_is_chosen(intercept: float, slope: float, level: Level) -> None:
    chosen = Counter(
        choose(hospital(600, seed, intercept=intercept, slope=slope)).level for seed in range(40)
    )
    assert chosen[level.name] >= 34


def test_stays_of_one_patient_are_not_independent() -> None:
    made = [hospital(300, seed, stays=5) for seed in range(100)]
    assert sum(p_value(one, NONE, LINE) < 0.05 for one in made) <= 11
    alone = [replace(one, group_id=one.example_id) for one in made]
    assert sum(p_value(one, NONE, LINE) < 0.05 for one in alone) > 40


def test_the_score_test_is_that_of_the_likelihood() -> None:
    made = hospital(4000, 0, intercept=0.12, slope=0.95)
    changed = fit(made, LINE)
    for level, degrees in ((NONE, 2), (INTERCEPT, 1)):
        smaller = fit(made, level).apply(made)
        gain = metrics.log_loss(smaller) - metrics.log_loss(changed.apply(made))
        ratio = scipy.stats.chi2.sf(2 * made.n_examples * gain, degrees)
        assert p_value(made, level, LINE) == pytest.approx(ratio, abs=0.02)


def test_a_change_that_would_reverse_the_ranking_is_left_out() -> None:
    made = hospital(2000, 3, intercept=-1, slope=-0.8)
    assert fit(made, LINE).weight[1] < 0
    choice = choose(made)
    assert choice.reversing == (LINE.name,)
    assert choice.level == INTERCEPT.name
    assert min(choice.scaling.weight) == 1
    assert not choose(hospital(2000, 3, slope=0.5)).reversing


def test_several_classes_have_weights_of_their_own() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3), 20_000)
    truth = LogitScaling((0.5, 1.0, 1.5), (0.0, 0.4, -0.4))
    true_chances = truth.scaled(chances)
    label = (rng.random((20_000, 1)) > np.cumsum(true_chances, axis=1)).sum(axis=1)
    made = predictions(label, chances)
    choice = choose(made)
    assert choice.level == VECTOR.name
    assert choice.scaling.weight == pytest.approx(truth.weight, abs=0.15)
    assert choice.scaling.bias == pytest.approx(truth.bias, abs=0.15)


def test_few_events_leave_the_lower_level() -> None:
    made = hospital(3000, 1, intercept=0.5, slope=0.4)
    few = made.where(
        np.concatenate([np.flatnonzero(made.label)[:15], np.flatnonzero(1 - made.label)])
    )
    choice = choose(few)
    assert (choice.events, choice.needed) == (15, {"intercept and slope": 20})
    assert choice.level == "intercept"
    none = choose(made.where(np.flatnonzero(made.label == 0)))
    assert (none.level, none.events) == ("none", 0)
    assert none.scaling == LogitScaling((1.0, 1.0), (0.0, 0.0))


def test_times_have_a_baseline_risk() -> None:
    """Twice the hazard that was predicted, in each interval, with follow-up that ends."""
    rng = np.random.default_rng(3)
    days, n = Intervals((1.0, 2.0, 3.0)), 3000
    hazard = scipy.special.expit(rng.normal(-2.2, 0.6, n))[:, None, None]
    shares = np.concatenate([1 - hazard, hazard], axis=2).repeat(3, axis=1)
    doubled = np.log(2)
    chances = days.from_hazards(shares)
    true_chances = LogitScaling((1.0, 1.0), (0.0, doubled), days.horizons).scaled(chances)
    label = (rng.random((n, 1)) > np.cumsum(true_chances, axis=1)).sum(axis=1)
    time = np.where(label > 0, label - rng.random(n), 3.5)
    followed = rng.uniform(0.5, 4, n)
    event = ((label > 0) & (time <= followed)).astype(np.int64)
    time = np.minimum(time, followed)
    made = replace(
        predictions(days.label(time, event), chances),
        classes=("none", "1", "2", "3"),
        time=time,
        event=event,
        horizons=days.horizons,
    )
    choice = choose(made)
    assert choice.level == "intercept"
    assert choice.scaling.bias[1] == pytest.approx(doubled, abs=0.15)
    changed = choice.scaling.apply(made)
    assert changed.risk.mean(0) == pytest.approx(days.risk(true_chances).mean(0), abs=0.02)
    assert choose(replace(made, probabilities=true_chances)).level == "none"


def risk(made: Predictions, chance: np.ndarray) -> Predictions:
    return replace(made, probabilities=np.stack([1 - chance, chance], 1))


def test_a_refit_must_be_better_for_patients_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(11)
    made = hospital(2000, 5)
    better = scipy.special.expit(rng.normal(-1.5, 1.5, 2000))
    other = replace(made, label=(rng.random(2000) < better).astype(np.int64))
    assert choose(other, lambda: risk(other, better), 3).level == "refit"
    assert "refit" in choose(other, lambda: risk(other, better), 900).needed
    noisy = scipy.special.expit(
        scipy.special.logit(made.score.astype(float)) + rng.normal(0, 0.2, 2000)
    )
    assert choose(made, lambda: risk(made, noisy), 3).level == "none"
