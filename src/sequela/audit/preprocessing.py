"""Traces of preprocessing before the split.

If all rows together explain a number that preprocessing left in a table, and the training rows do
not, then the test rows were used to fit it. Each check is a function from arrays to findings. A
table is (row, column), with NaN for missing values; ``parts`` has the rows of each part, the
training set first.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sequela.audit.finding import Code, Finding
from sequela.audit.input import Flags, Floats, Ints, Rows, spacing

_MEASURED = 20  # different values of a continuous column
_LOOKED_AT = 10_000  # rows of a first look
_EXACT = 1e-6  # relative rounding error of float32, with room
_APART = 5  # tolerances by which the training rows must miss a number that all rows hit
_CLOSE = 0.1  # of a deviation: a statistic that is worth computing
_VAGUE = 0.01  # of a deviation: agreement that may be chance
_ODD = 10  # times that an imputed value is more frequent than any other
_LEVELS = 5  # different values of an encoded column, and rows of each
_MIXED = 1_000  # rows of a part that are examined as mixtures
_CANDIDATES = 20_000  # rows in which the two rows of a mixture are looked for
_NEAR = 9  # neighbours of a row, itself included, that may be the two
_LEAST = 5  # columns or mixtures, fewer of which may be chance

Table = NDArray[np.floating]
Sides = tuple[Ints, Ints]
"""All rows, and those of the training set."""


def _continuous(table: Table, rows: Ints) -> Iterator[tuple[int, Floats, float]]:
    """Yield columns with many different values, some of these, and the unit of their rounding."""
    spaced = rows[:: spacing(len(rows), _LOOKED_AT)]
    for column in range(table.shape[1]):
        sample = _filled(table[spaced, column])
        if len(np.unique(sample)) >= _MEASURED:
            yield column, sample, unit_of(sample)


def unit_of(sample: Floats) -> float:
    """Return the unit in which values are rounded, such as 0.01; 0 where they have all digits."""
    for digits in range(6):
        scaled = sample * 10**digits
        if _EXACT * np.abs(scaled).max() > _CLOSE:  # float32 has no such digit
            break
        if (np.abs(scaled - np.round(scaled)) <= _VAGUE**2 + _EXACT * np.abs(scaled)).all():
            return float(10.0**-digits)
    return 0.0


def _filled(values: Table) -> Floats:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _sides(parts: Rows) -> Sides:
    train, *_ = parts.values()
    return np.flatnonzero(np.bincount(np.concatenate([*parts.values()]))), train


def fitted_on_all(
    table: Table, names: Sequence[str], parts: Rows, label: Ints | None = None
) -> list[Finding]:
    """Find columns that were scaled, imputed or encoded by numbers of all parts.

    The numbers: mean 0 and deviation 1, or median 0 and quartiles 1 apart; extremes of 0 and 1 that
    one row each has, in two columns; no correlation between five columns; the mean or median of the
    other values, for a value that is ten times as frequent as any other; the mean of the outcome
    (labels of 0 and 1) among the rows with each value. All rows have them to rounding, the training
    rows do not.
    """
    sides = _sides(parts)
    scaled, rounded, imputed = list[str](), list[str](), list[str]()
    encoded, centred = list[str](), list[int]()
    for column, sample, unit in _continuous(table, sides[0]):
        values, name = table[:, column], names[column]
        if abs(sample.mean()) < _CLOSE * sample.std():
            centred.append(column)
        # Rounding to a unit u moves the mean of n values by u / sqrt(12 n).
        error = max(_EXACT, 3 * unit / np.sqrt(12 * len(sides[0])))
        standard = abs(sample.mean()) < _CLOSE and abs(sample.std() - 1) < _CLOSE
        if standard and _only_all(_from_standard, values, sides, error):
            (rounded if unit else scaled).append(name)
        elif not unit and _only_all(_from_quartiles, values, sides, error):
            scaled.append(name)
        elif (
            sample.min() >= 0 and sample.max() <= 1 and _only_all(_from_extremes, values, sides, 0)
        ):
            rounded.append(name)
        elif _imputed(values, sample, unit, sides):
            imputed.append(name)
    if len(rounded) > 1 or scaled:
        scaled += rounded
    for column, name in enumerate(names if label is not None else ()):
        fits = [is_encoded(table[rows, column], np.asarray(label)[rows]) for rows in sides]
        if fits[0] and (not fits[1] or len(sides[0]) == len(sides[1])):
            encoded.append(name)
    by_way = {
        "scaled": scaled,
        "imputed": imputed,
        "encoded by the outcome": encoded,
        "replaced by principal components": _components(table, names, sides, centred),
    }
    return [
        Finding.of("fitted on all rows", codes=[*map(Code, columns)], how=how)
        for how, columns in by_way.items()
        if columns
    ]


def _only_all(
    distance: Callable[[Floats], float], values: Table, sides: Sides, error: float
) -> bool:
    """Return whether a statistic is exact for all rows, and not for the training rows."""
    of_all = distance(_filled(values[sides[0]]))
    return of_all <= error and distance(_filled(values[sides[1]])) > _APART * error


def _from_standard(values: Floats) -> float:
    """Return the distance from mean 0 and deviation 1, with either divisor."""
    # numpy divides by n and pandas by n - 1.
    spread = values.std() * np.array([1, np.sqrt(len(values) / max(len(values) - 1, 1))])
    return float(max(abs(values.mean()), np.abs(spread - 1).min()))


def _from_quartiles(values: Floats) -> float:
    low, middle, high = np.percentile(values, (25, 50, 75))  # scikit-learn's RobustScaler
    return float(max(abs(middle), abs(high - low - 1)))


def _from_extremes(values: Floats) -> float:
    once = [(values == end).sum() == 1 for end in (0, 1)]  # MinMaxScaler; clipping gives many
    return float(not (all(once) and values.min() == 0 and values.max() == 1))


def _components(
    table: Table, names: Sequence[str], sides: Sides, candidates: Sequence[int]
) -> list[str]:
    """Return columns that have mean 0 and no correlation in all rows, but not in the training."""
    error, of_all = _EXACT * _LEVELS, (table[sides[0], c].astype(np.float64) for c in candidates)
    exact = [abs(v.mean()) <= error * v.std() and v.std() > 0 for v in of_all]
    centred = np.array(candidates, np.int64)[exact]
    if len(centred) < _LEVELS:
        return []
    with np.errstate(invalid="ignore"):  # of a column that is constant in the training set
        matrices = [np.corrcoef(table[rows][:, centred].T.astype(np.float64)) for rows in sides]
    every, train = (np.abs(matrix - np.eye(len(centred))).max(1) for matrix in matrices)
    only_all = (every <= error) & (train > _APART * error)
    return [names[c] for c in centred[only_all]] if only_all.sum() >= _LEVELS else []


def _imputed(values: Table, sample: Floats, unit: float, sides: Sides) -> bool:
    """Return whether the most frequent value is the mean or median of the others."""
    distinct, count = np.unique(sample, return_counts=True)
    second, first = np.sort(count)[-2:]  # rows with the two most frequent values
    constant = distinct[count.argmax()]
    error = _EXACT * (sample.std() + abs(constant)) + unit / 2  # of float32, and of the writing
    if first < max(_VAGUE * len(sample), _ODD * second) or error > _VAGUE * sample.std():
        return False
    rest = np.where(values == np.float32(constant), np.nan, values)  # rows that were not imputed

    def from_mean(values: Floats) -> float:
        return abs(float(np.mean(values)) - float(constant))

    def from_median(values: Floats) -> float:
        return abs(float(np.median(values)) - float(constant))

    return any(_only_all(f, rest, sides, error) for f in (from_mean, from_median))


def is_encoded(values: Table, label: Ints) -> bool:
    """Return whether the mean outcomes of the values are on one line, which is not flat."""
    filled = ~np.isnan(values)
    if len(np.unique(values[filled][:_LOOKED_AT])) > _LOOKED_AT / _LEVELS:
        return False
    distinct, place, count = np.unique(values[filled], return_inverse=True, return_counts=True)
    if not _LEVELS <= len(distinct) <= filled.sum() / _LEVELS:
        return False
    means = np.bincount(place, label[filled]) / count  # the outcome, by value
    # Encoded values are the mean outcomes, perhaps shrunk to the overall mean: on one line.
    line = np.polyfit(distinct.astype(np.float64), means, 1, w=np.sqrt(count))
    error = np.abs(np.polyval(line, distinct.astype(np.float64)) - means).max()
    return bool(np.ptp(means) > _VAGUE and error <= _APART * _EXACT)


def mixtures(table: Table, parts: Rows) -> list[Finding]:
    """Find rows that are a mixture of two others, one of them in another part (oversampling).

    SMOTE (Chawla et al. 2002) adds rows on the line between two neighbours. Three rows of many
    continuous columns are on one line by chance only if the values are rounded.
    """
    everybody, _ = _sides(parts)
    columns = [column for column, _, unit in _continuous(table, everybody) if not unit]
    candidates = everybody[:: spacing(len(everybody), _CANDIDATES)]  # rows
    if len(columns) < _LEAST or len(candidates) <= _NEAR:
        return []
    from sklearn.neighbors import NearestNeighbors

    scaled = np.nan_to_num(table[candidates][:, columns].astype(np.float64))
    scaled = (scaled - scaled.mean(0)) / scaled.std(0)
    search, findings = NearestNeighbors(n_neighbors=_NEAR).fit(scaled), []
    for first, second in combinations(parts, 2):
        rows = np.flatnonzero(np.isin(candidates, parts[second]))
        rows = rows[:: spacing(len(rows), _MIXED)]
        if not len(rows):
            continue
        near = search.kneighbors(scaled[rows], return_distance=False)[:, 1:]
        mixed = _on_lines(scaled, rows, near, np.isin(candidates, parts[first]))
        counts = {"found": int(mixed.sum()), "all": len(rows)}
        if counts["found"] >= _LEAST:
            findings.append(Finding.of("rows made from others", first, second, counts=counts))
    return findings


def _on_lines(scaled: Floats, rows: Ints, near: Ints, foreign: Flags) -> Flags:
    """Return which rows are between two of their neighbours, at least one of them ``foreign``."""
    on_line = np.zeros(len(rows), np.bool_)
    for a, b in combinations(near.T, 2):
        along, offset = scaled[b] - scaled[a], scaled[rows] - scaled[a]  # (row, column)
        length = np.maximum((along**2).sum(1), _EXACT)
        share = (along * offset).sum(1) / length  # place of the row between the two, 0 to 1
        rest = np.linalg.norm(offset - share[:, None] * along, axis=1)
        inside = (share > _VAGUE) & (share < 1 - _VAGUE) & (length > _EXACT)
        exact = rest <= _ODD * _EXACT * np.sqrt(length * scaled.shape[1])
        on_line |= inside & (foreign[a] | foreign[b]) & exact
    return on_line
