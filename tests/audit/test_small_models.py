"""Codes and small models that tell the outcome are found; honest ones are not accused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array
from sklearn.metrics import roc_auc_score

from sequela.audit import column_checks, small_models
from sequela.audit.input import CHANCE, Labels
from sequela.audit.small_models import model_auroc
from sequela.cohort import event_checks

CLASSES = ("survived", "died")


def drawn(n: int = 1500, share: float = 0.08, seed: int = 0) -> tuple[Any, Any, Any]:
    """Records of 60 codes that say little of who dies."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(np.int64)
    chance = rng.uniform(0.02, 0.5, 60)
    present = rng.random((n, 60)) < chance * np.where(label[:, None] & (np.arange(60) < 5), 1.3, 1)
    return present, label, np.arange(n)


def found_in(present: NDArray[np.bool_], label: Any, group: Any) -> list[Any]:
    names = [f"code {i}" for i in range(present.shape[1])]
    return column_checks.pure_codes(
        csr_array(present.astype(float)), names, Labels(label, CLASSES, group)
    )


def planted(dead: int, alive: int = 0, **of: Any) -> tuple[Any, Any, Any]:
    """Records in which so many of either class, and nobody else, have code 7."""
    present, label, group = drawn(**of)
    present[:, 7] = False
    for which, count in ((1, dead), (0, alive)):
        present[np.flatnonzero(label == which)[:count], 7] = True
    return present, label, group


@pytest.mark.parametrize("seed", range(5))
def test_honest_records_are_not_accused(seed: int) -> None:
    present, label, group = drawn(seed=seed)
    assert found_in(present, label, group) == []
    table = csr_array(present.astype(float))
    assert model_auroc(table, Labels(label, CLASSES, group), least=0.85) is None
    assert model_auroc(table, Labels(label, CLASSES, group), least=0.9, model="logistic") is None


@pytest.mark.parametrize("share", [0.25, 0.5, 0.7])
def test_a_code_of_many_deaths_and_no_survivor(share: float) -> None:
    deaths = int(drawn()[1].sum())
    having = round(share * deaths)
    (found,) = found_in(*planted(having))
    assert found.where == f"code 7 (in {having} of {deaths} and 0 of {1500 - deaths})"
    assert found.severity == "suspicion"


def test_a_code_of_few_deaths_is_no_evidence() -> None:
    assert found_in(*planted(4, n=60, share=0.3)) == []


def test_examples_of_one_subject_count_once() -> None:
    present, label, group = planted(1500)
    group = np.where(label == 1, 0, group + 1)
    assert found_in(present, label, group) == []


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    """Against the published test's interval, for every count of a class of 30 among 100."""
    having = np.arange(6.0, 31)
    others = np.zeros(25)
    level = 2 * CHANCE / 25
    for k, told in zip(having, column_checks.is_pure(having, others, [30, 70]), strict=True):
        interval = stats.binomtest(int(k), int(k)).proportion_ci(1 - level, method="exact")
        assert told == (interval.low > 0.3)


@pytest.mark.parametrize(
    ("survivors", "alive", "told"), [(70, 2, True), (70, 3, False), (300, 5, True), (300, 6, False)]
)
def test_a_code_of_nine_deaths_in_ten_or_of_odds_of_30_tells(
    survivors: int, alive: int, *, told: bool
) -> None:
    n = 30 + survivors
    label = np.repeat([1, 0], [30, survivors])
    present = np.zeros((n, 1), np.bool_)
    present[:18] = present[30 : 30 + alive] = True
    assert bool(found_in(present, label, np.arange(n))) == told


def test_many_codes_that_share_the_deaths() -> None:
    present, label, group = drawn()
    dead = np.flatnonzero(label)
    present[:, 10:20] = False
    present[dead, 10 + np.arange(len(dead)) % 10] = True
    assert found_in(present, label, group) == []
    table = csr_array(present.astype(float))
    auroc = model_auroc(table, Labels(label, CLASSES, group), least=0.9, model="logistic")
    assert auroc is not None
    assert auroc > 0.99


def test_a_number_that_tells_the_outcome() -> None:
    present, label, group = drawn()
    number = present.sum(axis=1) + 30 * label
    table = np.column_stack([number, np.full(len(label), np.nan)]).astype(float)
    assert model_auroc(table, Labels(label, CLASSES, group), least=0.8) == pytest.approx(
        1, abs=0.01
    )


def test_subjects_stay_whole_and_few_of_them_are_no_evidence() -> None:
    """A tree would know each of these subjects by its number."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    label = np.repeat(rng.random(60) < 0.3, 10).astype(np.int64)
    number = np.repeat(rng.normal(size=60), 10)[:, None]
    assert model_auroc(number, Labels(label, CLASSES, group), least=0.6) is None
    fold = small_models.folds(Labels(label, CLASSES, group))
    assert all(len(set(fold[group == one])) == 1 for one in range(60))
    few = np.arange(105)
    tells_all = (few > 95).astype(np.int64)  # nine
    assert (
        model_auroc(few[:, None].astype(float), Labels(tells_all, CLASSES, few), least=0.6) is None
    )
    enough = (few > 94).astype(np.int64)  # two in each fold
    assert (
        model_auroc(few[:, None].astype(float), Labels(enough, CLASSES, few), least=0.6) is not None
    )


@pytest.mark.slow(but="150-1")  # of few events, with ties
@pytest.mark.parametrize(("people", "decimals"), [(20, 8), (150, 1)])
def test_the_interval_of_a_difference_is_that_of_weighted_areas(people: int, decimals: int) -> None:
    rng = np.random.default_rng(people)
    label = (rng.random(200) < 3 / people).astype(np.int64)
    group = rng.integers(people, size=200) * 7
    scores = [(size * label + rng.normal(size=200)).round(decimals) for size in (2, 1)]
    _, place = np.unique(group, return_inverse=True)
    apart, draw, n = [], np.random.default_rng(0), place.max() + 1
    for _ in range(200):
        weight = np.bincount(draw.integers(n, size=n), minlength=n)[place]
        if 0 < weight @ label < weight.sum():  # else a resample has one class
            pair = [roc_auc_score(label, score, sample_weight=weight) for score in scores]
            apart.append(pair[0] - pair[1])
    assert (len(apart) < 200) == (people > 100)
    interval = small_models._difference(scores[0], scores[1], Labels(label, CLASSES, group))
    assert interval == pytest.approx(np.quantile(apart, (0.025, 0.975)))


def test_the_share_of_one_input_is_that_of_other_folds() -> None:
    rng = np.random.default_rng(0)
    present, label, fold = rng.random((30, 4)) < 0.4, rng.integers(2, size=30), np.arange(30) % 5
    expected = []
    for row in range(30):
        shares = [0.0]
        for column in np.flatnonzero(present[row]):
            others = [n for n in range(30) if fold[n] != fold[row] and present[n, column]]
            dead = sum(int(label[n]) for n in others)
            shares.append((dead + label.mean()) / (len(others) + 1))
        expected.append(max(shares))
    found = small_models.strongest_share(csr_array(present.astype(float)), label, fold)
    np.testing.assert_allclose(found, expected)


def test_a_code_of_low_risk_is_not_accused() -> None:
    """Of 800 who have it 10 die, of the others 110 of 700: fewer, as in a planned admission."""
    assert found_in(*planted(10, 790)) == []


def numbers(n: int = 1500, seed: int = 0) -> tuple[Any, Any, Any]:
    """Twenty numbers, of which five say a little of who dies, some of them missing."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.1).astype(np.int64)
    table = rng.normal(size=(n, 20)) + 0.4 * label[:, None] * (np.arange(20) < 5)
    table[rng.random(table.shape) < 0.1] = np.nan
    return table, label, np.arange(n)


def together(table: NDArray[np.float64], label: Any, group: Any) -> list[Any]:
    bins, column = small_models.binned(table)
    names = np.char.add("number ", column.astype(str))
    return small_models.revealing_inputs(bins, names, names, Labels(label, CLASSES, group))


def with_number(shift: float, seed: int = 0) -> tuple[Any, Any, Any]:
    """Replace the last number by one that separates the classes by so many deviations."""
    table, label, group = numbers(seed=seed)
    table[:, 19] = np.random.default_rng(9).normal(size=len(label)) + shift * label
    return table, label, group


def test_a_bin_holds_a_part_of_the_values() -> None:
    values = np.arange(100.0)[:, None]
    bins, column = small_models.binned(np.hstack([values, np.full((100, 1), np.nan), values % 2]))
    assert np.asarray(bins.sum(axis=0)).ravel().tolist() == [5, 15, 20, 20, 20, 15, 5, 50, 50, 0]
    assert column.tolist() == [0] * 7 + [2] * 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shift", [0, 0.95, 1.19])  # an AUROC of 0.5, 0.75 and 0.8
def test_an_honest_number_is_not_accused(shift: float, seed: int) -> None:
    assert together(*with_number(shift, seed)) == []


def test_a_number_that_outweighs_the_others_is_named_with_its_effect() -> None:
    (found,) = [f for f in together(*with_number(2)) if f.check.startswith("an input")]
    assert found.where == "number 19"
    assert found.facts["auroc"] - found.facts["without"] > found.facts["low"] > 0.1
    assert "without this input of 0." in found.what


def test_an_average_of_labels_is_found_and_a_score_is_not() -> None:
    _, label, group = numbers()
    district = group % 75
    rate = np.bincount(district, label) / np.bincount(district)
    honest = np.random.default_rng(1).integers(3, 16, len(label)) + label
    table = np.column_stack([rate[district], honest, np.full(len(label), np.nan)])
    (found,) = column_checks.averaged_labels(
        table, ["rate", "score", "none"], Labels(label, CLASSES, label)
    )
    assert (found.where, found.severity) == ("rate", "suspicion")


def test_examples_that_are_chosen_by_how_long_the_stay_lasts() -> None:
    rng = np.random.default_rng(0)
    left, label = rng.exponential(100, 600), (rng.random(600) < 0.1).astype(np.int64)
    others = rng.exponential(100, 300)
    assert event_checks.chosen_by_the_future(left, others, label) is None
    soon = (left < 24) | (label == 1)
    late = np.concatenate([others[others > 24], left[~soon]])
    assert event_checks.chosen_by_the_future(left[soon], late, label[soon]) is not None
    long_stay = (left > 168).astype(np.int64)  # a label that is made of the time left
    assert event_checks.chosen_by_the_future(left, others, long_stay) is None


def test_deaths_that_are_kept_only_if_they_follow_soon() -> None:
    rng = np.random.default_rng(0)
    left, label = rng.exponential(100, 3000), (rng.random(3000) < 0.1).astype(np.int64)
    others, kept = rng.exponential(100, 20), (left < 48) | (label == 0)
    late = np.concatenate([others, left[~kept]])
    assert event_checks.chosen_by_the_future(left[kept], late, label[kept]) is not None
    within = ((label == 1) & (left < 48)).astype(np.int64)  # later deaths are in the other class
    assert event_checks.chosen_by_the_future(left, np.tile(others, 9), within) is None


def test_predictions_at_a_fixed_time_before_the_end() -> None:
    rng = np.random.default_rng(0)
    left, label = rng.exponential(100, 600), (rng.random(600) < 0.1).astype(np.int64)
    day = np.full(600, 24.0)
    assert event_checks.steady_before_the_end(left, day, label) is None
    assert event_checks.steady_before_the_end(24 + rng.random(600), left, label) == pytest.approx(
        24.5, 0.1
    )
    deaths = np.where(label == 1, 24, left)
    assert event_checks.steady_before_the_end(deaths, np.where(label == 1, left, day), label) == 24
    assert event_checks.steady_before_the_end(np.full(600, 0.5), left, label) is None


@pytest.mark.parametrize(("name", "told"), [("", False), ("amplitude", True), ("offset", True)])
def test_statistics_of_one_channel(name: str, *, told: bool) -> None:
    rng = np.random.default_rng(0)
    group, label = np.repeat(np.arange(60), 10), np.repeat(np.arange(60) % 2, 10)
    kinds = ("amplitude", "offset", "power of 8 to 13 Hz")
    found = small_models.revealing_statistics(
        {
            (kind, channel): rng.normal(size=600) + 4 * label * (name == kind) * (channel == "C4")
            for kind in kinds
            for channel in ("C3", "C4")
        },
        Labels(label, ("open", "closed"), group),
    )
    assert bool(found) == told
    where = {"amplitude": "amplitude of C4", "offset": "offset"}
    assert not told or where[name] in {each.where for each in found}
