"""The audit of data, splits and predictions that others made: arrays in, findings out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.audit import cells, fitted, overlaps, tells, windows
from sequela.audit.finding import Code, Finding
from sequela.audit.fitted import Ids, Rows
from sequela.evaluation.delong import areas

REVEALING = 0.9
"""The AUROC that a column must reach alone."""
STRONG = 0.88
"""The AUROC of a strong honest column; a column of few patients must exceed it by more."""
GAIN = 0.05
"""The AUROC that a baseline model must lose without the column."""
_NAMING = 0.8  # AUROC from which an identifier or a time is reported
_BETTER = 0.1  # by which the AUROC of predictions may exceed that of a baseline model
_IN_ORDER = 0.9  # AUROC of the time, for the test set against training, of a split by time
_OTHERS = 4  # columns, fewer of which replace no column
_OUTCOMES = ("label", "outcome", "event", "death", "died")  # in names of columns with times
_SPLITS = 10  # of a cross-validation, that are looked at
_BINS, _COPY, _CANDIDATES = 64, 0.95, 8
_NEAR = 5_000  # rows in which near copies are looked for
_CELLS, _ROWS, _COLUMNS = 250_000, 5_000, 100  # what a baseline model reads at most
_RARE, _OF_FEW = 3, 0.05  # rows that have a code; share of rows that have a rare one
_LEAST = 10  # groups of each class
_CHANCE = 1e-3
_TWO, _MANY, _PLATEAU = 2, 50, 0.02

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Foreign:
    """Rows of a table, or windows of signals (window, channel, time), and what is known of them.

    The table is (row, column), NaN for missing values, text as numbers of its values. By row,
    int64, are the label, none where it is unknown; the number of the patient, recording or other
    unit, by its kind; and the ranks of identifiers, which a model must not read, by column.
    ``splits`` have the row indices of each part, the training set first; several are of a cross-
    validation. ``times`` are datetime64 (row,) by column, ``time`` is the column with the time of
    the prediction. ``score`` is the probability of the second class, float64 (row,), ``stated`` the
    numbers of a published result, ``later`` the columns known after the outcome, by their name or
    texts; ``open_questions`` are on the form of a file. By row are also numbers on how texts are
    ``written``, and the forms of ``texts``, by name.
    """

    table: NDArray[np.floating]
    names: tuple[str, ...]
    label: Ids | None = None
    classes: tuple[str, ...] = ()
    units: Mapping[str, Ids] = field(default_factory=dict)
    splits: tuple[Rows, ...] = ()
    times: Mapping[str, NDArray[np.datetime64]] = field(default_factory=dict)
    time: str | None = None
    identifiers: Mapping[str, Ids] = field(default_factory=dict)
    signals: NDArray[Any] | None = None
    score: Scores | None = None
    stated: Mapping[str, float] = field(default_factory=dict)
    later: tuple[str, ...] = ()
    open_questions: tuple[str, ...] = ()
    written: Mapping[str, Scores] = field(default_factory=dict)
    texts: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    @cached_property
    def group(self) -> Ids:
        """The patient, or else the smaller unit or the row, of each row: int64 (row,)."""
        return next(iter(self.units.values()), np.arange(len(self.table)))

    @property
    def two(self) -> bool:
        """True for two classes."""
        return self.label is not None and len(self.classes) == _TWO

    @cached_property
    def many(self) -> bool:
        """True if each class has groups enough to judge what gives it."""
        return self.label is not None and not _few(self.label, self.group)

    @property
    def positives(self) -> range:
        """The classes that are compared with the rest."""
        return range(int(self.two), len(self.classes))

    @cached_property
    def copies(self) -> list[int]:
        """The columns that are the label under another name."""
        label = np.asarray(self.label)
        return [c for c in range(len(self.names)) if _one_to_one(self.table[:, c], label)]

    @property
    def rows(self) -> NDArray[np.floating]:
        """All numbers of each row or window: (row, number)."""
        signals = self.signals
        return self.table if signals is None else signals.reshape(len(signals), -1)


@dataclass(frozen=True)
class Effect:
    """The AUROC of a baseline model with a problem, without it, and the difference's interval."""

    auroc: float
    without: float
    low: float
    high: float


Found = Finding | tuple[Finding, Effect | None]


def find(data: Foreign) -> Iterator[tuple[str, Iterable[Found]]]:
    """Yield the name of each group of checks that fits the data, and its findings."""
    split, scored = bool(data.splits), data.score is not None and data.two
    signals, alone = data.signals is not None, bool(data.names and data.units) and not split
    named, timed = bool(data.identifiers or data.times), data.time is not None
    for name, fits, found in (
        ("copies across parts", split, _each_split(data, _across)),
        ("preprocessing before the split", split, _each_split(data, _fitted)),
        ("windows of one signal in two parts", split and signals, _each_split(data, _windows)),
        ("a split by time", split and timed, _each_split(data, _by_time)),
        ("copies under several ids", alone, _copies(data)),
        ("columns that give the label", data.many and data.names and not signals, _columns(data)),
        ("signals that give the label", data.many and signals, _signals(data)),
        ("ids and times that give the label", data.many and named, _identifiers(data)),
        ("times after the prediction", timed and len(data.times) > 1, _times(data)),
        ("duplicated ids", data.score is not None and data.identifiers, _repeated(data)),
        ("predictions that are too good", scored and data.many, _predictions(data)),
        ("stated results", scored and data.stated, _stated(data)),
    ):
        if fits:
            yield name, found


def not_checked(data: Foreign) -> Iterator[str]:
    """Yield what was not looked for, and why."""
    yield from data.open_questions
    if not data.splits:
        yield "leaks from one part into another: no split is known; name its column with --split"
    elif not data.units:
        unit = "patients in two parts: no column of the patient"
        if data.signals is not None:
            unit = "patients or recordings in two parts: no array of the patient or recording"
        yield f"{unit} is known, name it with --group"
    if not data.names:
        yield "copies and columns: there are no columns but those named above"
    if data.time is None:
        yield "times after the prediction: no time of the prediction is known, name it with --time"
    if len(data.splits) > _SPLITS:
        yield f"splits after the first {_SPLITS}"
    if data.label is None:
        yield "what gives the label: no label is known; name its column with --label"
    elif not data.many:
        unit = next(iter(data.units), "row")
        yield f"what gives the label: a class has fewer than {_LEAST} {unit}s"


def _each_split(data: Foreign, check: Any) -> Iterator[Found]:
    """Yield the findings of the first splits, each once."""
    known = set[tuple[Any, ...]]()
    for rows in data.splits[:_SPLITS]:
        for found in check(data, rows):
            each = found[0] if isinstance(found, tuple) else found
            if (key := (each.check, each.place, str(each.facts))) not in known:
                known.add(key)
                yield found


def _across(data: Foreign, rows: Rows) -> Iterator[Found]:
    """Find rows, patients and copies that are in two parts, and parts of one class."""
    for unit, ids in {"row": np.arange(len(data.table)), **data.units}.items():
        effect = None  # of the unit, whatever the two parts
        for each in overlaps.overlapping_groups({n: ids[r] for n, r in rows.items()}, unit):
            if unit == "row":
                yield replace(each, check="rows in two parts")
            elif _numbered_again(data, ids, *(rows[part] for part in each.place)):
                yield replace(each, check="ids in two parts", severity="suspicion")
            else:
                effect = effect or _of_groups(data, ids)
                yield each, effect
    if data.label is not None:
        by_part = {name: data.label[chosen] for name, chosen in rows.items()}
        yield from overlaps.one_class(by_part, data.classes)
    whole, first = data.rows, next(iter(rows.values()))
    others = np.bincount(first, minlength=len(whole)) == 0
    parts = {n: r if r is first else r[others[r]] for n, r in rows.items()}
    parts = {name: chosen for name, chosen in parts.items() if len(chosen)}
    if not data.names or len(parts) < _TWO or data.signals is not None:
        return
    tables = {name: overlaps.Selection(whole, chosen) for name, chosen in parts.items()}
    for each in overlaps.identical_rows(tables):
        yield each, _of_groups(data, np.unique(overlaps.hashed(whole)[0], return_inverse=True)[1])
    some = {name: chosen[:: -(-len(chosen) // _NEAR)] for name, chosen in parts.items()}
    groups = {name: data.group[chosen].astype(np.str_) for name, chosen in some.items()}
    tables = {name: overlaps.Selection(whole, chosen) for name, chosen in some.items()}
    yield from overlaps.near_identical_rows(tables, groups) + fitted.mixtures(data.table, parts)


def _numbered_again(data: Foreign, ids: Ids, one: Ids, other: Ids) -> bool:
    """Return whether rows of two parts with one id are no more alike than others, as by the age."""
    shared, *pairs = np.intersect1d(ids[one], ids[other], return_indices=True)
    single = all(len(np.unique(ids[rows])) == len(rows) for rows in (one, other))
    if not single or len(shared) < _MANY:
        return False
    both = np.stack([data.table[one[pairs[0]]], data.table[other[pairs[1]]]])
    known = [each[:, ~np.isnan(each).any(0)] for each in np.moveaxis(both, 2, 0)]
    moving = [each for each in known if each.size and (np.ptp(each, axis=1) > 0).all()]
    chances = [stats.spearmanr(*each).pvalue for each in moving]
    return len(chances) >= _OTHERS and min(chances) * len(chances) >= _CHANCE


def _copies(data: Foreign) -> Iterator[Found]:
    """Find identical rows of two patients, where no split is known."""
    half = {
        str(i): overlaps.Selection(data.rows, np.flatnonzero(data.group % 2 == i)) for i in (0, 1)
    }
    for each in overlaps.identical_rows(half):
        unit = next(iter(data.units))
        yield Finding.suspected("copies under several ids", counts=each.counts, unit=unit)


def _fitted(data: Foreign, rows: Rows) -> Iterator[Found]:
    label = data.label if data.two else None
    yield from fitted.fitted_on_all(data.table, data.names, rows, label)
    if data.signals is not None:
        _, channels, times = data.signals.shape
        samples = data.signals.transpose(0, 2, 1).reshape(-1, channels)
        of = {n: (r[:, None] * times + np.arange(times)).ravel() for n, r in rows.items()}
        names = [f"channel {channel + 1}" for channel in range(channels)]
        yield from fitted.fitted_on_all(samples, names, of)


def _windows(data: Foreign, rows: Rows) -> Iterator[Found]:
    signals, group = np.asarray(data.signals), data.group.astype(np.str_)
    findings = fitted.overlapping_windows(signals, rows) or fitted.adjacent_windows(signals, rows)
    yield from findings or windows.between_parts(signals, rows, group)


def _signals(data: Foreign) -> Iterator[Found]:
    label, group = np.asarray(data.label), data.group.astype(np.str_)
    yield from windows.by_class(np.asarray(data.signals), label, data.classes, group, group)


def _by_time(data: Foreign, rows: Rows) -> Iterator[Found]:
    """Find a split that is by time, but not for all rows."""
    asked = data.times[str(data.time)]
    (train, before), *others = ((name, asked[chosen]) for name, chosen in rows.items())
    for name, after in others:
        same = len(np.unique(after)) < _LEAST  # years, of which none is in two parts
        late = int((before >= np.nanmin(after) if same else before > np.nanmin(after)).sum())
        place = np.repeat([0, 1], [len(before), len(after)])
        if late and overlaps.area(place, np.concatenate([before, after])) >= _IN_ORDER:
            counts = {"found": late, "all": len(before)}
            yield Finding("training rows of a later time", "suspicion", (train, name), counts)


def _few(label: Ids, group: Ids) -> bool:
    """Return whether a class has too few groups to judge."""
    counts = [len(np.unique(group[label == one])) for one in range(max(int(label.max()), 1) + 1)]
    return min(counts) < _LEAST


@dataclass(frozen=True)
class _Strong:
    """A column whose values give one class alone: its AUROC and scores."""

    area: float
    column: int
    one: int
    score: Scores


def _columns(data: Foreign) -> Iterator[Found]:
    """Find columns that are the label, or that give more of it than all others together."""
    rows = overlaps.of_each_class(np.asarray(data.label), len(data.classes))
    copies = data.copies
    if copies:
        codes = tuple(Code(data.names[column], auroc=1.0) for column in copies)
        yield Finding("copies of the label", "leak", codes=codes)
    if data.later:
        yield Finding("names of the outcome", "suspicion", codes=tuple(map(Code, data.later)))
    if data.two:
        yield from _together(data, rows, copies)
    left = [column for column in range(len(data.names)) if column not in copies]
    table, names = data.table[rows][:, left].astype(np.float64), [data.names[c] for c in left]
    copied = tuple(data.names[column] for column in copies) or ("\0",)
    written = {n: values[rows] for n, values in data.written.items() if not n.endswith(copied)}
    texts = {n: values[rows] for n, values in data.texts.items() if not n.endswith(copied)}
    label, group = np.asarray(data.label)[rows], data.group[rows].astype(np.str_)
    tested = np.isin(rows, _test(data)[1])
    yield from cells.by_class(table, names, label, data.classes, group, written, texts, tested)
    strong, done = _strong(data, rows, copies), set[int]()
    for each in strong[:_CANDIDATES]:
        if each.column in done:
            continue
        same = (s for s in strong if s.one == each.one)
        alike = {s.column: s.area for s in same if np.corrcoef(s.score, each.score)[0, 1] >= _COPY}
        # A strong column that others replace is not reported.
        effect = _without(data, rows, each.one, [*alike], copies)
        if effect and effect.auroc - effect.without >= GAIN and effect.low > 0:
            done |= {*alike}
            least = np.floor(100 * min(alike.values())) / 100
            facts = {"how": overlaps.WAYS[0], "name": data.classes[each.one], "least": least}
            codes = tuple(Code(data.names[c], auroc=area) for c, area in alike.items())
            facts |= {"columns": len(data.names)}
            yield Finding.suspected("columns that reveal the outcome", codes=codes, **facts), effect


def _together(data: Foreign, rows: Ids, leave: Sequence[int]) -> Iterator[Found]:
    """Find many rare columns of one class, and shares of the outcome in groups of rows."""
    label, names = np.asarray(data.label)[rows], np.delete(np.array(data.names), leave)
    table = np.delete(data.table[rows], leave, axis=1)
    one = int(label.mean() <= 0.5)  # noqa: PLR2004 - the rarer class
    present = csr_array(np.nan_to_num(table) != 0, dtype=np.float64)
    count = present.sum(0)
    rare = np.flatnonzero((count >= _RARE) & (count <= _OF_FEW * len(rows)))
    if len(rare) >= _OTHERS and min(np.bincount(label)) > 0:
        binary, group = (label == one).astype(np.int64), data.group[rows]
        score = tells.strongest(csr_array(present[:, rare]), binary, tells.folds(binary, group))
        if tells.top_is_pure(score, binary, group):
            how = "many columns of few, each almost only in one class, together predict"
            check, area = "inputs that tell the outcome", overlaps.area(binary, score)
            yield Finding.suspected(check, "inputs", how=how, auroc=area, name=data.classes[one])
    tested = np.isin(rows, _test(data)[1])
    yield from tells.averaged_labels(table[tested], names.tolist(), label[tested], data.classes)


def _strong(data: Foreign, rows: Ids, leave: Sequence[int]) -> list[_Strong]:
    """Return the columns that give a class alone, and not by chance, the strongest first."""
    label, group, found = np.asarray(data.label)[rows], data.group[rows], []
    fold, tests = tells.folds(label, group), 2 * len(data.names) * len(data.positives)
    for column in [column for column in range(len(data.names)) if column not in leave]:
        values = data.table[rows, column].astype(np.float64)
        score, filled = _shares(_bins(values), label, fold), ~np.isnan(values)
        for one in data.positives:
            of_class = (label == one)[filled]
            area = overlaps.area(of_class.astype(np.int64), score[filled, one])
            if area >= REVEALING and area >= overlaps.least_area(
                of_class, group[filled], tests, REVEALING, STRONG
            ):
                found.append(_Strong(area, column, one, score[:, one]))
    return sorted(found, key=lambda s: -s.area)


def _bins(values: Scores) -> Ids:
    """Return the bin of each row: a value, or a part of many; missing ones are another bin."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) <= _BINS:
        return place
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, bins)


def _shares(place: Ids, label: Ids, fold: Ids) -> Scores:
    """Return the share of each class among the rows of a bin in other folds: (row, class)."""
    prior = np.bincount(label) / len(label)
    counts = np.zeros((tells.FOLDS, int(place.max()) + 1, len(prior)))
    np.add.at(counts, (fold, place, label), 1)
    rest = counts.sum(0) - counts
    return np.asarray(((rest + prior) / (rest.sum(2, keepdims=True) + 1))[fold, place])


def _one_to_one(values: NDArray[Any], label: Ids) -> bool:
    """Return whether each value has one class, and each class one value."""
    if np.isnan(values[0]) or len(np.unique(values[:_ROWS])) > int(label.max()) + 1:
        return False
    pairs = np.unique(np.stack([values.astype(np.float64), label]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def _without(
    data: Foreign, rows: Ids, one: int, columns: list[int], leave: Sequence[int]
) -> Effect | None:
    """Measure a baseline model with columns and without them, out of fold, by group."""
    rest = [c for c in range(len(data.names)) if c not in {*columns, *leave}]
    rest = rest[: max(_COLUMNS - len(columns), 0)]
    if len(rest) < _OTHERS:
        return None
    rows = rows[:: -(-len(rows) * (len(rest) + len(columns)) // _CELLS)]
    label, group = (np.asarray(data.label)[rows] == one).astype(np.int64), data.group[rows]
    fold, table = tells.folds(label, group), data.table[rows].astype(np.float64)
    scores = [_baseline(table[:, chosen], label, fold) for chosen in ([*columns, *rest], rest)]
    return _effect(label, scores, group)


def _baseline(table: Scores, label: Ids, fold: Ids, *, memory: bool = False) -> Scores:
    """Return the out-of-fold predictions of boosting, or of trees that remember single rows."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    few = 5 if len(label) < _ROWS // 5 else 20
    shape = {"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": few, "early_stopping": False}
    model: Any = HistGradientBoostingClassifier(**shape, random_state=0)
    if memory:
        model = ExtraTreesClassifier(30, max_features=0.5, random_state=0)
        table = np.nan_to_num(table)
    cv = PredefinedSplit(fold)
    return np.asarray(cross_val_predict(model, table, label, cv=cv, method="predict_proba")[:, 1])


def _effect(label: Ids, scores: Sequence[Scores], group: Ids) -> Effect | None:
    """Compare two scores (row,), with an interval over groups (Obuchowski 1997)."""
    if _few(label, group):
        return None
    found = areas(label == 1, np.column_stack(scores), _numbered(group))
    first, second = found.area.tolist()
    variance = max(np.array([1, -1]) @ found.covariance @ np.array([1, -1]), 0)
    error = float(stats.norm.isf(0.025) * np.sqrt(variance))
    return Effect(first, second, first - second - error, first - second + error)


def _of_groups(data: Foreign, group: Ids) -> Effect | None:
    """Measure a baseline model with rows split at random, and with whole groups."""
    if data.label is None or not data.names:
        return None
    positive = 1 if data.two else np.bincount(data.label).argmax()
    order = np.random.default_rng(0).permutation(int(group.max()) + 1)[group]
    most = min(max(_CELLS // len(data.names), _MANY), _ROWS)
    rows = np.sort(np.argsort(order, kind="stable")[:most])  # whole groups
    label, group = (data.label[rows] == positive).astype(np.int64), group[rows]
    rest = [c for c in range(len(data.names)) if c not in data.copies][: _CELLS // _MANY]
    if not rest or _few(label, group):
        return None
    table = data.table[rows][:, rest].astype(np.float64)
    folds = (tells.folds(label, each) for each in (np.arange(len(rows)), group))
    return _effect(label, [_baseline(table, label, fold, memory=True) for fold in folds], group)


def _identifiers(data: Foreign) -> Iterator[Found]:
    """Find ids, file names and times whose order or value gives the label."""
    rows = overlaps.of_each_class(np.asarray(data.label), len(data.classes))
    numbers = {name: ids[rows].astype(np.float64) for name, ids in data.identifiers.items()}
    for name, times in data.times.items():
        if any(word in name.lower() for word in _OUTCOMES):  # see _times
            continue
        seconds = times[rows].astype("datetime64[s]").astype(np.float64)
        seconds[np.isnat(times[rows])] = np.nan
        numbers |= {name: seconds, f"hour of {name}": seconds % 86400 // 60}
    for name, values in numbers.items():
        for one in data.positives:
            label = (np.asarray(data.label)[rows] == one).astype(np.int64)
            area = tells.told(values[:, None], label, data.group[rows], least=_NAMING)
            if area is not None:
                check = "identifiers that tell the outcome"
                yield Finding.suspected(check, name, name=data.classes[one], auroc=area)
                break


def _times(data: Foreign) -> Iterator[Found]:
    asked = data.times[str(data.time)]
    for name, times in data.times.items():
        outcome = any(word in name.lower() for word in _OUTCOMES)
        if "event" in name.lower():  # of a log of events, or an outcome of survival analysis
            outcome = bool((times > asked).mean() > 0.5)  # noqa: PLR2004
        wrong = int((times < asked if outcome else times > asked).sum())  # never where NaT
        counts = {"known": wrong, "found": wrong, "all": len(times)}
        if wrong and outcome:
            facts = {"labels": "outcomes", "when": "dated before the prediction"}
            facts["leave_out"] = "these rows"
            yield Finding("known outcome", "leak", (name,), counts, facts)
        elif wrong:
            yield Finding("times after the prediction", "suspicion", (name,), counts)


def _test(data: Foreign) -> tuple[str, Ids]:
    """Return the name and the rows of the test set; all rows where no split is known."""
    return [*_scored(data).items()][-1]


def _scored(data: Foreign) -> Rows:
    """Return the rows of each part that have a prediction, if there are predictions."""
    parts = data.splits[0] if data.splits else {"all rows": np.arange(len(data.table))}
    if data.score is None:
        return parts
    scored = np.isfinite(data.score)
    return {name: rows[scored[rows]] for name, rows in parts.items()}


def _repeated(data: Foreign) -> Iterator[Found]:
    for name, ids in data.identifiers.items():
        _, count = np.unique(ids, return_counts=True)
        if (count > 1).any():
            counts = {"found": int((count > 1).sum()), "all": len(count)}
            yield Finding("duplicated ids", "suspicion", (name,), counts)


def _predictions(data: Foreign) -> Iterator[Found]:
    part, rows = _test(data)
    score, label = np.asarray(data.score), np.asarray(data.label)
    if _few(label[rows], data.group[rows]):
        return
    if overlaps.area(label[rows], score[rows]) == 1:
        yield Finding.suspected("predictions without an error", part, counts={"found": len(rows)})
    if fitted.is_encoded(score[rows].astype(np.float32), label[rows]):
        place = "probabilities", part
        yield Finding.suspected("numbers computed from the labels", *place, name=data.classes[1])
    below = areas(label[rows] == 1, score[rows, None], _numbered(data.group[rows]))
    if 0.5 - below.area[0] > stats.norm.isf(_CHANCE) * np.sqrt(below.covariance[0, 0]):
        auroc, check = float(below.area[0]), "predictions the wrong way round"
        yield Finding.suspected(check, part, name=data.classes[1], auroc=auroc)
    for name, train in [*_scored(data).items()][:1]:
        if name == part or _few(label[train], data.group[train]):
            continue
        tested, trained = (
            areas(label[r] == 1, score[r, None], _numbered(data.group[r])) for r in (rows, train)
        )
        error = np.sqrt(tested.covariance[0, 0] + trained.covariance[0, 0])
        if tested.area[0] - trained.area[0] > stats.norm.isf(_CHANCE) * error:
            both = {"test": tested.area[0], "train": trained.area[0]}
            yield Finding.suspected("better on the test set", name, part, **both)
    if len(data.names) > 1:
        some = np.arange(0, len(label), -(-len(label) * len(data.names) // _CELLS))
        fold, in_test = tells.folds(label[some], data.group[some]), np.isin(some, rows)
        base = _baseline(data.table[some].astype(np.float64), label[some], fold)[in_test]
        tested_rows = some[in_test]
        effect = _effect(label[tested_rows], (score[tested_rows], base), data.group[tested_rows])
        if effect and effect.low > _BETTER:
            yield Finding("better than the data allow", "suspicion", (part,)), effect


def _numbered(group: Ids) -> Ids:
    return np.unique(group, return_inverse=True)[1]


def _stated(data: Foreign) -> Iterator[Found]:
    """Find stated numbers that the predictions do not give, and thresholds of the test set."""
    part, rows = _test(data)
    label, score = np.asarray(data.label)[rows], np.asarray(data.score)[rows]
    threshold = data.stated.get("threshold")
    cut = np.float32(0.5 if threshold is None else threshold)  # as the scores are kept
    given = _rates(label, score, np.array([cut]))
    given["auroc"] = np.array([overlaps.area(label, score)])
    given["brier"] = np.array([np.mean((score - label) ** 2)])
    names = {"auc": "auroc", "roc_auc": "auroc", "recall": "sensitivity", "ppv": "precision"}
    for name, value in data.stated.items():
        real = given.get(names.get(name, name))
        if real is not None and abs(float(np.squeeze(real)) - value) > _unit(value):
            facts = {"name": name, "stated": value, "given": float(np.squeeze(real))}
            check = "numbers that the predictions do not give"
            yield Finding(check, "leak", (part,), facts=facts)
    each = np.unique(score)
    if threshold is None or len(each) < _MANY or _unit(threshold) > _CHANCE:
        return
    of_each = _rates(label, score, each)
    for name in ("youden", "f1", "accuracy"):
        best = np.flatnonzero(of_each[name] == of_each[name].max())
        low = each[best[0] - 1] if best[0] else -np.inf
        chance = np.mean((score > low) & (score <= each[best[-1]]))
        if low < cut <= each[best[-1]] and chance <= _PLATEAU:
            check = "threshold of the test set"
            yield Finding.suspected(check, part, name=name, threshold=threshold)
            return


def _rates(label: Ids, score: Scores, thresholds: Scores) -> dict[str, Scores]:
    positive, negative = (np.sort(score[label == one]) for one in (1, 0))
    tp = len(positive) - np.searchsorted(positive, thresholds)
    fp = len(negative) - np.searchsorted(negative, thresholds)
    recall, specificity = tp / len(positive), 1 - fp / len(negative)
    return {
        "sensitivity": recall,
        "specificity": specificity,
        "precision": tp / np.maximum(tp + fp, 1),
        "f1": 2 * tp / (tp + fp + len(positive)),
        "accuracy": (tp + len(negative) - fp) / len(label),
        "balanced_accuracy": (recall + specificity) / 2,
        "youden": recall + specificity - 1,
    }


def _unit(value: float) -> float:
    """Return the unit of the last digit of a number as written, a little more."""
    return float(1.01 * 10.0 ** -len(repr(value).partition(".")[2]))


def of_windows(signals: NDArray[Any]) -> tuple[Scores, list[str]]:
    """Describe windows (window, channel, time) by four numbers of each channel, with names."""
    columns: dict[str, Scores] = {}
    for channel in range(signals.shape[1]):
        some = signals[:, channel].astype(np.float64)
        step = np.abs(np.diff(some, axis=1))
        least = np.where(step > 0, step, np.inf).min(1)
        shown = {"mean": some.mean(1), "deviation": some.std(1), "step": step.mean(1)}
        shown["least step"] = np.where(np.isfinite(least), least, 0)
        columns |= {f"{name} of channel {channel + 1}": each for name, each in shown.items()}
    return np.column_stack([*columns.values()]), [*columns]
