"""Overlaps between the parts of a split: units, recordings, rows and records in two parts.

Each check is a function from arrays to findings; an empty result does not prove that there is no
leak.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csc_array, csr_array, vstack

from sequela.audit.finding import Finding
from sequela.audit.input import (
    AuditInput,
    Flags,
    Floats,
    Groups,
    Ints,
    Rows,
    in_each_split,
    spacing,
)
from sequela.identity.fingerprint import CHANCE_OF_COPY, Content, bits_of_codes, matches
from sequela.signals.cutting import in_blocks

_NEAR = 0.05  # of a row's length: the distance of a near copy
_ROUNDING = 1e-6  # of a row's length: the distance of an identical row
_MARGIN = 1e-4  # for rounding errors of float32
_NEIGHBOURS = 10  # groups whose distances show how near a near copy is
_MEASURED = 20  # different values of a column that is measured; columns with fewer are codes
_MOST_ROWS = 2_000  # rows whose nearest neighbours are computed
_COARSE = 256  # means of neighbouring columns, in which near rows are looked for first
_CELLS = 1 << 22  # numbers of a table that are judged at once
_BLOCK = 512  # rows that are read at once: of few columns too, each brings pages of its file


Lines = slice | Ints  # some rows, or some columns


@dataclass(frozen=True)
class Selection:
    """Some rows of a table (example, column) that may be larger than memory."""

    table: NDArray[np.floating]
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Lines | tuple[Lines, Lines]) -> NDArray[np.floating]:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        table = self.table[:, columns]
        return np.concatenate([*in_blocks(table, self.rows[rows], size=_BLOCK * table.shape[1])])


Table = NDArray[np.floating] | Selection
Parts = Mapping[str, Table]


def overlapping_groups(groups: Mapping[str, Groups], unit: str) -> list[Finding]:
    """Find groups (subjects, recordings) that are in two parts.

    ``groups`` has for each part the group of each example, as text or number (example,).
    """
    findings = []
    for (first, ids), (second, second_ids) in combinations(groups.items(), 2):
        shared = np.intersect1d(ids, second_ids)
        if shared.size:
            examples = int(np.isin(second_ids, shared).sum())
            counts = {"shared": shared.size, "found": examples, "all": second_ids.size}
            findings.append(
                Finding.of("overlapping groups", first, second, counts=counts, unit=unit)
            )
    return findings


def same_content(content: Content, parts: Mapping[str, Sequence[str]], unit: str) -> list[Finding]:
    """Find units with the content of units of another part, under another name.

    :mod:`sequela.identity.fingerprint` defines copies: a recording is found in spite of a changed
    gain, offset or sign, a shift in time or a cut, and a record in spite of other dates and a tenth
    of its codes missing. Units that are in both parts are left out: :func:`overlapping_groups`
    reports them. ``parts`` has for each part the names of its units in ``content``.
    """
    pairs = matches(content, content)
    # Each pair in both directions: a unit, and the one that it resembles.
    units, alike = np.concatenate(
        [np.stack([pairs.reference, pairs.query]), np.stack([pairs.query, pairs.reference])], axis=1
    )
    is_copy = np.tile(pairs.copy, 2)
    names = np.array(content.units, np.str_)
    findings = []
    for (first, ids), (second, second_ids) in combinations(parts.items(), 2):
        shared = np.intersect1d(ids, second_ids)
        in_first, in_second = (
            np.isin(names, np.setdiff1d(members, shared)) for members in (ids, second_ids)
        )
        across = in_first[units] & in_second[alike]  # (pair in both directions,)
        copies = np.unique(alike[across & is_copy])
        similar = np.setdiff1d(alike[across], copies)
        for check, alike_units in (("same content", copies), ("resembling content", similar)):
            if len(alike_units):
                counts = {"found": len(alike_units), "all": len(np.unique(second_ids))}
                findings.append(Finding.of(check, first, second, counts=counts, unit=unit))
    return findings


def simultaneous_recordings(pairs: Ints, part: Sequence[str]) -> list[Finding]:
    """Find recordings made at the same time in two parts.

    ``pairs`` are those of :func:`sequela.signals.simultaneous.pairs`, int64 (pair, 2); ``part`` is
    empty for a recording that is in several.
    """
    parts = np.array(part, np.str_)
    recordings = pairs[parts[pairs[:, 0]] != parts[pairs[:, 1]]].T
    findings = []
    for first, second in combinations(dict.fromkeys(filter(None, part)), 2):
        across = np.isin(parts[recordings], (first, second)).all(axis=0)
        members = recordings[:, across]
        count = len(np.unique(members[parts[members] == second]))
        if count:
            counts = {"found": count, "all": int((parts == second).sum())}
            findings.append(Finding.of("simultaneous recordings", first, second, counts=counts))
    return findings


@in_each_split
def find_one_class(data: AuditInput, rows: Rows) -> list[Finding]:
    """Find parts of a split that lack a class; of times to an event, whether it was seen."""
    label, classes = np.asarray(data.label), data.classes
    if (times := data.times_to_event) is not None:
        happened = (times.event == 1) & (times.time <= times.intervals.horizons[-1])
        label, classes = happened.astype(np.int64), ("no event", "the event")
    return one_class({name: label[part_rows] for name, part_rows in rows.items()}, classes)


def one_class(labels: Mapping[str, Ints], classes: Sequence[str]) -> list[Finding]:
    """Find parts with labels of one class only, and parts that lack a class another part has.

    ``labels`` has for each part int64 (example,).
    """
    present = {part: set(np.unique(label).tolist()) for part, label in labels.items() if label.size}
    every = set().union(*present.values()) if present else set()
    findings = []
    for part, members in present.items():
        counts, facts = {}, {}
        if len(members) == 1:
            counts, facts = {"labels": labels[part].size}, {"name": classes[min(members)]}
        elif missing := every - members:
            facts = {"missing": ", ".join(f"'{classes[label]}'" for label in sorted(missing))}
        if facts:
            findings.append(Finding.of("labels of one class", part, counts=counts, **facts))
    return findings


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
    hashes, varying = zip(*map(hashed, tables), strict=True)
    _, row_hash = np.unique(np.concatenate(hashes), return_inverse=True)  # equal rows, one number
    bounds = np.cumsum([0, *sizes])  # of each part in the joined rows
    where = {name: slice(*bounds[index : index + 2]) for index, name in enumerate(parts)}
    in_part = {name: np.isin(row_hash, row_hash[rows]) for name, rows in where.items()}
    n_parts = sum(members.astype(np.int64) for members in in_part.values())  # (row,)
    repeated = (n_parts > 1) & np.concatenate(varying)
    distinctive = np.zeros(len(row_hash), np.bool_)
    distinctive[repeated] = _distinctive(tables, np.flatnonzero(repeated))

    def copies(first: str, second: str) -> Flags:
        return np.asarray((in_part[first] & distinctive)[where[second]], np.bool_)

    return _copies("identical rows", parts, copies)


def _blocks(table: Table, order: slice | Ints = slice(None)) -> Iterator[Floats]:
    selection = table if isinstance(table, Selection) else Selection(table, np.arange(len(table)))
    for block in in_blocks(selection.table, selection.rows[order], size=_CELLS // 8):
        yield np.asarray(block, np.float64)


def hashed(table: Table) -> tuple[NDArray[np.uint64], Flags]:
    """Return a hash of each row, and whether it has several values."""
    hashes, varying = [], []
    for rows in (block + 0.0 for block in _blocks(table)):  # -0 is 0
        row_hash = np.zeros(len(rows), np.uint64)
        for bits in rows.view(np.uint64).T:
            # Fibonacci hashing: 2^64 divided by the golden ratio, so that near numbers have far
            # hashes.
            row_hash = (row_hash ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            row_hash ^= row_hash >> np.uint64(29)  # a product moves bits up only
        hashes.append(row_hash)
        varying.append(np.fmax.reduce(rows, axis=1) > np.fmin.reduce(rows, axis=1))
    return np.concatenate(hashes), np.concatenate(varying)


def _distinctive(tables: Sequence[Table], rows: Ints) -> Flags:
    """Return whether rows of joined tables are improbable if columns were independent."""
    n_rows, n_columns = sum(map(len, tables)), tables[0][:1].shape[1]
    # In bits: n rows have n² / 2 pairs, and a match of b bits happens by chance in one of 2^b.
    least = 2 * np.log2(n_rows) - np.log2(CHANCE_OF_COPY)
    bits, step = np.zeros(len(rows)), max(1, _CELLS // n_rows)
    for start in range(0, n_columns, step):
        if (bits > least).all():  # more columns only add to them
            break
        blocks = [np.asarray(table[:, start : start + step], np.float64) for table in tables]
        for column in np.concatenate(blocks).T:
            _, value, count = np.unique(column, return_inverse=True, return_counts=True)
            bits -= np.log2(count / n_rows)[value[rows]]  # the information of a value
    return np.asarray(bits > least, np.bool_)


def identical_records(parts: Mapping[str, csr_array]) -> list[Finding]:
    """Find records with the same codes in two parts, with too much information to match by chance.

    :func:`sequela.identity.fingerprint.bits_of_codes` measures the information in the codes of a
    record. Parts are (example, code), not 0 where the example has the code.
    """
    rows = vstack([*parts.values()], format="csr")
    part = np.repeat(list(parts), [table.shape[0] for table in parts.values()])
    by_codes: dict[bytes, list[int]] = {}
    for row, (start, end) in enumerate(pairwise(rows.indptr)):
        # Records are compared by their sorted codes, as bytes.
        by_codes.setdefault(np.sort(rows.indices[start:end]).tobytes(), []).append(row)
    by_code = csc_array(rows != 0, dtype=np.int64)
    least = 2 * np.log2(max(rows.shape[0], 1)) - np.log2(CHANCE_OF_COPY)
    copied = {name: np.zeros(rows.shape[0], np.bool_) for name in parts}
    for alike in by_codes.values():
        names = set(part[alike].tolist())
        if len(names) == 1:
            continue
        having = by_code[:, rows[alike[:1]].indices]  # judged by all records but two
        if bits_of_codes((having.T @ having).toarray() - 2, by_code.shape[0] - 2) > least:
            for name in names:
                copied[name][alike] = True
    return _copies("identical records", parts, lambda first, second: copied[first][part == second])


def _copies(check: str, parts: Iterable[str], copies: Callable[[str, str], Flags]) -> list[Finding]:
    """Report rows of a part that copy rows of another; ``copies`` marks those of the second."""
    marked = {pair: copies(*pair) for pair in combinations(parts, 2)}
    return [
        Finding.of(check, *pair, counts={"found": int(rows.sum()), "all": rows.size})
        for pair, rows in marked.items()
        if rows.any()
    ]


def near_identical_rows(parts: Parts, groups: Mapping[str, Groups]) -> list[Finding]:
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

    def copies(first: str, second: str) -> Flags:
        step = spacing(len(parts[second]), _MOST_ROWS)
        rows = np.asarray(parts[second][::step], np.float64)
        return _near(parts[first], groups[first], rows)

    filled = [name for name, rows in parts.items() if len(rows)]
    return _copies("near-identical rows", filled, copies)


def _near(reference: Table, group: Groups, rows: Floats) -> Flags:
    """Return which rows are near copies of rows of a reference, whose groups are given."""
    step = spacing(len(reference) * rows.shape[1], _CELLS)
    spaced = np.asarray(reference[::step], np.float64)
    distinct = [len(np.unique(column[~np.isnan(column)])) for column in spaced.T]
    measured = [index for index, count in enumerate(distinct) if count >= _MEASURED]
    centre, spread = np.nanmean(spaced[:, measured], 0), np.nanstd(spaced[:, measured], 0)

    def scaled(table: Floats) -> Floats:
        return np.asarray(np.nan_to_num((table[:, measured] - centre) / spread), np.float64)

    rows, order = scaled(rows), np.argsort(group, kind="stable")
    length = np.linalg.norm(rows, axis=1)  # (row,)
    if not _maybe_near(map(scaled, _blocks(reference)), rows, length):
        return np.zeros(len(rows), np.bool_)
    nearest = _nearest_groups(map(scaled, _blocks(reference, order)), group[order], rows)
    further = nearest.shape[1] - 1
    first, last = nearest[:, 0], nearest[:, -1]
    # Otherwise identical: another check weighs that.
    informative: Flags = first > _ROUNDING * length
    if not further or not informative.any():
        return np.zeros(len(rows), dtype=bool)
    # The chance that the nearest of some groups in d dimensions is so much nearer than the last.
    ratio = np.divide(first, last, out=np.ones_like(first), where=informative)
    chance = stats.beta.cdf(ratio ** _dimension(nearest[informative]), 1, further)  # of each row
    improbable = chance * len(rows) < CHANCE_OF_COPY  # Bonferroni, over the rows that are checked
    return np.asarray(informative & (first < _NEAR * length) & improbable)


def _maybe_near(reference: Iterable[Floats], rows: Floats, length: Floats) -> bool:
    """Return whether a row may be near one of the reference.

    Sums of neighbouring columns, divided by the root of their number, are never farther apart than
    the rows themselves, so most rows are ruled out by few numbers.
    """
    run = max(1, rows.shape[1] // _COARSE)  # neighbouring columns in a sum

    def coarse(table: Floats) -> NDArray[np.float32]:
        runs = table[:, : table.shape[1] // run * run].reshape(len(table), -1, run)
        # Cauchy-Schwarz: (sum of n numbers)² is at most n times the sum of their squares.
        return np.asarray(runs.sum(2) / np.sqrt(run), np.float32)

    summed = coarse(rows)
    bound = (length * _NEAR) ** 2 - (summed**2).sum(1) * (1 - _MARGIN)
    nearest = (((b**2).sum(1) - 2 * summed @ b.T).min(1) for b in map(coarse, reference))
    return any((squares <= bound).any() for squares in nearest)


def _dimension(nearest: Floats) -> float:
    """Estimate the data's dimension from distances to nearest groups: (row, group), ascending."""
    count = nearest.shape[1]
    middle = count // 2
    ratio = float(np.median(nearest[:, middle - 1] / nearest[:, -1]))
    typical = float(stats.beta.ppf(0.5, middle, count - middle))
    return np.log(typical) / np.log(ratio) if ratio < 1 else np.inf


def _nearest_groups(reference: Iterable[Floats], group: Groups, rows: Floats) -> Floats:
    """Return distances of each row to its 10 nearest groups, ascending: (row, group)."""
    names, index = np.unique(group, return_inverse=True)
    nearest, start = np.full((len(rows), len(names)), np.inf), 0  # (row, group)
    for block in reference:
        of_block = index[start : start + len(block)]
        start += len(block)
        firsts = np.flatnonzero(np.diff(of_block, prepend=-1))
        squares, groups = (block**2).sum(axis=1), of_block[firsts]  # |a - b|² = |a|² + |b|² - 2 ab
        apart = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ block.T  # squared distances
        by_group = np.minimum.reduceat(apart, firsts, axis=1)  # (row, group of the block)
        nearest[:, groups] = np.minimum(nearest[:, groups], by_group)
    return np.asarray(np.sqrt(np.maximum(np.sort(nearest, 1)[:, :_NEIGHBOURS], 0)), np.float64)
