"""Numbers of a recipe: means over models, joint resamples, and what training adds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError, SplitError
from sequela.evaluation import metrics, recipe, statistic
from sequela.evaluation.intervals import Bootstrap, interval
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Place, Predictions
from sequela.evaluation.recipe import (
    COUPLED,
    COUPLED_APART,
    Design,
    Judged,
    RecipeNumber,
    Variance,
    _most_degrees,
    across_folds,
    difference_across_folds,
    metric_across_folds,
)

QUICK = Bootstrap(resamples=300, classes_fixed=True)
N_GROUPS, EACH, FOLDS = 60, 3, 5


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def judge(groups: NDArray[np.int64], draw: np.random.Generator, shift: float = 0.0) -> Predictions:
    """What a model of its own says of some groups, every other one of class 1."""
    group = np.repeat(groups, EACH)
    label = group % 2
    own = np.random.default_rng(5).normal(size=N_GROUPS)[group]
    risk = 1 / (1 + np.exp(-(own + 2 * label - 1 + shift + draw.normal(size=len(group)))))
    ids = np.char.mod("%03d", np.arange(len(group)) + 1_000 * groups[0])
    return replace(two_classes(risk, label, group), example_id=ids)


def validated(
    *, repeats: int = 1, seeds: int = 1, tuning: bool = False, shift: float = 0.0, seed: int = 0
) -> list[Judged]:
    """Five folds, each with models of their own; ``shift`` moves the probabilities of one fold."""
    draw = np.random.default_rng(seed)
    found = []
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(N_GROUPS // 2) % FOLDS
        fold = np.repeat(fold, 2)
        for each in range(FOLDS):
            held_out = np.flatnonzero(fold == each)
            aside = np.flatnonzero(fold == (each + 1) % FOLDS)
            for which in range(seeds):
                said = judge(held_out, draw, shift * (each == 0))
                place = Place(repeat, each, which)
                looked = judge(aside, draw) if tuning else None
                found.append(Judged(said, place, looked))
    return found


def found_in(judged: list[Judged], name: str = "accuracy") -> RecipeNumber:
    return metric_across_folds(name, judged, rng(), QUICK)


def variance_of(judged: list[Judged]) -> Variance:
    found = found_in(judged).variance
    assert found
    return found


def width(number: RecipeNumber) -> float:
    assert number.interval
    return number.interval.high - number.interval.low


@pytest.mark.parametrize("name", ["accuracy", "auroc", "log_loss", "recording_accuracy"])
def test_the_number_is_the_mean_over_models_and_never_pooled(name: str) -> None:
    judged = validated(repeats=2, seeds=2, shift=3.0)
    found = found_in(judged, name)
    values = [metrics.named(name).value(one.held_out) for one in judged]
    assert found.value == pytest.approx(np.mean(values))
    assert found.n_models == 20
    assert found.interval
    assert found.interval.low < found.value < found.interval.high
    assert found.interval.n_groups == N_GROUPS
    assert found.interval.method.endswith("(2 repeats, 5 folds, 2 seeds)")


def test_one_model_has_the_interval_of_one_model() -> None:
    predictions = judge(np.arange(N_GROUPS), rng())
    plain = interval(
        statistic_of("accuracy", predictions), rng(), replace(QUICK, method="percentile")
    )
    design = Design.of([Judged(predictions, Place(0, 0, 0))])
    how = replace(QUICK, method="percentile")
    (found,) = across_folds([statistic_of("accuracy", predictions)], rng(), how, design)
    assert found.interval
    # A chance is spread on the logit scale, by 1 where training adds nothing.
    assert found.interval.low == pytest.approx(plain.low, abs=0.01)
    assert found.interval.high == pytest.approx(plain.high, abs=0.01)


def stable() -> list[Judged]:
    """Folds whose tuning parts are said to be just what another fold said of the same groups."""
    judged = validated()
    return [replace(j, tuning=judged[(j.place.fold + 1) % FOLDS].held_out) for j in judged]


def plain_variance(judged: list[Judged]) -> tuple[float, float]:
    """By loops: of the groups within fold and class, and what folds differ by beyond that."""
    accuracies, within = [], []
    for one in judged:
        said = one.held_out
        hit = said.predicted == said.label
        groups = np.unique(said.group_id).tolist()
        variance = 0.0
        for label in (0, 1):
            some = [hit[said.group_id == g].mean() for g in groups if int(g[1:]) % 2 == label]
            variance += (len(some) / len(groups)) ** 2 * np.var(some, ddof=1) / len(some)
        accuracies.append(hit.mean())
        within.append(variance)
    beyond = max(0.0, np.var(accuracies, ddof=1) - np.mean(within))
    return float(sum(within) / FOLDS**2), float(beyond / FOLDS)


def test_the_variance_is_of_groups_within_fold_and_class_and_of_folds_beyond() -> None:
    """Models that agree on every group leave nothing that swings, and so nothing coupled."""
    judged = stable()
    found = metric_across_folds("accuracy", judged, rng(), replace(QUICK, resamples=5_000))
    assert found.variance
    assert found.variance.total == pytest.approx(sum(plain_variance(judged)), rel=0.05)


def test_what_lasts_when_models_are_trained_again_is_coupled() -> None:
    """Less than of folds without tuning parts, which are judged below."""
    judged = validated(tuning=True)
    of_groups, of_folds = plain_variance(judged)
    found = variance_of(judged)
    assert of_groups < found.total < 1.1 * (of_groups + max(COUPLED * of_groups, of_folds))


def test_differences_and_repeats_are_coupled_less() -> None:
    """Without tuning parts, so that all of the group variance is taken for lasting."""
    judged = validated()
    design = Design.of(judged)
    statistics = [statistic_of("accuracy", one.held_out) for one in judged]
    of_groups, of_folds = plain_variance(judged)
    found = across_folds(statistics, rng(), QUICK, replace(design, paired=True))[0].variance
    assert found
    expected = of_groups + max(COUPLED_APART * of_groups, of_folds)
    assert found.total == pytest.approx(expected, rel=0.15)
    once = variance_of([each for each in validated(repeats=2) if not each.place.repeat])
    assert variance_of(validated(repeats=2)).total < once.total


def test_a_fold_that_failed_widens_the_interval() -> None:
    failed, usual = found_in(validated(shift=-8.0)), found_in(validated())
    assert width(failed) > width(usual)
    of_groups, of_folds = plain_variance(validated(shift=-8.0))
    assert of_folds > 2 * of_groups
    assert failed.variance
    assert failed.variance.total == pytest.approx(of_groups + of_folds, rel=0.1)


def test_seeds_of_a_split_vary_the_mean_less_the_more_there_are() -> None:
    few, many = (variance_of(validated(seeds=n)) for n in (2, 8))
    assert few.seed
    assert many.seed
    assert many.seed < few.seed
    assert few.split is None
    assert many.total == pytest.approx(many.data + many.seed)


def test_repeats_tell_the_split_apart() -> None:
    found = variance_of(validated(repeats=3))
    assert found.seed is None
    means = [
        np.mean([metrics.accuracy(j.held_out) for j in validated(repeats=3) if j.place[0] == r])
        for r in range(3)
    ]
    assert found.split == pytest.approx(np.var(means, ddof=1) / 3)


def test_tuning_parts_count_only_where_all_are_known() -> None:
    judged = validated(tuning=True)
    one_lost = [replace(judged[0], tuning=None), *judged[1:]]
    assert len(Design.of(judged).tuning) == FOLDS
    assert Design.of(one_lost).tuning == ()


def dealt(n_groups: int, folds: int, repeats: int) -> Design:
    """Groups of two strata in turn, dealt to folds one after the other."""
    fold = np.arange(n_groups) // 2 % folds
    members = tuple(np.flatnonzero(fold == each) for each in range(folds)) * repeats
    places = [Place(again, each, 0) for again in range(repeats) for each in range(folds)]
    return Design(members, tuple(places), np.arange(n_groups) % 2)


def test_a_mean_of_each_fold_and_stratum_takes_a_degree_of_freedom() -> None:
    many, few = dealt(60, 5, 2), dealt(6, 2, 2)
    assert many.cells()[1] == pytest.approx((60 - 2) / (60 - 2 * 5))
    assert few.cells()[1] == pytest.approx((6 - 2) / (6 / 2))  # no less than half of the groups
    assert [_most_degrees(each) for each in (many, few)] == [60 - 2 * 5, 6 / 2]
    assert dealt(60, 5, 1).cells()[1] == 1.0


def test_training_has_a_degree_of_freedom_less_than_splits_or_else_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def degrees(_: float, __: float, ___: float, of_training: int) -> float:
        asked.append(of_training)
        return 30.0

    monkeypatch.setattr(recipe, "_degrees", degrees)
    found_in(validated(repeats=2, seeds=2))
    found_in([Judged(judge(np.arange(N_GROUPS), rng()), Place(0, 0, seed)) for seed in range(3)])
    assert asked == [2 * FOLDS - 1, 3 - 1]


def test_a_group_is_drawn_for_all_repeats_at_once() -> None:
    """Two repeats that say the same are no more evidence than one."""
    once = validated()
    twice = [*once, *(replace(one, place=one.place._replace(repeat=1)) for one in once)]
    one, two = found_in(once), found_in(twice)
    assert one.value == pytest.approx(two.value)
    assert width(two) > 0.6 * width(one)
    assert variance_of(twice).split == pytest.approx(0)


def test_a_difference_is_paired() -> None:
    one, other = validated(seed=1), validated(seed=2)

    def of(predictions: Predictions) -> statistic.Statistic:
        return statistic_of("accuracy", predictions)

    (same,) = difference_across_folds(one, one, of, rng(), QUICK)
    assert same.value == 0
    assert same.p_value() == 1
    (apart,) = difference_across_folds(one, other, of, rng(), QUICK)
    assert apart.value == pytest.approx(found_in(one).value - found_in(other).value)
    worse = validated(seed=1, shift=-8.0)
    (clear,) = difference_across_folds(one, worse, of, rng(), QUICK)
    assert clear.p_value() < apart.p_value()
    elsewhere = [replace(j, place=other[0].place) for j in other[1:2]]
    with pytest.raises(SplitError):
        difference_across_folds(one, elsewhere, of, rng(), QUICK)
    moved = [replace(j, place=j.place._replace(repeat=1)) for j in other]
    with pytest.raises(DataError, match="share no fold"):
        difference_across_folds(one, moved, of, rng(), QUICK)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([-40.0, 0.0, 40.0]))
def test_a_chance_stays_between_0_and_1(seed: int, shift: float) -> None:
    judged = validated(seed=seed, shift=shift)
    for name in ("accuracy", "auroc"):
        found = metric_across_folds(name, judged, rng(), replace(QUICK, resamples=100))
        assert found.interval
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_where_all_is_right_the_bound_is_exact() -> None:
    group = np.arange(N_GROUPS)
    right = statistic.share(np.ones(12, np.bool_), np.ones(12, np.bool_), group[:12])
    (found,) = across_folds([right] * FOLDS, rng(), QUICK, dealt(N_GROUPS, FOLDS, 1))
    assert found.interval
    assert found.interval.low == pytest.approx(0.025 ** (1 / N_GROUPS))
    assert found.interval.high == 1


def test_a_number_that_a_fold_lacks_is_left_out() -> None:
    judged = validated()
    design = Design.of(judged)
    statistics = [statistic_of("auroc", one.held_out) for one in judged]
    lacking = statistic.Statistic(
        lambda weights: np.full(len(weights), np.nan), statistics[0].n_groups, (0,)
    )
    (found,) = across_folds([lacking, *statistics[1:]], rng(), QUICK, design)
    assert found.n_models == FOLDS - 1
    assert found.value == pytest.approx(
        np.mean([metrics.auroc(one.held_out) for one in judged[1:]])
    )
    (none,) = across_folds([lacking] * FOLDS, rng(), QUICK, design)
    assert none.interval is None
    with pytest.raises(DataError, match="no p-value"):
        none.p_value()
    with pytest.raises(DataError, match="no models"):
        across_folds([], rng(), QUICK, design)


def test_a_value_far_from_all_resamples_has_a_p_value_of_its_own() -> None:
    """Not that of the most extreme resample, which many comparisons would make large."""
    found = found_in(validated())
    assert found.distribution is not None
    spread = float(found.distribution.values.std())
    p_values = [found.p_value(found.value - times * spread) for times in (1, 2, 5, 10, 20)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[2] < 0.01
    assert p_values[4] < 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_folds_that_are_more_alike_than_chance_take_nothing_away(seed: int) -> None:
    judged = validated(seed=seed)
    of_groups, of_folds = plain_variance(judged)
    found = metric_across_folds("accuracy", judged, rng(), replace(QUICK, resamples=3_000))
    assert found.variance
    expected = of_groups + max(COUPLED * of_groups, of_folds)
    assert found.variance.total == pytest.approx(expected, rel=0.08)


def test_among_the_resamples_their_tail_is_the_p_value() -> None:
    """Student's t is for what none of them reached: it must not make the usual one smaller."""
    found = found_in(validated())
    assert found.distribution is not None
    for null in np.quantile(found.distribution.values, [0.0, 0.02, 0.3, 0.9, 1.0]).tolist():
        assert found.p_value(null) == found.distribution.p_value(null)
