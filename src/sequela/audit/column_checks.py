"""Single columns and codes that reveal the outcome.

Each check is a function from arrays to findings; an empty result does not prove that there is no
leak.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.audit.finding import Code, Finding
from sequela.audit.input import CHANCE, STRICT_CHANCE, Flags, Floats, Groups, Ints, Labels, spacing
from sequela.audit.preprocessing import unit_of

REVEALING_AUROC = 0.9  # report a column or model that reaches this AUROC
# On the open hospital data no code passes an AUROC of 0.71 (decision 18), and no
# measurement 0.80. In tables of others, columns may be anything, and 0.9 is for all.
REVEALING_CODE = 0.8  # report a code of a run whose presence alone reaches this AUROC
REVEALING_VALUE = 0.87  # report a measurement of a run that alone reaches this AUROC
HONEST = 0.8  # AUROC of a strong honest measurement, such as lactate or a coma score
PURE = 0.9  # report a code where this share of those with it are of one class
OF_CLASS = 0.2  # share of the class that must have the code
ODDS = 10  # factor by which the odds of the class must be greater among those with the code
RARE_ODDS = 30  # same for a rare class, where fewer than 90 % of those with it are of the class
WAYS = (
    "its values alone predict", "whether it is missing alone predicts",
    "whether its last digit is even alone predicts",
)  # fmt: skip
"""The sentences on how a column predicts."""
_ERRORS = 2.5  # standard errors by which a small sample may exceed an honest AUROC
_WIDE = 10  # units of rounding between the quartiles of values whose last digit is judged
_SEEN = 1_000  # values by which the unit of rounding is recognised
_JUDGED = 20_000  # rows whose single columns are judged
_CELLS = 1 << 22  # numbers of a table that are judged at once
_REPEATED = 5  # rows with a value, in which an average of labels is looked for
_SEVERAL = 5  # such values
_INSIDE = 1e-6  # distance of an expected share from 0 and 1


def revealing_columns(
    columns: Any,
    names: Sequence[str],
    labels: Labels,
    *,
    bound: float | None = None,
    measured: bool = False,
) -> list[Finding]:
    """Find columns that alone rank one class above the rest with an AUROC above 0.9 (or below 0.1).

    A column's values are judged where they are present. Whether they are present is judged too, and
    whether the last digit of rounded values is even. An AUROC that chance explains, with as few
    groups that have a value, is not reported. ``bound`` replaces 0.9. Of columns that are
    ``measured``, the finding states how often an honest one is as strong. Columns are (example,
    column), with NaN for missing values.
    """
    tests, group = len(WAYS) * len(names) * len(labels.classes), labels.group  # for Bonferroni
    step = max(1, _CELLS // max(1, len(labels.label)))
    bound = REVEALING_AUROC if bound is None else bound
    masks = [labels.label == value for value in labels.positives]
    least = [least_area(is_class, group, tests, bound) for is_class in masks]
    areas = [np.empty((len(WAYS), 0)) for _ in masks]
    for start in range(0, len(names), step):  # some columns at once, to limit memory
        block = np.asarray(columns[:, start : start + step], np.float64)  # (example, column)
        present = ~np.isnan(block)
        rank = np.asarray(stats.rankdata(block, axis=0, nan_policy="omit"))
        even = np.stack([last_digit_is_even(column) for column in block.T], axis=1)
        for place, is_class in enumerate(masks):
            of_block = _areas_by_way(rank, present, even, is_class)
            # The bound above is for all groups. A column measured in few of them has a higher one.
            strongest = np.abs(of_block[[0, 2]] - 0.5).max(axis=0)
            for column in np.flatnonzero(strongest > least[place] - 0.5):
                filled = present[:, column]
                by_few = least_area(is_class[filled], group[filled], tests, bound)
                for way in (0, 2):
                    if abs(of_block[way, column] - 0.5) <= by_few - 0.5:  # in too few groups
                        of_block[way, column] = 0.5
            areas[place] = np.hstack([areas[place], of_block])
    findings = []
    for value, by_way, lowest in zip(labels.positives, areas, least, strict=True):
        for of_way, how in zip(by_way, WAYS, strict=True):
            facts = {"how": how, "name": labels.classes[value], "least": lowest}
            if measured:
                facts["columns"] = len(names)
            findings += _revealing(of_way, names, facts)
    return findings


def _areas_by_way(rank: Floats, present: Flags, even: Flags, is_class: Flags) -> Floats:
    """Compute the AUROC of values, their presence and an even last digit: (way, column)."""
    positives, negatives = (present[side].sum(axis=0) for side in (is_class, ~is_class))
    pairs = positives * negatives
    # The sum of ranks counts the pairs that the class wins, besides those within it (Mann-Whitney).
    beaten = np.nansum(rank[is_class], axis=0) - positives * (positives + 1) / 2
    values = np.divide(beaten, pairs, out=np.full(len(pairs), 0.5), where=pairs > 0)  # (column,)
    sizes = max(is_class.sum(), 1), max((~is_class).sum(), 1)
    # The AUROC of a yes or no is half of one plus the difference of its shares in both classes.
    absent = 0.5 + (negatives / sizes[1] - positives / sizes[0]) / 2
    beaten = even[is_class].sum(0) * negatives - even[~is_class].sum(0) * positives
    digit = 0.5 + np.divide(beaten, 2 * pairs, out=np.zeros(len(pairs)), where=pairs > 0)
    return np.stack([values, absent, digit])


def last_digit_is_even(values: Floats) -> Flags:
    """Return where the last digit of rounded values (row,) is even; nowhere if not rounded."""
    filled = np.isfinite(values)
    sample, even = values[filled][:: spacing(len(values), _SEEN)], np.zeros(len(values), np.bool_)
    unit = unit_of(sample) if len(sample) else 0  # such as 0.1 mmol/l
    if unit and np.subtract(*np.quantile(sample, (0.75, 0.25))) >= _WIDE * unit:
        even[filled] = np.round(values[filled] / unit) % 2 == 0
    return even


def revealing_codes(present: csr_array, names: Sequence[str], labels: Labels) -> list[Finding]:
    """Find codes whose presence alone ranks one class above the rest with an AUROC above 0.8.

    The rules are those of :func:`revealing_columns`. ``present`` is (example, code of ``names``),
    1 where the example has the code.
    """
    place = np.unique(labels.group, return_inverse=True)[1]
    of_group = csr_array((np.ones(len(place)), (place, np.arange(len(place)))))
    people = np.diff((of_group @ present).tocsc().indptr).tolist()  # groups with each code
    findings = []
    for value in labels.positives:
        is_class, name = labels.label == value, labels.classes[value]
        positives, negatives = (
            present[side].sum(axis=0, dtype=np.float64) / max(side.sum(), 1)
            for side in (is_class, ~is_class)
        )
        tests = len(names) * len(labels.classes)
        least = least_area(is_class, labels.group, tests, REVEALING_CODE)
        areas = (1 + positives - negatives) / 2  # of a yes or no
        facts = {"how": "its presence alone predicts", "name": name, "least": least}
        findings += _revealing(areas, names, facts, people)
    return findings


def _revealing(
    areas: Floats,
    names: Sequence[str],
    facts: Mapping[str, Any],
    people: Sequence[int] | None = None,
) -> list[Finding]:
    strength = np.maximum(areas, 1 - areas)  # a low value may mark the class as well
    codes = tuple(
        Code(names[i], people[i] if people else None, float(strength[i]))
        for i in np.argsort(-strength, kind="stable")
        if strength[i] > facts["least"]
    )
    check = "columns that reveal the outcome"
    return [Finding.of(check, codes=codes, **facts)] if codes else []


def pure_codes(present: csr_array, names: Sequence[str], labels: Labels) -> list[Finding]:
    """Find codes that many of one class have and hardly anybody of the other.

    A code is reported where at least 90 % of those with it are of the class, at least 20 % of the
    class have it, the odds of the class are ten times those in all examples, and that share cannot
    be chance: its lower bound (Clopper & Pearson 1934, of groups, divided by the number of codes)
    is above the share of the class in all examples. An area under the curve misses such a code
    where only half of the class has it. ``present`` is (example, code), not 0 where the example has
    the code; labels are 0 or 1.
    """
    groups, place = np.unique(labels.group, return_inverse=True)
    size = len(groups), len(place)
    member = csr_array((np.ones(len(place)), (place, np.arange(len(place)))), size)
    findings = []
    for value, name in enumerate(labels.classes):
        sides = labels.label == value, labels.label != value
        of_class, of_rest = (
            np.asarray(((member @ (present * side[:, None])) > 0).sum(axis=0)).ravel()
            for side in sides
        )
        totals = [len(np.unique(place[side])) for side in sides]
        if not all(totals):
            return []
        pure = np.flatnonzero(is_pure(of_class, of_rest, totals))
        codes = []
        for i in pure[np.argsort(-of_class[pure], kind="stable")]:
            n, m = int(of_class[i]), int(of_rest[i])  # groups with the code
            codes.append(Code(names[i], n + m, shares=((n, totals[0]), (m, totals[1]))))
        if codes:
            check = "codes that tell the outcome"
            findings.append(Finding.of(check, codes=codes, name=name))
    return findings


def is_pure(of_class: Floats, of_rest: Floats, totals: Sequence[int]) -> Flags:
    """Test which codes reveal a class, from the groups with each code in the class and the rest.

    ``totals`` are all groups of the class and of the rest; see :func:`pure_codes` for the bounds.
    """
    share = totals[0] / sum(totals)  # of the class among all groups
    n = np.maximum(of_class + of_rest, 1)
    least = stats.beta.ppf(CHANCE / max(len(n), 1), np.maximum(of_class, 0.5), of_rest + 1)
    odds = (of_class + 0.5) / (of_rest + 0.5) / (share / (1 - share))
    # Half an event more on each side keeps the odds of a code finite (Haldane 1956).
    pure = (of_class / n >= PURE) & (odds >= ODDS) | (odds >= RARE_ODDS)
    return pure & (of_class >= OF_CLASS * totals[0]) & (least > share)


def averaged_labels(
    table: NDArray[np.floating], names: Sequence[str], labels: Labels
) -> list[Finding]:
    """Find numbers that were computed from the labels: the shares of a class in groups of rows.

    Rows with equal values have such shares by design (target encoding). In honest data the share of
    a class among rows with one value differs from any line by chance; here the differences, as a
    chi-squared statistic, are smaller than chance allows.

    ``table`` is (example, column), NaN where there is no value; labels are 0 or 1.
    """
    codes, label = [], labels.label
    for values, name in zip(table.T, names, strict=True):
        filled = np.isfinite(values)
        distinct, place, count = np.unique(values[filled], return_inverse=True, return_counts=True)
        distinct = distinct.astype(np.float64)
        often = count >= _REPEATED  # a share of few rows is vague
        one_class = len(np.unique(label[filled])) == 1
        if one_class or often.sum() < _SEVERAL or 2 * count[often].sum() < filled.sum():
            continue
        share = np.bincount(place, label[filled])[often] / count[often]  # of the class, by value
        if too_exact(distinct[often], share, count[often]) * len(names) < STRICT_CHANCE:
            codes.append(Code(name, int(filled.sum())))
    check = "numbers computed from the labels"
    return [Finding.of(check, codes=codes, name=labels.classes[1])] if codes else []


def too_exact(value: Floats, share: Floats, count: Ints) -> float:
    """Return the chance that shares of a class are as near to a line of values (group,)."""
    # A line, since encoders shrink the shares towards their mean (Micci-Barreca 2001).
    line = np.polynomial.Polynomial.fit(value, share, 1, w=np.sqrt(count))
    expected = np.clip(line(value), _INSIDE, 1 - _INSIDE)
    apart = (count * (share - expected) ** 2 / (expected * (1 - expected))).sum()
    # The lower tail: shares of real groups scatter around any line by chance, computed ones do not.
    return float(stats.chi2.cdf(apart, len(value) - 2))


def spaced_by_class(label: Ints, classes: int, most: int | None = None) -> Ints:
    """Return evenly spaced rows of each class, all of few: int64 (row,), rising."""
    most = most or _JUDGED
    if len(label) <= most:
        return np.arange(len(label))
    of_class = (np.flatnonzero(label == value) for value in range(classes))
    steps = ((rows, spacing(len(rows) * classes, most)) for rows in of_class)
    return np.sort(np.concatenate([rows[::step] for rows, step in steps]))


def area(label: Ints, score: NDArray[np.generic]) -> float:
    """Compute the AUROC of scores (row,) for labels of 0 and 1; 0.5 for one class."""
    positives, rank = int(label.sum()), stats.rankdata(score)
    pairs = positives * (len(label) - positives)
    beaten = rank[label == 1].sum() - positives * (positives + 1) / 2
    return float(beaten / pairs) if pairs else 0.5


def least_area(
    is_class: Flags, group: Groups, tests: int, least: float, honest: float | None = None
) -> float:
    """Compute the AUROC that chance does not explain with as few groups (Mann & Whitney 1947).

    ``tests`` is the number of areas that are compared, ``least`` the lower limit of the result. A
    limit between 0.8 and 0.9 is raised to what an ``honest`` AUROC (0.8) may reach with as few
    groups (Hanley & McNeil 1982), and any other limit if that is stated.
    """
    positives, negatives = (len(np.unique(group[side])) for side in (is_class, ~is_class))
    if not positives or not negatives:
        return np.inf
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    by_chance = 0.5 + float(stats.norm.isf(CHANCE / 2 / max(tests, 1)) * error)
    if honest or HONEST < least < REVEALING_AUROC:
        real = honest or HONEST
        spread = real * (1 - real) + (positives - 1) * (real / (2 - real) - real**2)
        spread += (negatives - 1) * (2 * real**2 / (1 + real) - real**2)
        by_chance = max(by_chance, real + _ERRORS * np.sqrt(spread / (positives * negatives)))
    return max(least, by_chance)
