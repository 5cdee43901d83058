"""Decision curves: the net benefit of acting on a model."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np

from sequela.errors import SettingError
from sequela.evaluation.decision import NetBenefit
from sequela.figures.chart.figure import INK, Figure, chart_of
from sequela.figures.chart.series import Series
from sequela.figures.chart.words import as_row, haloed, number, with_interval

_WIDTH, _HEIGHT = 250, 240  # pixels
_LITTLE = 0.05  # share of the largest benefit: the picture ends where all are below
_SHOWN_LOSS = 0.25  # share of the largest benefit: larger losses are cut off


def decision_curves(curves: Mapping[str, NetBenefit], *, event: str) -> Figure:
    """Draw the net benefit of acting on models, on all and on none, over thresholds.

    The picture ends where no model has a notable benefit any more; the rows go on.

    Args:
        curves: Net benefit by model name, all at the same thresholds on the same examples.
        event: The predicted event, for example ``death in this stay``.

    Raises:
        SettingError: If there is no curve, or thresholds or data differ.
    """
    first = _only_comparable(curves)
    rows = [row for name, curve in curves.items() for row in _rows(name, curve)]
    rows += [
        {"model": "act on all", "threshold": t, "net_benefit": b}
        for t, b in zip(first.threshold.tolist(), first.treat_all.tolist(), strict=True)
    ]
    benefit = np.array([[one.value for one in curve.model] for curve in curves.values()])
    best = max(float(np.nanmax(benefit)), float(first.treat_all.max()), 1e-9)
    worth = np.maximum(np.nanmax(benefit, axis=0), first.treat_all) > _LITTLE * best
    end = float(first.threshold[worth].max(initial=0))
    end = min(1.0, max(0.1, float(np.ceil(10 * end - 1e-9)) / 10))
    series = Series(list(curves), "model", event)
    scales = {
        "x": alt.Scale(domain=[0, end], nice=False),
        "y": alt.Scale(domain=[-_SHOWN_LOSS * best, 1.08 * best], nice=False),
    }
    layers = [
        *_reference_lines(rows, scales),
        *series.bands(rows, _axes(scales, "low"), clip=True),
        series.lines([row for row in rows if row["model"] in curves], _axes(scales), clip=True),
    ]
    return Figure.of(layers, (_WIDTH, _HEIGHT), _alt(curves, first, event, end), rows)


def _only_comparable(curves: Mapping[str, NetBenefit]) -> NetBenefit:
    if not curves:
        raise SettingError("there is no decision curve to draw: name at least one model")
    first, *others = curves.values()
    for other in others:
        if not np.array_equal(other.threshold, first.threshold):
            raise SettingError("the decision curves are at different thresholds: use the same")
        if not np.allclose(other.treat_all, first.treat_all):
            raise SettingError(
                "the decision curves are of data in which the event is not equally frequent: draw "
                "models of the same examples"
            )
    return first


def _rows(name: str, curve: NetBenefit) -> list[dict[str, Any]]:
    return [
        {"model": name, "threshold": threshold, **as_row(one, "net_benefit")}
        for threshold, one in zip(curve.threshold.tolist(), curve.model, strict=True)
    ]


def _axes(scales: dict[str, alt.Scale], y: str = "net_benefit") -> dict[str, Any]:
    percent = alt.Axis(format=".0%", tickCount=6)
    benefit = "net benefit (true positives per example)"
    return {
        "x": alt.X("threshold:Q", title="threshold probability", scale=scales["x"], axis=percent),
        "y": alt.Y(f"{y}:Q", title=benefit, scale=scales["y"], axis=alt.Axis(tickCount=5)),
    }


def _reference_lines(
    rows: list[dict[str, Any]], scales: dict[str, alt.Scale]
) -> list[alt.Chart | alt.LayerChart]:
    """Draw the lines of acting on all and on none, with their names."""
    everybody = [r for r in rows if r["model"] == "act on all"]
    (_, end), (lowest, _) = (scales[axis].to_dict()["domain"] for axis in "xy")
    nobody = [{"threshold": at, "net_benefit": 0} for at in (0, end)]
    # Where it leaves the picture, or at its end.
    drawn = [r for r in everybody if r["net_benefit"] > 0.6 * lowest]
    style: dict[str, Any] = {"color": INK, "strokeWidth": 1.25, "clip": True}
    axes = _axes(scales)
    on_all, on_none = (chart_of(r).encode(**axes) for r in (everybody, nobody))
    names = [haloed([{**nobody[1], "text": "act on none"}], axes, align="right", dy=9)]
    if drawn:  # no point is in the picture if the event is rarer than the first threshold
        at = max(drawn, key=lambda r: r["threshold"])
        side, gap = ("left", 6) if at["threshold"] < end / 2 else ("right", -6)
        names.insert(0, haloed([{**at, "text": "act on all"}], axes, align=side, dx=gap))
    return [on_all.mark_line(strokeDash=[3, 2], **style), on_none.mark_line(**style), *names]


def _alt(curves: Mapping[str, NetBenefit], first: NetBenefit, event: str, end: float) -> str:
    places = [int(np.abs(first.threshold - share * end).argmin()) for share in (0.25, 0.5, 0.75)]
    found = []
    for place in places:
        of_models = ", ".join(
            f"{name} {with_interval(curve.model[place], '.3f')}" for name, curve in curves.items()
        )
        found.append(
            f"at {first.threshold[place]:.0%}: {of_models}, acting on all "
            f"{number(float(first.treat_all[place]), '.3f')}"
        )
    what = f"Net benefit of acting on predictions of {event}, where acting on none is 0."
    return f"{what} {'; '.join(found)}."
