"""Fingerprints of recordings and records, by which a copy is recognised under any name.

The fingerprint is a set of marks. Marks of a recording are windows around its strongest slopes.
Each is described by 64 signs, which neither gain nor offset nor inversion changes, and windows move
with the signal, so that shifted, cut and overlapping copies have them too (in the way of Wang 2003,
*An industrial-strength audio search algorithm*, ISMIR). Marks of a record are hashes of its codes,
each with the days since the step before, of which the 32 smallest are kept (the bottom-k sketch of
Broder 1997, *On the resemblance and containment of documents*).
"""

import hashlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sequela.identity.pseudonyms import PLAIN, Pseudonyms

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CHANCE_OF_COPY = 1e-6  # probability of a false alarm over all records that are compared
# The least share of the marks of a common stretch that two copies of a signal have in common.
SAME = 0.6
_HALF = 4  # samples of each half of a slope
_WINDOW = 48  # slopes that a mark describes
_APART = 16  # slopes on each side than which a mark is stronger
_SIGNS = 64
_MOST = 32  # marks of a unit; of a long recording one more for each 4,096 samples
_LONG = 4096
_REPEATED = 2  # signs: a mark with another of its signal this near is uninformative
_AGREEING = 2  # marks of one recording in step with those of another
_JUDGES = 2_000  # records from which the frequencies of codes and of pairs are estimated
_RARE = 4  # rare marks that alike records share
_TOGETHER = 1 << 18  # samples that are marked at a time, in a few megabytes
_BLOCK = 500  # records, or marks, that are compared at a time
_RESEMBLING = 0.5  # share of the marks that records have in common at least
_NO_SLOPE = 1e-6  # share of the greatest value: rounding errors of a flat line

Kind = Literal["signal", "records"]
# The least marks of a unit by which a copy of it is recognised.
_LEAST_MARKS: Mapping[Kind, int] = {"signal": _AGREEING, "records": _RARE}
# The bytes of a place, and the type of a mark.
_LAYOUT: Mapping[Kind, tuple[int, str]] = {"signal": (4, "<u8"), "records": (0, "<u4")}


@dataclass(frozen=True)
class Content:
    """Marks of some units (recordings, subjects, examples)."""

    kind: Kind
    units: tuple[str, ...]  # their names
    unit: NDArray[np.int64]  # (mark,), rising, an index into ``units``; a unit may have no marks
    place: NDArray[np.int64]  # (mark,), the sample in the middle of a window; 0 in records
    mark: NDArray[np.uint64]  # (mark,)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """The start of each unit's marks, and the end: int64 (unit + 1,)."""
        return np.searchsorted(self.unit, np.arange(len(self.units) + 1))

    def to_json(self) -> dict[str, object]:
        """Return each unit's marks in base64: places (4 bytes, signals only), marks (8 or 4)."""
        place_bytes, mark_type = _LAYOUT[self.kind]
        marks, units = self.mark.astype(mark_type), {}
        for name, (first, end) in zip(self.units, pairwise(self.offsets), strict=True):
            content = marks[first:end].tobytes()
            if place_bytes:
                content = self.place[first:end].astype("<u4").tobytes() + content
            units[name] = b64encode(content).decode()
        return {"kind": self.kind, "units": units}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Restore the content from the record that :meth:`to_json` returned."""
        kind: Kind = "signal" if record["kind"] == "signal" else "records"
        place_bytes, mark_type = _LAYOUT[kind]
        size = place_bytes + np.dtype(mark_type).itemsize
        units = {name: b64decode(text, validate=True) for name, text in record["units"].items()}
        counts = [len(content) // size for content in units.values()]
        places, marks = [np.empty(0, "<u4")], [np.empty(0, "<u8")]
        for content, count in zip(units.values(), counts, strict=True):
            end = place_bytes * count
            places.append(np.frombuffer(content[:end], "<u4") if end else np.zeros(count, "<u4"))
            marks.append(np.frombuffer(content[end:], mark_type))
        place = np.concatenate(places).astype(np.int64)
        mark = np.concatenate(marks).astype(np.uint64)
        return cls(kind, tuple(units), np.repeat(np.arange(len(units)), counts), place, mark)


@dataclass(frozen=True)
class Matches:
    """Pairs of matching units of a reference and a query, as indices (pair,) into each.

    In ``copy`` pairs, one is a copy of (a part of) the other. Others are too similar for chance:
    copies with much noise, or one event recorded twice, as neighbouring electrodes do.
    """

    reference: NDArray[np.int64]
    query: NDArray[np.int64]
    copy: NDArray[np.bool_]


def of_signals(units: Sequence[str], signals: Iterable[NDArray[np.generic]]) -> Content:
    """Compute the marks of signals.

    A window that a signal nearly repeats (a steady rhythm) is not a mark: it would match many
    places. Signals are (n_chans, n_times) without NaN; the first channel that is not flat is
    marked. Fewer than 55 samples have no mark.
    """
    numbers: dict[str, int] = {}
    ends: Counter[str] = Counter()
    parts = [np.empty((3, 0), np.int64)]  # unit, place, mark

    def channels() -> Iterator[tuple[int, int, int, NDArray[np.float64]]]:
        for row, (name, signal) in enumerate(zip(units, signals, strict=True)):
            channel = _channel(np.asarray(signal, np.float64))
            yield row, numbers.setdefault(name, len(numbers)), ends[name], channel
            ends[name] += 2 * signal.shape[-1]  # no mark of one signal is in step with the next

    # Consecutive channels of one length are marked together, a few megabytes at a time.
    for _, group in groupby(channels(), lambda c: (len(c[3]), c[0] * len(c[3]) // _TOGETHER)):
        _, unit, begin, samples = zip(*group, strict=True)
        row, place, mark = _marks_of(np.stack(samples))
        places = np.array(begin)[row] + place
        parts.append(np.stack([np.array(unit)[row], places, mark.view(np.int64)]))
    joint = np.concatenate(parts, axis=1)
    unit, place, mark = joint[:, np.argsort(joint[0], kind="stable")]
    return Content("signal", tuple(numbers), unit, place, mark.view(np.uint64))


def of_records(units: Sequence[str], unit: NDArray[np.int64], token: NDArray[np.uint64]) -> Content:
    """Compute the marks of records: the 32 smallest distinct hashes of each.

    ``unit`` (token,) is an index into ``units``. The lower 32 bits of ``token`` (token,) count.
    """
    # The unit is in the upper 32 bits and the hash in the lower ones, so one sort orders both.
    pairs = np.sort((unit.astype(np.uint64) << np.uint64(32)) | (token & np.uint64(0xFFFFFFFF)))
    pairs = pairs[np.diff(pairs, prepend=~pairs[:1]) != 0]
    of_unit = (pairs >> np.uint64(32)).astype(np.int64)
    # Sorted hashes begin with the smallest, which are the sketch (Broder 1997).
    smallest = _rank(of_unit) < _MOST
    marks = pairs[smallest] & np.uint64(0xFFFFFFFF)
    places = np.zeros(len(marks), np.int64)
    return Content("records", tuple(units), of_unit[smallest], places, marks)


def joined(contents: Sequence[Content]) -> Content:
    """Join the marks of different units of one kind."""
    first = np.cumsum([0, *(len(content.units) for content in contents[:-1])])
    unit = [content.unit + by for content, by in zip(contents, first, strict=True)]
    units, places, marks = zip(*((c.units, c.place, c.mark) for c in contents), strict=True)
    joint = map(np.concatenate, (unit, places, marks))
    return Content(contents[0].kind, tuple(chain(*units)), *joint)


def tokens(
    names: Sequence[str],
    name: NDArray[np.int64],
    *numbers: NDArray[np.int64],
    how: Pseudonyms = PLAIN,
) -> NDArray[np.uint64]:
    """Hash names and the numbers that belong to them: uint64 (token,).

    ``name`` (token,) is an index into ``names``; ``numbers`` are (token,), such as days. Without a
    key, anybody who tries all names finds out which ones a record holds.
    """
    hashes = [int.from_bytes(how.digest(text)[:8], "little") for text in names]
    token = np.array(hashes, np.uint64)[name]
    for number in numbers:
        # Mixing after each number makes their order count.
        token = _mixed(token ^ _mixed(number.astype(np.uint64)))
    return token


def matches(reference: Content, query: Content) -> Matches:
    """Find pairs of units with the same content, including those under the same name.

    In a set that is compared with itself, no unit is paired with itself, and each pair comes once.
    """
    if not len(reference.mark) or not len(query.mark):
        nothing = np.empty(0, np.int64)
        return Matches(nothing, nothing, np.empty(0, np.bool_))
    return {"signal": _in_step, "records": _too_alike}[reference.kind](reference, query)


def copies(
    pairs: Matches, trained: NDArray[np.bool_], unseen: NDArray[np.bool_], count: int
) -> NDArray[np.bool_]:
    """Find units that hold what a model has seen, under whatever name.

    A copy of an unseen unit does not count as a copy of a seen unit, even if it resembles one.
    ``trained`` and ``unseen`` are bool (reference unit,): units that the model has seen, and units
    that it has certainly not seen. The result is bool (query unit,), for ``count`` units.
    """
    copied = np.zeros(count, np.bool_)
    new, old = unseen[pairs.reference], trained[pairs.reference]
    # A copy of an unseen unit outweighs a likeness, a copy of a trained unit outweighs both.
    copied[pairs.query[old]] = True
    copied[pairs.query[new & pairs.copy]] = False
    copied[pairs.query[old & pairs.copy]] = True
    return copied


def recognisable(reference: Content, query: Content, pairs: Matches) -> NDArray[np.bool_]:
    """Find units with matches, and units with enough marks to match a copy: bool (query unit,)."""
    marks = np.bincount(query.unit, minlength=len(query.units))
    enough = marks >= _LEAST_MARKS[reference.kind]
    checks = {"signal": lambda *_: enough, "records": _improbable}
    checked = checks[reference.kind](reference, query, enough)
    checked[pairs.query] = True
    return checked


def _improbable(reference: Content, query: Content, enough: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find units of enough codes that chance would hardly give another patient: (query unit,)."""
    rows, first = _incidence(reference, query), len(reference.units)
    evidence, (bits, least) = _evidence_of(rows), _bits(rows, copies=1)
    improbable = enough & (rows @ bits > least)[first:]
    for unit in np.flatnonzero(improbable).tolist():
        row = first + unit
        codes = rows.indices[rows.indptr[row] : rows.indptr[row + 1]]
        improbable[unit] = evidence(codes, row) > least
    return np.asarray(improbable)


def _channel(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    moving = (channel for channel in signal if len(channel) and channel.max() > channel.min())
    return next(moving, np.zeros(0))


def _marks_of(
    signals: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Return rows, places and marks of signals (signal, time), by row and place."""
    # A slope is the difference of the sums of neighbouring halves, from running totals.
    total = np.zeros((len(signals), signals.shape[1] + 1))
    # The first value is subtracted, since running totals of a large offset would lose digits.
    np.cumsum(signals - signals[:, :1], axis=1, out=total[:, 1:])
    mean = total[:, _HALF:] - total[:, :-_HALF]
    slope = mean[:, _HALF:] - mean[:, :-_HALF]
    if slope.shape[1] < _WINDOW:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64)
    from scipy.ndimage import maximum_filter1d  # scipy takes long to load

    size = np.abs(slope)
    strongest = (size == maximum_filter1d(size, 2 * _APART + 1)) & (
        size > _NO_SLOPE * np.abs(signals).max(axis=1, keepdims=True)
    )
    # A mark is the signs of random projections of the slopes around, relative to the strongest.
    half = _WINDOW // 2
    row, place = np.nonzero(strongest[:, half : slope.shape[1] - half + 1])
    place += half
    window = slope[row[:, np.newaxis], place[:, np.newaxis] + np.arange(-half, half)]
    # The sign of the strongest slope is divided out, so an inverted copy has the same marks.
    signs = (window * np.sign(slope[row, place])[:, np.newaxis]) @ _directions() > 0
    mark = np.packbits(signs, axis=1).view("<u8")[:, 0].astype(np.uint64)
    # Of the strongest marks, those that are nearly repeated within the signal are left out.
    by_strength = np.lexsort((-size[row, place], row))
    most = _MOST + signals.shape[1] // _LONG
    rank = _rank(row)
    first, rank = by_strength[rank < 4 * most], rank[rank < 4 * most]
    shape = (len(signals), int(rank.max(initial=-1)) + 1)
    filled, compared = np.zeros(shape, np.bool_), np.zeros(shape, np.uint64)
    filled[row[first], rank], compared[row[first], rank] = True, mark[first]
    alike = [np.empty((len(signals), 0), np.int64)]  # (signal, mark)
    for a in range(0, shape[1], _BLOCK):
        differing = np.bitwise_count(
            compared[:, a : a + _BLOCK, np.newaxis] ^ compared[:, np.newaxis]
        )
        alike.append(((differing <= _REPEATED) & filled[:, np.newaxis]).sum(axis=2))
    unique = first[np.concatenate(alike, axis=1)[filled] == 1]  # alike only to itself
    selected = np.sort(unique[_rank(row[unique]) < most])
    return row[selected], place[selected], mark[selected]


def _rank(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the entries of each row from 0, for rows that rise."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)


@cache
def _directions() -> NDArray[np.float64]:
    """Return fixed signs, 1 and -1 (window, sign), the same on every machine and version."""
    content = hashlib.shake_256(b"sequela fingerprint").digest(_WINDOW * _SIGNS // 8)
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).reshape(_WINDOW, _SIGNS)
    return bits.astype(np.float64) * 2 - 1


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Permute 64-bit numbers (the end of splitmix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _in_step(reference: Content, query: Content) -> Matches:
    """Match signals with two or more marks that agree in all signs but one, at one time shift."""
    i, j = _within_one_sign(reference.mark, query.mark)
    shift = reference.place[i] - query.place[j]
    triples = np.stack([reference.unit[i], query.unit[j], shift])
    (first, second, by), count = np.unique(triples, axis=1, return_counts=True)
    enough = (count >= _AGREEING) & ((first < second) if reference is query else True)
    first, second, by, count = first[enough], second[enough], by[enough], count[enough]
    order = np.lexsort((-count, second, first))  # for each pair, the most frequent shift
    pair = np.stack([first, second])[:, order]
    best = order[np.any(np.diff(pair, axis=1, prepend=-1) != 0, axis=0)]
    share = [
        count[n] / _common(reference, first[n], query, second[n], by[n]) for n in best.tolist()
    ]
    return Matches(first[best], second[best], np.array(share) >= SAME)


def _within_one_sign(
    first: NDArray[np.uint64], second: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find pairs of marks that differ in at most one bit: their lower or upper halves are equal."""
    pairs = []
    for shift in (np.uint64(0), np.uint64(32)):
        i, j = _equal((first >> shift).astype(np.uint32), (second >> shift).astype(np.uint32))
        near = np.bitwise_count(first[i] ^ second[j]) <= 1
        pairs.append(np.stack([i[near], j[near]]))
    i, j = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return i, j


def _equal(
    values: NDArray[np.uint32], candidates: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices of all pairs of equal values."""
    # In sorted candidates, all partners of a value are in one stretch.
    order = np.argsort(candidates, kind="stable")
    first, end = (np.searchsorted(candidates[order], values, side) for side in ("left", "right"))
    counts = end - first
    i = np.repeat(np.arange(len(values)), counts)
    within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[np.repeat(first, counts) + within]


def _common(reference: Content, unit: int, query: Content, query_unit: int, shift: int) -> int:
    """Count marks in the stretch that both units have marks in, for the unit with fewer."""
    first = reference.place[reference.offsets[unit] : reference.offsets[unit + 1]] - shift
    second = query.place[query.offsets[query_unit] : query.offsets[query_unit + 1]]
    low, high = max(first[0], second[0]), min(first[-1], second[-1])
    return int(min(np.sum((low <= places) & (places <= high)) for places in (first, second)))


def _too_alike(reference: Content, query: Content) -> Matches:
    """Match records that share half of their marks, and more than chance explains."""
    rows, n_reference = _incidence(reference, query), len(reference.units)
    bits, least = _bits(rows)
    same = reference is query
    first, second = _sharing_rare(rows, n_reference, rows @ bits > least, same=same)
    if same:
        once = first < second - n_reference
        first, second = first[once], second[once]
    alike = _half_shared(rows, first, second)
    first, second = first[alike], second[alike]
    size, evidence = np.diff(rows.indptr), _evidence_of(rows)
    copied = np.zeros(len(first), np.bool_)
    for pair, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        marks, other_marks = (rows.indices[rows.indptr[n] : rows.indptr[n + 1]] for n in (i, j))
        shared = np.intersect1d(marks, other_marks)
        union = size[i] + size[j] - len(shared)
        needed = least + _log2_choices(int(union), len(shared))
        if bits[shared].sum() <= needed:
            # Taken as independent, codes mostly give more bits: a cheap first test.
            continue
        copied[pair] = evidence(shared, i, j) > needed
    return Matches(first[copied], second[copied] - n_reference, copied[copied])


def _bits(rows: "csr_array", copies: int = 0) -> tuple[NDArray[np.float64], float]:
    """Return the bits of a single code in ``copies`` more of its rows (code,), and those needed."""
    # Half a count more, so that a code of no other record is rare and not impossible (the estimator
    # of Krichevsky and Trofimov 1981).
    bits = -np.log2((rows.sum(axis=0) + copies + 0.5) / (rows.shape[0] + 1))
    # Each pair of n records may agree by chance, so the evidence must outweigh n squared pairs.
    return bits, float(2 * np.log2(rows.shape[0]) - np.log2(CHANCE_OF_COPY))


def _evidence_of(rows: "csr_array") -> Callable[..., float]:
    """Return a function that computes the bits of codes, judged by all records but some."""
    judges = np.arange(0, rows.shape[0], -(-rows.shape[0] // _JUDGES))
    from scipy.sparse import csc_array

    by_code = csc_array(rows[judges], dtype=np.float64)

    def bits(codes: NDArray[np.int64], *but: int) -> float:
        judging = by_code[:, codes].toarray()[~np.isin(judges, but)]
        return bits_of_codes(judging.T @ judging, len(judging))

    return bits


def _incidence(reference: Content, query: Content) -> "csr_array":
    """Return int64 (unit of both sets, mark), 1 where a unit has a mark; frequent marks last."""
    _, which, count = np.unique(
        np.concatenate([reference.mark, query.mark]), return_inverse=True, return_counts=True
    )
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(count, kind="stable")] = np.arange(len(count))
    unit = np.concatenate([reference.unit, query.unit + len(reference.units)])
    shape = (len(reference.units) + len(query.units), len(count))
    from scipy.sparse import csr_array

    rows = csr_array((np.ones(len(unit), np.int64), (unit, rank[which])), shape=shape)
    rows.sort_indices()
    return rows


def _sharing_rare(
    rows: "csr_array", n_reference: int, informative: NDArray[np.bool_], *, same: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair informative rows, one of each set, that may share half of their marks.

    Only the rarest half of the marks of each, and four more, are compared. Most of the marks that
    two rows must share are among those (the prefix filter of Chaudhuri et al. 2006); fewer than
    four are never enough evidence.
    """
    size = np.diff(rows.indptr)
    rest = np.maximum(np.ceil(_RESEMBLING * size).astype(np.int64) - _RARE, 0)
    rank = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], size)
    rare = (rank < np.repeat(size - rest, size)) & np.repeat(informative, size)
    unit = np.repeat(np.arange(rows.shape[0]), size)[rare]
    from scipy.sparse import csr_array

    prefix = csr_array((np.ones(len(unit), np.int8), (unit, rows.indices[rare])), rows.shape)
    pairs = [np.empty((2, 0), np.int64)]
    for begin in range(n_reference, rows.shape[0], _BLOCK):
        query = csr_array(prefix[begin : begin + _BLOCK].T)
        for start in range(0, begin + _BLOCK - n_reference if same else n_reference, _BLOCK):
            shared = prefix[start : min(start + _BLOCK, n_reference)] @ query
            shared.data[shared.data < _RARE] = 0
            shared.eliminate_zeros()  # nearly all
            first, second = shared.tocoo().coords
            first, second = first + start, second + begin
            least = _RESEMBLING / (1 + _RESEMBLING) * (size[first] + size[second])
            # A Jaccard index of J means that J / (1 + J) of both sizes together are shared.
            enough = shared.data >= least - np.maximum(rest[first], rest[second])
            pairs.append(np.stack([first[enough], second[enough]]))
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def _half_shared(
    rows: "csr_array", first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Test which pairs of rows share half of their marks: bool (pair,)."""
    size = np.diff(rows.indptr)
    shared = np.asarray(rows[first].multiply(rows[second]).sum(axis=1), np.int64)
    return np.asarray(shared >= _RESEMBLING * (size[first] + size[second] - shared))


def _log2_choices(total: int, shared: int) -> float:
    """Return the number of bits needed to state which of some marks are shared."""
    from scipy.special import gammaln

    ways = gammaln(total + 1) - gammaln(shared + 1) - gammaln(total - shared + 1)
    return float(ways / np.log(2))


def bits_of_codes(together: NDArray[np.floating], records: int) -> float:
    """Compute how improbable a set of codes is, judged by other records.

    Codes of one record depend on each other (a form fills in several), so each counts only for what
    it adds to the code before it that predicts it best, frequent codes first (as in a tree of Chow
    & Liu 1968); codes that are absent do not count. ``together`` (code, code) counts the other
    records with both codes; on the diagonal, with each. The result is the negative logarithm of the
    chance, in bits.
    """
    if not len(together):
        return 0.0
    frequent = np.argsort(-together.diagonal(), kind="stable")
    together = together[np.ix_(frequent, frequent)]
    share = (together.diagonal() + 0.5) / (records + 1)
    # Among records with the row's code, the share with the column's code, shrunk a little.
    conditional = (together + share) / (together.diagonal()[:, None] + 1)
    chance = [share[0]]
    chance += [max(share[i], conditional[:i, i].max()) for i in range(1, len(share))]
    return float(-np.log2(chance).sum())
