"""Traces of preprocessing before the split, and windows cut from one stretch of signal.

If all rows together explain a number that preprocessing left in a table, and the training rows do
not, then the test rows were used to fit it. Each check is a function from arrays to findings. A
table is (row, column), with NaN for missing values; ``parts`` has the rows of each part, the
training set first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from sequela.audit.finding import Code, Finding

Ids = NDArray[np.int64]
Rows = Mapping[str, Ids]
Table = NDArray[np.floating]
Values = NDArray[np.float64]

_MEASURED, _LOOKED_AT = 20, 10_000  # different values of a continuous column; rows of a first look
_EXACT = 1e-6  # relative rounding error of float32, with room
_APART = 5  # tolerances by which the training rows must miss a number that all rows hit
_CLOSE, _VAGUE = 0.1, 0.01  # of a deviation: worth computing; agreement that may be chance
_ODD = 10  # times that an imputed value is more frequent than any other
_LEVELS = 5  # different values of an encoded column, and rows of each
_MIXED, _KNOWN, _NEAR = 1_000, 20_000, 9  # rows that are examined, candidates, neighbours
_LEAST = 5  # columns, mixtures or pairs of windows, fewer of which may be chance
_HEAD, _GRID = 32, 1e3  # samples by which a window is looked for, and their precision
_CELLS = 1 << 18  # samples that are compared at once
_CHANCE, _FITTING = 1e-6, 0.1  # of a false alarm; random pairs of windows whose ends fit
_GROUPS, _INSIDE = 1_000, 5_000  # groups whose ends are compared; windows looked into


def _continuous(table: Table, rows: Ids) -> Iterator[tuple[int, Values, float]]:
    """Yield columns with many different values, some of these, and the unit of their rounding."""
    some = rows[:: -(-len(rows) // _LOOKED_AT) or 1]
    for column in range(table.shape[1]):
        sample = _known(table[some, column])
        if len(np.unique(sample)) >= _MEASURED:
            yield column, sample, unit_of(sample)


def unit_of(sample: Values) -> float:
    """Return the unit in which values are rounded, such as 0.01; 0 where they have all digits."""
    for digits in range(6):
        scaled = sample * 10**digits
        if _EXACT * np.abs(scaled).max() > _CLOSE:
            break
        if (np.abs(scaled - np.round(scaled)) <= _VAGUE**2 + _EXACT * np.abs(scaled)).all():
            return float(10.0**-digits)
    return 0.0


def _known(values: Table) -> Values:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _sides(parts: Rows) -> tuple[Ids, Ids]:
    train, *_ = parts.values()
    return np.flatnonzero(np.bincount(np.concatenate([*parts.values()]))), train


def fitted_on_all(
    table: Table, names: Sequence[str], parts: Rows, label: Ids | None = None
) -> list[Finding]:
    """Find columns that were scaled, imputed or encoded by numbers of all parts.

    The numbers: mean 0 and deviation 1, or median 0 and quartiles 1 apart; extremes of 0 and 1 that
    one row each has, in two columns; no correlation between five columns; the mean or median of the
    other values, for a value that is ten times as frequent as any other; the mean of the outcome
    (labels of 0 and 1) among the rows with each value. All rows have them to rounding, the training
    rows do not.
    """
    sides, rounded = _sides(parts), list[str]()
    found: dict[str, list[str]] = {"scaled": [], "imputed": [], "encoded by the outcome": []}
    near = list[int]()
    for column, sample, unit in _continuous(table, sides[0]):
        values, name = table[:, column], names[column]
        near += [column] * bool(abs(sample.mean()) < _CLOSE * sample.std())
        error = max(_EXACT, 3 * unit / np.sqrt(12 * len(sides[0])))
        standard = abs(sample.mean()) < _CLOSE and abs(sample.std() - 1) < _CLOSE
        if standard and _only_all(_from_standard, values, sides, error):
            (rounded if unit else found["scaled"]).append(name)
        elif not unit and _only_all(_from_quartiles, values, sides, error):
            found["scaled"].append(name)
        elif (
            sample.min() >= 0 and sample.max() <= 1 and _only_all(_from_extremes, values, sides, 0)
        ):
            rounded.append(name)
        elif _imputed(values, sample, unit, sides):
            found["imputed"].append(name)
    found["replaced by principal components"] = _components(table, names, sides, near)
    found["scaled"] += rounded if len(rounded) > 1 or found["scaled"] else []
    for column, name in enumerate(names if label is not None else ()):
        fits = [is_encoded(table[rows, column], np.asarray(label)[rows]) for rows in sides]
        if fits[0] and (not fits[1] or len(sides[0]) == len(sides[1])):
            found["encoded by the outcome"].append(name)
    return [
        Finding("fitted on all rows", "leak", facts={"how": how}, codes=tuple(map(Code, columns)))
        for how, columns in found.items()
        if columns
    ]


def _only_all(
    off: Callable[[Values], float], values: Table, sides: tuple[Ids, Ids], error: float
) -> bool:
    """Return whether the error of a statistic is small for all rows, and not for the training."""
    every = off(_known(values[sides[0]]))
    return every <= error and off(_known(values[sides[1]])) > _APART * error


def _from_standard(values: Values) -> float:
    """Return the distance from mean 0 and deviation 1, with either divisor."""
    spread = values.std() * np.array([1, np.sqrt(len(values) / max(len(values) - 1, 1))])
    return float(max(abs(values.mean()), np.abs(spread - 1).min()))


def _from_quartiles(values: Values) -> float:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(max(abs(middle), abs(high - low - 1)))


def _from_extremes(values: Values) -> float:
    once = [(values == end).sum() == 1 for end in (0, 1)]
    return float(not (all(once) and values.min() == 0 and values.max() == 1))


def _components(
    table: Table, names: Sequence[str], sides: tuple[Ids, Ids], near: Sequence[int]
) -> list[str]:
    """Return columns that have mean 0 and no correlation in all rows, but not in the training."""
    error, of_all = _EXACT * _LEVELS, (table[sides[0], c].astype(np.float64) for c in near)
    exact = [abs(v.mean()) <= error * v.std() and v.std() > 0 for v in of_all]
    centred = np.array(near, np.int64)[exact]
    if len(centred) < _LEVELS:
        return []
    with np.errstate(invalid="ignore"):  # of a column that is constant in the training set
        both = [np.corrcoef(table[rows][:, centred].T.astype(np.float64)) for rows in sides]
    every, known = (np.abs(each - np.eye(len(centred))).max(1) for each in both)
    alone = (every <= error) & (known > _APART * error)
    return [names[c] for c in centred[alone]] if alone.sum() >= _LEVELS else []


def _imputed(values: Table, sample: Values, unit: float, sides: tuple[Ids, Ids]) -> bool:
    """Return whether the most frequent value is the mean or median of the others."""
    each, count = np.unique(sample, return_counts=True)
    second, first = np.sort(count)[-2:]
    constant = each[count.argmax()]
    error = _EXACT * (sample.std() + abs(constant)) + unit / 2
    if first < max(_VAGUE * len(sample), _ODD * second) or error > _VAGUE * sample.std():
        return False
    others = np.where(values == np.float32(constant), np.nan, values)

    def off(of: Callable[[Values], Any]) -> Callable[[Values], float]:
        return lambda known: abs(float(of(known)) - float(constant))

    return any(_only_all(off(of), others, sides, error) for of in (np.mean, np.median))


def is_encoded(values: Table, label: Ids) -> bool:
    """Return whether the mean outcomes of the values are on one line, which is not flat."""
    known = ~np.isnan(values)
    if len(np.unique(values[known][:_LOOKED_AT])) > _LOOKED_AT / _LEVELS:
        return False
    each, place, count = np.unique(values[known], return_inverse=True, return_counts=True)
    if not _LEVELS <= len(each) <= known.sum() / _LEVELS:
        return False
    means = np.bincount(place, label[known]) / count
    line = np.polyfit(each.astype(np.float64), means, 1, w=np.sqrt(count))
    off = np.abs(np.polyval(line, each.astype(np.float64)) - means).max()
    return bool(np.ptp(means) > _VAGUE and off <= _APART * _EXACT)


def mixtures(table: Table, parts: Rows) -> list[Finding]:
    """Find rows that are a mixture of two others, one of them in another part (oversampling).

    SMOTE (Chawla et al. 2002) adds rows on the line between two neighbours. Three rows of many
    continuous columns are on one line by chance only if the values are rounded.
    """
    everybody, _ = _sides(parts)
    chosen = [column for column, _, unit in _continuous(table, everybody) if not unit]
    known = everybody[:: -(-len(everybody) // _KNOWN) or 1]
    if len(chosen) < _LEAST or len(known) <= _NEAR:
        return []
    from sklearn.neighbors import NearestNeighbors

    among = np.nan_to_num(table[known][:, chosen].astype(np.float64))
    among = (among - among.mean(0)) / among.std(0)
    search, found = NearestNeighbors(n_neighbors=_NEAR).fit(among), []
    for one, other in combinations(parts, 2):
        some = np.flatnonzero(np.isin(known, parts[other]))
        some = some[:: -(-len(some) // _MIXED) or 1]
        if not len(some):
            continue
        near = search.kneighbors(among[some], return_distance=False)[:, 1:]
        foreign, on_line = np.isin(known, parts[one])[near], np.zeros(len(some), np.bool_)
        for first, second in combinations(range(near.shape[1]), 2):
            along = among[near[:, second]] - among[near[:, first]]
            offset = among[some] - among[near[:, first]]
            length = np.maximum((along**2).sum(1), _EXACT)
            share = (along * offset).sum(1) / length
            rest = np.linalg.norm(offset - share[:, None] * along, axis=1)
            inside = (share > _VAGUE) & (share < 1 - _VAGUE) & (length > _EXACT)
            across = foreign[:, first] | foreign[:, second]
            on_line |= inside & across & (rest <= _ODD * _EXACT * np.sqrt(length * len(chosen)))
        counts = {"found": int(on_line.sum()), "all": len(some)}
        if counts["found"] >= _LEAST:
            found.append(Finding("rows made from others", "leak", (one, other), counts))
    return found


def _part_of_each(parts: Rows, n: int) -> Ids:
    part = np.full(n, -1)
    for place, rows in enumerate(parts.values()):
        part[rows] = place
    return part


def overlapping_windows(signals: Table, parts: Rows) -> list[Finding]:
    """Find windows of two parts that share samples of one signal, in any scale.

    The first 32 samples of a window, centred, scaled and rounded, are looked for within all
    others; then the windows must agree as far as they overlap. Signals are (window, channel, time).
    """
    n, _, length = signals.shape
    part, shared = _part_of_each(parts, n), np.zeros((len(parts), n), np.bool_)
    if length <= _HEAD:
        return []
    heads = _hashes(signals[:, 0, :_HEAD])[:, 0]
    order = np.argsort(heads, kind="stable")
    for begin in range(0, n, step := max(1, _CELLS // length)):
        inner = _hashes(signals[begin : begin + step, 0])[:, 1:]
        at = np.searchsorted(heads[order], inner).clip(max=n - 1)
        row, place = np.nonzero((heads[order][at] == inner) & (inner != 0))
        later, row = order[at[row, place]], row + begin
        for pair in np.flatnonzero((part[row] != part[later]) & (part[row] >= 0)).tolist():
            a, b, shift = row[pair], later[pair], place[pair] + 1
            both = signals[a, 0, shift:], signals[b, 0, : length - shift]
            if part[b] >= 0 and np.corrcoef(*both)[0, 1] > 1 - _VAGUE**2:
                shared[part[a], b] = shared[part[b], a] = True
    return [
        Finding("overlapping windows", "leak", (one, other), {"found": count, "all": len(rows)})
        for (i, one), (_, other) in combinations(enumerate(parts), 2)
        for rows in [parts[other]]
        if (count := int(shared[i, rows].sum()))
    ]


def _hashes(signal: Table) -> NDArray[np.uint64]:
    """Hash the form of each run of 32 samples of windows (window, time); 0 for a flat run."""
    runs = np.lib.stride_tricks.sliding_window_view(signal, _HEAD, axis=1).astype(np.float64)
    runs = runs - runs.mean(2, keepdims=True)
    spread = runs.std(2, keepdims=True)
    form = np.round(runs / np.maximum(spread, np.finfo(np.float32).tiny) * _GRID).astype(np.int64)
    factors = np.cumprod(np.full(_HEAD, 0x9E3779B97F4A7C15, np.uint64))
    return np.where(spread[..., 0] > 0, form.view(np.uint64) @ factors, np.uint64(0))


def continued_groups(signals: Table, group: NDArray[Any], parts: Rows) -> list[Finding]:
    """Find groups (recordings) that go on where a group of another part ends.

    The level and slope at the end of one group and at the start of another are compared in all
    channels, as a likelihood ratio: neighbouring samples within windows, against random pairs of
    groups. Pairs of ends, and of starts, are the control: by chance they are alike at least as
    often, since what ends have in common with starts is common to all of them. Signals are (window,
    channel, time), in order of time within a group (window,).
    """
    part, place = _part_of_each(parts, len(signals)), np.unique(group, return_inverse=True)[1]
    order = np.argsort(place, kind="stable")
    start = np.flatnonzero(np.diff(place[order], prepend=-1))
    first, last = order[start], order[np.append(start[1:], len(order)) - 1]
    whole = np.flatnonzero((part[first] == part[last]) & (part[first] >= 0))[:_GROUPS]
    first, last, of_group = first[whole], last[whole], part[first[whole]]
    some = signals[:: -(-len(signals) // _INSIDE), :, :4].astype(np.float64)
    if some.shape[2] < 4 or len(whole) <= _LEAST:  # noqa: PLR2004
        return []

    def at(samples: Table, *, end: bool) -> Values:
        """Return level and slope between two samples and those after, or before: (row, number)."""
        rise = samples[..., 1] - samples[..., 0]
        level = samples[..., 1] + rise / 2 if end else samples[..., 0] - rise / 2
        return np.hstack([level, rise]).astype(np.float64)

    inside = (at(some[..., :2], end=True) - at(some[..., 2:], end=False)).std(0)
    ends, starts = at(signals[last][..., -2:], end=True), at(signals[first][..., :2], end=False)
    apart = np.sqrt(ends.var(0) + starts.var(0))
    telling = (apart > inside) & (inside > 0)
    weight = np.sqrt((inside[telling] ** -2.0 - apart[telling] ** -2.0) / 2)
    ends, starts = ends[:, telling] * weight, starts[:, telling] * weight
    most, found = np.log(apart[telling] / inside[telling]).sum(), list[Finding]()
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        a, b = np.flatnonzero(of_group == i), np.flatnonzero(of_group == j)
        least = np.log(max(len(a) * len(b), 1)) / 2
        joints = ((ends, starts), (starts, ends), (ends, ends), (starts, starts))
        fits = [(most - cdist(x[a], y[b], "sqeuclidean") > least).any(0) for x, y in joints]
        fitting, control = (int(np.sum(some)) for some in (fits[:2], fits[2:]))
        chance = float(stats.binom.sf(fitting - 1, fitting + control, 0.5))
        if fitting >= _LEAST and chance < _CHANCE:
            counts = {"found": int(np.any(fits[:2], axis=0).sum()), "all": len(b)}
            found.append(Finding("recordings that go on", "suspicion", (one, other), counts))
    return found


def adjacent_windows(signals: Table, parts: Rows) -> list[Finding]:
    """Find windows that go on where the window before in the file, of another part, ends.

    The step from the last sample of one to the first of the next, in units of the steps within
    both, is as small in half of these pairs as in a tenth of random pairs.
    """
    n, part = len(signals), _part_of_each(parts, len(signals))
    first, last = (signals[:, :, place].astype(np.float64) for place in (0, -1))
    inner = np.abs(np.diff(signals[:, :, :_HEAD], axis=2)).mean(2) + np.finfo(np.float32).tiny

    def steps(one: Ids, other: Ids) -> Values:
        sizes = np.abs(first[other] - last[one]) / (inner[one] + inner[other])
        return np.asarray(np.median(sizes, axis=1))

    bound = np.quantile(steps(np.arange(n), np.random.default_rng(0).permutation(n)), _FITTING)
    found, pairs = [], np.sort(np.stack([part[:-1], part[1:]]), axis=0)
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        before = np.flatnonzero((pairs[0] == i) & (pairs[1] == j))
        fitting = int((steps(before, before + 1) < bound).sum())
        by_chance = float(stats.binom.sf(fitting - 1, len(before), _FITTING))
        if fitting >= max(_LEAST, len(before) / 2) and by_chance < _CHANCE:
            counts = {"found": fitting, "all": len(before)}
            found.append(Finding("adjacent windows", "suspicion", (one, other), counts))
    return found
