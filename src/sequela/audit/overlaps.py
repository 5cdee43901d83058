"""Overlaps between the parts of a split, and columns that reveal the outcome.

Each check is a function from arrays to findings; an empty result does not prove that there is no
leak.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csc_array, csr_array, vstack

from sequela.audit.finding import Code, Finding
from sequela.audit.fitted import unit_of
from sequela.identity.fingerprint import CHANCE_OF_COPY, Content, bits_of_codes, matches
from sequela.signals.cutting import in_blocks

REVEALING_AUROC = 0.9
# On the open hospital data no code passes an AUROC of 0.71 (decision 18), and no
# measurement 0.80.
REVEALING_CODE, REVEALING_VALUE = 0.8, 0.87
HONEST = 0.8  # of a strong measurement, as lactate or a coma score
_ERRORS = 2.5  # standard errors by which a small sample may exceed it
# Probabilities of a false alarm, each over all comparisons of one check.
_CHANCE_OF_COLUMN = 1e-3
_NEAR = 0.05
_ROUNDING = 1e-6
_MARGIN = 1e-4  # for rounding errors of float32
_NEIGHBOURS = 10
_MEASURED = 20
_MOST_ROWS = 2_000  # rows whose nearest neighbours are computed

WAYS = (
    "its values alone predict", "whether it is missing alone predicts",
    "whether its last digit is even alone predicts",
)  # fmt: skip
_WIDE = 10  # units of rounding between the quartiles of values whose last digit is judged
_SEEN = 1_000  # values by which the unit of rounding is recognised
_JUDGED = 20_000  # rows whose single columns are judged
_COARSE = 256  # means of neighbouring columns, in which near rows are looked for first
_CELLS = 1 << 22  # numbers of a table that are judged at once
_ROWS = 512  # rows that are read at once: of few columns too, each brings pages of its file


@dataclass(frozen=True)
class Selection:
    """Some rows of a table (example, column) that may be larger than memory."""

    table: NDArray[Any]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        table = self.table[:, columns]
        return np.concatenate([*in_blocks(table, self.rows[rows], size=_ROWS * table.shape[1])])


Table = NDArray[Any] | Selection
Parts = Mapping[str, Table]


def overlapping_groups(groups: Mapping[str, NDArray[Any]], unit: str) -> list[Finding]:
    """Find groups (subjects, recordings) that are in two parts.

    ``groups`` has for each part the group of each example, as text or number (example,).
    """
    found = []
    for (one, ids), (other, other_ids) in combinations(groups.items(), 2):
        shared = np.intersect1d(ids, other_ids)
        if shared.size:
            examples, place = int(np.isin(other_ids, shared).sum()), (one, other)
            counts = {"shared": shared.size, "found": examples, "all": other_ids.size}
            found.append(Finding("overlapping groups", "leak", place, counts, {"unit": unit}))
    return found


def same_content(content: Content, parts: Mapping[str, Sequence[str]], unit: str) -> list[Finding]:
    """Find units with the content of units of another part, under another name.

    :mod:`sequela.identity.fingerprint` defines copies: a recording is found in spite of a changed
    gain, offset or sign, a shift in time or a cut, and a record in spite of other dates and a tenth
    of its codes missing. Units that are in both parts are left out: :func:`overlapping_groups`
    reports them. ``parts`` has for each part the names of its units in ``content``.
    """
    known = matches(content, content)
    sides = np.concatenate(
        [np.stack([known.reference, known.query]), np.stack([known.query, known.reference])], axis=1
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
        place, total, facts = (one, other), len(np.unique(other_ids)), {"unit": unit}
        counts = [{"found": len(some), "all": total} for some in (copies, alike)]
        if len(copies):
            found.append(Finding("same content", "leak", place, counts[0], facts))
        if len(alike):
            found.append(Finding("resembling content", "suspicion", place, counts[1], facts))
    return found


def simultaneous_recordings(pairs: NDArray[np.int64], part: Sequence[str]) -> list[Finding]:
    """Find recordings made at the same time in two parts.

    ``pairs`` are those of :func:`sequela.signals.simultaneous.pairs`, int64 (pair, 2); ``part`` is
    empty for a recording that is in several.
    """
    parts = np.array(part, np.str_)
    one, other = pairs[parts[pairs[:, 0]] != parts[pairs[:, 1]]].T
    found = []
    for first, second in combinations(dict.fromkeys(filter(None, part)), 2):
        across = np.isin(parts[[one, other]], (first, second)).all(axis=0)
        of_second = np.concatenate([one[across], other[across]])
        count = len(np.unique(of_second[parts[of_second] == second]))
        if count:
            counts = {"found": count, "all": int((parts == second).sum())}
            found.append(Finding("simultaneous recordings", "leak", (first, second), counts))
    return found


def one_class(labels: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> list[Finding]:
    """Find parts with labels of one class only, and parts that lack a class another part has.

    ``labels`` has for each part int64 (example,).
    """
    known = {part: set(np.unique(label).tolist()) for part, label in labels.items() if label.size}
    every = set().union(*known.values()) if known else set()
    found = []
    for part, present in known.items():
        counts, facts = {}, {}
        if len(present) == 1:
            counts, facts = {"labels": labels[part].size}, {"name": classes[min(present)]}
        elif missing := every - present:
            facts = {"missing": ", ".join(f"'{classes[one]}'" for one in sorted(missing))}
        if facts:
            found.append(Finding("labels of one class", "suspicion", (part,), counts, facts))
    return found


def identical_rows(parts: Parts) -> list[Finding]:
    """Find identical rows in two parts.

    Rows with little information agree by chance: two people with the same two diagnoses. A row is
    only counted if its values are too rare to match by chance: if columns were independent, a match
    anywhere would have a probability below one in a million. A row with one value throughout (a
    flat signal) does not count either. Parts are (example, column); missing values are NaN.
    """
    tables, sizes = [*parts.values()], [len(part) for part in parts.values()]
    if not sum(sizes) or not tables[0][:1].shape[1]:
        return []
    hashes, moving = zip(*map(hashed, tables), strict=True)
    _, same = np.unique(np.concatenate(hashes), return_inverse=True)
    bounds = np.cumsum([0, *sizes])
    where = {name: slice(*bounds[index : index + 2]) for index, name in enumerate(parts)}
    marked = {one: np.isin(same, same[rows]) for one, rows in where.items()}
    several = (sum(each.astype(np.int64) for each in marked.values()) > 1) & np.concatenate(moving)
    distinctive = np.zeros(len(same), np.bool_)
    distinctive[several] = _distinctive(tables, np.flatnonzero(several))

    def copies(one: str, other: str) -> NDArray[np.bool_]:
        return np.asarray((marked[one] & distinctive)[where[other]], np.bool_)

    return _copies("identical rows", parts, copies)


def _blocks(table: Table, order: Any = slice(None)) -> Iterator[NDArray[np.float64]]:
    chosen = table if isinstance(table, Selection) else Selection(table, np.arange(len(table)))
    for some in in_blocks(chosen.table, chosen.rows[order], size=_CELLS // 8):
        yield np.asarray(some, np.float64)


def hashed(table: Table) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return a hash of each row, and whether it has several values."""
    hashes, moving = [], []
    for rows in (some + 0.0 for some in _blocks(table)):  # -0 is 0
        found = np.zeros(len(rows), np.uint64)
        for bits in rows.view(np.uint64).T:
            found = (found ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            found ^= found >> np.uint64(29)
        hashes.append(found)
        moving.append(np.fmax.reduce(rows, axis=1) > np.fmin.reduce(rows, axis=1))
    return np.concatenate(hashes), np.concatenate(moving)


def _distinctive(tables: Sequence[Table], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether rows of joined tables are improbable if columns were independent."""
    n_rows, n_columns = sum(map(len, tables)), tables[0][:1].shape[1]
    least = 2 * np.log2(n_rows) - np.log2(CHANCE_OF_COPY)
    bits, step = np.zeros(len(rows)), max(1, _CELLS // n_rows)
    for first in range(0, n_columns, step):
        if (bits > least).all():  # more columns only add to them
            break
        some = [np.asarray(each[:, first : first + step], np.float64) for each in tables]
        for column in np.concatenate(some).T:
            _, value, count = np.unique(column, return_inverse=True, return_counts=True)
            bits -= np.log2(count / n_rows)[value[rows]]
    return np.asarray(bits > least, np.bool_)


def identical_records(parts: Mapping[str, csr_array]) -> list[Finding]:
    """Find records with the same codes in two parts, with too much information to match by chance.

    :func:`sequela.identity.fingerprint.bits_of_codes` measures the information in the codes of a
    record. Parts are (example, code), not 0 where the example has the code.
    """
    rows = vstack([*parts.values()], format="csr")
    part = np.repeat(list(parts), [some.shape[0] for some in parts.values()])
    alike: dict[bytes, list[int]] = {}
    for row, (first, end) in enumerate(pairwise(rows.indptr)):
        alike.setdefault(np.sort(rows.indices[first:end]).tobytes(), []).append(row)
    by_code = csc_array(rows != 0, dtype=np.int64)
    least = 2 * np.log2(max(rows.shape[0], 1)) - np.log2(CHANCE_OF_COPY)
    copied = {name: np.zeros(rows.shape[0], np.bool_) for name in parts}
    for same in alike.values():
        where = set(part[same].tolist())
        if len(where) == 1:
            continue
        having = by_code[:, rows[same[:1]].indices]  # judged by all others but two
        if bits_of_codes((having.T @ having).toarray() - 2, by_code.shape[0] - 2) > least:
            for one in where:
                copied[one][same] = True
    return _copies("identical records", parts, lambda one, other: copied[one][part == other])


def _copies(
    check: str, parts: Iterable[str], copies: Callable[[str, str], NDArray[np.bool_]]
) -> list[Finding]:
    """Report rows of a part that copy one of another; ``copies`` marks those of the second."""
    marked = {pair: copies(*pair) for pair in combinations(parts, 2)}
    return [
        Finding(check, "leak", pair, {"found": int(rows.sum()), "all": rows.size})
        for pair, rows in marked.items()
        if rows.any()
    ]


def near_identical_rows(parts: Parts, groups: Mapping[str, NDArray[np.str_]]) -> list[Finding]:
    """Find rows that repeat a row of another part up to a little noise.

    A row is near another if their distance is below 5 % of the row's length, columns centred and
    scaled by the first part, and if it is also much nearer than the tenth nearest group: in data of
    d dimensions, (nearest / tenth)^d has a beta distribution (after Facco et al. 2017), and d is
    estimated from (fifth / tenth)^d, which up to four copies do not change. The first condition
    alone would find neighbours in tables with few columns, the second alone would find similar
    rhythms in signals. Columns with fewer than 20 values (codes, which are equal or not) are left
    out. In a large part, 2,000 evenly spaced rows are checked. Parts are (example, column), with
    NaN for missing values; groups are str (example,).
    """

    def copies(one: str, other: str) -> NDArray[np.bool_]:
        step = -(-len(parts[other]) // _MOST_ROWS)
        return _near(parts[one], groups[one], np.asarray(parts[other][::step], np.float64))

    there = [name for name, rows in parts.items() if len(rows)]
    return _copies("near-identical rows", there, copies)


def _near(known: Table, group: NDArray[np.str_], rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    spaced = np.asarray(known[:: -(-len(known) * rows.shape[1] // _CELLS) or 1], np.float64)
    distinct = [len(np.unique(column[~np.isnan(column)])) for column in spaced.T]
    measured = [index for index, count in enumerate(distinct) if count >= _MEASURED]
    centre, spread = np.nanmean(spaced[:, measured], 0), np.nanstd(spaced[:, measured], 0)

    def scaled(some: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.nan_to_num((some[:, measured] - centre) / spread), np.float64)

    rows, order = scaled(rows), np.argsort(group, kind="stable")
    length = np.linalg.norm(rows, axis=1)
    if not _maybe_near(map(scaled, _blocks(known)), rows, length):
        return np.zeros(len(rows), np.bool_)
    nearest = _nearest_groups(map(scaled, _blocks(known, order)), group[order], rows)
    others = nearest.shape[1] - 1
    first, last = nearest[:, 0], nearest[:, -1]
    # Otherwise identical: another check weighs that.
    informative: NDArray[np.bool_] = first > _ROUNDING * length
    if not others or not informative.any():
        return np.zeros(len(rows), dtype=bool)
    ratio = np.divide(first, last, out=np.ones_like(first), where=informative)
    chance = stats.beta.cdf(ratio ** _dimension(nearest[informative]), 1, others)
    improbable = chance * len(rows) < CHANCE_OF_COPY
    return np.asarray(informative & (first < _NEAR * length) & improbable)


def _maybe_near(
    known: Iterable[NDArray[np.float64]], rows: NDArray[np.float64], length: NDArray[np.float64]
) -> bool:
    """Return whether a row may be near a known one: in sums of columns none is farther away."""
    run = max(1, rows.shape[1] // _COARSE)

    def coarse(some: NDArray[np.float64]) -> NDArray[np.float32]:
        whole = some[:, : some.shape[1] // run * run].reshape(len(some), -1, run)
        return np.asarray(whole.sum(2) / np.sqrt(run), np.float32)

    asked = coarse(rows)
    bound = (length * _NEAR) ** 2 - (asked**2).sum(1) * (1 - _MARGIN)
    apart = (((some**2).sum(1) - 2 * asked @ some.T).min(1) for some in map(coarse, known))
    return any((each <= bound).any() for each in apart)


def _dimension(nearest: NDArray[np.float64]) -> float:
    """Estimate the data's dimension from distances to nearest groups: (row, group), ascending."""
    count = nearest.shape[1]
    middle = count // 2
    ratio = float(np.median(nearest[:, middle - 1] / nearest[:, -1]))
    typical = float(stats.beta.ppf(0.5, middle, count - middle))
    return np.log(typical) / np.log(ratio) if ratio < 1 else np.inf


def _nearest_groups(
    known: Iterable[NDArray[np.float64]], group: NDArray[np.str_], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return distances of each row to its 10 nearest groups, ascending: (row, group)."""
    names, index = np.unique(group, return_inverse=True)
    nearest, done = np.full((len(rows), len(names)), np.inf), 0
    for block in known:
        of_block = index[done : done + len(block)]
        done += len(block)
        starts = np.flatnonzero(np.diff(of_block, prepend=-1))
        squares, groups = (block**2).sum(axis=1), of_block[starts]
        apart = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ block.T
        by_group = np.minimum.reduceat(apart, starts, axis=1)
        nearest[:, groups] = np.minimum(nearest[:, groups], by_group)
    return np.asarray(np.sqrt(np.maximum(np.sort(nearest, 1)[:, :_NEIGHBOURS], 0)), np.float64)


def revealing_columns(
    columns: Any,
    names: Sequence[str],
    label: NDArray[np.int64],
    classes: Sequence[str],
    group: NDArray[np.str_],
    *,
    bound: float | None = None,
    measured: bool = False,
) -> list[Finding]:
    """Find columns that alone rank one class above the rest with an AUROC above 0.9 (or below 0.1).

    A column's values are judged where they are present. Whether they are present is judged too, and
    whether the last digit of rounded values is even. An AUROC that chance explains, with as few
    groups that have a value, is not reported. ``bound`` replaces 0.9. Of columns that are
    ``measured``, the finding states how often an honest one is as strong. Columns are (example,
    column), with NaN for missing values; labels and groups are (example,).
    """
    looked_at, step = len(WAYS) * len(names) * len(classes), max(1, _CELLS // max(1, len(label)))
    bound = REVEALING_AUROC if bound is None else bound
    by_class = each_class(label, classes)
    least = [least_area(of, group, looked_at, bound) for _, of in by_class]
    areas = [np.empty((len(WAYS), 0)) for _ in by_class]
    for first in range(0, len(names), step):
        some = np.asarray(columns[:, first : first + step], np.float64)
        present = ~np.isnan(some)
        rank = np.asarray(stats.rankdata(some, axis=0, nan_policy="omit"))
        even = np.stack([last_digit_is_even(column) for column in some.T], axis=1)
        for place, (_, is_class) in enumerate(by_class):
            positives = present[is_class].sum(axis=0)
            negatives = present[~is_class].sum(axis=0)
            pairs = positives * negatives
            beaten = np.nansum(rank[is_class], axis=0) - positives * (positives + 1) / 2
            area = np.divide(beaten, pairs, out=np.full(some.shape[1], 0.5), where=pairs > 0)
            sizes = max(is_class.sum(), 1), max((~is_class).sum(), 1)
            absent = 0.5 + (negatives / sizes[1] - positives / sizes[0]) / 2
            beaten = even[is_class].sum(0) * negatives - even[~is_class].sum(0) * positives
            digit = 0.5 + np.divide(beaten, 2 * pairs, out=np.zeros(len(area)), where=pairs > 0)
            strongest = np.maximum(np.abs(area - 0.5), np.abs(digit - 0.5))
            for column in np.flatnonzero(strongest > least[place] - 0.5):
                there = present[:, column]
                by_few = least_area(is_class[there], group[there], looked_at, bound)
                for each in (area, digit):
                    if abs(each[column] - 0.5) <= by_few - 0.5:  # measured in too few groups
                        each[column] = 0.5
            areas[place] = np.hstack([areas[place], [area, absent, digit]])
    found = []
    for (one, _), both, lowest in zip(by_class, areas, least, strict=True):
        for area, how in zip(both, WAYS, strict=True):
            facts = {"how": how, "name": classes[one], "least": lowest}
            facts |= {"columns": len(names)} if measured else {}
            found += _revealing(area, names, facts)
    return found


def last_digit_is_even(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where the last digit of rounded values (row,) is even; nowhere if not rounded."""
    known = np.isfinite(values)
    seen, even = values[known][:: -(-len(values) // _SEEN)], np.zeros(len(values), np.bool_)
    unit = unit_of(seen) if len(seen) else 0
    if unit and np.subtract(*np.quantile(seen, (0.75, 0.25))) >= _WIDE * unit:
        even[known] = np.round(values[known] / unit) % 2 == 0
    return even


def revealing_codes(
    present: csr_array,
    names: Sequence[str],
    label: NDArray[np.int64],
    classes: Sequence[str],
    group: NDArray[np.str_],
) -> list[Finding]:
    """Find codes whose presence alone ranks one class above the rest with an AUROC above 0.8.

    The rules are those of :func:`revealing_columns`. ``present`` is (example, code of ``names``),
    1 where the example has the code.
    """
    whose = np.unique(group, return_inverse=True)[1]
    of_group = csr_array((np.ones(len(whose)), (whose, np.arange(len(whose)))))
    people = np.diff((of_group @ present).tocsc().indptr).tolist()
    found = []
    for one, is_class in each_class(label, classes):
        positives, negatives = (
            present[chosen].sum(axis=0, dtype=np.float64) / max(chosen.sum(), 1)
            for chosen in (is_class, ~is_class)
        )
        least = least_area(is_class, group, len(names) * len(classes), REVEALING_CODE)
        area = (1 + positives - negatives) / 2
        facts = {"how": "its presence alone predicts", "name": classes[one], "least": least}
        found += _revealing(area, names, facts, people)
    return found


def of_each_class(
    label: NDArray[np.int64], classes: int, most: int | None = None
) -> NDArray[np.int64]:
    """Return evenly spaced rows of each class, all of few: int64 (row,), rising."""
    most = most or _JUDGED
    if len(label) <= most:
        return np.arange(len(label))
    of_class = (np.flatnonzero(label == one) for one in range(classes))
    steps = ((rows, -(-len(rows) * classes // most) or 1) for rows in of_class)
    return np.sort(np.concatenate([rows[::step] for rows, step in steps]))


def area(label: NDArray[np.int64], score: NDArray[Any]) -> float:
    """Compute the AUROC of scores (row,) for labels of 0 and 1; 0.5 for one class."""
    positives, rank = int(label.sum()), stats.rankdata(score)
    pairs = positives * (len(label) - positives)
    beaten = rank[label == 1].sum() - positives * (positives + 1) / 2
    return float(beaten / pairs) if pairs else 0.5


def each_class(
    label: NDArray[np.int64], classes: Sequence[str]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Iterate over each class against the rest; with two classes, only the second."""
    chosen = [1] if len(classes) == 2 else range(len(classes))  # noqa: PLR2004
    return [(one, label == one) for one in chosen]


def least_area(
    is_class: NDArray[np.bool_],
    group: NDArray[Any],
    looked_at: int,
    least: float,
    honest: float | None = None,
) -> float:
    """Compute the AUROC that chance does not explain with as few groups (Mann & Whitney 1947).

    ``looked_at`` is the number of areas that are compared, ``least`` the lower limit of the result.
    A limit between 0.8 and 0.9 is raised to what an ``honest`` AUROC (0.8) may reach with as few
    groups (Hanley & McNeil 1982), and any other limit if that is stated.
    """
    positives, negatives = (len(np.unique(group[chosen])) for chosen in (is_class, ~is_class))
    if not positives or not negatives:
        return np.inf
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    by_chance = 0.5 + float(stats.norm.isf(_CHANCE_OF_COLUMN / 2 / max(looked_at, 1)) * error)
    if honest or HONEST < least < REVEALING_AUROC:
        real = honest or HONEST
        spread = real * (1 - real) + (positives - 1) * (real / (2 - real) - real**2)
        spread += (negatives - 1) * (2 * real**2 / (1 + real) - real**2)
        by_chance = max(by_chance, real + _ERRORS * np.sqrt(spread / (positives * negatives)))
    return max(least, by_chance)


def _revealing(
    area: NDArray[np.float64],
    names: Sequence[str],
    facts: Mapping[str, Any],
    people: Sequence[int] | None = None,
) -> list[Finding]:
    strength = np.maximum(area, 1 - area)
    codes = tuple(
        Code(names[i], people[i] if people else None, float(strength[i]))
        for i in np.argsort(-strength, kind="stable")
        if strength[i] > facts["least"]
    )
    check = "columns that reveal the outcome"
    return [Finding.suspected(check, codes=codes, **facts)] if codes else []
