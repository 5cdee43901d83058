"""The page of an external validation: population, performance and recalibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.analysis.evaluate import AS_IT_IS, CALIBRATED, JUDGED, External, Side, Updated
from sequela.disclosure import has_small, is_small, shown
from sequela.evaluation.calibration import calibration_line, reliability
from sequela.evaluation.external import difference, person
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import METRICS, Metric, main_metric
from sequela.evaluation.number import number, within
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.subgroups import UNKNOWN
from sequela.figures.external import curves_of_people
from sequela.figures.marks import with_interval
from sequela.figures.reliability import reliability_curves
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import Picture, picture
from sequela.runs.released import public, smallest_shown

OTHERS = "any other value"
_TWO = 2
_FLAT = 0.02  # all probabilities are nearly equal, so that a slope is meaningless


@dataclass(frozen=True)
class Row:
    """A row of the table that describes both populations.

    ``value`` is such as ``40 to 64``, and empty for a row of one number. The numbers of both sides,
    the development data and the new data, are in words.
    """

    what: str
    value: str
    home: str
    away: str


def build_external(validation: External, out: Path, hide_below: int | None = None) -> Path:
    """Write the page. The same run and data give the same bytes on one machine."""
    smallest = max(smallest_shown(data, hide_below) for data in validation.data)
    few = {
        name for name in ("home", "away") if _few(getattr(validation, name).predictions, smallest)
    }
    entry = Entry(validation.run, hide_below=smallest)
    shows_updates = validation.updated and not _few_of_a_half(
        validation, validation.updated, smallest
    )
    return write_page(
        "external.html.j2",
        out,
        title=f"{entry.title} on new data",
        sentence=sentence(validation, entry, few),
        entry=entry,
        findings=entry.findings,
        environment=validation.run.environment,
        home=validation.home,
        away=validation.away,
        people=_people(validation, smallest, few),
        measures=[] if few else _measures(validation, smallest),
        few=[getattr(validation, name).title for name in sorted(few)],
        smallest=smallest,
        event=_event(validation),
        updated=_updated(validation, smallest) if shows_updates and not few else None,
        aside=_aside(validation, smallest),
        leaks=validation.numbers.get("leaks", False),
        origin=public(validation.origin) if validation.origin else "",
        opened=validation.opened,
    )


def sentence(validation: External, entry: Entry, few: set[str]) -> str:
    """Return the summary of the page, one sentence or two."""
    metric = main_metric(validation.home.predictions)
    home, away = validation.home.numbers, validation.away.numbers
    where = (
        f"{entry.title}, trained on {validation.home.title}, evaluated on {validation.away.title}"
    )
    if few or metric.name not in home or metric.name not in away:
        return f"{where}: the performance is hidden, because a class has too few people."
    inside, outside = home[metric.name], away[metric.name]
    apart = difference(outside, inside)
    return (
        f"{where}: {metric.title} {with_interval(outside, metric.table)} on the new data and "
        f"{with_interval(inside, metric.table)} on {validation.home.judged}. "
        f"{_verdict(metric, apart)}"
    )


def _verdict(metric: Metric, apart: Estimate) -> str:
    if apart.interval is None:
        return f"The difference is {number(apart.value, '+.3f')}."
    span = within(apart.interval.low, apart.interval.high, "+.3f")
    words = f"The difference is {number(apart.value, '+.3f')} {span}"
    if apart.interval.low <= 0 <= apart.interval.high:
        return f"{words}. Its interval includes zero: whether the model does worse is inconclusive."
    better = (apart.value > 0) == (metric.better == "higher")
    return f"{words}: the model does {'better' if better else 'worse'} on the new data."


def _few(predictions: Predictions, smallest: int) -> bool:
    """Return ``True`` if a class has too few examples to show numbers that reveal their count."""
    return has_small(np.bincount(predictions.label, minlength=len(predictions.classes)), smallest)


def _few_of_a_half(validation: External, updated: Updated, smallest: int) -> bool:
    """Return ``True`` if a class has too few examples in either half of the new people."""
    classes = len(validation.away.predictions.classes)
    evaluated, counts = (
        np.bincount(predictions.label, minlength=classes)
        for predictions in (updated.judged[AS_IT_IS], validation.away.predictions)
    )
    return has_small([evaluated, counts - evaluated], smallest) or not evaluated.all()


def _people(validation: External, smallest: int, few: set[str]) -> list[Row]:
    home, away = validation.home, validation.away
    everybody = (home.everybody, away.everybody)
    counts = {
        "examples": [predictions.n_examples for predictions in everybody],
        "people": [len(np.unique(person(predictions))) for predictions in everybody],
    }
    rows = [
        Row(name, "", *(_count(count, smallest) for count in pair)) for name, pair in counts.items()
    ]
    if not few:
        rows += _of_events(home, away)
    shares = [_share(side.unknown_codes) for side in (home, away)]
    if validation.away.unknown_codes is not None:
        rows.append(Row("codes outside the model's vocabulary", "", *shares))
    for name in home.attributes:
        if name in away.attributes:
            rows += attribute_rows(name, home, away, smallest)
    return rows


def _of_events(home: Side, away: Side) -> list[Row]:
    """Return the rows on the frequency of classes and the spread of predictions."""
    classes, sides = home.everybody.classes, (home, away)
    if home.everybody.horizons:  # not all classes are known
        return []
    rows = [
        Row("share of the class", name, *(_share(np.mean(s.everybody.label == i)) for s in sides))
        for i, name in enumerate(classes)
        if i or len(classes) > _TWO
    ]
    chances = [event(side.predictions).chance for side in (home, away)]
    rows.append(
        Row(
            "mean predicted probability",
            "",
            *(_share(probabilities.mean()) for probabilities in chances),
        )
    )
    spread = (number(float(probabilities.std()), ".3f") for probabilities in chances)
    return [*rows, Row("standard deviation of the predicted probability", "", *spread)]


def attribute_rows(name: str, home: Side, away: Side, smallest: int) -> list[Row]:
    """Return the share of each value of an attribute; rare values are pooled."""
    sides = [
        (
            np.where(side.attributes[name] == "", UNKNOWN, side.attributes[name]),
            person(side.everybody),
        )
        for side in (home, away)
    ]
    values = np.unique(np.concatenate([of_people for of_people, _ in sides])).tolist()
    counts = np.array(
        [
            [len(np.unique(people[of_people == value])) for of_people, people in sides]
            for value in values
        ],
        np.int64,
    ).reshape(len(values), 2)
    pooled = pool(counts, smallest)
    totals = [len(of_people) for of_people, _ in sides]

    def shares(chosen_values: Sequence[str]) -> list[str]:
        inside = [np.isin(of_people, chosen_values).sum() for of_people, _ in sides]
        return [_share(n / total) for n, total in zip(inside, totals, strict=True)]

    frequent = [value for value, out in zip(values, pooled.tolist(), strict=True) if not out]
    rows = [Row(name, value, *shares([value])) for value in frequent]
    rare = [value for value, out in zip(values, pooled.tolist(), strict=True) if out]
    return [*rows, Row(name, OTHERS, *shares(rare))] if rare else rows


def pool(counts: NDArray[np.int64], smallest: int) -> NDArray[np.bool_]:
    """Choose the values to pool, so that no row describes few people: bool (value,).

    ``counts`` are numbers of people, int64 (value, side). Values with a small count are pooled, and
    the next rarest values until the pool is large enough on each side.
    """
    small = (counts > 0) & (counts < smallest)
    pooled: NDArray[np.bool_] = np.asarray(small.any(axis=1))
    for place in np.argsort(counts.sum(axis=1), kind="stable"):
        together = counts[pooled].sum(axis=0)
        if not ((together > 0) & (together < smallest)).any():
            break
        pooled[place] = True
    return pooled


def _count(n: int, smallest: int) -> str:
    return number(shown(n, smallest), ",.0f")


def _share(value: float | None) -> str:
    return number(None if value is None else float(value), ".1%").replace("%", " %")


def _measures(validation: External, smallest: int) -> list[dict[str, str]]:
    rows = []
    for name in (*JUDGED, *CALIBRATED):
        home, away = validation.home.numbers.get(name), validation.away.numbers.get(name)
        if (
            home is None
            or away is None
            or (name == "accuracy" and _counts_few(validation, smallest))
        ):
            continue
        metric, apart = METRICS[name], difference(away, home)
        span = apart.interval
        row = {"title": metric.title, "home": with_interval(home, metric.table)}
        row["away"] = with_interval(away, metric.table)
        row["apart"] = number(apart.value, "+.3f")
        row["within"] = within(span.low, span.high, "+.3f") if span else ""
        rows.append(row)
    return [*rows, *_lines(validation)]


def _counts_few(validation: External, smallest: int) -> bool:
    """Return ``True`` if an accuracy reveals that a model is right or wrong for few people."""
    right = [
        predictions.predicted == predictions.label
        for predictions in (validation.home.predictions, validation.away.predictions)
    ]
    return has_small([[hits.sum(), (~hits).sum()] for hits in right], smallest)


def _lines(validation: External) -> list[dict[str, str]]:
    """Return observed over expected events and the slope for two classes, without intervals."""
    sides = (validation.home.predictions, validation.away.predictions)
    if sides[0].horizons:
        return []
    if any(len(np.unique(side.label)) != _TWO or len(side.classes) != _TWO for side in sides):
        return []
    if any(np.ptp(side.score) <= _FLAT for side in sides):
        return []
    home, away = map(calibration_line, sides)
    pairs = {
        "observed / expected events": [line.observed / line.expected for line in (home, away)],
        "calibration slope": [line.slope for line in (home, away)],
    }
    return [
        {
            "title": title,
            "home": number(at_home, ".2f"),
            "away": number(elsewhere, ".2f"),
            "apart": number(elsewhere - at_home, "+.2f"),
            "within": "",
        }
        for title, (at_home, elsewhere) in pairs.items()
    ]


def _event(validation: External) -> str:
    outcome = validation.run.data.outcome
    return outcome.label if outcome else "the most probable class is right"


def _updated(validation: External, smallest: int) -> dict[str, object]:
    updated = validation.updated
    assert updated is not None  # noqa: S101 - checked by the caller
    forms = {name: METRICS[name].table for name in ("log_loss", "brier_score")}
    forms["observed_minus_expected"] = "+.3f"
    table = []
    for way, predictions in updated.judged.items():
        numbers = [number(METRICS[name].value(predictions), form) for name, form in forms.items()]
        table.append({"title": way, "numbers": numbers, "line": updated.lines.get(way)})
    return {
        "people": _count(updated.people, smallest),
        "table": table,
        "heads": [METRICS[name].heading for name in forms],
        "reliability": _reliability(validation, updated, smallest),
        "learning": picture(
            curves_of_people(updated.curve),
            "learning",
            "Log loss on the evaluation half of the people, by the number of people in the other "
            f"half used for fitting. Bands: the middle 80 % of the draws. {_enough(updated)}",
        ),
    }


def _enough(updated: Updated) -> str:
    """Return the number of people from which each way of learning helps, in sentences."""
    first, *updates = updated.curve.items()
    best_so_far = first[1][0].loss
    sentences = []
    for name, curve in updates:
        enough = next((point.people for point in curve if point.high < best_so_far), None)
        sentences.append(
            f"{name}: better than the original model in nine of ten draws from {enough:,} people on"
            if enough
            else f"{name}: not better than the original model with up to {curve[-1].people:,} "
            "people"
            if curve
            else f"{name}: too few people to fit it"
        )
    return ". ".join(part[0].upper() + part[1:] for part in sentences) + "."


def _reliability(validation: External, updated: Updated, smallest: int) -> Picture:
    rng = np.random.default_rng(validation.run.settings.seed)
    curves = {
        name: reliability(predictions, rng, smallest=smallest)
        for name, predictions in updated.judged.items()
    }
    chances = {name: event(predictions).chance for name, predictions in updated.judged.items()}
    figure = reliability_curves(curves, chances, event=_event(validation), smallest=smallest)
    caption = (
        f"Calibration on the evaluation half of the people; event: {_event(validation)}. On the "
        "diagonal, events predicted with 30 % happen in 30 % of the examples."
    )
    return picture(figure, "reliability", caption)


def _aside(validation: External, smallest: int) -> list[str]:
    """Return sentences on new people who were in the model's training or validation set."""
    sentences = []
    for name, count in validation.numbers.items():
        if name.endswith("_set_aside_as_trained_or_tuned_on"):
            many = f"fewer than {smallest}" if is_small(count, smallest) else f"{count:,}"
            kind = name.split("_")[0]
            units = kind.removesuffix("s") if many == "1" else kind
            sentences.append(
                f"Set aside from the model's training or validation set: {many} {units}."
            )
    if "overlap_unknown" in validation.numbers:
        sentences.append(f"{validation.numbers['overlap_unknown'].capitalize()}.")
    return sentences
