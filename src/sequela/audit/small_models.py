"""Small models that reveal the outcome from inputs that may each be weak.

Each check is a function from arrays; an empty result does not prove that there is no leak. A model
is evaluated out of fold, on subjects it has not seen.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import csr_array, csr_matrix, hstack

from sequela.audit.column_checks import REVEALING_AUROC, REVEALING_VALUE, area, is_pure, least_area
from sequela.audit.finding import Code, Finding
from sequela.audit.input import Floats, Ints, Labels, Words

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

FOLDS = 5  # folds in which a small model is evaluated
LOSS = 0.1  # report an input without which a model of records loses this much of its AUROC
LOSS_OF_SIGNALS = 0.05  # same for signals, where few statistics share what reveals the class
AMPLITUDE = "amplitude"
ARTEFACTS = (
    "offset", "power at 50 Hz", "power at 60 Hz", "resolution", "clipping", "repeated samples",
    "flat stretch", "scaling", "pulse", "reference", "taper", "line", "edge", "rise", "notch",
)  # fmt: skip
"""Statistics of a signal that come from the recording, and not from the brain."""
_CAUSES = {
    **dict.fromkeys(("clipping", "flat stretch", "repeated samples"), "equal samples"),
    **dict.fromkeys(("line", "power at 50 Hz", "power at 60 Hz"), "hum"),
    **dict.fromkeys(("edge", "rise", "notch"), "the edge of a filter"),
}  # artefacts of one cause, which may replace each other
_EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)  # quantiles between the bins of a number
_RESAMPLES = 200  # of groups, for the interval of a difference
_OF_ARTEFACT = 0.95  # AUROC from which an artefact alone is reported
_OF_SIGNAL = 0.8  # AUROC of all statistics, from which an artefact may outweigh the others
_WEAK = 0.7  # AUROC of the strongest artefact, below which no model of all statistics is fitted

Table = Floats | csr_array
Model = Literal["tree", "logistic"]


def at_most(rows: Ints, most: int = 10_000) -> Ints:
    """Return the rows that a small model is fitted on: all, or evenly spaced ones of many."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def model_auroc(
    table: Table, labels: Labels, *, least: float, model: Model = "tree"
) -> float | None:
    """Measure how well a small model separates the classes, if better than a bound.

    No group is in two folds. A table for a tree may have NaN. The result is the out-of-fold AUROC
    in five folds, or ``None`` where it is not above the bound (an AUROC that chance explains with
    as few groups is not), or a class has fewer than ten groups.
    """
    if len(rows := at_most(np.arange(table.shape[0]))) < table.shape[0]:
        table, labels = table[rows], labels[rows]
    if labels.few or not table.shape[1]:
        return None
    score = cross_predictions(table, labels.label, folds(labels), _model(model))
    auroc = area(labels.label, score)
    bound = least_area(labels.label == 1, labels.group, 1, least)
    return auroc if auroc > bound else None


def folds(labels: Labels) -> Ints:
    """Assign each example to a fold: groups stay whole, and the second class is spread evenly."""
    _, place = np.unique(labels.group, return_inverse=True)
    positive = np.bincount(place, labels.label) > 0  # (group,), with any example of class 1
    # Groups are shuffled, sorted by class, and dealt out in turn.
    shuffled = np.random.default_rng(0).permutation(len(positive))
    order = shuffled[np.argsort(positive[shuffled], kind="stable")]
    fold = np.empty(len(order), np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold[place]


def _model(name: Model, strength: float = 1) -> "ClassifierMixin":
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    if name == "tree":
        # At most eight leaves find a rule that a person could read, and little else.
        return DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    return LogisticRegression(C=strength, solver="liblinear")


def out_of_fold(table: Table, labels: Labels) -> Floats:
    """Return the probability of class 1 by a logistic regression, in folds by group: (example,)."""
    return cross_predictions(table, labels.label, folds(labels), _model("logistic"))


def cross_predictions(table: Table, label: Ints, fold: Ints, model: "ClassifierMixin") -> Floats:
    """Return the out-of-fold probability of class 1 by a model of scikit-learn: (example,)."""
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    cv, readable = PredefinedSplit(fold), _readable(table)
    probabilities = cross_val_predict(model, readable, label, cv=cv, method="predict_proba")
    return np.asarray(probabilities[:, 1], np.float64)


def _readable(table: Table) -> Floats | csr_matrix:
    """Return a table as scikit-learn takes it: with 32-bit indices."""
    if isinstance(table, np.ndarray):
        return table
    parts = (table.indices.astype(np.int32), table.indptr.astype(np.int32))
    return csr_matrix((table.data, *parts), table.shape)


def binned(table: Floats) -> tuple[csr_array, Ints]:
    """Code numbers as parts of their column's values: fifths, and twentieths at both ends.

    A linear model of them sees values that are extreme at both ends, too. From (example, column),
    NaN where there is no value: sparse (example, bin), and the column of each bin.
    """
    rows, bins, owner = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = 0
    for column, values in enumerate(table.T):
        filled = np.flatnonzero(np.isfinite(values))
        if not len(filled):
            continue
        edges = np.unique(np.quantile(values[filled], _EDGES))  # fewer where values are equal
        rows.append(filled)
        bins.append(start + np.searchsorted(edges, values[filled]))
        owner.append(np.full(len(edges) + 1, column))
        start += len(edges) + 1
    cells = np.concatenate(rows), np.concatenate(bins)
    return csr_array((np.ones(len(cells[0])), cells), (len(table), start)), np.concatenate(owner)


def revealing_inputs(
    table: csr_array, names: Words, families: Words, labels: Labels
) -> list[Finding]:
    """Find inputs that predict the outcome together, and one that outweighs all others.

    A logistic regression is evaluated out of fold by group. It is reported from an AUROC of 0.9 on,
    and where it ranks a fifth of the rarer class above nearly everybody else (as one code would be
    reported). Above 0.87, the input with the largest part in it, and above 0.9 the family with the
    largest part, are left out; one is named where the AUROC falls by more than 0.1, as the lower
    end of a 95 % interval over groups.

    Columns are codes, and numbers as :func:`binned` codes them; ``names`` and ``families`` are of
    each column. Labels are 0 or 1.
    """
    if not table.shape[1] or labels.few:
        return []
    fold, label = folds(labels), labels.label
    # A strong penalty, as codes may outnumber the people.
    score = cross_predictions(table, label, fold, _model("logistic", 0.03))
    auroc = area(label, score)
    bounds = (REVEALING_AUROC, REVEALING_VALUE)
    together, outweighs = (least_area(label == 1, labels.group, 1, bound) for bound in bounds)
    findings, how = [], ""
    if auroc > together or top_is_pure(score, labels):
        how = "codes and values together predict"
    elif top_is_pure(highest := strongest_share(table, label, fold), labels):
        how = "many codes of few, each almost only in one class, together predict"
        auroc = area(label, highest)
    if how:
        check, name = "inputs that tell the outcome", labels.classes[1]
        findings.append(Finding.of(check, "inputs", how=how, auroc=auroc, name=name))
    levels = ((names, outweighs), (families, together))
    return findings + _outweighing(table, levels, LOSS, labels)


def _outweighing(
    table: csr_array, levels: Sequence[tuple[Words, float]], least_loss: float, labels: Labels
) -> list[Finding]:
    """Find an input or family without which a model loses much of its AUROC.

    Each of ``levels`` is the input, or the family, of each column, and the AUROC from which one of
    them is left out.
    """
    label, fold, model = labels.label, folds(labels), _model("logistic", 0.03)
    score = cross_predictions(table, label, fold, model)
    auroc = area(label, score)
    for of_column, least in levels:
        if auroc <= least or len(np.unique(of_column)) == 1:
            continue
        largest = _largest_part(table, of_column, label, model)
        rest = csr_array(table[:, np.flatnonzero(of_column != largest)])
        without = cross_predictions(rest, label, fold, model)
        low, high = _difference(score, without, labels)
        if low > least_loss:  # the difference itself may be chance
            having = table[:, np.flatnonzero(of_column == largest)].sum(axis=1) > 0
            codes = [Code(str(largest), len(np.unique(labels.group[having])))]
            check, name = "an input that outweighs the others", labels.classes[1]
            of_rest = area(label, without)
            finding = Finding.of(
                check, codes=codes, name=name, auroc=auroc, low=low, high=high, without=of_rest
            )
            return [finding]
    return []


def strongest_share(table: csr_array, label: Ints, fold: Ints) -> Floats:
    """Return the largest share of the class among those with one input, learned out of fold."""
    member = csr_array((np.ones(len(fold)), (fold, np.arange(len(fold)))), (FOLDS, len(fold)))
    having, positive = ((member @ t).toarray() for t in (table, table * label[:, None]))
    # In the other folds: the positives among those with the input, and one average example more.
    share = positive.sum(axis=0) - positive + label.mean()
    share /= having.sum(axis=0) - having + 1
    row, score = np.repeat(np.arange(len(fold)), np.diff(table.indptr)), np.zeros(len(fold))
    np.maximum.at(score, row, table.data * share[fold[row], table.indices])
    return score


def top_is_pure(score: Floats, labels: Labels) -> bool:
    """Test whether the highest scores find many of the rarer class, and hardly anybody else.

    Each cut of the scores is judged as a code would be: those above it have the code.
    """
    label = labels.label
    if label.mean() > 0.5:  # noqa: PLR2004 - most of the more frequent class is easily found
        return False
    order = np.argsort(-score, kind="stable")
    _, place = np.unique(labels.group, return_inverse=True)
    # A group counts once in each class, at its highest score.
    key = place[order] * 2 + label[order]  # a group and a class as one number
    first = np.zeros(len(key), np.bool_)
    first[np.unique(key, return_index=True)[1]] = True
    positives, negatives = ((first & (label[order] == value)).cumsum() for value in (1, 0))
    ends = np.flatnonzero(first)[:: max(1, first.sum() // 100)]  # about a hundred cuts
    totals = [int(positives[-1]), int(negatives[-1])]
    return bool(is_pure(positives[ends].astype(float), negatives[ends].astype(float), totals).any())


def _largest_part(table: csr_array, of_column: Words, label: Ints, model: "ClassifierMixin") -> str:
    """Return the input or family whose part of the model's score varies most with the class."""
    weight = model.fit(_readable(table), label).coef_[0]
    names, place = np.unique(of_column, return_inverse=True)
    # The covariance of each column with the class, times its weight, summed by input.
    # The covariance of a linear score with the class is the sum of these parts over all columns.
    part = np.bincount(place, (table.T @ (label - label.mean())) * weight)
    part[names == ""] = -np.inf  # inputs that are not left out
    return str(names[np.argmax(part)])


def _difference(score: Floats, without: Floats, labels: Labels) -> tuple[float, float]:
    """Return a 95 % interval of the difference of two AUROCs; groups are resampled."""
    _, place = np.unique(labels.group, return_inverse=True)
    rng, n = np.random.default_rng(0), int(place.max()) + 1
    counts = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(_RESAMPLES)]
    first, second = (_areas(labels.label, s, place, np.array(counts)) for s in (score, without))
    low, high = np.nanquantile(first - second, (0.025, 0.975)).tolist()  # the percentile interval
    return low, high


def _areas(label: Ints, score: Floats, place: Ints, counts: Ints) -> Floats:
    """Compute the AUROC where groups count as often as drawn, from (resample, group)."""
    distinct, rank = np.unique(score, return_inverse=True)
    shape = (counts.shape[1], len(distinct))
    positives, negatives = (
        counts @ csr_array(((label == side).astype(float), (place, rank)), shape) for side in (1, 0)
    )
    below = np.cumsum(negatives, axis=1) - negatives / 2  # an equal score is half a lower one
    with np.errstate(invalid="ignore"):  # NaN without one class
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return np.asarray((positives * below).sum(axis=1) / pairs)


def revealing_statistics(
    statistics: Mapping[tuple[str, str], Floats], labels: Labels
) -> list[Finding]:
    """Find artefacts of a signal, or the amplitude of one channel, that tell the class.

    An artefact (offset, mains hum, resolution) is reported from an out-of-fold AUROC of 0.95 on, or
    where a model of all statistics above 0.8 loses more than 0.05 without it. So is the amplitude
    of one of several channels, from 0.95 on. Amplitudes and spectra of all channels together may
    differ for good reasons.

    ``statistics`` are those of :mod:`sequela.signals.signal_statistics`; each class is tested
    against the others.
    """
    tables = [binned(values[:, None])[0] for values in statistics.values()]
    width = [table.shape[1] for table in tables]  # bins of each statistic
    kinds, channels = (np.repeat([key[i] for key in statistics], width) for i in (0, 1))
    table = csr_array(hstack(tables, format="csr"))  # (window, bin)
    several = len({channel for _, channel in statistics}) > 1
    causes = np.array([_CAUSES.get(kind, kind) for kind in kinds], np.str_)
    artefacts = np.where(np.isin(kinds, ARTEFACTS), causes, "")
    amplitudes = np.where(
        several & (kinds == AMPLITUDE), np.char.add(f"{AMPLITUDE} of ", channels), ""
    )
    judged = np.unique(kinds[(artefacts != "") | (amplitudes != "")]).tolist()
    findings = []
    tables_of = {kind: csr_array(table[:, np.flatnonzero(kinds == kind)]) for kind in judged}
    for binary in map(labels.against_rest, labels.positives):
        if binary.few:
            continue
        label, fold, name = binary.label, folds(binary), binary.classes[1]
        least, most = (
            least_area(label == 1, binary.group, 5, bound) for bound in (_OF_SIGNAL, _OF_ARTEFACT)
        )
        areas = {k: area(label, strongest_share(t, label, fold)) for k, t in tables_of.items()}
        for kind, auroc in areas.items():
            if kind in ARTEFACTS and auroc > most:
                check, how = "inputs that tell the outcome", f"the {kind} alone predicts"
                findings.append(Finding.of(check, "signal", how=how, auroc=auroc, name=name))
        if max(areas.values(), default=0.0) >= _WEAK:
            levels = [(artefacts, least), (amplitudes, most)]
            findings += _outweighing(table, levels, LOSS_OF_SIGNALS, binary)
    return findings
