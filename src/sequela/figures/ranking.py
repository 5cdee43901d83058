"""Ranking by a model: ROC and precision-recall curves with bands over subjects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import altair as alt
import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError
from sequela.evaluation.curves import Curve, Kind
from sequela.evaluation.intervals import Estimate
from sequela.figures.figure import INK, Channels, Figure, Row, chart_of
from sequela.figures.marks import Series, named_line, thinned, with_interval

_SIDE = 240  # width and height of the picture in pixels
_TOLERANCE = 0.3 / _SIDE
"""Greatest distance of a thinned curve from the whole one, as a share of a side."""
_HALF = 0.5  # the threshold of the first mark
_MARKS = {"threshold 0.5": "circle", "chosen threshold": "diamond"}
_TITLE = 40  # letters of a line of the legend's title
_Points = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class _Look:
    """The columns and titles of the axes of a kind of curve, and the name of its area."""

    x: str
    y: str
    x_title: str
    y_title: str
    area: str


_LOOKS: dict[Kind, _Look] = {
    "roc": _Look(
        "false_positive_rate",
        "sensitivity",
        "1 − specificity (false positive rate)",  # noqa: RUF001 - a minus sign
        "sensitivity (true positive rate)",
        "AUROC",
    ),
    "precision-recall": _Look(
        "recall",
        "precision",
        "recall (sensitivity)",
        "precision (positive predictive value)",
        "average precision",
    ),
}


def ranking(
    curves: Mapping[str, Curve],
    *,
    event: str,
    chosen: Mapping[str, float | Sequence[float]] | None = None,
    areas: Mapping[str, Estimate] | None = None,
    areas_are: str = "",
) -> Figure:
    """Draw ROC or precision-recall curves of one or several models on the same examples.

    Each curve has its band, its area with interval, and points at the threshold 0.5 and at the
    chosen threshold. A line shows a random ranking.

    Args:
        curves: Curves by model name, all of one kind.
        event: The predicted event, for example ``death in this stay``.
        chosen: Thresholds chosen on the validation set, by model name; for a mean curve, the
            threshold of each model.
        areas: Areas to show by model name, if they differ from the area of the curve.
        areas_are: A note on these areas for the legend, such as ``mean of 5 folds``.
    """
    kinds = {curve.kind for curve in curves.values()}
    if len(kinds) != 1:
        raise SettingError(
            f"the curves to draw are of {len(kinds)} kinds: expected one or more of one kind"
        )
    first = next(iter(curves.values()))
    look = _LOOKS[first.kind]
    percent = f"{first.level:.0%}".replace("%", " %")
    areas = {name: curve.area for name, curve in curves.items()} | dict(areas or {})
    labels = {name: f"{name}: {with_interval(areas[name])}" for name in curves}
    area_name = f"{look.area}, {areas_are}" if areas_are else look.area
    title = [event, *wrap(f"{area_name} ({percent} interval)", _TITLE)]
    series = Series(list(labels.values()), "label", title)
    rows: list[Row] = []
    for name, curve in curves.items():
        of_curve = _rows(curve, look, (chosen or {}).get(name))
        rows += [{"model": name, **row} for row in of_curve]
    labelled = [{"label": labels[row["model"]], **row} for row in rows]
    layers: list[alt.Chart | alt.LayerChart] = [
        _chance(first),
        *series.bands(labelled, _axes(look, "low")),
        series.lines([row for row in labelled if row["what"] == "curve"], _axes(look)),
        _points(labelled, look, series),
    ]
    kind = "ROC" if first.kind == "roc" else "Precision-recall"
    points = _points_in_words(areas, rows, look, area_name)
    text = f"{kind} curve for {event}, with {percent} bands. {points}"
    return Figure.of(layers, (_SIDE, _SIDE), text, rows)


def _rows(curve: Curve, look: _Look, by_aim: float | Sequence[float] | None) -> list[Row]:
    # A ROC curve is linear between thresholds: a mixture of two reaches each point.
    steps = curve.kind == "precision-recall" and not curve.parts
    x, y, threshold = _stepped(curve) if steps else (curve.x, curve.y, curve.threshold)
    rows: list[Row] = []
    for piece in _pieces(x, y):
        if rows:
            rows.append({"what": "curve"})  # no point: the line has a gap
        rows += [
            {
                "what": "curve",
                look.x: float(x[i]),
                look.y: float(y[i]),
                "threshold": float(threshold[i]) if np.isfinite(threshold[i]) else None,
            }
            for i in piece
        ]
    rows += [
        {"what": "band", look.x: at, "low": low, "high": high}
        for at, low, high in zip(
            curve.band_x.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True
        )
        if not np.isnan(low)
    ]
    for what, value in zip(_MARKS, (_HALF, by_aim), strict=True):
        if value is not None:
            at_x, at_y = curve.at(value)
            if np.isnan(at_x):
                continue
            rows.append({"what": what, look.x: at_x, look.y: None if np.isnan(at_y) else at_y})
            rows[-1]["threshold"] = float(np.mean(value))
    return rows


def _pieces(x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Yield the points to draw of each piece of a line between gaps (NaN)."""
    gap = np.isnan(x + y)
    for piece in np.split(np.arange(len(x)), np.flatnonzero(np.diff(gap)) + 1):
        if not gap[piece].any():
            yield piece[thinned(x[piece], y[piece], _TOLERANCE)]


def _stepped(curve: Curve) -> _Points:
    """Return a precision-recall curve as steps, so that its area is the average precision.

    Straight lines between its points would show values that no threshold reaches (Davis & Goadrich
    2006). Without an alarm, precision is undefined: scikit-learn's first point is a convention and
    left out. The corners between points belong to no threshold.
    """
    x, y, threshold = (np.repeat(v, 2)[1:-1] for v in (curve.x, curve.y, curve.threshold))
    y[::2], threshold[::2] = curve.y[1:], np.nan
    return x, y, threshold


def _axes(look: _Look, y: str | None = None) -> Channels:
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format=".1f", tickCount=6)
    return {
        "x": alt.X(f"{look.x}:Q", title=look.x_title, scale=scale, axis=axis),
        "y": alt.Y(f"{y or look.y}:Q", title=look.y_title, scale=scale, axis=axis),
    }


def _chance(curve: Curve) -> alt.LayerChart:
    if curve.kind == "roc":
        return named_line((0, 0), (1, 1), "chance", (0.8, 0.8), angle=315, dy=12)
    level = curve.frequency
    name = f"chance: {level:.0%} have the event".replace("%", " %")
    return named_line((0, level), (1, level), name, (0, level), align="left", dx=4, dy=8)


def _points(rows: list[Row], look: _Look, series: Series) -> alt.Chart:
    marks = [
        {
            **row,
            "mark": _name_of(row, series),
            "colour": series.colour_of(row["label"]),
            "hover": f"{row['label']}; {row['what']}: {_rates(row, look)}",
        }
        for row in rows
        if row["what"] in _MARKS and row[look.y] is not None
    ]
    shapes = {row["mark"]: _MARKS[row["what"]] for row in marks}
    legend = alt.Legend(orient="bottom", title=None, symbolFillColor="transparent")
    base = chart_of(marks).encode(**_axes(look))
    marked: alt.Chart = base.mark_point(
        size=70, opacity=1, stroke=INK, strokeWidth=1, aria=True
    ).encode(
        description=alt.Description("hover:N"),
        fill=alt.Fill("colour:N", scale=None),
        shape=alt.Shape(
            "mark:N",
            sort=[*shapes],
            scale=alt.Scale(domain=[*shapes], range=[*shapes.values()]),
            legend=legend,
        ),
    )
    return marked


def _name_of(row: Row, series: Series) -> str:
    """Return the name of a mark, with the threshold if all marks of that kind have the same."""
    is_one = row["what"] == "chosen threshold" and len(series.names) == 1
    return f"chosen {row['threshold']:.2g}" if is_one else str(row["what"])


def _rates(row: Row, look: _Look) -> str:
    return f"{look.y} {row[look.y]:.2f}, {look.x.replace('_', ' ')} {row[look.x]:.2f}"


def _points_in_words(
    areas: Mapping[str, Estimate], rows: list[Row], look: _Look, area_name: str
) -> str:
    sentences = []
    for name, area in areas.items():
        points = [
            f"at {row['threshold']:.2g} "
            + ("no alarm" if row[look.y] is None else _rates(row, look))
            for row in rows
            if row["model"] == name and row["what"] in _MARKS
        ]
        sentences.append(f"{'; '.join([f'{name}: {area_name} {with_interval(area)}', *points])}.")
    return " ".join(sentences)
