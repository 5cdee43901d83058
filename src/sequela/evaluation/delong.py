"""AUROC with DeLong's variance, a formula to compare with the bootstrap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sequela.errors import DataError


@dataclass(frozen=True)
class Areas:
    """AUROCs (score,) of several scores on the same examples, and their covariance (score, score).

    ``n_groups`` counts the groups of all examples.
    """

    area: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n_groups: int


def areas(
    positive: NDArray[np.bool_], scores: NDArray[np.floating], group: NDArray[np.int64]
) -> Areas:
    """Compute AUROCs of scores (example, score), and their covariance (DeLong et al. 1988).

    By ranks, in O(n log n) (Sun & Xu 2014). Examples of one group may depend on each other, so the
    variance is over sums of groups (Obuchowski 1997); with one example a group the two are the
    same. At least two groups must hold positives, and two negatives.
    """
    groups = [np.unique(group[of_class]) for of_class in (positive, ~positive)]
    fewest = min(map(len, groups))
    if fewest < 2:  # noqa: PLR2004
        raise DataError(f"{fewest} groups hold one of the classes: a variance needs two of each")
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    rank = stats.rankdata(scores, axis=0)
    # The share of the other class that each example beats; ties count half.
    beats_negatives = (rank[positive] - stats.rankdata(scores[positive], axis=0)) / n_negative
    beats_positives = (rank[~positive] - stats.rankdata(scores[~positive], axis=0)) / n_positive
    area = beats_negatives.mean(axis=0)
    of_positives = np.zeros((int(group.max()) + 1, scores.shape[1]))
    of_negatives = np.zeros_like(of_positives)
    np.add.at(of_positives, group[positive], beats_negatives - area)
    np.add.at(of_negatives, group[~positive], 1 - beats_positives - area)
    of_positives /= n_positive
    of_negatives /= n_negative
    cross = of_positives.T @ of_negatives
    everyone = len(np.union1d(*groups))
    # Each sum of products is made unbiased by n / (n - 1) of the groups that it is over.
    n_with_positives, n_with_negatives = map(len, groups)
    covariance = (
        n_with_positives / (n_with_positives - 1) * of_positives.T @ of_positives
        + n_with_negatives / (n_with_negatives - 1) * of_negatives.T @ of_negatives
        + everyone / (everyone - 1) * (cross + cross.T)
    )
    return Areas(area, covariance, everyone)
