"""The audit of data, splits and predictions that others made: arrays in, findings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.audit import cells, overlaps, preprocessing, small_models, window_checks
from sequela.audit.column_checks import (
    REVEALING_AUROC,
    WAYS,
    area,
    averaged_labels,
    least_area,
    spaced_by_class,
)
from sequela.audit.finding import Code, Effect, Finding, Found
from sequela.audit.input import (
    CHANCE,
    LEAST_GROUPS,
    AuditInput,
    Floats,
    Ints,
    Labels,
    Rows,
    in_each_split,
    spacing,
)
from sequela.evaluation.comparison import Areas, areas

STRONG = 0.88  # AUROC of a strong honest column; a column of few patients must exceed it by more
# Columns of others may be anything, so a strong one counts only if boosting of the others is much
# weaker. A run is judged by REVEALING_VALUE and small_models.LOSS instead: one bound for
# both would miss leaks that the audit finds today, or accuse honest tables.
GAIN = 0.05  # AUROC that a baseline model must lose without the column
_NAMING = 0.8  # AUROC from which an identifier or a time is reported
_BETTER = 0.1  # by which the AUROC of predictions may exceed that of a baseline model
_IN_ORDER = 0.9  # AUROC of the time, for the test set against training, of a split by time
_OTHERS = 4  # columns, fewer of which replace no column
_OUTCOMES = ("label", "outcome", "event", "death", "died")  # in names of columns with times
_BINS = 64  # parts that the values of a column are cut into
_COPY = 0.95  # correlation from which one column replaces another
_CANDIDATES = 8  # strong columns for which a baseline model is fitted
_NEAR = 5_000  # rows in which near copies are looked for
_CELLS = 250_000  # cells that a baseline model reads at most
_ROWS = 5_000  # rows that a baseline model reads at most
_TREES = 30  # of the baseline model that remembers rows
_COLUMNS = 100  # columns that a baseline model reads at most
_RARE = 3  # rows with a value, from which a model reads the value
_OF_FEW = 0.05  # share of rows that have a rare value
_ENOUGH = 50  # shared ids or distinct scores, from which chance explains little
_PLATEAU = 0.02  # share of rows whose scores are between two best thresholds


@in_each_split
def rows_in_two_parts(_: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find rows that index arrays give to two parts."""
    for finding in overlaps.overlapping_groups(rows, "row"):
        yield replace(finding, check="rows in two parts")


@in_each_split
def units_in_two_parts(data: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find patients, recordings or others with one id in two parts."""
    for unit, ids in data.units.items():
        effect = None  # of the unit, whatever the two parts
        for finding in overlaps.overlapping_groups({n: ids[r] for n, r in rows.items()}, unit):
            if _numbered_again(data, ids, *(rows[part] for part in finding.place)):
                yield replace(finding, check="ids in two parts", severity="suspicion")
            else:
                effect = effect or _effect_of_groups(data, ids, rows)
                yield finding, effect


@in_each_split
def copies_across_parts(data: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find rows of a table that copy rows of another part, or were made from them."""
    train = next(iter(rows.values()))
    outside = np.bincount(train, minlength=len(data.table)) == 0
    parts = {n: r if r is train else r[outside[r]] for n, r in rows.items()}
    parts = {name: part_rows for name, part_rows in parts.items() if len(part_rows)}
    if len(parts) < 2:  # noqa: PLR2004
        return
    tables = {name: overlaps.Selection(data.table, part_rows) for name, part_rows in parts.items()}
    for finding in overlaps.identical_rows(tables):
        alike = np.unique(overlaps.hashed(data.table)[0], return_inverse=True)[1]
        yield finding, _effect_of_groups(data, alike, parts)
    spaced = {name: rows[:: spacing(len(rows), _NEAR)] for name, rows in parts.items()}
    groups = {name: data.group[part_rows].astype(np.str_) for name, part_rows in spaced.items()}
    tables = {name: overlaps.Selection(data.table, part_rows) for name, part_rows in spaced.items()}
    yield from overlaps.near_identical_rows(tables, groups)
    yield from preprocessing.mixtures(data.table, parts)


def _numbered_again(data: AuditInput, ids: Ints, first: Ints, second: Ints) -> bool:
    """Return whether rows of two parts with one id are no more alike than others, as by the age."""
    shared, *places = np.intersect1d(ids[first], ids[second], return_indices=True)
    once = all(len(np.unique(ids[rows])) == len(rows) for rows in (first, second))
    if not once or len(shared) < _ENOUGH:
        return False
    values = np.stack([data.table[first[places[0]]], data.table[second[places[1]]]])
    columns = [pair[:, ~np.isnan(pair).any(0)] for pair in np.moveaxis(values, 2, 0)]
    varying = [pair for pair in columns if pair.size and (np.ptp(pair, axis=1) > 0).all()]
    chances = [stats.spearmanr(*pair).pvalue for pair in varying]
    return len(chances) >= _OTHERS and min(chances) * len(chances) >= CHANCE


def several_ids(data: AuditInput) -> Iterator[Found]:
    """Find identical rows of two patients, where no split is known."""
    halves = {
        str(i): overlaps.Selection(data.rows, np.flatnonzero(data.group % 2 == i)) for i in (0, 1)
    }
    unit = next(iter(data.units))
    for finding in overlaps.identical_rows(halves):
        yield Finding.of("copies under several ids", counts=finding.counts, unit=unit)


@in_each_split
def fitted_on_all(data: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find columns and channels that were prepared with numbers of all parts."""
    label = data.label if data.two_classes else None
    yield from preprocessing.fitted_on_all(data.table, data.names, rows, label)
    if data.signals is not None:
        _, n_chans, n_times = data.signals.shape
        samples = data.signals.transpose(0, 2, 1).reshape(-1, n_chans)
        parts = {n: (r[:, None] * n_times + np.arange(n_times)).ravel() for n, r in rows.items()}
        names = [f"channel {channel + 1}" for channel in range(n_chans)]
        yield from preprocessing.fitted_on_all(samples, names, parts)


@in_each_split
def windows_in_two_parts(data: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find windows of one stretch of signal, and copies, in two parts."""
    signals, group = np.asarray(data.signals), data.group.astype(np.str_)
    findings = window_checks.overlapping_windows(signals, rows) or window_checks.adjacent_windows(
        signals, rows
    )
    yield from findings or window_checks.between_parts(signals, rows, group)


def find_by_class(data: AuditInput) -> Iterator[Found]:
    """Find samples that reveal the class, and traces of devices and programs that do."""
    labels = Labels(np.asarray(data.label), data.classes, data.group.astype(np.str_))
    yield from window_checks.by_class(np.asarray(data.signals), labels, labels)


@in_each_split
def by_time(data: AuditInput, rows: Rows) -> Iterator[Found]:
    """Find a split that is by time, but not for all rows."""
    prediction_time = data.times[str(data.time)]
    (train, before), *later = ((name, prediction_time[r]) for name, r in rows.items())
    for name, after in later:
        years = len(np.unique(after)) < LEAST_GROUPS  # of which none is in two parts
        late = int((before >= np.nanmin(after) if years else before > np.nanmin(after)).sum())
        place = np.repeat([0, 1], [len(before), len(after)])
        if late and area(place, np.concatenate([before, after])) >= _IN_ORDER:
            counts = {"found": late, "all": len(before)}
            yield Finding.of("training rows of a later time", train, name, counts=counts)


def find_columns(data: AuditInput) -> Iterator[Found]:
    """Find columns that are the label, or that give more of it than all others together."""
    labels = data.labels
    rows = spaced_by_class(labels.label, len(data.classes))
    copies = _label_copies(data)
    if copies:
        codes = [Code(data.names[column], auroc=1.0) for column in copies]
        yield Finding.of("copies of the label", codes=codes)
    if data.later:
        yield Finding.of("names of the outcome", codes=[*map(Code, data.later)])
    if data.two_classes:
        yield from _together(data, rows, copies)
    rest = [column for column in range(len(data.names)) if column not in copies]
    table, names = data.table[rows][:, rest].astype(np.float64), [data.names[c] for c in rest]
    copied = tuple(data.names[column] for column in copies) or ("\0",)
    written = {n: values[rows] for n, values in data.written.items() if not n.endswith(copied)}
    texts = {n: values[rows] for n, values in data.texts.items() if not n.endswith(copied)}
    tested = np.isin(rows, _test(data)[1])
    yield from cells.by_class(table, names, labels[rows], written, texts, tested)
    yield from _irreplaceable(data, rows, copies)


def _irreplaceable(data: AuditInput, rows: Ints, copies: list[int]) -> Iterator[Found]:
    """Find strong columns without which a baseline model of the others is weaker."""
    strong, reported = _strong(data, rows, copies), set[int]()
    for candidate in strong[:_CANDIDATES]:
        if candidate.column in reported:
            continue
        alike = {
            s.column: s.auroc
            for s in strong
            if s.of_class == candidate.of_class
            and np.corrcoef(s.score, candidate.score)[0, 1] >= _COPY
        }
        effect = _effect_of_columns(data, rows, candidate.of_class, [*alike], copies)
        # A strong column that others replace is not reported.
        if effect and effect.auroc - effect.without >= GAIN and effect.low > 0:
            reported |= {*alike}
            least = np.floor(100 * min(alike.values())) / 100
            name = data.classes[candidate.of_class]
            facts = {"how": WAYS[0], "name": name, "least": least}
            facts |= {"columns": len(data.names)}
            codes = tuple(Code(data.names[c], auroc=auroc) for c, auroc in alike.items())
            yield Finding.of("columns that reveal the outcome", codes=codes, **facts), effect


def _together(data: AuditInput, rows: Ints, copies: Sequence[int]) -> Iterator[Found]:
    """Find many rare columns of one class, and shares of the outcome in groups of rows."""
    labels, names = data.labels[rows], np.delete(np.array(data.names), copies)
    table = np.delete(data.table[rows], copies, axis=1)
    rarer = labels.against_rest(int(labels.label.mean() <= 0.5))  # noqa: PLR2004
    present = csr_array(np.nan_to_num(table) != 0, dtype=np.float64)
    count = present.sum(0)  # (column,), rows with a value
    rare = np.flatnonzero((count >= _RARE) & (count <= _OF_FEW * len(rows)))
    if len(rare) >= _OTHERS and min(np.bincount(labels.label)) > 0:
        fold = small_models.folds(rarer)
        score = small_models.strongest_share(csr_array(present[:, rare]), rarer.label, fold)
        if small_models.top_is_pure(score, rarer):
            how = "many columns of few, each almost only in one class, together predict"
            check, auroc = "inputs that tell the outcome", area(rarer.label, score)
            yield Finding.of(check, "inputs", how=how, auroc=auroc, name=rarer.classes[1])
    tested = np.isin(rows, _test(data)[1])
    yield from averaged_labels(table[tested], names.tolist(), labels[tested])


@dataclass(frozen=True)
class _Strong:
    """A column whose values give one class alone: its AUROC and scores."""

    auroc: float
    column: int
    of_class: int
    score: Floats


def _strong(data: AuditInput, rows: Ints, copies: Sequence[int]) -> list[_Strong]:
    """Return the columns that give a class alone, and not by chance, the strongest first."""
    labels, strong = data.labels[rows], []
    label, fold = labels.label, small_models.folds(labels)
    tests = 2 * len(data.names) * len(labels.positives)
    for column in [column for column in range(len(data.names)) if column not in copies]:
        values = data.table[rows, column].astype(np.float64)
        place, filled = _bins(values), ~np.isnan(values)
        bins = csr_array((np.ones(len(place)), (np.arange(len(place)), place)))
        for positive in labels.positives:
            is_class = (label == positive)[filled]
            score = small_models.strongest_share(bins, (label == positive).astype(np.int64), fold)
            auroc = area(is_class.astype(np.int64), score[filled])
            if auroc >= REVEALING_AUROC and auroc >= least_area(
                is_class, labels.group[filled], tests, REVEALING_AUROC, STRONG
            ):
                strong.append(_Strong(auroc, column, positive, score))
    return sorted(strong, key=lambda s: -s.auroc)


def _bins(values: Floats) -> Ints:
    """Return the bin of each row: a value, or a part of many; missing ones are another bin."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) <= _BINS:
        return place
    # As many rows in each bin, so that a share is of enough rows.
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, bins)


def _label_copies(data: AuditInput) -> list[int]:
    """Return the columns that are the label under another name."""
    label = np.asarray(data.label)
    return [c for c in range(len(data.names)) if _one_to_one(data.table[:, c], label)]


def _one_to_one(values: NDArray[np.floating], label: Ints) -> bool:
    """Return whether each value has one class, and each class one value."""
    if np.isnan(values[0]) or len(np.unique(values[:_ROWS])) > int(label.max()) + 1:
        return False
    pairs = np.unique(np.stack([values.astype(np.float64), label]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def _effect_of_columns(
    data: AuditInput, rows: Ints, positive: int, removed: list[int], copies: Sequence[int]
) -> Effect | None:
    """Measure a baseline model with columns and without them, out of fold, by group."""
    rest = [c for c in range(len(data.names)) if c not in {*removed, *copies}]
    rest = rest[: max(_COLUMNS - len(removed), 0)]
    if len(rest) < _OTHERS:
        return None
    rows = rows[:: spacing(len(rows) * (len(rest) + len(removed)), _CELLS)]
    labels = data.labels[rows].against_rest(positive)
    fold, table = small_models.folds(labels), data.table[rows].astype(np.float64)
    return _effect(
        labels, [_baseline(table[:, c], labels.label, fold) for c in ([*removed, *rest], rest)]
    )


def _effect_of_groups(data: AuditInput, group: Ints, parts: Rows) -> Effect | None:
    """Measure a baseline model with groups divided as in the parts, and with whole groups."""
    if data.label is None or not data.names:
        return None
    positive = 1 if data.two_classes else np.bincount(data.label).argmax()
    order = np.random.default_rng(0).permutation(int(group.max()) + 1)[group]
    most = min(max(_CELLS // len(data.names), _ENOUGH), _ROWS)
    rows = np.sort(np.argsort(order, kind="stable")[:most])  # whole groups
    labels = Labels(data.label, data.classes, group)[rows].against_rest(int(positive))
    copies = _label_copies(data)
    rest = [c for c in range(len(data.names)) if c not in copies][: _CELLS // _ENOUGH]
    if not rest or labels.few:
        return None
    table = data.table[rows][:, rest].astype(np.float64)
    # Groups that are in several parts are divided by row. The others stay whole: if few groups are
    # in several parts, a random split of all rows would show a larger effect than there is.
    in_parts = np.concatenate([np.unique(group[part]) for part in parts.values()])
    distinct, count = np.unique(in_parts, return_counts=True)
    by_row = small_models.folds(replace(labels, group=np.arange(len(rows))))
    by_group = small_models.folds(labels)
    folds = (np.where(np.isin(labels.group, distinct[count > 1]), by_row, by_group), by_group)
    return _effect(labels, [_baseline(table, labels.label, fold, memory=True) for fold in folds])


def _baseline(table: Floats, label: Ints, fold: Ints, *, memory: bool = False) -> Floats:
    """Return the out-of-fold predictions of boosting, or of trees that remember single rows."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

    if memory:
        # Trees without a limit of depth remember rows, which is what copies in two parts reward.
        trees = ExtraTreesClassifier(_TREES, max_features=0.5, random_state=0)
        return small_models.cross_predictions(np.nan_to_num(table), label, fold, trees)
    fewest = 5 if len(label) < _ROWS // 5 else 20
    shape = {"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": fewest}
    boosting = HistGradientBoostingClassifier(**shape, early_stopping=False, random_state=0)
    return small_models.cross_predictions(table, label, fold, boosting)


def _effect(labels: Labels, scores: Sequence[Floats]) -> Effect | None:
    """Compare two scores (row,), with an interval over groups (Obuchowski 1997)."""
    if labels.few:
        return None
    pair = _areas(labels, np.column_stack(scores))
    first, second = pair.area.tolist()
    variance = max(np.array([1, -1]) @ pair.covariance @ np.array([1, -1]), 0)  # of the difference
    error = float(stats.norm.isf(0.025) * np.sqrt(variance))  # half of a 95 % interval
    return Effect(first, second, first - second - error, first - second + error)


def _areas(labels: Labels, scores: Floats) -> Areas:
    return areas(labels.label == 1, scores, np.unique(labels.group, return_inverse=True)[1])


def identifiers(data: AuditInput) -> Iterator[Found]:
    """Find ids, file names and times whose order or value gives the label."""
    rows = spaced_by_class(data.labels.label, len(data.classes))
    labels = data.labels[rows]
    numbers = {name: ids[rows].astype(np.float64) for name, ids in data.identifiers.items()}
    for name, times in data.times.items():
        if any(word in name.lower() for word in _OUTCOMES):  # see later_times
            continue
        seconds = times[rows].astype("datetime64[s]").astype(np.float64)
        seconds[np.isnat(times[rows])] = np.nan  # NaT would be the least integer
        numbers |= {name: seconds, f"hour of {name}": seconds % 86400 // 60}
    for name, values in numbers.items():
        for binary in map(labels.against_rest, labels.positives):
            auroc = small_models.model_auroc(values[:, None], binary, least=_NAMING)
            if auroc is not None:
                check, of_class = "identifiers that tell the outcome", binary.classes[1]
                yield Finding.of(check, name, name=of_class, auroc=auroc)
                break


def later_times(data: AuditInput) -> Iterator[Found]:
    """Find times after the prediction, and outcomes that are dated before it."""
    prediction_time = data.times[str(data.time)]
    for name, times in data.times.items():
        outcome = any(word in name.lower() for word in _OUTCOMES)
        if "event" in name.lower():  # of a log of events, or an outcome of survival analysis
            outcome = bool((times > prediction_time).mean() > 0.5)  # noqa: PLR2004
        is_wrong = times < prediction_time if outcome else times > prediction_time
        wrong = int(is_wrong.sum())  # never where NaT
        counts = {"known": wrong, "found": wrong, "all": len(times)}
        if wrong and outcome:
            check, when = "known outcome", "dated before the prediction"
            yield Finding.of(
                check, name, counts=counts, labels="outcomes", when=when, leave_out="these rows"
            )
        elif wrong:
            yield Finding.of("times after the prediction", name, counts=counts)


def _test(data: AuditInput) -> tuple[str, Ints]:
    """Return the name and the rows of the test set; all rows where no split is known."""
    return [*_scored(data).items()][-1]


def _scored(data: AuditInput) -> Rows:
    """Return the rows of each part that have a prediction, if there are predictions."""
    parts = data.splits[0] if data.splits else {"all rows": np.arange(len(data.table))}
    if data.score is None:
        return parts
    scored = np.isfinite(data.score)
    return {name: rows[scored[rows]] for name, rows in parts.items()}


def repeated(data: AuditInput) -> Iterator[Found]:
    """Find identifiers that several predictions have."""
    for name, ids in data.identifiers.items():
        _, count = np.unique(ids, return_counts=True)
        if (count > 1).any():
            counts = {"found": int((count > 1).sum()), "all": len(count)}
            yield Finding.of("duplicated ids", name, counts=counts)


def predictions(data: AuditInput) -> Iterator[Found]:
    """Find predictions that are better, or worse, than an honest model's can be."""
    part, rows = _test(data)
    score, labels = np.asarray(data.score), data.labels[rows]
    if labels.few:
        return
    if area(labels.label, score[rows]) == 1:
        yield Finding.of("predictions without an error", part, counts={"found": len(rows)})
    if preprocessing.is_encoded(score[rows].astype(np.float32), labels.label):
        place = "probabilities", part
        yield Finding.of("numbers computed from the labels", *place, name=data.classes[1])
    tested = _areas(labels, score[rows, None])
    if 0.5 - tested.area[0] > stats.norm.isf(CHANCE) * np.sqrt(tested.covariance[0, 0]):
        auroc, check = float(tested.area[0]), "predictions the wrong way round"
        yield Finding.of(check, part, name=data.classes[1], auroc=auroc)
    name, train = next(iter(_scored(data).items()))
    if name != part and not data.labels[train].few:
        trained = _areas(data.labels[train], score[train, None])
        error = np.sqrt(tested.covariance[0, 0] + trained.covariance[0, 0])
        if tested.area[0] - trained.area[0] > stats.norm.isf(CHANCE) * error:
            aurocs = {"test": tested.area[0], "train": trained.area[0]}
            yield Finding.of("better on the test set", name, part, **aurocs)
    if len(data.names) > 1:
        yield from _better_than_baseline(data, part, rows)


def _better_than_baseline(data: AuditInput, part: str, rows: Ints) -> Iterator[Found]:
    """Find predictions that are far better than a baseline model of the same rows."""
    score, n = np.asarray(data.score), len(data.table)
    spaced = np.arange(0, n, spacing(n * len(data.names), _CELLS))
    labels, in_test = data.labels[spaced], np.isin(spaced, rows)
    table, fold = data.table[spaced].astype(np.float64), small_models.folds(labels)
    baseline = _baseline(table, labels.label, fold)[in_test]
    effect = _effect(labels[in_test], (score[spaced[in_test]], baseline))
    if effect and effect.low > _BETTER:
        yield Finding.of("better than the data allow", part), effect


def stated_results(data: AuditInput) -> Iterator[Found]:
    """Find stated numbers that the predictions do not give, and thresholds of the test set."""
    part, rows = _test(data)
    label, score = np.asarray(data.label)[rows], np.asarray(data.score)[rows]
    threshold = data.stated.get("threshold")
    cut = np.float32(0.5 if threshold is None else threshold)  # as the scores are stored
    computed = _rates(label, score, np.array([cut]))
    computed["auroc"] = np.array([area(label, score)])
    computed["brier"] = np.array([np.mean((score - label) ** 2)])
    aliases = {"auc": "auroc", "roc_auc": "auroc", "recall": "sensitivity", "ppv": "precision"}
    for name, value in data.stated.items():
        numbers = computed.get(aliases.get(name, name))
        number = value if numbers is None else float(np.squeeze(numbers))
        if abs(number - value) > _unit(value):
            check = "numbers that the predictions do not give"
            yield Finding.of(check, part, name=name, stated=value, given=number)
    distinct = np.unique(score)
    if threshold is None or len(distinct) < _ENOUGH or _unit(threshold) > CHANCE:
        return
    # A threshold chosen by chance seldom is between the two scores where a rate is highest.
    rates = _rates(label, score, distinct)
    for name in ("youden", "f1", "accuracy"):
        best = np.flatnonzero(rates[name] == rates[name].max())
        low = distinct[best[0] - 1] if best[0] else -np.inf
        chance = np.mean((score > low) & (score <= distinct[best[-1]]))
        if low < cut <= distinct[best[-1]] and chance <= _PLATEAU:
            check = "threshold of the test set"
            yield Finding.of(check, part, name=name, threshold=threshold)
            return


def _rates(label: Ints, score: Floats, thresholds: Floats) -> dict[str, Floats]:
    positive, negative = (np.sort(score[label == value]) for value in (1, 0))
    tp = len(positive) - np.searchsorted(positive, thresholds)  # a score at a threshold counts
    fp = len(negative) - np.searchsorted(negative, thresholds)
    recall, specificity = tp / len(positive), 1 - fp / len(negative)  # each (threshold,)
    return {
        "sensitivity": recall,
        "specificity": specificity,
        "precision": tp / np.maximum(tp + fp, 1),
        "f1": 2 * tp / (tp + fp + len(positive)),
        "accuracy": (tp + len(negative) - fp) / len(label),
        "balanced_accuracy": (recall + specificity) / 2,
        "youden": recall + specificity - 1,  # Youden 1950
    }


def _unit(value: float) -> float:
    """Return the unit of the last digit of a number as written, a little more."""
    return float(1.01 * 10.0 ** -len(repr(value).partition(".")[2]))  # 1.01, for rounding in binary
