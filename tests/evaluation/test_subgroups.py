from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.evaluation.conftest import two_classes

from sequela.errors import DataError, UnknownNameError
from sequela.evaluation import metrics
from sequela.evaluation.decision import Threshold
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.subgroups import Subgroup, subgroups

Make = Callable[..., Predictions]
QUICK = Bootstrap(resamples=120)


def by(made: Predictions, names: list[str], **attributes: list[str]) -> list[Subgroup]:
    return subgroups(
        made,
        {name: np.array(values) for name, values in attributes.items()},
        names,
        np.random.default_rng(0),
        threshold=Threshold(0.5, "a test"),
        how=QUICK,
        smallest=10,
    )


def test_each_value_has_the_numbers_of_its_examples(make_predictions: Make) -> None:
    made = make_predictions(groups=60, per_group=3)
    sex = np.where(np.arange(60) % 3 == 0, "male", "female")
    sex[::5] = ""
    rows = np.repeat(sex, 3)
    found = by(made, ["auroc", "accuracy"], sex=rows.tolist())
    assert [(one.attribute, one.value) for one in found] == [
        ("sex", "female"),
        ("sex", "male"),
        ("sex", "unknown"),
    ]
    for one in found[:2]:
        mine = made.where(rows == one.value)
        assert one.cell is not None
        assert one.observed_minus_expected is not None
        assert one.alarm_rate is not None
        assert one.cell.n_examples == sum(one.cell.n_of_class) == mine.n_examples
        assert one.cell.n_groups == (sex == one.value).sum()
        assert one.metrics["auroc"].value == pytest.approx(metrics.auroc(mine))
        interval = one.metrics["auroc"].interval
        assert interval is not None
        assert interval.n_groups == one.cell.n_groups
        apart = mine.label.mean() - mine.score.mean()
        assert one.observed_minus_expected.value == pytest.approx(apart, abs=1e-6)
        assert one.alarm_rate.value == pytest.approx((mine.score >= 0.5).mean())


def test_where_groups_are_hospitals_cells_count_their_people(make_predictions: Make) -> None:
    made = make_predictions(groups=60, per_group=3)
    people = np.char.mod("person %d", np.repeat(np.arange(60), 3))
    rows = np.repeat(np.where(np.arange(60) % 2, "male", "female"), 3).tolist()
    sites = np.char.mod("site %d", np.repeat(np.arange(60) // 20, 3))
    (female, _) = by(replace(made, subject_id=people, group_id=sites), ["accuracy"], sex=rows)
    assert female.cell is not None
    assert female.cell.n_groups == 30
    interval = female.metrics["accuracy"].interval
    assert interval is not None
    assert interval.n_groups == 3


def test_a_value_with_few_subjects_is_hidden_and_so_are_the_counts_of_the_next(
    make_predictions: Make,
) -> None:
    made = make_predictions(groups=60, per_group=30)
    unit = np.repeat(["a"] * 9 + ["b"] * 11 + ["c"] * 40, 30)
    found = by(made, ["accuracy"], unit=unit.tolist())
    assert [(one.value, one.cell is None) for one in found] == [
        ("b", True),
        ("c", False),
        ("", True),
    ]
    assert found[2] == Subgroup("unit", "", None, {}, None, None)
    assert "accuracy" in found[0].metrics
    two_small = np.repeat(["a"] * 9 + ["b"] * 8 + ["c"] * 10 + ["d"] * 33, 30)
    found = by(made, ["accuracy"], unit=two_small.tolist())
    assert [(one.value, one.cell is None) for one in found] == [
        ("c", False),
        ("d", False),
        ("", True),
        ("", True),
    ]


def test_few_examples_of_a_class_are_hidden_and_none_are_not(make_predictions: Make) -> None:
    made = make_predictions(groups=90, per_group=1)
    label = np.zeros(90, dtype=np.int64)
    label[:9] = 1
    label[30:45] = 1
    made = replace(made, label=label)
    unit = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    found = by(made, ["auroc"], unit=unit)
    assert [one.value for one in found] == ["b", "c", ""]
    # Those of c hold no event: without those of b, the nine of a are known.
    assert found[0].cell is None
    assert found[1].metrics == {}  # there is no AUROC without events


@given(st.lists(st.integers(0, 3), min_size=2, max_size=120))
def test_no_cell_below_ten_can_be_had(units: list[int]) -> None:
    made = two_classes(np.full(len(units), 0.5), np.arange(len(units)) % 2)
    found = by(made, [], unit=[f"u{unit}" for unit in units])
    shown = [one.cell for one in found if one.cell is not None]
    for cell in shown:
        assert min(cell.n_groups, cell.n_examples, *cell.n_of_class) >= 10
    if 0 < len(shown) < len(found):
        assert len(found) - len(shown) >= 2  # their sum tells none of them


@pytest.mark.parametrize(("alarms_of_a", "shown"), [(15, True), (3, False)])
def test_few_alarms_are_not_those_of_all_minus_the_others(alarms_of_a: int, shown: bool) -> None:  # noqa: FBT001
    score = np.where(np.arange(80) % 40 < np.repeat([alarms_of_a, 15], 40), 0.9, 0.1)
    of_units = by(two_classes(score, np.arange(80) % 2), [], unit=["a"] * 40 + ["b"] * 40)
    assert [unit.alarm_rate is not None for unit in of_units] == [shown, shown]


def test_more_classes_are_judged_by_the_most_probable(make_predictions: Make) -> None:
    made = make_predictions(groups=40, classes=3)
    found = subgroups(
        made,
        {"all": np.full(made.n_examples, "x")},
        ["accuracy"],
        np.random.default_rng(0),
        how=QUICK,
    )
    expected = metrics.accuracy(made) - made.probabilities.max(axis=1).mean()
    assert found[0].observed_minus_expected is not None
    assert found[0].observed_minus_expected.value == pytest.approx(expected, abs=1e-6)
    assert found[0].alarm_rate is None


def test_attributes_and_metrics_must_fit(make_predictions: Make) -> None:
    made = make_predictions()
    with pytest.raises(DataError, match="'sex' has shape \\(1,\\)"):
        by(made, [], sex=["male"])
    with pytest.raises(UnknownNameError, match="unknown metric"):
        by(made, ["f1"], sex=["male"] * made.n_examples)


def test_scores_of_two_models_are_not_ranked_together(make_predictions: Make) -> None:
    """The second model gives every example a higher score: alone, each ranks as before."""
    predictions = make_predictions(groups=120)
    model = predictions.group_index % 2
    odds = predictions.score / (1 - predictions.score) * np.where(model == 1, 50, 1)
    risk = odds / (1 + odds)
    moved = replace(predictions, probabilities=np.stack([1 - risk, risk], axis=1))
    everybody = {"all": np.full(predictions.n_examples, "yes")}

    def area(given: Predictions, by: NDArray[np.int64] | None) -> float:
        (found,) = subgroups(given, everybody, ["auroc"], np.random.default_rng(0), model=by)
        return found.metrics["auroc"].value

    expected = np.mean([metrics.auroc(predictions.where(model == one)) for one in (0, 1)])
    assert area(predictions, model) == pytest.approx(expected)
    assert area(moved, model) == pytest.approx(expected)
    assert area(moved, None) < expected - 0.02


def test_one_group_has_a_number_and_no_interval_whoever_judged_it(make_predictions: Make) -> None:
    """Everybody is of one hospital; two models held it out."""
    made = make_predictions(groups=60, per_group=1)
    people = np.char.mod("person %d", np.arange(60))
    made = replace(made, subject_id=people, group_id=np.full(60, "site"))
    model = np.arange(60) % 2
    everybody = {"all": np.full(60, "yes")}
    rng = np.random.default_rng(0)
    (found,) = subgroups(made, everybody, ["auroc"], rng, how=QUICK, model=model)
    expected = np.mean([metrics.auroc(made.where(model == one)) for one in (0, 1)])
    assert found.metrics["auroc"].value == pytest.approx(expected)
    assert found.metrics["auroc"].interval is None
