"""Calibration: reliability curves above histograms of the predicted probabilities."""

from collections.abc import Mapping

import altair as alt
import numpy as np
from numpy.typing import NDArray

from sequela.disclosure import is_small, merged_bins
from sequela.errors import SettingError
from sequela.evaluation.calibration import Reliability
from sequela.figures.figure import Channels, Figure, Row, chart_of
from sequela.figures.marks import Series, as_row, named_line, with_interval

_SIDE = 240  # width and height of the curves in pixels
_BINS = 20  # bars of the histogram, if none is merged
_NEARLY_ALL = 0.8  # the end of the axes from which on they go to 1


def reliability_curves(
    curves: Mapping[str, Reliability],
    chances: Mapping[str, NDArray[np.floating]],
    *,
    event: str,
    smallest: int = 1,
) -> Figure:
    """Draw the observed share of the event against its predicted probability.

    Args:
        curves: Reliability by name, such as ``as trained`` and ``after temperature``.
        chances: Probabilities of the event (example,) by the same names, as
            :func:`sequela.evaluation.predictions.event` returns them.
        event: The predicted event, for example ``death in this stay``.
        smallest: Bars of the histogram with fewer examples are merged with their neighbours, and
            smaller counts of groups are left out of the rows.
    """
    if not curves or list(curves) != list(chances):
        raise SettingError(
            f"reliability of {list(curves)} with chances of {list(chances)}: expected the same "
            "names, at least one"
        )
    series = Series(list(curves), "model", event)
    reliable, counted, rows = [], [], []
    for name, curve in curves.items():
        points, bars = _points(name, curve, smallest), _histogram(name, chances, smallest)
        reliable += points
        counted += bars
        rows += [*points, *bars]
    end = _end(reliable)
    layers = [
        named_line((0, 0), (end, end), "perfect", (0.85 * end, 0.85 * end), angle=315, dy=12),
        *series.bands(reliable, _axes(end, "low")),
        series.lines(reliable, _axes(end)),
        *_points_of(reliable, series, end),
    ]
    chart = alt.vconcat(
        alt.LayerChart(layer=layers, width=_SIDE, height=_SIDE),
        _counts(counted, series).properties(width=_SIDE, height=56),
        spacing=16,
    )
    return Figure(chart=chart, alt=_alt(curves, event), rows=rows)


def _points(name: str, curve: Reliability, smallest: int) -> list[Row]:
    return [
        {
            "model": name,
            "what": "reliability",
            "chance": chance,
            **as_row(share, "happened"),
            "examples": count,
            "groups": None if is_small(groups, smallest) else groups,
        }
        for chance, share, count, groups in zip(
            curve.chance.tolist(),
            curve.happened,
            curve.count.tolist(),
            curve.groups.tolist(),
            strict=True,
        )
    ]


def _histogram(name: str, chances: Mapping[str, NDArray[np.floating]], smallest: int) -> list[Row]:
    counts, edges = np.histogram(chances[name], bins=_BINS, range=(0, 1))
    # A bar of few people would reveal them, so it is merged with its neighbour.
    wider = merged_bins(counts[:, np.newaxis], smallest)
    edges = edges[[*np.unique(wider, return_index=True)[1], _BINS]]
    counts = np.bincount(wider, weights=counts).astype(np.int64)
    return [
        {"model": name, "what": "histogram", "chance": low, "chance_to": high, "examples": count}
        for low, high, count in zip(
            edges[:-1].round(3).tolist(), edges[1:].round(3).tolist(), counts.tolist(), strict=True
        )
    ]


def _end(rows: list[Row]) -> float:
    # With a rare event, all points would be in one corner of axes from 0 to 1.
    largest = max(max(r["chance"], r["happened"], r["high"] or 0) for r in rows)
    end = float(np.ceil(10 * largest - 1e-9)) / 10
    return end if end < _NEARLY_ALL else 1.0


def _axis(column: str, title: str, end: float) -> Channels:
    return {
        "shorthand": f"{column}:Q",
        "title": title,
        "scale": alt.Scale(domain=[0, end], nice=False),
        "axis": alt.Axis(format=".0%", tickCount=5),
    }


def _axes(end: float, y: str = "happened") -> Channels:
    return {
        "x": alt.X(**_axis("chance", "predicted probability", end)),
        "y": alt.Y(**_axis(y, "observed share of events", end)),
    }


def _points_of(rows: list[Row], series: Series, end: float) -> list[alt.Chart]:
    words = "{model}: {chance:.1%} predicted, {happened:.1%} observed"
    points = [{**r, "hover": words.format(**r)} for r in rows]
    base = chart_of(points).encode(**_axes(end), description=alt.Description("hover:N"))
    look: Channels = {"filled": True, "aria": True, "size": 45, "opacity": 1}
    return [
        base.transform_filter(alt.datum.model == name).mark_point(
            **look, color=series.colour_of(name), shape=series.shape_of(name)
        )
        for name in series.names
    ]


def _counts(rows: list[Row], series: Series) -> alt.Chart:
    corners: list[Row] = []
    for row in rows:
        corners += [row, {**row, "chance": row["chance_to"]}]
    axes = {
        "x": alt.X(**_axis("chance", "predicted probability, all examples", 1)),
        "y": alt.Y(
            "examples:Q",
            title="examples",
            scale=alt.Scale(type="symlog", constant=1),
            axis=alt.Axis(values=[0, *(10**power for power in range(9))], format=",d"),
        ),
    }
    return series.lines(corners, axes, width=1.5, legend=False)


def _alt(curves: Mapping[str, Reliability], event: str) -> str:
    sentences = [
        f"{name}: "
        + ", ".join(
            f"{chance:.1%} predicted, {with_interval(share, '.1%')} observed"
            for chance, share in zip(curve.chance.tolist(), curve.happened, strict=True)
        )
        for name, curve in curves.items()
    ]
    title = f"Reliability of the predicted probabilities; the event: {event}."
    return f"{title} {'; '.join(sentences)}."
