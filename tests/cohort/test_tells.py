"""Codes and small models that tell the outcome are found; honest ones are not accused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.cohort import tells

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
    return tells.telling_codes(csr_array(present.astype(float)), names, label, CLASSES, group)


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
    assert tells.told(table, label, group, least=0.85) is None
    assert tells.told(table, label, group, least=0.9, model="logistic") is None


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
    level = 2 * tells._CHANCE / 25
    for k, told in zip(having, tells._pure(having, others, [30, 70]), strict=True):
        interval = stats.binomtest(int(k), int(k)).proportion_ci(1 - level, method="exact")
        assert told == (interval.low > 0.3)


@pytest.mark.parametrize(("alive", "told"), [(2, True), (3, False)])
def test_a_code_of_nine_deaths_in_ten_tells(alive: int, *, told: bool) -> None:
    label = np.repeat([1, 0], [30, 300])
    present = np.zeros((330, 1), np.bool_)
    present[:18] = present[30 : 30 + alive] = True
    assert bool(found_in(present, label, np.arange(330))) == told


def test_many_codes_that_share_the_deaths() -> None:
    present, label, group = drawn()
    dead = np.flatnonzero(label)
    present[:, 10:20] = False
    present[dead, 10 + np.arange(len(dead)) % 10] = True
    assert found_in(present, label, group) == []
    table = csr_array(present.astype(float))
    auroc = tells.told(table, label, group, least=0.9, model="logistic")
    assert auroc is not None
    assert auroc > 0.99


def test_a_number_that_tells_the_outcome() -> None:
    present, label, group = drawn()
    number = present.sum(axis=1) + 30 * label
    table = np.column_stack([number, np.full(len(label), np.nan)]).astype(float)
    assert tells.told(table, label, group, least=0.8) == pytest.approx(1, abs=0.01)


def test_subjects_stay_whole_and_few_of_them_are_no_evidence() -> None:
    """A tree would know each of these subjects by its number."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    label = np.repeat(rng.random(60) < 0.3, 10).astype(np.int64)
    number = np.repeat(rng.normal(size=60), 10)[:, None]
    assert tells.told(number, label, group, least=0.6) is None
    fold = tells._folds(label, group)
    assert all(len(set(fold[group == one])) == 1 for one in range(60))
    few = np.arange(105)
    tells_all = (few > 99).astype(np.int64)
    assert tells.told(few[:, None].astype(float), tells_all, few, least=0.6) is None
    enough = (few > 89).astype(np.int64)
    assert tells.told(few[:, None].astype(float), enough, few, least=0.6) is not None


def test_a_code_of_low_risk_is_not_accused() -> None:
    """Of 800 who have it 10 die, of the others 110 of 700: fewer, as in a planned admission."""
    assert found_in(*planted(10, 790)) == []
