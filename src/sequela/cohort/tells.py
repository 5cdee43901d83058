"""Checks for columns that reveal the outcome: one code, or a small model of weak inputs.

Each check is a function from arrays; an empty result does not prove that there is no leak. A model
is evaluated out of fold, on subjects it has not seen.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array, csr_matrix

from sequela.cohort.finding import Finding
from sequela.cohort.overlaps import FEW, least_area
from sequela.config import SMALLEST_CELL

FOLDS = 5
PURE = 0.9
"""The least share of the class among those with a code for which the code is considered."""
OF_CLASS = 0.2
"""The least share of the class that must have the code."""
ODDS = 10
"""The factor by which the odds of the class must be greater among those with the code."""
_CHANCE = 1e-3  # probability of a false alarm, over all codes
_MOST = 10_000  # examples that a model is fitted on
_LEAST = 2 * FOLDS  # groups of a class
_NAMED = 5

Table = NDArray[np.float64] | csr_array


def telling_codes(
    present: csr_array,
    names: Sequence[str],
    label: NDArray[np.int64],
    classes: Sequence[str],
    group: NDArray[Any],
) -> list[Finding]:
    """Find codes that many of one class have and hardly anybody of the other.

    A code is reported where at least 90 % of those with it are of the class, at least 20 % of the
    class have it, the odds of the class are ten times those in all examples, and that share cannot
    be chance: its lower bound (Clopper & Pearson 1934, of groups, divided by the number of codes)
    is above the share of the class in all examples. An area under the curve misses such a code
    where only half of the class has it.

    Args:
        present: (example, code), not 0 where the example has the code.
        names: Names of the codes.
        label: int64 (example,), 0 or 1.
        classes: Names of the two classes.
        group: (example,), the subject of each.
    """
    groups, place = np.unique(group, return_inverse=True)
    member = csr_array(
        (np.ones(len(place)), (place, np.arange(len(place)))), (len(groups), len(place))
    )
    found = []
    for one, name in enumerate(classes):
        of_class = label == one
        having = [
            np.asarray(((member @ (present * chosen[:, None])) > 0).sum(axis=0)).ravel()
            for chosen in (of_class, ~of_class)
        ]
        totals = [len(np.unique(place[chosen])) for chosen in (of_class, ~of_class)]
        if not all(totals):
            return []
        chosen = np.flatnonzero(_pure(having[0], having[1], totals))
        if len(chosen):
            found.append(_telling(chosen, having, totals, names, name))
    return found


def _pure(
    having: NDArray[np.float64], others: NDArray[np.float64], totals: Sequence[int]
) -> NDArray[np.bool_]:
    """Test which codes reveal a class, from the groups with it in the class and in the other."""
    share = totals[0] / sum(totals)
    n = np.maximum(having + others, 1)
    least = stats.beta.ppf(_CHANCE / max(len(n), 1), np.maximum(having, 0.5), others + 1)
    odds = (having + 0.5) / (others + 0.5) / (share / (1 - share))
    chosen: NDArray[np.bool_] = (
        (having / n >= PURE) & (having >= OF_CLASS * totals[0]) & (odds >= ODDS) & (least > share)
    )
    return chosen


def _telling(
    chosen: NDArray[np.int64],
    having: Sequence[NDArray[np.float64]],
    totals: Sequence[int],
    names: Sequence[str],
    of_class: str,
) -> Finding:
    order = chosen[np.argsort(-having[0][chosen], kind="stable")]
    shown = [names[i] if having[0][i] + having[1][i] >= SMALLEST_CELL else FEW for i in order]
    named = ", ".join(
        f"{name} (in {having[0][i]:.0f} of {totals[0]} and {having[1][i]:.0f} of {totals[1]})"
        for name, i in zip(shown[:_NAMED], order[:_NAMED], strict=True)
    )
    more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
    return Finding(
        "codes that tell the outcome",
        f"{len(order)} codes occur almost only in records of '{of_class}': subjects of that class "
        "and of the other with the code are counted",
        named + more,
        "suspicion",
        "check that it is known at the time of prediction, and is not the label under another name",
    )


def told(
    table: Table,
    label: NDArray[np.int64],
    group: NDArray[Any],
    *,
    least: float,
    model: Literal["tree", "logistic"] = "tree",
) -> float | None:
    """Measure how well a small model separates the classes, if better than a bound.

    Args:
        table: (example, column); missing values are NaN (in a dense table, read by a tree).
        label: int64 (example,), 0 or 1.
        group: (example,); no group is in two folds.
        least: The least AUROC to report. An AUROC that chance explains with as few groups is not.
        model: A decision tree of depth 3, or a logistic regression.

    Returns:
        The out-of-fold AUROC, in five folds; ``None`` where it is not above the bound, or a class
        has fewer than ten groups.
    """
    if table.shape[0] > _MOST:
        taken = np.linspace(0, table.shape[0] - 1, _MOST).astype(np.int64)
        table, label, group = table[taken], label[taken], group[taken]
    groups = [len(np.unique(group[label == one])) for one in (0, 1)]
    if min(groups) < _LEAST or not table.shape[1]:
        return None
    from sklearn.metrics import roc_auc_score

    chance = _out_of_fold(table, label, _folds(label, group), model)
    auroc = float(roc_auc_score(label, chance))
    bound = least_area(label == 1, group.astype(np.str_), 1, least)
    return auroc if auroc > bound else None


def _folds(label: NDArray[np.int64], group: NDArray[Any]) -> NDArray[np.int64]:
    """Assign each example to a fold: groups stay whole, and the second class is spread evenly."""
    _, place = np.unique(group, return_inverse=True)
    positive = np.bincount(place, label) > 0
    shuffled = np.random.default_rng(0).permutation(len(positive))
    order = shuffled[np.argsort(positive[shuffled], kind="stable")]
    fold = np.empty(len(order), np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold[place]


def _out_of_fold(
    table: Table, label: NDArray[np.int64], fold: NDArray[np.int64], model: str
) -> NDArray[np.float64]:
    """Return the out-of-fold predictions of a model: float64 (example,)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    read: Any = table
    if not isinstance(table, np.ndarray):  # scikit-learn takes 32-bit indices only
        parts = (table.indices.astype(np.int32), table.indptr.astype(np.int32))
        read = csr_matrix((table.data, *parts), table.shape)
    said = np.empty(len(label))
    for one in range(FOLDS):
        fitted = (
            DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
            if model == "tree"
            else LogisticRegression(solver="liblinear")
        ).fit(read[fold != one], label[fold != one])
        said[fold == one] = fitted.predict_proba(read[fold == one])[:, 1]
    return said
