"""The section on probabilities: ranking, calibration, decisions, sets and subgroups."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sequela.disclosure import Hidden, apply, has_small
from sequela.errors import DataError
from sequela.evaluation.calibration import (
    FLAT,
    brier_score,
    calibration_error,
    calibration_in_words,
    calibration_line,
    expected_calibration_error,
    reliability,
)
from sequela.evaluation.conformal import check_coverage, fit_conformal
from sequela.evaluation.curves import (
    Curve,
    coarse,
    counts_no_few,
    precision_recall_curve,
    precision_recall_over_models,
    roc_curve,
    roc_over_models,
)
from sequela.evaluation.decision import Threshold, net_benefit
from sequela.evaluation.metrics import METRICS, headline, log_loss, named
from sequela.evaluation.number import number
from sequela.evaluation.predictions import Predictions, event, joined
from sequela.evaluation.recalibration import fit_temperature
from sequela.evaluation.subgroups import Subgroup, subgroups
from sequela.evaluation.summary import as_written
from sequela.figures.decision import decision_curves
from sequela.figures.matrices import confusion_matrix
from sequela.figures.ranking import ranking
from sequela.figures.reliability import reliability_curves
from sequela.figures.subgroups import subgroup_forest
from sequela.report.entry import Entry
from sequela.report.picture import Picture, picture
from sequela.runs.find import Run
from sequela.runs.recipe import bootstrap_of, judged

PROMISED = 0.9  # the usual level of conformal prediction: one set of ten may miss the class
_SHORT = 0.1  # of the coverage of a class below which a page warns
_BINARY = 2  # classes of a model with one probability
_FEW_POINTS = 5  # of a calibration curve, below which its caption says so
_THRESHOLDS = np.arange(1, 61) / 100
_RANKED = {
    "roc": "ROC curves. Bands are pointwise 95 % intervals. Points mark thresholds.",
    "precision-recall": "Precision-recall curves. Precision depends on how frequent the event is.",
}
_DECIDED = "Net benefit of acting above a threshold (Vickers and Elkin 2006)."


def held_out(run: Run) -> Predictions:
    """Return the predictions on the test set; of folds, each example once."""
    return run.predictions.part("held_out")


def recalibrated(run: Run) -> Predictions:
    """Scale the temperature of test-set predictions, by the validation set of the same fold."""
    fits = [fit_temperature(fold.predictions.part("tuning")) for fold in run.once]
    return joined([f.apply(held_out(fold)) for f, fold in zip(fits, run.once, strict=True)])


def ranked(entries: Sequence[Entry], what: str, prefix: str) -> list[Picture]:
    """Draw ROC and precision-recall curves of models on the same examples.

    The legends show the numbers of the tables, also where these are means over folds.
    """
    # A point reveals the four counts at its threshold, so it needs all of them shown.
    thresholds = {s.title: _thresholds(s.run) for s in entries if s.points_shown}
    run = entries[0].run
    areas_are = f"mean of {len(run.runs)} models" if run.of_many else ""
    pictures = []
    for name, of_one, of_many, metric in (
        ("roc", roc_curve, roc_over_models, METRICS["auroc"]),
        (
            "precision-recall",
            precision_recall_curve,
            precision_recall_over_models,
            METRICS["average_precision"],
        ),
    ):
        curves = {
            s.title: _mean_curve(s.run, of_many)
            if s.run.of_many
            else coarse(of_one(held_out(s.run), _rng(s.run)), held_out(s.run), s.smallest)
            for s in entries
        }
        areas = {s.title: as_written(s.test, metric.key) for s in entries if metric.key in s.test}
        figure = ranking(curves, event=what, chosen=thresholds, areas=areas, areas_are=areas_are)
        caption = _RANKED[name] + _gaps([curve.x for curve in curves.values()], entries[0])
        pictures.append(picture(figure, f"{prefix}{name}", caption))
    return pictures


@lru_cache(maxsize=64)  # the pages of an unfinished study have the same curves
def _mean_curve(run: Run, of_many: Callable[..., Curve]) -> Curve:
    return of_many(judged(run.runs), _rng(run), bootstrap_of(run.first))


def _gaps(columns: Sequence[NDArray[np.float64]], entry: Entry) -> str:
    """Return the sentence of a caption on what was left out of the curves (NaN)."""
    if not any(np.isnan(values).any() for values in columns):
        return ""
    return f" Curves have gaps where a point would count fewer than {entry.smallest} people."


def one_against_rest(entry: Entry, prefix: str) -> Picture:
    """Draw ROC curves of one model with several classes, each class against all others."""
    predictions = held_out(entry.run)
    against = {name: predictions.against_rest(name) for name in predictions.classes}
    curves = {
        name: coarse(roc_curve(of_class, _rng(entry.run)), of_class, entry.smallest)
        for name, of_class in against.items()
    }
    figure = ranking(curves, event="one class against the rest")
    caption = f"{entry.title}: ROC curve of each class against all others together."
    caption += _gaps([curve.x for curve in curves.values()], entry)
    return picture(figure, f"{prefix}roc", caption)


def confused(entry: Entry, prefix: str) -> Picture | None:
    """Draw the confusion matrix of one model, where it may be shown."""
    counts = entry.test.confusion
    if isinstance(counts, Hidden):
        return None
    figure = confusion_matrix(counts, entry.data.classes)
    caption = "Shares of each true class."
    return picture(figure, f"{prefix}matrix", caption)


def _thresholds(run: Run) -> float | list[float]:
    thresholds = [model.test.operating_points[1].threshold for model in run.runs]
    return thresholds if run.of_many else float(thresholds[0])


def decided(
    entries: Sequence[Entry], best: Entry, what: str, prefix: str
) -> tuple[Picture, str] | None:
    """Draw decision curves, with gaps at thresholds that count few people.

    The sentence has the thresholds at which acting on the best model is better than on all or none.
    """
    # The gaps are in all curves: one in a single curve would reveal where few people are.
    of_curves = [counts_no_few(held_out(s.run), _THRESHOLDS, s.smallest) for s in entries]
    allowed = np.all(of_curves, axis=0)
    if not allowed.any():
        return None
    curves = {
        s.title: net_benefit(held_out(s.run), _rng(s.run), thresholds=_THRESHOLDS).where(allowed)
        for s in entries
    }
    caption = _DECIDED + _gaps([np.where(allowed, 0, np.nan)], entries[0])
    drawing = picture(decision_curves(curves, event=what), f"{prefix}decision", caption)
    values = np.array([estimate.value for estimate in curves[best.title].model])
    better = np.flatnonzero(values > np.maximum(curves[best.title].treat_all, 0))  # not NaN
    if not better.size:
        finding = "At no threshold is acting on the predictions better than acting on all or none."
        return drawing, finding
    first, last = better[[0, -1]]
    where = "" if len(better) == last - first + 1 else "most "
    ends = f"{_THRESHOLDS[first]:.0%} to {_THRESHOLDS[last]:.0%}".replace("%", " %")
    return drawing, f"Useful at {where}thresholds from {ends}."


def calibrated(entry: Entry, what: str, prefix: str) -> Picture:
    """Draw the reliability of one model, as trained and recalibrated on the validation set."""
    predictions = {
        "as trained": held_out(entry.run),
        "recalibrated (temperature)": recalibrated(entry.run),
    }
    curves = {
        name: reliability(variant, _rng(entry.run), smallest=entry.smallest)
        for name, variant in predictions.items()
    }
    chances = {name: event(variant).chance for name, variant in predictions.items()}
    figure = reliability_curves(curves, chances, event=what, smallest=entry.smallest)
    caption, points = "Observed share by predicted probability.", len(curves["as trained"].count)
    if points < _FEW_POINTS:
        groups_ = "1 group" if points == 1 else f"{points} groups"
        caption += f" Only {groups_}: few {entry.data.example}s, or few different predictions."
    return picture(figure, f"{prefix}reliability", caption)


def agreement(entry: Entry) -> str:
    """Return whether predicted and observed frequencies agree, in a sentence."""
    predictions = held_out(entry.run)
    if in_words := calibration_in_words(predictions):
        return f"{in_words.rpartition(': ')[2].capitalize()}."
    beyond = _or_none(calibration_error, predictions)
    if not beyond:
        return "" if beyond is None else "Predicted and observed shares agree up to chance."
    return f"Predictions are off by {number(100 * beyond, '.1f')} points beyond chance."


def most_errors(entry: Entry) -> str:
    """Return the most frequent confusion of two classes, as a share of the true one."""
    if isinstance(entry.test.confusion, Hidden):
        return ""
    counts, classes = np.array(entry.test.confusion, float), entry.data.classes
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    true, predicted = np.unravel_index(shares.argmax(), shares.shape)
    if not shares.any():
        return "No error."
    share = number(100 * shares.max(), ".0f")
    return f"{share} of 100 “{classes[true]}” are taken for “{classes[predicted]}”."


def scores(entry: Entry) -> dict[str, object]:
    """Return scores of the probabilities of a model; an undefined score is ``None``."""
    predictions = held_out(entry.run)
    # A proper score and its parts come first: accuracy and AUROC do not notice wrong probabilities.
    brier = brier_score(predictions)
    line = None
    if len(predictions.classes) == _BINARY and np.ptp(predictions.score) > FLAT:
        line = calibration_line(predictions)
    return {
        "title": entry.title,
        "brier": brier.score,
        "skill": 1 - brier.score / brier.uncertainty,
        "miscalibration": brier.miscalibration,
        "discrimination": brier.discrimination,
        "binned_error": expected_calibration_error(predictions),
        "beyond_chance": _or_none(calibration_error, predictions),
        "line": line,
        "calibration": calibration_in_words(predictions),
        "loss": log_loss(predictions),
        "recalibrated_loss": log_loss(recalibrated(entry.run)),
    }


def sets(entry: Entry) -> dict[str, object]:
    """Compute the coverage of prediction sets that are fitted on the validation set."""
    run = entry.run
    coverages = [
        check_coverage(
            fit_conformal(fold.predictions.part("tuning"), PROMISED), held_out(fold), _rng(fold)
        )
        for fold in run.runs
    ]
    interval = coverages[0].coverage.interval if len(coverages) == 1 else None
    of_class = np.nanmean([[c.value for c in fold.of_class] for fold in coverages], 0)
    counts = np.bincount(held_out(run).label, minlength=len(of_class))
    # The coverage of a class, times its size, is a count of people: it is hidden as a count is.
    covered = np.rint(np.nan_to_num(of_class) * counts).astype(int)
    is_hidden = [
        has_small((inside, total - inside), entry.smallest)
        for inside, total in zip(covered.tolist(), counts.tolist(), strict=True)
    ]
    return {
        "promised": PROMISED,
        "coverage": float(np.mean([fold.coverage.value for fold in coverages])),
        "interval": interval,
        "folds": len(coverages),
        "of_class": apply(of_class.tolist(), np.array(is_hidden)),
        "classes": list(held_out(run).classes),
        "mean_size": float(np.mean([fold.mean_size.value for fold in coverages])),
        "kept": all(fold.kept for fold in coverages),
        "missed": [
            name
            for name, share, hidden in zip(held_out(run).classes, of_class, is_hidden, strict=True)
            if share < PROMISED - _SHORT and not hidden
        ],
    }


def groups(entry: Entry) -> list[Subgroup]:
    """Compute the performance of a model of two classes by subgroup, for known attributes."""
    run, point = entry.run, entry.test.operating_points[1]
    inside = run.predictions.split == "held_out"
    return subgroups(
        held_out(run),
        {name: values[inside] for name, values in run.attributes.items()},
        [headline(run.predictions.classes).name],
        _rng(run),
        threshold=Threshold(point.threshold, point.chosen_for),
        model=_model(run) if run.of_many else None,
        smallest=entry.smallest,
    )


def _model(run: Run) -> NDArray[np.int64]:
    """Return the index of the model whose test set has each example: int64 (example,)."""
    ids = held_out(run).example_id
    model = np.zeros(len(ids), np.int64)
    for index, fold in enumerate(run.once):
        model[np.searchsorted(ids, held_out(fold).example_id)] = index
    return model


def by_group(entry: Entry, prefix: str) -> dict[str, object] | None:
    """Draw the subgroups, for known attributes of the people."""
    rows = groups(entry)
    if not any(row.value for row in rows):
        return None
    event = entry.data.outcome.many if entry.data.outcome else ""
    # Ranking, calibration and workload: a model can be fair in one of them and unfair in another.
    metrics = (headline(entry.data.classes).name, "observed_minus_expected", "alarm_rate")
    return {
        "pictures": [
            picture(
                subgroup_forest(rows, metric, event=event),
                f"{prefix}subgroups-{metric}",
                f"{named(metric).heading} of {entry.title}, by subgroup, with 95 % intervals.",
            )
            for metric in metrics
        ],
        "smallest": entry.smallest,
        "suppressed": sum(not row.value for row in rows),
    }


def _rng(run: Run) -> np.random.Generator:
    return np.random.default_rng(run.settings.seed)


def _or_none(number: Callable[[Predictions], float], predictions: Predictions) -> float | None:
    try:
        return number(predictions)
    except DataError:
        return None


def alarms(entry: Entry) -> dict[str, float] | None:
    """Count the alarms of 100 examples at the chosen threshold; ``None`` where they are hidden."""
    confusion = entry.test.operating_points[1].confusion
    if isinstance(confusion, Hidden):
        return None
    # Natural frequencies are easier than rates (Gigerenzer and Hoffrage 1995).
    (_, false), (missed, true) = np.array(confusion) * 100 / np.sum(confusion)
    # Rounded parts would not add up to their rounded sum.
    total = round(false) + round(true) if min(false, true) >= 1 else false + true
    return {"false": false, "missed": missed, "true": true, "alarms": total}


def content(entries: Sequence[Entry], best: Entry, prefix: str) -> Mapping[str, object]:
    """Return the values of the template on probabilities."""
    two = best.two
    if best.of_few:
        subgroups_ = by_group(best, prefix) if two else None
        return {"of_few": True, "best": best, "prefix": prefix, "subgroups": subgroups_}
    outcome = best.data.outcome
    what = outcome.label if outcome else "the most probable class is right"
    # Curves of ten models cover each other: networks, and of the baseline models only the best one.
    baselines = [s for s in entries if not s.is_network]
    compared = (best, max(baselines, key=lambda s: s.value, default=best))
    curves = [s for s in entries if s.is_network or s in compared]
    return {
        "of_few": False,
        "event": what,
        "best": best,
        "prefix": prefix,
        "two": two,
        "alarms": alarms(best) if two else None,
        "ranked": ranked(curves, what, prefix) if two else [one_against_rest(best, prefix)],
        "reliability": calibrated(best, what, prefix),
        "agreement": agreement(best),
        "decision": decided(curves, best, what, prefix) if two else None,
        "matrix": None if two else confused(best, prefix),
        "errors": "" if two else most_errors(best),
        "table": [scores(s) for s in entries],
        "sets": sets(best),
        "subgroups": by_group(best, prefix) if two else None,
    }
