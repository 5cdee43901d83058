"""The page of an external validation: population, performance and recalibration."""

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sequela.analysis.evaluate import JUDGED, External, Side
from sequela.disclosure import has_small, hidden_cells, shown
from sequela.evaluation.calibration import FLAT, calibration_line, reliability
from sequela.evaluation.intervals import difference
from sequela.evaluation.metrics import METRICS, main_metric
from sequela.evaluation.number import number, within
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.subgroups import UNKNOWN
from sequela.figures.marks import with_interval
from sequela.figures.reliability import reliability_curves
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import Picture, picture
from sequela.runs.released import smallest_shown

OTHERS = "any other value"


class Characteristic(NamedTuple):
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
    home, away = validation.home, validation.away
    few = [side.title for side in (away, home) if _few(side.predictions, smallest)]
    entry = Entry(validation.run, hide_below=smallest)
    measures = [] if few else list(_measures(validation, smallest))
    main = main_metric(home.predictions).title
    return write_page(
        "external.html.j2",
        out,
        title=f"{entry.title} on new data",
        main=next((row for row in measures if row["title"] == main), None),
        entry=entry,
        findings=entry.findings,
        environment=validation.run.environment,
        home=home,
        away=away,
        people=list(_people(validation, smallest, few=bool(few))),
        measures=measures,
        few=few,
        smallest=smallest,
        event=_event(validation),
        reliability=None
        if few or away.predictions.horizons
        else _reliability(validation, smallest),
        aside=[
            (name.split("_")[0], shown(count, smallest))
            for name, count in validation.numbers.items()
            if name.endswith("_set_aside_as_trained_or_tuned_on")
        ],
        numbers=validation.numbers,
        origin=validation.numbers.get("origin", ""),
        opened=validation.opened,
    )


def _few(predictions: Predictions, smallest: int) -> bool:
    return has_small(np.bincount(predictions.label, minlength=len(predictions.classes)), smallest)


def _people(validation: External, smallest: int, *, few: bool) -> Iterator[Characteristic]:
    home, away = validation.home, validation.away
    sides = (home.everybody, away.everybody)
    examples = [predictions.n_examples for predictions in sides]
    people = [len(np.unique(predictions.person)) for predictions in sides]
    yield Characteristic("examples", "", *(_count(n, smallest) for n in examples))
    yield Characteristic("people", "", *(_count(n, smallest) for n in people))
    if not (few or home.everybody.horizons):  # of times, not all classes are known
        yield from _of_events(home, away)
    if away.unknown_codes is not None:
        shares = [_share(side.unknown_codes) for side in (home, away)]
        yield Characteristic("codes outside the model's vocabulary", "", *shares)
    for name in home.attributes:
        if name in away.attributes:
            yield from attribute_rows(name, home, away, smallest)


def _of_events(home: Side, away: Side) -> Iterator[Characteristic]:
    classes = home.everybody.classes
    for place, name in enumerate(classes):
        if place or len(classes) > 2:  # noqa: PLR2004 - of two classes, the second is enough
            shares = (_share(np.mean(side.everybody.label == place)) for side in (home, away))
            yield Characteristic("share of the class", name, *shares)
    chances = [event(side.predictions).chance for side in (home, away)]
    means = (_share(probabilities.mean()) for probabilities in chances)
    spreads = (number(float(probabilities.std()), ".3f") for probabilities in chances)
    yield Characteristic("mean predicted probability", "", *means)
    yield Characteristic("standard deviation of the predicted probability", "", *spreads)


def attribute_rows(name: str, home: Side, away: Side, smallest: int) -> list[Characteristic]:
    """Return the share of each value of an attribute; rare values are pooled."""
    sides = [
        (
            np.where(side.attributes[name] == "", UNKNOWN, side.attributes[name]),
            side.everybody.person,
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
    pooled = hidden_cells(counts, smallest)

    def row(value: str, chosen_values: Sequence[str]) -> Characteristic:
        shares = (_share(np.isin(of_people, chosen_values).mean()) for of_people, _ in sides)
        return Characteristic(name, value, *shares)

    rows = [row(value, [value]) for value in compress(values, ~pooled)]
    rare = [*compress(values, pooled)]
    return [*rows, row(OTHERS, rare)] if rare else rows


def _count(n: int, smallest: int) -> str:
    return number(shown(n, smallest), ",.0f")


def _share(value: float | None) -> str:
    return number(None if value is None else float(value), ".1%").replace("%", " %")


def _measures(validation: External, smallest: int) -> Iterator[dict[str, object]]:
    counts_few = _counts_few(validation, smallest)
    for name in JUDGED:
        home, away = validation.home.numbers.get(name), validation.away.numbers.get(name)
        if home is None or away is None or (name == "accuracy" and counts_few):
            continue
        metric, apart = METRICS[name], difference(away, home)
        span = apart.interval
        decided = span and not span.low <= 0 <= span.high
        yield {
            "title": metric.title,
            "home": with_interval(home, metric.table),
            "away": with_interval(away, metric.table),
            "apart": number(apart.value, "+.3f"),
            "within": within(span.low, span.high, "+.3f") if span else "",
            "better": (apart.value > 0) == (metric.better == "higher") if decided else None,
        }
    yield from _lines(validation)


def _counts_few(validation: External, smallest: int) -> bool:
    right = [
        predictions.predicted == predictions.label
        for predictions in (validation.home.predictions, validation.away.predictions)
    ]
    return has_small([[hits.sum(), (~hits).sum()] for hits in right], smallest)


def _lines(validation: External) -> Iterator[dict[str, object]]:
    sides = (validation.home.predictions, validation.away.predictions)
    binary = all(len(np.unique(side.label)) == len(side.classes) == 2 for side in sides)  # noqa: PLR2004
    if sides[0].horizons or not binary or any(np.ptp(side.score) <= FLAT for side in sides):
        return
    lines = [calibration_line(side) for side in sides]
    rows = {
        "observed / expected events": [line.observed / line.expected for line in lines],
        "calibration slope": [line.slope for line in lines],
    }
    for title, (home, away) in rows.items():
        texts = {"home": number(home, ".2f"), "away": number(away, ".2f")}
        yield {"title": title, **texts, "apart": number(away - home, "+.2f"), "within": ""}


def _event(validation: External) -> str:
    outcome = validation.run.data.outcome
    return outcome.label if outcome else "the most probable class is right"


def _reliability(validation: External, smallest: int) -> Picture:
    rng = np.random.default_rng(validation.run.settings.seed)
    sides = {"development data": validation.home, "new data": validation.away}
    curves = {n: reliability(side.predictions, rng, smallest=smallest) for n, side in sides.items()}
    chances = {name: event(side.predictions).chance for name, side in sides.items()}
    figure = reliability_curves(curves, chances, event=_event(validation), smallest=smallest)
    return picture(figure, "reliability")
