from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.evaluation.comparison import areas
from sequela.evaluation.predictions import Predictions

Make = Callable[..., Predictions]

# Hanley & McNeil 1982, table I: ratings 1..5 of 58 normal and 51 abnormal CT images.
NORMAL, ABNORMAL = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]


def ct_images() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rating = np.concatenate([np.repeat(np.arange(5.0), counts) for counts in (NORMAL, ABNORMAL)])
    return np.arange(109) >= 58, rating


def test_the_ct_images_have_the_published_area_and_error() -> None:
    # Stata's manual, roctab: area 0.8932, standard error 0.0307, 95 % interval 0.83295..0.95339.
    positive, rating = ct_images()
    found = areas(positive, rating[:, None], np.arange(109))
    area, error = found.area[0], np.sqrt(found.covariance[0, 0])
    assert round(area, 4) == 0.8932
    assert round(error, 4) == 0.0307
    assert round(area - 1.959964 * error, 5) == 0.83295
    assert round(area + 1.959964 * error, 5) == 0.95339


def plain_covariance(
    positive: NDArray[np.bool_], scores: NDArray[np.float64], group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Obuchowski 1997, equations 3 to 6, pair by pair; DeLong where groups hold one example."""
    n_positive, n_negative = positive.sum(), (~positive).sum()
    count = scores.shape[1]
    wins = np.array(
        [
            [[(x > y) + (x == y) / 2 for y in scores[~positive, k]] for x in scores[positive, k]]
            for k in range(count)
        ],
        dtype=float,
    )  # (score, positive, negative)
    area = wins.mean(axis=(1, 2))
    s10, s01, s11 = np.zeros((3, count, count))
    for one in np.unique(group):
        mine, rest = group[positive] == one, group[~positive] == one
        x = wins[:, mine].mean(axis=2).sum(axis=1) - mine.sum() * area
        y = wins[:, :, rest].mean(axis=1).sum(axis=1) - rest.sum() * area
        s10 += np.outer(x, x)
        s01 += np.outer(y, y)
        s11 += np.outer(x, y)
    with_positives, with_negatives = (
        len(np.unique(group[chosen])) for chosen in (positive, ~positive)
    )
    everyone = len(np.unique(group))
    s10 *= with_positives / (with_positives - 1) / n_positive
    s01 *= with_negatives / (with_negatives - 1) / n_negative
    s11 *= everyone / (everyone - 1)
    covariance: NDArray[np.float64] = (
        s10 / n_positive + s01 / n_negative + (s11 + s11.T) / (n_positive * n_negative)
    )
    return covariance


@pytest.mark.parametrize("decimals", [0, 6])
@pytest.mark.parametrize("per_group", [1, 4])
def test_ranks_give_what_pairs_give(make_predictions: Make, per_group: int, decimals: int) -> None:
    made = [
        make_predictions(groups=24 // per_group, per_group=per_group, seed=3, decimals=decimals),
        make_predictions(groups=24 // per_group, per_group=per_group, seed=4, decimals=decimals),
    ]
    positive, group = made[0].label == 1, made[0].group_index
    scores = np.stack([one.score for one in made], axis=1).astype(np.float64)
    found = areas(positive, scores, group)
    assert found.covariance == pytest.approx(plain_covariance(positive, scores, group), abs=1e-12)
    for index in range(2):
        expected = sklearn.metrics.roc_auc_score(positive, scores[:, index])
        assert found.area[index] == pytest.approx(expected, abs=1e-12)


def test_copies_of_the_examples_are_no_evidence() -> None:
    positive, rating = ct_images()
    group = np.arange(109)
    once = areas(positive, rating[:, None], group)
    copy = np.repeat(group, 5)
    copied = areas(positive[copy], rating[copy, None], copy)
    assert copied.covariance == pytest.approx(once.covariance, abs=1e-12)
    assert copied.n_groups == once.n_groups == 109


def test_one_group_with_the_class_is_too_few(make_predictions: Make) -> None:
    made = make_predictions(groups=5, one_class_per_group=True)
    made = made.where((made.label == 0) | (made.group_id == "g001"))
    with pytest.raises(DataError, match="1 groups hold one of the classes"):
        areas(made.label == 1, made.score[:, None], made.group_index)


def test_two_groups_of_each_class_are_enough() -> None:
    positive = np.array([True, True, False, False])
    found = areas(positive, np.array([[3.0], [1], [2], [0]]), np.arange(4))
    assert found.area.tolist() == [0.75]
