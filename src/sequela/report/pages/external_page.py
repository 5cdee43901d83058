"""The page of an external validation: population, performance and recalibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.analysis.external import AS_IT_IS, CALIBRATED, JUDGED, External, Side, Updated
from sequela.disclosure.disclosure import has_small, is_small, shown
from sequela.evaluation.calibration import calibration_line, reliability
from sequela.evaluation.external import difference, person
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import METRICS, Metric, main_metric
from sequela.evaluation.number import number, within
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.subgroups import UNKNOWN
from sequela.figures.chart.marks import with_interval
from sequela.figures.external import curves_of_people
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


def build_external(found: External, out: Path, hide_below: int | None = None) -> Path:
    """Write the page. The same run and data give the same bytes on one machine."""
    smallest = max(smallest_shown(data, hide_below) for data in found.data)
    few = {name for name in ("home", "away") if _few(getattr(found, name).predictions, smallest)}
    entry = Entry(found.run, hide_below=smallest)
    judged = found.updated and not _few_of_a_half(found, found.updated, smallest)
    return write_page(
        "external.html.j2",
        out,
        title=f"{entry.title} on new data",
        sentence=sentence(found, entry, few),
        entry=entry,
        findings=entry.findings,
        environment=found.run.environment,
        home=found.home,
        away=found.away,
        people=_people(found, smallest, few),
        measures=[] if few else _measures(found, smallest),
        few=[getattr(found, name).title for name in sorted(few)],
        smallest=smallest,
        event=_event(found),
        updated=_updated(found, smallest) if judged and not few else None,
        aside=_aside(found, smallest),
        leaks=found.numbers.get("leaks", False),
        origin=public(found.origin) if found.origin else "",
        opened=found.opened,
    )


def sentence(found: External, entry: Entry, few: set[str]) -> str:
    """Return the summary of the page, one sentence or two."""
    metric = main_metric(found.home.predictions)
    homes, aways = found.home.numbers, found.away.numbers
    where = f"{entry.title}, trained on {found.home.title}, evaluated on {found.away.title}"
    if few or metric.name not in homes or metric.name not in aways:
        return f"{where}: the performance is hidden, because a class has too few people."
    inside, outside = homes[metric.name], aways[metric.name]
    apart = difference(outside, inside)
    return (
        f"{where}: {metric.title} {with_interval(outside, metric.table)} on the new data and "
        f"{with_interval(inside, metric.table)} on {found.home.judged}. {_verdict(metric, apart)}"
    )


def _verdict(metric: Metric, apart: Estimate) -> str:
    if apart.interval is None:
        return f"The difference is {number(apart.value, '+.3f')}."
    span = within(apart.interval.low, apart.interval.high, "+.3f")
    said = f"The difference is {number(apart.value, '+.3f')} {span}"
    if apart.interval.low <= 0 <= apart.interval.high:
        return f"{said}. Its interval includes zero: whether the model does worse is inconclusive."
    better = (apart.value > 0) == (metric.better == "higher")
    return f"{said}: the model does {'better' if better else 'worse'} on the new data."


def _few(predictions: Predictions, smallest: int) -> bool:
    """Return ``True`` if a class has too few examples to show numbers that reveal their count."""
    return has_small(np.bincount(predictions.label, minlength=len(predictions.classes)), smallest)


def _few_of_a_half(found: External, updated: Updated, smallest: int) -> bool:
    """Return ``True`` if a class has too few examples in either half of the new people."""
    classes = len(found.away.predictions.classes)
    judged, everybody = (
        np.bincount(each.label, minlength=classes)
        for each in (updated.judged[AS_IT_IS], found.away.predictions)
    )
    return has_small([judged, everybody - judged], smallest) or not judged.all()


def _people(found: External, smallest: int, few: set[str]) -> list[Row]:
    home, away = found.home, found.away
    both = (home.everybody, away.everybody)
    counts = {
        "examples": [each.n_examples for each in both],
        "people": [len(np.unique(person(each))) for each in both],
    }
    rows = [
        Row(name, "", *(_count(each, smallest) for each in pair)) for name, pair in counts.items()
    ]
    if not few:
        rows += _of_events(home, away)
    shares = [_share(side.unknown_codes) for side in (home, away)]
    if found.away.unknown_codes is not None:
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
    rows.append(Row("mean predicted probability", "", *(_share(each.mean()) for each in chances)))
    spread = (number(float(each.std()), ".3f") for each in chances)
    return [*rows, Row("standard deviation of the predicted probability", "", *spread)]


def attribute_rows(name: str, home: Side, away: Side, smallest: int) -> list[Row]:
    """Return the share of each value of an attribute; rare values are pooled."""
    sides = [
        (np.where((own := side.attributes[name]) == "", UNKNOWN, own), person(side.everybody))
        for side in (home, away)
    ]
    values = sorted({each for given, _ in sides for each in np.unique(given).tolist()})
    counts = np.array(
        [[len(np.unique(whose[given == v])) for given, whose in sides] for v in values], np.int64
    ).reshape(len(values), 2)
    pooled = pool(counts, smallest)
    totals = [len(given) for given, _ in sides]

    def shares(chosen: Sequence[str]) -> list[str]:
        inside = [np.isin(given, chosen).sum() for given, _ in sides]
        return [_share(n / total) for n, total in zip(inside, totals, strict=True)]

    kept = [v for v, out in zip(values, pooled.tolist(), strict=True) if not out]
    rows = [Row(name, value, *shares([value])) for value in kept]
    others = [v for v, out in zip(values, pooled.tolist(), strict=True) if out]
    return [*rows, Row(name, OTHERS, *shares(others))] if others else rows


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


def _measures(found: External, smallest: int) -> list[dict[str, str]]:
    rows = []
    for name in (*JUDGED, *CALIBRATED):
        home, away = found.home.numbers.get(name), found.away.numbers.get(name)
        if home is None or away is None or (name == "accuracy" and _counts_few(found, smallest)):
            continue
        metric, apart = METRICS[name], difference(away, home)
        span = apart.interval
        row = {"title": metric.title, "home": with_interval(home, metric.table)}
        row["away"] = with_interval(away, metric.table)
        row["apart"] = number(apart.value, "+.3f")
        row["within"] = within(span.low, span.high, "+.3f") if span else ""
        rows.append(row)
    return [*rows, *_lines(found)]


def _counts_few(found: External, smallest: int) -> bool:
    """Return ``True`` if an accuracy reveals that a model is right or wrong for few people."""
    right = [
        each.predicted == each.label for each in (found.home.predictions, found.away.predictions)
    ]
    return has_small([[each.sum(), (~each).sum()] for each in right], smallest)


def _lines(found: External) -> list[dict[str, str]]:
    """Return observed over expected events and the slope for two classes, without intervals."""
    sides = (found.home.predictions, found.away.predictions)
    if sides[0].horizons:
        return []
    if any(len(np.unique(side.label)) != _TWO or len(side.classes) != _TWO for side in sides):
        return []
    if any(np.ptp(side.score) <= _FLAT for side in sides):
        return []
    home, away = map(calibration_line, sides)
    pairs = {
        "observed / expected events": [each.observed / each.expected for each in (home, away)],
        "calibration slope": [each.slope for each in (home, away)],
    }
    return [
        {
            "title": title,
            "home": number(here, ".2f"),
            "away": number(there, ".2f"),
            "apart": number(there - here, "+.2f"),
            "within": "",
        }
        for title, (here, there) in pairs.items()
    ]


def _event(found: External) -> str:
    outcome = found.run.data.outcome
    return outcome.label if outcome else "the most probable class is right"


def _updated(found: External, smallest: int) -> dict[str, object]:
    updated = found.updated
    assert updated is not None  # noqa: S101 - checked by the caller
    forms = {name: METRICS[name].table for name in ("log_loss", "brier_score")}
    forms["observed_minus_expected"] = "+.3f"
    table = []
    for way, said in updated.judged.items():
        numbers = [number(METRICS[name].value(said), form) for name, form in forms.items()]
        table.append({"title": way, "numbers": numbers, "line": updated.lines.get(way)})
    return {
        "people": _count(updated.people, smallest),
        "table": table,
        "heads": [METRICS[name].heading for name in forms],
        "reliability": _reliability(found, updated, smallest),
        "learning": picture(
            curves_of_people(updated.curve),
            "learning",
            "Log loss on the evaluation half of the people, by the number of people in the other "
            f"half used for fitting. Bands: the middle 80 % of the draws. {_enough(updated)}",
        ),
    }


def _enough(updated: Updated) -> str:
    """Return the number of people from which each way of learning helps, in sentences."""
    first, *others = updated.curve.items()
    best_so_far = first[1][0].loss
    said = []
    for name, curve in others:
        enough = next((each.people for each in curve if each.high < best_so_far), None)
        said.append(
            f"{name}: better than the original model in nine of ten draws from {enough:,} people on"
            if enough
            else f"{name}: not better than the original model with up to {curve[-1].people:,} "
            "people"
            if curve
            else f"{name}: too few people to fit it"
        )
    return ". ".join(part[0].upper() + part[1:] for part in said) + "."


def _reliability(found: External, updated: Updated, smallest: int) -> Picture:
    rng = np.random.default_rng(found.run.settings.seed)
    curves = {
        name: reliability(each, rng, smallest=smallest) for name, each in updated.judged.items()
    }
    chances = {name: event(each).chance for name, each in updated.judged.items()}
    drawn = reliability_curves(curves, chances, event=_event(found), smallest=smallest)
    caption = (
        f"Calibration on the evaluation half of the people; event: {_event(found)}. On the "
        "diagonal, events predicted with 30 % happen in 30 % of the examples."
    )
    return picture(drawn, "reliability", caption)


def _aside(found: External, smallest: int) -> list[str]:
    """Return sentences on new people who were in the model's training or validation set."""
    said = []
    for name, count in found.numbers.items():
        if name.endswith("_set_aside_as_trained_or_tuned_on"):
            many = f"fewer than {smallest}" if is_small(count, smallest) else f"{count:,}"
            kind = name.split("_")[0]
            units = kind.removesuffix("s") if many == "1" else kind
            said.append(f"Set aside from the model's training or validation set: {many} {units}.")
    if "overlap_unknown" in found.numbers:
        said.append(f"{found.numbers['overlap_unknown'].capitalize()}.")
    return said
