"""Decision curves: the net benefit of acting on a model."""

from collections.abc import Mapping
from itertools import chain

import altair as alt
import numpy as np

from sequela.errors import SettingError
from sequela.evaluation.decision import NetBenefit
from sequela.evaluation.number import number
from sequela.figures.figure import INK, Channels, Figure, Row, chart_of
from sequela.figures.marks import Series, as_row, haloed, with_interval

_WIDTH = 250  # width of the picture in pixels
_HEIGHT = 240  # height of the picture in pixels
_LITTLE = 0.05
"""A share of the largest benefit: the picture ends at the threshold where all are below it."""
_SHOWN_LOSS = 0.25  # a share of the largest benefit: larger losses are cut off


def decision_curves(curves: Mapping[str, NetBenefit], *, event: str) -> Figure:
    """Draw the net benefit of acting on models, on all and on none, over thresholds.

    The picture ends where no model has a notable benefit any more; the rows go on.

    Args:
        curves: Net benefit by model name, all at the same thresholds on the same examples.
        event: The predicted event, for example ``death in this stay``.
    """
    first = _only_comparable(curves)
    rows = list(chain.from_iterable(_rows(name, curve) for name, curve in curves.items()))
    rows += [
        {"model": "act on all", "threshold": t, "net_benefit": b}
        for t, b in zip(first.threshold.tolist(), first.treat_all.tolist(), strict=True)
    ]
    benefit = np.array([[e.value for e in curve.model] for curve in curves.values()])
    benefit = np.nan_to_num(benefit, nan=-np.inf).max(axis=0)
    best = max(float(benefit.max()), float(first.treat_all.max()), 1e-9)
    # Beyond this threshold nobody would act, so there is nothing to read.
    worth = np.maximum(benefit, first.treat_all) > _LITTLE * best
    # The axis ends at the next tenth, and shows one tenth at least.
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
    first, *further = curves.values()
    for curve in further:
        if not np.array_equal(curve.threshold, first.threshold):
            raise SettingError("the decision curves are at different thresholds: use the same")
        # Acting on all has a net benefit that depends on the share of events alone.
        if not np.allclose(curve.treat_all, first.treat_all):
            raise SettingError(
                "the decision curves are of data in which the event is not equally frequent: draw "
                "models of the same examples"
            )
    return first


def _rows(name: str, curve: NetBenefit) -> list[Row]:
    return [
        {"model": name, "threshold": threshold, **as_row(benefit, "net_benefit")}
        for threshold, benefit in zip(curve.threshold.tolist(), curve.model, strict=True)
    ]


def _axes(scales: dict[str, alt.Scale], y: str = "net_benefit") -> Channels:
    percent = alt.Axis(format=".0%", tickCount=6)
    benefit = "net benefit (true positives per example)"
    return {
        "x": alt.X("threshold:Q", title="threshold probability", scale=scales["x"], axis=percent),
        "y": alt.Y(f"{y}:Q", title=benefit, scale=scales["y"], axis=alt.Axis(tickCount=5)),
    }


def _reference_lines(
    rows: list[Row], scales: dict[str, alt.Scale]
) -> list[alt.Chart | alt.LayerChart]:
    everybody = [r for r in rows if r["model"] == "act on all"]
    (_, end), (lowest, _) = (scales[axis].to_dict()["domain"] for axis in "xy")
    nobody = [{"threshold": at, "net_benefit": 0} for at in (0, end)]
    # Where it leaves the picture, or at its end.
    inside = [r for r in everybody if r["net_benefit"] > 0.6 * lowest]
    axes = _axes(scales)
    on_all, on_none = (chart_of(r).encode(**axes) for r in (everybody, nobody))
    names = [haloed([{**nobody[1], "text": "act on none"}], axes, align="right", dy=9)]
    if inside:  # no point is in the picture if the event is rarer than the first threshold
        at = max(inside, key=lambda r: r["threshold"])
        side, gap = ("left", 6) if at["threshold"] < end / 2 else ("right", -6)
        names.insert(0, haloed([{**at, "text": "act on all"}], axes, align=side, dx=gap))
    all_line = on_all.mark_line(color=INK, strokeWidth=1.25, clip=True, strokeDash=[3, 2])
    none_line = on_none.mark_line(color=INK, strokeWidth=1.25, clip=True)
    return [all_line, none_line, *names]


def _alt(curves: Mapping[str, NetBenefit], first: NetBenefit, event: str, end: float) -> str:
    has_point = np.isfinite([[e.value for e in c.model] for c in curves.values()]).any(axis=0)
    at = np.where(has_point, first.threshold, np.inf)
    places = [int(np.abs(at - share * end).argmin()) for share in (0.25, 0.5, 0.75)]
    sentences = []
    for place in places:
        of_models = ", ".join(
            f"{name} {with_interval(curve.model[place], '.3f')}" for name, curve in curves.items()
        )
        sentences.append(
            f"at {first.threshold[place]:.0%}: {of_models}, acting on all "
            f"{number(float(first.treat_all[place]), '.3f')}"
        )
    title = f"Net benefit of acting on predictions of {event}, where acting on none is 0."
    return f"{title} {'; '.join(sentences)}."
