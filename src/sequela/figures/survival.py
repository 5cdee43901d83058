"""The share of examples with an event over time, by predicted risk."""

from collections.abc import Mapping, Sequence

import altair as alt

from sequela.evaluation.intervals import Estimate
from sequela.figures.figure import Channels, Figure, Row, chart_of
from sequela.figures.marks import Series, as_row, with_interval

_WIDTH = 250  # width of the picture in pixels
_HEIGHT = 240  # height of the picture in pixels


def risk_over_time(
    observed: Mapping[str, Sequence[tuple[float, Estimate]]],
    predicted: Mapping[str, Sequence[tuple[float, float]]],
    *,
    event: str,
) -> Figure:
    """Draw the observed share with the event by each day, with points for the predicted risk.

    Args:
        observed: Days and shares with their intervals, by the name of a group of examples.
        predicted: Days and mean predicted risks, by the same names.
        event: The predicted event.
    """
    series = Series(list(observed), "group", event)
    rows: list[Row] = []
    for name, shares in observed.items():
        rows += [
            {"group": name, "what": "observed", "day": day, **as_row(share, "share")}
            for day, share in shares
        ]
    points: list[Row] = []
    for name, risks in predicted.items():
        points += [
            {"group": name, "what": "predicted", "day": day, "share": risk} for day, risk in risks
        ]
    # Shares by day 30 are small: an axis up to 1 would hide the differences of the groups.
    most = max([row["high"] or row["share"] for row in rows] + [row["share"] for row in points])
    axes = _axes(1.05 * most)
    layers = [
        *series.bands(rows, _axes(1.05 * most, "low")),
        series.lines(rows, axes),
        *(
            chart_of([row for row in points if row["group"] == name])
            .mark_point(filled=True, size=45, opacity=1, color=series.colour_of(name))
            .encode(**axes, shape=alt.ShapeValue(series.shape_of(name)))
            for name in series.names
        ),
    ]
    return Figure.of(layers, (_WIDTH, _HEIGHT), _alt(observed, predicted, event), [*rows, *points])


def _axes(most: float, y: str = "share") -> Channels:
    return {
        "x": alt.X("day:Q", title="days from the prediction", axis=alt.Axis(tickCount=6)),
        "y": alt.Y(
            f"{y}:Q",
            title="share with the event",
            scale=alt.Scale(domain=[0, most], nice=False),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
    }


def _alt(
    observed: Mapping[str, Sequence[tuple[float, Estimate]]],
    predicted: Mapping[str, Sequence[tuple[float, float]]],
    event: str,
) -> str:
    sentences = []
    for name, points in observed.items():
        (day, share), (_, risk) = points[-1], predicted[name][-1]
        sentences.append(
            f"{name}: {with_interval(share, '.1%')} observed and {risk:.1%} predicted by day "
            f"{day:g}"
        )
    title = f"Share of examples with the event over time, by predicted risk; {event}."
    return f"{title} {'; '.join(sentences)}."
