"""Overlaps between the parts of a split, and columns that reveal the outcome.

Each check is a function from arrays to findings; an empty result does not prove that there is no
leak.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csc_array, csr_array, vstack

from sequela.cohort.finding import Finding
from sequela.cohort.fingerprint import CHANCE_OF_COPY, Content, bits_of_codes, matches
from sequela.config import SMALLEST_CELL
from sequela.sources import simultaneous

REVEALING_AUROC = 0.9
REVEALING_CODE = 0.8
"""The bound for the presence of one code, which predicts little.

On the open hospital data no code passes an AUROC of 0.71 (``benchmarks/audit_bounds.py``).
"""
# Probabilities of a false alarm, each over all comparisons of one check.
_CHANCE_OF_COLUMN = 1e-3
_NEAR = 0.05
_ROUNDING = 1e-6
_NEIGHBOURS = 10
_MEASURED = 20
_MOST_ROWS = 2_000  # rows whose nearest neighbours are computed
_NAMED = 5
FEW = f"a code of fewer than {SMALLEST_CELL} subjects"
"""A placeholder for the name of a rare code, which may reveal who has it."""
_ONE_PART = (
    "find out where the copies come from (a recording or person under two names?) and keep all of "
    "them in one part"
)
_ONE_EVENT = (
    "find out whether they are copies with noise, or were recorded at the same time by "
    "neighbouring electrodes, and keep them in one part"
)

Parts = Mapping[str, NDArray[np.float64]]


def overlapping_groups(groups: Mapping[str, NDArray[np.str_]], unit: str) -> list[Finding]:
    """Find groups (subjects, recordings) that are in two parts.

    Args:
        groups: For each part, str (example,): the group of each example.
        unit: Name of a group, for example ``recording``.
    """
    found = []
    for (one, ids), (other, other_ids) in combinations(groups.items(), 2):
        shared = np.intersect1d(ids, other_ids)
        if shared.size:
            rows = int(np.isin(other_ids, shared).sum())
            found.append(
                Finding(
                    "overlapping groups",
                    f"{shared.size} {unit}s are in both parts, with {rows} of "
                    f"{other_ids.size} examples of {other}",
                    f"{one}, {other}",
                    "leak",
                    f"split by {unit}",
                )
            )
    return found


def same_content(content: Content, parts: Mapping[str, Sequence[str]], unit: str) -> list[Finding]:
    """Find units with the content of units of another part, under another name.

    :mod:`sequela.cohort.fingerprint` defines copies: a recording is found in spite of a changed
    gain, offset or sign, a shift in time or a cut, and a record in spite of other dates and a tenth
    of its codes missing. Units that are in both parts are left out: :func:`overlapping_groups`
    reports them.

    Args:
        content: The marks of all units.
        parts: For each part, the names of its units in ``content``.
        unit: Name of a unit, for example ``recording``.
    """
    known = matches(content, content)
    sides = np.concatenate(
        [np.stack([known.known, known.asked]), np.stack([known.asked, known.known])], axis=1
    )
    copy = np.tile(known.copy, 2)
    names = np.array(content.units, np.str_)
    found = []
    for (one, ids), (other, other_ids) in combinations(parts.items(), 2):
        both = np.intersect1d(ids, other_ids)
        only, others = (np.isin(names, np.setdiff1d(each, both)) for each in (ids, other_ids))
        across = only[sides[0]] & others[sides[1]]
        copies = np.unique(sides[1][across & copy])
        alike = np.setdiff1d(sides[1][across], copies)
        of = f"of {len(np.unique(other_ids))} {unit}s of {other}"
        where = f"{one}, {other}"
        if len(copies):
            what = f"{len(copies)} {of} are copies of {unit}s of {one}, under another name"
            found.append(Finding("same content", what, where, "leak", _ONE_PART))
        if len(alike):
            what = f"{len(alike)} {of} are suspiciously similar to {unit}s of {one}"
            found.append(Finding("resembling content", what, where, "suspicion", _ONE_EVENT))
    return found


def simultaneous_recordings(
    signals: Sequence[NDArray[np.float64]], sfreq: float, part: Sequence[str]
) -> list[Finding]:
    """Find recordings made at the same time in two parts; see :mod:`sequela.sources.simultaneous`.

    Args:
        signals: One channel of each recording, float64 (n_times,).
        sfreq: Samples per second, in Hz.
        part: The part of each recording; empty where it is in several.
    """
    parts = np.array(part, np.str_)
    found = []

    def compared(one: int) -> NDArray[np.bool_]:
        others: NDArray[np.bool_] = (parts != parts[one]) & (parts != "") & (parts[one] != "")
        return others

    one, other = simultaneous.pairs(signals, sfreq, compared=compared).T
    for first, second in combinations(dict.fromkeys(filter(None, part)), 2):
        across = np.isin(parts[[one, other]], (first, second)).all(axis=0)
        of_second = np.concatenate([one[across], other[across]])
        count = len(np.unique(of_second[parts[of_second] == second]))
        if count:
            what = (
                f"{count} of {int((parts == second).sum())} recordings of {second} were made at "
                f"the same time as recordings of {first}"
            )
            remedy = "split by session (--session names its column), or by subject"
            where = f"{first}, {second}"
            found.append(Finding("simultaneous recordings", what, where, "leak", remedy))
    return found


def one_class(labels: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> list[Finding]:
    """Find parts with labels of one class only, and parts that lack a class another part has.

    Args:
        labels: For each part, int64 (example,).
        classes: Names of the classes.
    """
    known = {part: set(np.unique(label).tolist()) for part, label in labels.items() if label.size}
    every = set().union(*known.values()) if known else set()
    found = []
    for part, present in known.items():
        missing = ", ".join(f"'{classes[one]}'" for one in sorted(every - present))
        if len(present) == 1:
            what = f"all {labels[part].size} labels are '{classes[min(present)]}'"
        elif missing:
            what = f"there is no example of {missing}, which other parts have"
        else:
            continue
        remedy = "stratify the split by class, or check that the labels were read correctly"
        found.append(Finding("labels of one class", what, part, "suspicion", remedy))
    return found


def identical_rows(parts: Parts) -> list[Finding]:
    """Find identical rows in two parts.

    Rows with little information agree by chance: two people with the same two diagnoses. A row is
    only counted if its values are too rare to match by chance: if columns were independent, a match
    anywhere would have a probability below one in a million. A row with one value throughout (a
    flat signal) does not count either.

    Args:
        parts: For each part, (example, column); missing values are NaN.
    """
    rows = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts.values()])
    if not rows.size:
        return []
    rows = np.where(rows == 0, 0.0, rows)  # -0 is 0
    distinctive = _bits(rows) > 2 * np.log2(len(rows)) - np.log2(CHANCE_OF_COPY)
    distinctive &= np.nanmax(rows, axis=1, initial=-np.inf) > np.nanmin(
        rows, axis=1, initial=np.inf
    )
    _, same = np.unique(
        np.ascontiguousarray(rows).view(f"V{rows.shape[1] * rows.itemsize}")[:, 0],
        return_inverse=True,
    )
    bounds = np.cumsum([0, *(len(part) for part in parts.values())])
    where = {name: slice(*bounds[index : index + 2]) for index, name in enumerate(parts)}
    found = []
    for one, other in combinations(parts, 2):
        copies = np.isin(same[where[other]], same[where[one]]) & distinctive[where[other]]
        if copies.any():
            found.append(_copies("identical rows", "identical to", one, other, copies))
    return found


def identical_records(parts: Mapping[str, csr_array]) -> list[Finding]:
    """Find records with the same codes in two parts, with too much information to match by chance.

    :func:`sequela.cohort.fingerprint.bits_of_codes` measures the information in the codes of a
    record.

    Args:
        parts: For each part, (example, code), not 0 where the example has the code.
    """
    rows = vstack([*parts.values()], format="csr")
    part = np.repeat(np.arange(len(parts)), [some.shape[0] for some in parts.values()])
    alike: dict[bytes, list[int]] = {}
    for row, (first, end) in enumerate(pairwise(rows.indptr)):
        alike.setdefault(np.sort(rows.indices[first:end]).tobytes(), []).append(row)
    by_code = csc_array(rows != 0, dtype=np.int64)
    least = 2 * np.log2(max(rows.shape[0], 1)) - np.log2(CHANCE_OF_COPY)
    copied = np.zeros((len(parts), rows.shape[0]), dtype=bool)  # part and row
    for same in alike.values():
        where = set(part[same].tolist())
        if len(where) > 1 and _bits_of_record(by_code, rows[same[:1]].indices) > least:
            for one in where:
                copied[one, same] = True
    found = []
    for (one, name), (other, other_name) in combinations(enumerate(parts), 2):
        copies = copied[one, part == other]
        if copies.any():
            found.append(_copies("identical records", "identical to", name, other_name, copies))
    return found


def _bits_of_record(by_code: csc_array, codes: NDArray[np.int32]) -> float:
    """Compute how improbable these codes are, judged by all but two of those who have them."""
    having = by_code[:, codes]
    return bits_of_codes((having.T @ having).toarray() - 2, by_code.shape[0] - 2)


def _bits(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute how improbable each row is if columns were independent: float64 (row,)."""
    bits = np.zeros(len(rows))
    for column in rows.T:
        _, value, count = np.unique(column, return_inverse=True, return_counts=True)
        bits -= np.log2(count / len(rows))[value]
    return bits


def _copies(check: str, relation: str, one: str, other: str, copies: NDArray[np.bool_]) -> Finding:
    return Finding(
        check,
        f"{int(copies.sum())} of {copies.size} rows of {other} are {relation} rows of {one}",
        f"{one}, {other}",
        "leak",
        _ONE_PART,
    )


def near_identical_rows(parts: Parts, groups: Mapping[str, NDArray[np.str_]]) -> list[Finding]:
    """Find rows that repeat a row of another part up to a little noise.

    A row is near another if their distance is below 5 % of the row's length, columns centred and
    scaled by the first part, and if it is also much nearer than the tenth nearest group: in data of
    d dimensions, (nearest / tenth)^d has a beta distribution (after Facco et al. 2017), and d is
    estimated from (fifth / tenth)^d, which up to four copies do not change. The first condition
    alone would find neighbours in tables with few columns, the second alone would find similar
    rhythms in signals. Columns with fewer than 20 values (codes, which are equal or not) are left
    out. In a large part, 2,000 evenly spaced rows are checked.

    Args:
        parts: For each part, (example, column); missing values are NaN.
        groups: For each part, str (example,).
    """
    found = []
    for one, other in combinations(parts, 2):
        if not len(parts[one]) or not len(parts[other]):
            continue
        step = -(-len(parts[other]) // _MOST_ROWS)
        near = _near(parts[one], groups[one], parts[other][::step])
        if near.any():
            found.append(_copies("near-identical rows", "nearly identical to", one, other, near))
    return found


def _near(
    known: NDArray[np.float64], group: NDArray[np.str_], rows: NDArray[np.float64]
) -> NDArray[np.bool_]:
    measured = [index for index, column in enumerate(known.T) if _n_values(column) >= _MEASURED]
    known, rows = known[:, measured], rows[:, measured]
    centre, spread = _centre_and_spread(known)
    known, rows = (np.nan_to_num((some - centre) / spread) for some in (known, rows))
    nearest = _nearest_groups(known, group, rows)
    others = nearest.shape[1] - 1
    first, last = nearest[:, 0], nearest[:, -1]
    length = np.linalg.norm(rows, axis=1)
    # Otherwise identical: another check weighs that.
    informative: NDArray[np.bool_] = first > _ROUNDING * length
    if not others or not informative.any():
        return np.zeros(len(rows), dtype=bool)
    ratio = np.divide(first, last, out=np.ones_like(first), where=informative)
    chance = stats.beta.cdf(ratio ** _dimension(nearest[informative]), 1, others)
    near: NDArray[np.bool_] = np.logical_and(
        first < _NEAR * length, chance * len(rows) < CHANCE_OF_COPY
    )
    found: NDArray[np.bool_] = near & informative
    return found


def _n_values(column: NDArray[np.float64]) -> int:
    return len(np.unique(column[~np.isnan(column)]))


def _dimension(nearest: NDArray[np.float64]) -> float:
    """Estimate the data's dimension from distances to nearest groups: (row, group), ascending."""
    count = nearest.shape[1]
    middle = count // 2
    ratio = float(np.median(nearest[:, middle - 1] / nearest[:, -1]))
    typical = float(stats.beta.ppf(0.5, middle, count - middle))
    return np.log(typical) / np.log(ratio) if ratio < 1 else np.inf


def _centre_and_spread(
    known: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column; 0 and 1 for columns without any number."""
    present = ~np.isnan(known)
    count = np.maximum(present.sum(axis=0), 1)
    centre = np.where(present, known, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(present, (known - centre) ** 2, 0).sum(axis=0) / count)
    return centre, np.where(spread > 0, spread, 1)


def _nearest_groups(
    known: NDArray[np.float64], group: NDArray[np.str_], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return distances of each row to its 10 nearest groups, ascending: (row, group)."""
    index = np.unique(group, return_inverse=True)[1]
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    known = known[order]
    squares = (known**2).sum(axis=1)
    found = []
    for some in np.array_split(rows, max(1, len(rows) // 250)):
        apart = (some**2).sum(axis=1)[:, None] + squares - 2 * some @ known.T
        by_group = np.minimum.reduceat(apart, starts, axis=1)
        found.append(np.sort(by_group, axis=1)[:, :_NEIGHBOURS])
    distance: NDArray[np.float64] = np.sqrt(np.maximum(np.concatenate(found), 0))
    return distance


def revealing_columns(
    columns: NDArray[np.float64],
    names: Sequence[str],
    label: NDArray[np.int64],
    classes: Sequence[str],
    group: NDArray[np.str_],
) -> list[Finding]:
    """Find columns that alone rank one class above the rest with an AUROC above 0.9 (or below 0.1).

    A column's values are judged where they are present, and whether they are present is judged too.
    An AUROC that chance explains, with as few groups that have a value, is not reported.

    Args:
        columns: (example, column); missing values are NaN.
        names: Names of the columns.
        label: int64 (example,).
        classes: Names of the classes.
        group: str (example,).
    """
    present = ~np.isnan(columns)
    rank = np.asarray(stats.rankdata(columns, axis=0, nan_policy="omit"))
    found = []
    for one, is_class in _each_class(label, classes):
        positives = present[is_class].sum(axis=0)
        negatives = present[~is_class].sum(axis=0)
        pairs = positives * negatives
        beaten = np.nansum(rank[is_class], axis=0) - positives * (positives + 1) / 2
        area = np.divide(beaten, pairs, out=np.full(len(names), 0.5), where=pairs > 0)
        absent = _presence_area(~present[is_class], ~present[~is_class])
        looked_at = 2 * len(names) * len(classes)
        least = least_area(is_class, group, looked_at, REVEALING_AUROC)
        for column in np.flatnonzero(np.abs(area - 0.5) > least - 0.5):
            there = present[:, column]
            by_few = least_area(is_class[there], group[there], looked_at, REVEALING_AUROC)
            if abs(area[column] - 0.5) <= by_few - 0.5:  # measured in too few groups
                area[column] = 0.5
        for each, what in (
            (area, "its values alone predict"),
            (absent, "whether it is missing alone predicts"),
        ):
            found += _revealing(each, names, least, f"{what} '{classes[one]}'")
    return found


def revealing_codes(
    example: NDArray[np.int64],
    code: NDArray[np.int64],
    names: Sequence[str],
    label: NDArray[np.int64],
    classes: Sequence[str],
    group: NDArray[np.str_],
) -> list[Finding]:
    """Find codes whose presence alone ranks one class above the rest with an AUROC above 0.8.

    The rules are those of :func:`revealing_columns`.

    Args:
        example: int64 (entry,): which example has a code.
        code: int64 (entry,): which code, an index into ``names``.
        names: Names of the codes.
        label: int64 (example,).
        classes: Names of the classes.
        group: str (example,).
    """
    entry = np.stack(np.divmod(np.unique(example * len(names) + code), len(names)))
    whose = np.unique(group, return_inverse=True)[1]
    having = np.unique(whose[entry[0]] * len(names) + entry[1]) % len(names)
    people = np.bincount(having, minlength=len(names))
    names = [FEW if n < SMALLEST_CELL else name for name, n in zip(names, people, strict=True)]
    found = []
    for one, is_class in _each_class(label, classes):
        of_class = is_class[entry[0]]
        positives, negatives = (
            np.bincount(entry[1][chosen], minlength=len(names)) / max(total, 1)
            for chosen, total in ((of_class, is_class.sum()), (~of_class, (~is_class).sum()))
        )
        least = least_area(is_class, group, len(names) * len(classes), REVEALING_CODE)
        area = (1 + positives - negatives) / 2
        what = f"its presence alone predicts '{classes[one]}'"
        found += _revealing(area, names, least, what, [f" in {n} subjects" for n in people])
    return found


def _each_class(
    label: NDArray[np.int64], classes: Sequence[str]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Iterate over each class against the rest; with two classes, only the second."""
    chosen = [1] if len(classes) == 2 else range(len(classes))  # noqa: PLR2004
    return [(one, label == one) for one in chosen]


def _presence_area(positive: NDArray[np.bool_], negative: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not len(positive) or not len(negative):
        return np.full(positive.shape[1], 0.5)
    area: NDArray[np.float64] = (1 + positive.mean(axis=0) - negative.mean(axis=0)) / 2
    return area


def least_area(
    is_class: NDArray[np.bool_], group: NDArray[np.str_], looked_at: int, least: float
) -> float:
    """Compute the AUROC that chance does not explain with as few groups (Mann & Whitney 1947).

    Args:
        is_class: bool (example,).
        group: str (example,).
        looked_at: Number of areas that are compared.
        least: Lower limit of the result.
    """
    positives, negatives = (len(np.unique(group[chosen])) for chosen in (is_class, ~is_class))
    if not positives or not negatives:
        return np.inf
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    by_chance = 0.5 + float(stats.norm.isf(_CHANCE_OF_COLUMN / 2 / max(looked_at, 1)) * error)
    return max(least, by_chance)


def _revealing(
    area: NDArray[np.float64],
    names: Sequence[str],
    least: float,
    what: str,
    people: Sequence[str] | None = None,
) -> list[Finding]:
    strength = np.maximum(area, 1 - area)
    chosen = [index for index in np.argsort(-strength, kind="stable") if strength[index] > least]
    if not chosen:
        return []
    counted = people or [""] * len(names)
    named = ", ".join(f"{names[i]} ({strength[i]:.3f}{counted[i]})" for i in chosen[:_NAMED])
    more = f" and {len(chosen) - _NAMED} more" if len(chosen) > _NAMED else ""
    return [
        Finding(
            "columns that reveal the outcome",
            f"{what} with an AUROC above {least:.2g}",
            named + more,
            "suspicion",
            "check that it is known at the time of prediction, and is not the label under another "
            "name",
        )
    ]
