"""Traces of the class in the cells of a table: how they are written, filled in and computed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.audit.column_checks import (
    REVEALING_AUROC,
    WAYS,
    area,
    least_area,
    pure_codes,
    revealing_columns,
    too_exact,
)
from sequela.audit.finding import Code, Finding
from sequela.audit.input import STRICT_CHANCE, Flags, Floats, Ints, Labels, Words, spacing
from sequela.audit.preprocessing import unit_of

_OF_DECIMALS = "decimals of "
_DIGITS = range(-2, 6)  # decimals of a number; below 0 the zeros at its end
_ROUNDING = 2e-7  # relative, of float32
_WRITTEN = 0.8  # AUROC from which decimals and the number of blanks are reported
_ODD = 10  # times that a value is more frequent than any other, and groups that have it
_LEAST = 0.01  # share of rows that have such a value
_OFTEN = 3  # times that a value is more frequent than half of the values of its column
_VALUES = 20  # different values of a column of categories
_SAME = 0.85  # correlation of columns whose difference is looked at
_MOSTLY_KNOWN = 0.5  # share of the cells of such columns that are filled
_PAIRS = 30  # of nearly equal columns that are looked at, to limit time
_ROWS = 5_000  # of a first look, to limit time
_EXACT = 1e-4  # of a deviation: a value that is the mean of others
_GAIN = 0.1  # of the AUROC of cells that were filled in beyond that of others
_GROUPS = 5  # rows of a group whose mean is compared, and distinct groups
_BETWEEN = 0.5  # the groups' share of the variance of a column
_MATTERS = 0.05  # weight of the test set in a share


def by_class(
    table: Floats,
    names: Sequence[str],
    labels: Labels,
    written: Mapping[str, Floats] | None = None,
    texts: Mapping[str, Words] | None = None,
    tested: Flags | None = None,
) -> Iterator[Finding]:
    """Find traces of the class in cells, of (example, column), NaN where there is no value.

    ``written`` are other numbers of each example, such as the length of a text, and ``texts``
    categories, by name; ``tested`` are the examples of the test set.
    """
    yield from _written_by_class(table, names, labels, written or {})
    if len(labels.classes) == 2:  # noqa: PLR2004
        yield from pure_codes(*frequent(table, names, texts or {}), labels)
        yield from _filled_in(table, names, labels)
        yield from _shares(table, names, labels, tested)


def _written_by_class(
    table: Floats, names: Sequence[str], labels: Labels, written: Mapping[str, Floats]
) -> Iterator[Finding]:
    """Find the last digit, decimals, blanks and differences of cells that predict the class."""
    forms, further = decimals(table, names), {**written, **_differences(table, names)}
    blank = np.isnan(table)
    if blank.any(0).sum() > 1:  # of one column, whether it is missing says it
        forms["the number of blank cells"] = blank.sum(1).astype(np.float64)
    column_of = dict(zip(names, table.T, strict=True))

    def says_more(code: Code, of_class: Flags) -> bool:
        """Return whether the form of a cell predicts more than its value.

        A value written with as many significant digits as others tells its own size.
        """
        if not code.name.startswith(_OF_DECIMALS):
            return True
        values = column_of[code.name.removeprefix(_OF_DECIMALS)]
        return (code.auroc or 0) > _strength(values, of_class) + _GAIN

    for columns, bound in (
        (column_of, _WRITTEN), (forms, _WRITTEN), (further, REVEALING_AUROC),
    ):  # fmt: skip
        values = np.column_stack([*columns.values(), np.zeros(len(table))])
        for finding in revealing_columns(values, [*columns, ""], labels, bound=bound):
            by_values = finding.facts["how"] == WAYS[0]
            if by_values == (columns is column_of):
                continue  # other checks judge values; blanks of these columns are of others
            of_class = labels.label == labels.classes.index(finding.facts["name"])
            codes = tuple(code for code in finding.codes if says_more(code, of_class))
            if codes:
                yield replace(finding, codes=codes)


def _strength(values: Floats, of_class: Flags) -> float:
    """Return the AUROC of the values that are there, in either direction."""
    filled = np.isfinite(values)
    auroc = area(of_class[filled].astype(np.int64), values[filled])
    return max(auroc, 1 - auroc)


def decimals(table: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Return the number of decimals of each cell, of columns in which it varies."""
    columns = {}
    for values, name in zip(table.T, names, strict=True):
        filled = np.isfinite(values)
        digits = np.full(len(values), np.nan)
        for number in reversed(_DIGITS):
            scaled = values * 10.0**number  # whole where the number has so many decimals
            error = np.abs(scaled - np.round(scaled))
            exact = error <= np.maximum(_ROUNDING * np.abs(scaled), _ROUNDING)
            digits[filled & exact] = number
        digits[filled & np.isnan(digits)] = _DIGITS.stop
        digits[values == 0] = np.nan  # 0 has no last digit
        if len(np.unique(digits[np.isfinite(digits)])) > 1 and np.nanmin(digits) < _DIGITS.stop:
            columns[_OF_DECIMALS + name] = digits
    return columns


def frequent(
    table: Floats, names: Sequence[str], texts: Mapping[str, Words]
) -> tuple[csr_array, list[str]]:
    """Return where categories are, and values much more frequent than others: (example, value)."""
    columns, value_names = [np.zeros((len(table), 0), np.bool_)], list[str]()
    numbers = {n: v for n, v in zip(names, table.T, strict=True) if n not in texts}
    for name, values in (numbers | {**texts}).items():
        distinct, place, count = np.unique(values, return_inverse=True, return_counts=True)
        usual = np.median(count) if len(distinct) > _VALUES else 0  # of a category, none is usual
        picked = np.argsort(-count, kind="stable")[:_VALUES]  # the most frequent
        least = max(_OFTEN * usual, _LEAST * len(table), _OFTEN)
        picked = picked[(count[picked] >= least) & (count[picked] < len(table))]
        columns.append(place[:, None] == picked)
        words = [str(value).removesuffix(".0") for value in distinct[picked]]
        value_names += [f"{name} = {'blank' if value in {'', 'nan'} else value}" for value in words]
    return csr_array(np.hstack(columns).astype(np.float64)), value_names


def _differences(table: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Return the differences of columns that are nearly equal, in the units of one of them."""
    filled = np.isfinite(table)
    usual = np.flatnonzero(filled.mean(0) > _MOSTLY_KNOWN)
    mean = np.nanmean(table[:, usual], axis=0)
    centred = np.where(filled[:, usual], table[:, usual] - mean, 0)[:: spacing(len(table), _ROWS)]
    size = np.linalg.norm(centred, axis=0)
    alike = np.triu(np.abs(centred.T @ centred), 1) > _SAME * np.outer(size, size)  # correlations
    columns = {}
    for first, second in np.argwhere(alike)[:_PAIRS].tolist():
        # Regression of one column on the other: what remains is their difference in its units.
        slope = centred[:, first] @ centred[:, second] / size[first] ** 2
        first_column, second_column = usual[[first, second]]
        difference = table[:, second_column] - slope * table[:, first_column]
        columns[f"difference of {names[second_column]} and {names[first_column]}"] = difference
    return columns


def _filled_in(table: Floats, names: Sequence[str], labels: Labels) -> Iterator[Finding]:
    """Find blanks that were filled in with the label: by the mean of a class, or by a model."""
    means, models = list[str](), list[Code]()
    label, group, name_of_class = labels.label, labels.group, labels.classes[1]
    digits = decimals(table, names)
    for values, name in zip(table.T, names, strict=True):
        constants = [_constant(values[label == class_]) for class_ in (0, 1)]  # one of each class
        if None not in constants and len({*constants}) > 1:
            means.append(name)
        decimals_of = digits.get(_OF_DECIMALS + name)
        if decimals_of is None or not (filled := np.isfinite(decimals_of)).any():
            continue
        usual = stats.mode(decimals_of[filled]).mode  # decimals with which people wrote this column
        finer, usually = filled & (decimals_of > usual), filled & (decimals_of <= usual)
        if min(len(np.unique(group[finer & (label == class_)])) for class_ in (0, 1)) < _ODD:
            continue
        strong, weak = (_strength(values[side], label[side] == 1) for side in (finer, usually))
        least = least_area(label[finer] == 1, group[finer], len(names), _WRITTEN)
        if strong > least and strong > weak + _GAIN:
            models.append(Code(name, auroc=float(strong)))
    if means:
        codes = [Code(name) for name in means]
        yield Finding.of("means of the class", codes=codes, name=name_of_class)
    if models:
        yield Finding.of("cells with more decimals", codes=models, name=name_of_class)


def _constant(values: Floats) -> float | None:
    """Return an unusual value that many rows have, if it is the mean or median of the others.

    It has more digits than the others, or is ten times as frequent as any of them.
    """
    filled = values[np.isfinite(values)]
    distinct, count = np.unique(filled, return_counts=True)
    if len(distinct) <= _VALUES or count.max() < max(_LEAST * len(filled), _GROUPS):
        return None
    constant, second = distinct[count.argmax()], np.sort(count)[-2]
    rest = filled[filled != constant]
    near = min(abs(rest.mean() - constant), abs(np.median(rest) - constant)) < _EXACT * rest.std()
    unit = unit_of(rest)
    finer = unit > 0 and abs(constant / unit - np.round(constant / unit)) > _EXACT
    return float(constant) if near and (finer or count.max() >= _ODD * second) else None


def _shares(
    table: Floats, names: Sequence[str], labels: Labels, tested: Flags | None
) -> Iterator[Finding]:
    """Find columns whose means by another column are the shares of a class there, with noise.

    Shares of the training set alone do not leak: those of the test set must matter, too.
    """
    distinct = np.array([len(np.unique(column)) for column in table[:_ROWS].T])
    exact = np.isfinite(table).all(0) & (table.std(0) > 0)
    groupings = (distinct >= _GROUPS) & (distinct <= min(len(table), _ROWS) / _GROUPS)
    sides = [~tested, tested] if tested is not None and 0 < tested.mean() < 1 else []
    codes, label = dict[str, Code](), labels.label
    for grouping in np.flatnonzero(groupings):
        _, place, count = np.unique(table[:, grouping], return_inverse=True, return_counts=True)
        often = np.flatnonzero(count >= _GROUPS)
        if len(often) < 2 * _GROUPS:
            continue
        picked = np.flatnonzero(exact & (distinct > _VALUES) & (np.arange(len(names)) != grouping))
        means = _by_group(table[:, picked], place)[often]
        share = _by_group(label[:, None], place)[often, 0]
        part_shares = [_by_group(label[:, None], place, side)[often, 0] for side in sides]
        for column, mean in zip(picked.tolist(), means.T, strict=True):
            # A column that was computed from groups varies between groups, hardly within them.
            between = np.average((mean - table[:, column].mean()) ** 2, weights=count[often])
            if between < _BETWEEN * table[:, column].var():
                continue
            chance = too_exact(mean, share, count[often]) * len(names) ** 2
            if chance < STRICT_CHANCE and (not part_shares or _matters(mean, part_shares)):
                codes[names[column]] = Code(names[column], len(table))
    if codes:
        check = "numbers computed from the labels"
        yield Finding.of(check, codes=[*codes.values()], name=labels.classes[1])


def _by_group(values: NDArray[np.number], place: Ints, rows: Flags | None = None) -> Floats:
    """Return the mean of each column by group, 0 where a group has no such rows."""
    weight = np.ones(len(place)) if rows is None else rows.astype(np.float64)
    member = csr_array((weight, (place, np.arange(len(place)))))
    return np.asarray((member @ values) / np.maximum(member.sum(1), 1)[:, None], np.float64)


def _matters(mean: Floats, shares: Sequence[Floats]) -> bool:
    """Return whether means depend on the shares of both parts, not of the first alone."""
    parts = np.stack([*shares, np.ones(len(mean))]).T
    # Least squares: mean = a · share in the training set + b · share in the test set + c.
    weights = np.abs(np.linalg.lstsq(parts, mean, rcond=None)[0][:2])
    return bool(weights[1] > _MATTERS * weights.sum())
