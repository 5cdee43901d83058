"""Checks for inputs that reveal the outcome: one code, one number, or a small model of weak inputs.

Each check is a function from arrays; an empty result does not prove that there is no leak. A model
is evaluated out of fold, on subjects it has not seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array, csr_matrix, hstack

from sequela.audit.finding import Code, Finding
from sequela.audit.overlaps import REVEALING_VALUE, area, each_class, least_area

FOLDS = 5
PURE = 0.9  # share of the class among those with a code
OF_CLASS = 0.2  # share of the class that has the code
ODDS = 10  # factor by which the odds of the class are greater among those with the code
RARE_ODDS = 30  # the same for a rare class, where fewer than 90 % of those with it are of the class
_CHANCE = 1e-3  # probability of a false alarm, over all codes
TOGETHER = 0.9  # out-of-fold AUROC from which a linear model of all inputs is reported
_GAIN = 0.1
_EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
_RESAMPLES = 200
_REPEATED, _SEVERAL = 5, 5  # rows with a value, and such values, that an average is looked for in
_EXACT = 1e-6
CHOSEN = 0.5  # Kolmogorov-Smirnov distance of the time left
AMPLITUDE = "amplitude"
ARTEFACTS = (
    "offset", "power at 50 Hz", "power at 60 Hz", "resolution", "clipping", "repeated samples",
    "flat stretch", "scaling", "pulse", "reference", "taper", "line", "edge", "rise", "notch",
)  # fmt: skip
"""Statistics of a signal that come from the recording, and not from the brain."""
_ALIKE = {
    **dict.fromkeys(("clipping", "flat stretch", "repeated samples"), "equal samples"),
    **dict.fromkeys(("line", "power at 50 Hz", "power at 60 Hz"), "hum"),
    **dict.fromkeys(("edge", "rise", "notch"), "the edge of a filter"),
}  # of which one may replace another
_OF_ARTEFACT, _OF_SIGNAL, _WEAK = 0.95, 0.8, 0.7
_APART = 0.99  # AUROC of times that hardly overlap
_MOSTLY_APART = 0.9  # of one class, where times of the other class differ in the same direction
_STEADY = 0.2  # spread of the time left, in units of the spread of whole stays
_LEAST = 2 * FOLDS  # groups of a class

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.str_]
Groups = NDArray[Any]
Table = Floats | csr_array


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
    where only half of the class has it. ``present`` is (example, code), not 0 where the example has
    the code; labels are 0 or 1.
    """
    groups, place = np.unique(group, return_inverse=True)
    size = len(groups), len(place)
    member = csr_array((np.ones(len(place)), (place, np.arange(len(place)))), size)
    found = []
    for one, name in enumerate(classes):
        of_class = label == one
        having, others = (
            np.asarray(((member @ (present * chosen[:, None])) > 0).sum(axis=0)).ravel()
            for chosen in (of_class, ~of_class)
        )
        totals = [len(np.unique(place[chosen])) for chosen in (of_class, ~of_class)]
        if not all(totals):
            return []
        chosen = np.flatnonzero(_pure(having, others, totals))
        codes = tuple(
            Code(names[i], n + m, shares=((n, totals[0]), (m, totals[1])))
            for i in chosen[np.argsort(-having[chosen], kind="stable")]
            for n, m in [(int(having[i]), int(others[i]))]
        )
        if codes:
            found.append(Finding.suspected("codes that tell the outcome", codes=codes, name=name))
    return found


def _pure(
    having: NDArray[np.float64], others: NDArray[np.float64], totals: Sequence[int]
) -> NDArray[np.bool_]:
    """Test which codes reveal a class, from the groups with it in the class and in the other."""
    share = totals[0] / sum(totals)
    n = np.maximum(having + others, 1)
    least = stats.beta.ppf(_CHANCE / max(len(n), 1), np.maximum(having, 0.5), others + 1)
    odds = (having + 0.5) / (others + 0.5) / (share / (1 - share))
    pure = (having / n >= PURE) & (odds >= ODDS) | (odds >= RARE_ODDS)
    return pure & (having >= OF_CLASS * totals[0]) & (least > share)


def at_most(rows: Ints, most: int = 10_000) -> Ints:
    """Return the rows that a small model is fitted on: all, or evenly spaced ones of many."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def told(
    table: Table,
    label: NDArray[np.int64],
    group: NDArray[Any],
    *,
    least: float,
    model: Literal["tree", "logistic"] = "tree",
) -> float | None:
    """Measure how well a small model separates the classes, if better than a bound.

    No group is in two folds. A table for a tree may have NaN. The result is the out-of-fold AUROC
    in five folds, or ``None`` where it is not above the bound (an AUROC that chance explains with
    as few groups is not), or a class has fewer than ten groups.
    """
    if len(taken := at_most(np.arange(table.shape[0]))) < table.shape[0]:
        table, label, group = table[taken], label[taken], group[taken]
    groups = [len(np.unique(group[label == one])) for one in (0, 1)]
    if min(groups) < _LEAST or not table.shape[1]:
        return None
    chance = _out_of_fold(table, label, folds(label, group), _model(model))
    auroc = area(label, chance)
    bound = least_area(label == 1, group.astype(np.str_), 1, least)
    return auroc if auroc > bound else None


def folds(label: NDArray[np.int64], group: NDArray[Any]) -> NDArray[np.int64]:
    """Assign each example to a fold: groups stay whole, and the second class is spread evenly."""
    _, place = np.unique(group, return_inverse=True)
    positive = np.bincount(place, label) > 0
    shuffled = np.random.default_rng(0).permutation(len(positive))
    order = shuffled[np.argsort(positive[shuffled], kind="stable")]
    fold = np.empty(len(order), np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold[place]


def _model(name: Literal["tree", "logistic"], strength: float = 1) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    if name == "tree":
        return DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    return LogisticRegression(C=strength, solver="liblinear")


def out_of_fold(table: Table, label: Ints, group: NDArray[Any]) -> Floats:
    """Return the probability of class 1 by a logistic regression, in folds by group: (example,)."""
    return _out_of_fold(table, label, folds(label, group), _model("logistic"))


def _out_of_fold(
    table: Table, label: NDArray[np.int64], fold: NDArray[np.int64], model: Any
) -> NDArray[np.float64]:
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    cv, read = PredefinedSplit(fold), _read(table)
    chances = cross_val_predict(model, read, label, cv=cv, method="predict_proba")
    return np.asarray(chances[:, 1], np.float64)


def _read(table: Table) -> Any:
    """Return a table as scikit-learn takes it: with 32-bit indices."""
    if isinstance(table, np.ndarray):
        return table
    parts = (table.indices.astype(np.int32), table.indptr.astype(np.int32))
    return csr_matrix((table.data, *parts), table.shape)


def binned(table: Floats) -> tuple[csr_array, Ints]:
    """Code numbers as parts of their column's values: fifths, and twentieths at both ends.

    A linear model of them sees values that are extreme at both ends, too. From (example, column),
    NaN where there is no value: sparse (example, bin), and the column of each bin.
    """
    rows, bins, owner = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = 0
    for column, values in enumerate(table.T):
        there = np.flatnonzero(np.isfinite(values))
        if not len(there):
            continue
        edges = np.unique(np.quantile(values[there], _EDGES))
        rows.append(there)
        bins.append(start + np.searchsorted(edges, values[there]))
        owner.append(np.full(len(edges) + 1, column))
        start += len(edges) + 1
    where = np.concatenate(rows), np.concatenate(bins)
    return csr_array((np.ones(len(where[0])), where), (len(table), start)), np.concatenate(owner)


def telling_together(
    table: csr_array,
    names: Words,
    families: Words,
    label: Ints,
    classes: Sequence[str],
    group: Groups,
) -> list[Finding]:
    """Find inputs that predict the outcome together, and one that outweighs all others.

    A logistic regression is evaluated out of fold by group. It is reported from an AUROC of 0.9 on,
    and where it ranks a fifth of the rarer class above nearly everybody else (as one code would be
    reported). Above 0.87, the input with the largest part in it, and above 0.9 the family with the
    largest part, are left out; one is named where the AUROC falls by more than 0.1, as the lower
    end of a 95 % interval over groups.

    Columns are codes, and numbers as :func:`binned` codes them; ``names`` and ``families`` are of
    each column. Labels are 0 or 1.
    """
    if not table.shape[1] or min(len(np.unique(group[label == one])) for one in (0, 1)) < _LEAST:
        return []
    fold, model = folds(label, group), _model("logistic", 0.03)
    score = _out_of_fold(table, label, fold, model)
    auroc, name = area(label, score), classes[1]
    bounds = (TOGETHER, REVEALING_VALUE)
    together, outweighs = (least_area(label == 1, group.astype(np.str_), 1, b) for b in bounds)
    found, how = [], ""
    if auroc > together or top_is_pure(score, label, group):
        how = "codes and values together predict"
    elif top_is_pure(highest := strongest(table, label, fold), label, group):
        how = "many codes of few, each almost only in one class, together predict"
        auroc = area(label, highest)
    if how:
        check = "inputs that tell the outcome"
        found.append(Finding.suspected(check, "inputs", how=how, auroc=auroc, name=name))
    levels = ((names, outweighs, _GAIN), (families, together, _GAIN))
    return found + _outweighing(table, levels, label, name, group)


def _outweighing(
    table: csr_array,
    levels: Sequence[tuple[Words, float, float]],  # by column, least AUROC, and least loss
    label: Ints,
    name: str,
    group: Groups,
) -> list[Finding]:
    """Find an input or family without which a model loses much of its AUROC; see ``levels``."""
    fold, model = folds(label, group), _model("logistic", 0.03)
    score = _out_of_fold(table, label, fold, model)
    auroc = area(label, score)
    for of_column, least, gain in levels:
        if auroc <= least or len(np.unique(of_column)) == 1:
            continue
        most = _largest_part(table, of_column, label, model)
        others = table[:, np.flatnonzero(of_column != most)]
        without = _out_of_fold(csr_array(others), label, fold, model)
        low, high = _difference(score, without, label, group)
        if low > gain:
            having = table[:, np.flatnonzero(of_column == most)].sum(axis=1) > 0
            codes = (Code(str(most), len(np.unique(group[having]))),)
            facts: dict[str, Any] = {"name": name, "auroc": auroc, "low": low, "high": high}
            facts["without"] = area(label, without)
            return [Finding.suspected("an input that outweighs the others", codes=codes, **facts)]
    return []


def strongest(table: csr_array, label: Ints, fold: Ints) -> Floats:
    """Return the largest share of the class among those with one input, learned out of fold."""
    member = csr_array((np.ones(len(fold)), (fold, np.arange(len(fold)))), (FOLDS, len(fold)))
    having, dying = ((member @ each).toarray() for each in (table, table * label[:, None]))
    share = (dying.sum(axis=0) - dying + label.mean()) / (having.sum(axis=0) - having + 1)
    row, score = np.repeat(np.arange(len(fold)), np.diff(table.indptr)), np.zeros(len(fold))
    np.maximum.at(score, row, table.data * share[fold[row], table.indices])
    return score


def top_is_pure(score: Floats, label: Ints, group: Groups) -> bool:
    """Test whether the highest scores find many of the rarer class, and hardly anybody else."""
    if label.mean() > 0.5:  # noqa: PLR2004 - most of the more frequent class is easily found
        return False
    order = np.argsort(-score, kind="stable")
    _, place = np.unique(group, return_inverse=True)
    key = place[order] * 2 + label[order]
    first = np.zeros(len(key), np.bool_)
    first[np.unique(key, return_index=True)[1]] = True
    having, others = ((first & (label[order] == one)).cumsum() for one in (1, 0))
    ends = np.flatnonzero(first)[:: max(1, first.sum() // 100)]
    totals = [int(having[-1]), int(others[-1])]
    return bool(_pure(having[ends].astype(float), others[ends].astype(float), totals).any())


def _largest_part(table: csr_array, of_column: Words, label: Ints, model: Any) -> Any:
    """Return the input or family whose part of the model's score varies most with the class."""
    weight = model.fit(_read(table), label).coef_[0]
    names, place = np.unique(of_column, return_inverse=True)
    part = np.bincount(place, (table.T @ (label - label.mean())) * weight)
    part[names == ""] = -np.inf  # inputs that are not left out
    return names[np.argmax(part)]


def _difference(score: Floats, without: Floats, label: Ints, group: Groups) -> tuple[float, float]:
    """Return a 95 % interval of the difference of two AUROCs; groups are resampled."""
    _, place = np.unique(group, return_inverse=True)
    rng, n = np.random.default_rng(0), int(place.max()) + 1
    drawn = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(_RESAMPLES))
    weight = np.stack([counts[place] for counts in drawn], axis=1)  # (example, resample)
    one, other = (_areas(each, label, weight) for each in (score, without))
    low, high = np.nanquantile(one - other, (0.025, 0.975)).tolist()
    return low, high


def _areas(score: Floats, label: Ints, weight: Ints) -> Floats:
    """Compute the AUROC under weights (example, resample): (resample,), NaN without a class."""
    order = np.argsort(score)
    ends = np.flatnonzero(np.diff(score[order], append=np.inf))  # of equal scores
    of_class = (weight[order] * (label[order] == one)[:, None] for one in (1, 0))
    positives, below = (np.cumsum(each, axis=0)[ends] for each in of_class)
    gained, level = (np.diff(each, axis=0, prepend=0) for each in (positives, below))
    pairs = gained * (below - level / 2)  # a tie counts half
    with np.errstate(invalid="ignore"):
        return np.asarray(pairs.sum(axis=0) / (positives[-1] * below[-1]), np.float64)


def averaged_labels(
    table: NDArray[np.floating], names: Sequence[str], label: Ints, classes: Sequence[str]
) -> list[Finding]:
    """Find numbers that were computed from the labels: the shares of a class in groups of rows.

    Rows with equal values have such shares by design (target encoding). In honest data the share of
    a class among rows with one value differs from any line by chance; here the differences, as a
    chi-squared statistic, are smaller than chance allows.

    ``table`` is (example, column), NaN where there is no value; labels are 0 or 1.
    """
    codes = []
    for values, name in zip(table.T, names, strict=True):
        there = np.isfinite(values)
        distinct, place, count = np.unique(values[there], return_inverse=True, return_counts=True)
        distinct = distinct.astype(np.float64)
        often = count >= _REPEATED
        one_class = len(np.unique(label[there])) == 1
        if one_class or often.sum() < _SEVERAL or 2 * count[often].sum() < there.sum():
            continue
        share = np.bincount(place, label[there])[often] / count[often]
        if too_exact(distinct[often], share, count[often]) * len(names) < _EXACT:
            codes.append(Code(name, int(there.sum())))
    check = "numbers computed from the labels"
    return [Finding.suspected(check, codes=codes, name=classes[1])] if codes else []


def too_exact(value: Floats, share: Floats, count: Ints) -> float:
    """Return the chance that shares of a class are as near to a line of values (group,)."""
    line = np.polynomial.Polynomial.fit(value, share, 1, w=np.sqrt(count))
    expected = np.clip(line(value), _EXACT, 1 - _EXACT)
    apart = (count * (share - expected) ** 2 / (expected * (1 - expected))).sum()
    return float(stats.chi2.cdf(apart, len(value) - 2))


def chosen_by_the_future(left: Floats, others: Floats, label: Ints) -> str | None:
    """Test whether predictions were chosen by how long the stay still lasts.

    Stays without a prediction should last as long as those with one. They are reported from a
    Kolmogorov-Smirnov distance of 0.5 on, and where they all last longer, or all end earlier, than
    the stays of one class (as where only survivors who leave soon were kept); or where nearly all
    do, and they also last longer, or end earlier, than the other class, by more than chance.

    ``left`` has the hours from each prediction to the end of its stay, and ``others`` those of
    stays without one, at a time when it could have been made. Returns medians in words, or None.
    """
    small = min(len(others), *np.bincount(label, minlength=2)) < _LEAST
    if small or stats.ks_2samp(left, others).pvalue > _CHANCE:
        return None
    both = [left[label == one] for one in (0, 1)]
    tests = [stats.mannwhitneyu(each, others) for each in both]
    sides = [t.statistic / len(b) / len(others) - 0.5 for t, b in zip(tests, both, strict=True)]
    # A mixture of both classes cannot last longer, or end earlier, than each of them.
    no_mixture = sides[0] * sides[1] > 0 and max(test.pvalue for test in tests) <= _CHANCE
    apart = max(map(abs, sides)) + 0.5 >= (_MOSTLY_APART if no_mixture else _APART)
    if stats.ks_2samp(left, others).statistic <= CHOSEN and not apart:
        return None
    medians = [np.median(each) for each in both]
    return f"{medians[0]:.0f} and {medians[1]:.0f} hours in both classes, {np.median(others):.0f}"


def steady_before_the_end(left: Floats, since: Floats, label: Ints) -> float | None:
    """Test whether predictions were made at a fixed time before the end of the stay.

    The quartiles of the hours left are then near each other, and those of whole stays are not.
    Predictions in the last hour are made at the discharge, and are not tested.

    ``left`` has the hours from each prediction to the end of its stay, ``since`` those from its
    beginning; each class is also tested alone. Returns the median of the hours left, or None.
    """
    for chosen in (label >= 0, label == 0, label == 1):
        some, whole = left[chosen], (left + since)[chosen]
        if len(some) < _LEAST or np.median(some) <= 1:
            continue
        if stats.iqr(some) < _STEADY * stats.iqr(whole):
            return float(np.median(some))
    return None


def telling_statistics(
    statistics: Mapping[tuple[str, str], Floats], label: Ints, classes: Sequence[str], group: Groups
) -> list[Finding]:
    """Find artefacts of a signal, or the amplitude of one channel, that tell the class.

    An artefact (offset, mains hum, resolution) is reported from an out-of-fold AUROC of 0.95 on, or
    where a model of all statistics above 0.8 loses more than 0.05 without it. So is the amplitude
    of one of several channels, from 0.95 on. Amplitudes and spectra of all channels together may
    differ for good reasons.

    ``statistics`` are those of :mod:`sequela.signals.signal_statistics`; each class is tested
    against the others.
    """
    tables = [binned(values[:, None])[0] for values in statistics.values()]
    width = [each.shape[1] for each in tables]
    kinds, channels = (np.repeat([key[i] for key in statistics], width) for i in (0, 1))
    table = csr_array(hstack(tables, format="csr"))
    several = len({channel for _, channel in statistics}) > 1
    alike = np.array([_ALIKE.get(kind, kind) for kind in kinds], np.str_)
    artefacts = np.where(np.isin(kinds, ARTEFACTS), alike, "")
    amplitudes = np.where(
        several & (kinds == AMPLITUDE), np.char.add(f"{AMPLITUDE} of ", channels), ""
    )
    found = []
    for one, of_class in each_class(label, classes):
        if min(len(np.unique(group[of_class == is_it])) for is_it in (True, False)) < _LEAST:
            continue
        binary = of_class.astype(np.int64)
        fold, highest = folds(binary, group), 0.0
        bounds = (_OF_SIGNAL, _OF_ARTEFACT)
        least, most = (least_area(of_class, group.astype(np.str_), 5, bound) for bound in bounds)
        for kind in np.unique(kinds[(artefacts != "") | (amplitudes != "")]).tolist():
            alone = csr_array(table[:, np.flatnonzero(kinds == kind)])
            auroc = area(binary, strongest(alone, binary, fold))
            highest = max(highest, auroc)
            if kind in ARTEFACTS and auroc > most:
                facts: dict[str, Any] = {"auroc": auroc, "name": classes[one]}
                facts["how"] = f"the {kind} alone predicts"
                found.append(Finding.suspected("inputs that tell the outcome", "signal", **facts))
        if highest < _WEAK:
            continue
        levels = [(artefacts, least, _GAIN / 2), (amplitudes, most, _GAIN / 2)]
        found += _outweighing(table, levels, binary, classes[one], group)
    return found
