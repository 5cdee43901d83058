"""A search for settings: its course, the importance of settings, and the loss by value."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import altair as alt

from sequela.figures.figure import FIRST, SECOND, Figure, Row, chart_of

_WIDTH = 300  # width of the course in pixels, as are the other lengths
_SMALL = (215, 140)  # width and height of the picture of one setting
_BAR = 26  # height of the bar of one setting
_LOSS = "validation loss"


class Trial(TypedDict):
    """One trial of ``search.json``; the loss is ``None`` where it did not finish."""

    number: int
    loss: float | None
    values: Mapping[str, bool | float | str]


class Bounds(TypedDict, total=False):
    """The bounds of numbers, or the choices, as Optuna writes them."""

    low: float
    high: float
    log: bool
    choices: Sequence[object]


class SearchedRange(TypedDict):
    """The range of one setting: the name of Optuna's distribution, and its bounds."""

    name: str
    attributes: Bounds


def course(trials: Sequence[Trial]) -> Figure:
    """Draw the loss of each finished trial of ``search.json``, and the lowest so far."""
    rows: list[Row] = []
    for trial in trials:
        loss = trial["loss"]
        if loss is not None:
            best = min(loss, rows[-1]["lowest so far"]) if rows else loss
            rows.append({"trial": trial["number"], "loss": loss, "lowest so far": best})
    x = alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", tickCount=6))
    # Losses near the best one differ by little, and those of failed settings by factors.
    scale = alt.Scale(type="log", nice=False)
    base = chart_of(rows).encode(x=x)
    points = base.mark_point(color=SECOND, filled=True, opacity=0.8, size=36).encode(
        y=alt.Y("loss:Q", title=_LOSS, scale=scale, axis=alt.Axis(tickCount=5))
    )
    lowest = base.mark_line(color=FIRST, strokeWidth=2, interpolate="step-after").encode(
        y=alt.Y("lowest so far:Q", scale=scale)
    )
    first, last = rows[0], rows[-1]
    text = (
        f"{_LOSS.capitalize()} of {len(rows)} finished trials: {first['loss']:.3f} in trial "
        f"{first['trial']}, the lowest {last['lowest so far']:.3f}."
    )
    return Figure.of([points, lowest], (_WIDTH, 180), text, rows)


def mattered(shares: Mapping[str, float]) -> Figure:
    """Draw the share of the variation of the loss that each setting explains."""
    names = sorted(shares, key=lambda name: -shares[name])
    rows = [{"setting": name, "share": shares[name]} for name in names]
    base = chart_of(rows).encode(y=alt.Y("setting:N", sort=names, title=None))
    bars = base.mark_bar(color=FIRST).encode(
        x=alt.X("share:Q", title="share of the variation of the loss", axis=alt.Axis(format="%"))
    )
    percentages = ", ".join(f"{row['setting']} {row['share']:.0%}" for row in rows)
    text = f"Share of the variation of the loss that each setting explains: {percentages}."
    return Figure.of([bars], (200, _BAR * len(rows)), text, rows)


def by_value(name: str, trials: Sequence[Trial], range_: SearchedRange) -> Figure:
    """Draw the loss of each finished trial at its value of one setting."""
    rows: list[Row] = []
    for trial in trials:
        if trial["loss"] is not None:
            value = trial["values"][name]
            position = str(value).lower() if isinstance(value, bool) else value
            rows.append({"value": position, "loss": trial["loss"]})
    categorical = range_["name"] == "CategoricalDistribution"
    scale = alt.Scale(type="log" if range_["attributes"].get("log") else "linear", nice=False)
    x = (
        alt.X("value:N", title=None, axis=alt.Axis(labelAngle=0))
        if categorical
        else alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4))
    )
    points = (
        chart_of(rows)
        .mark_point(color=FIRST, filled=True, opacity=0.7, size=36)
        .encode(x=x, y=alt.Y("loss:Q", title=None, scale=alt.Scale(type="log", nice=False)))
    )
    best = min(rows, key=lambda row: row["loss"])
    text = (
        f"{_LOSS.capitalize()} at each value of {name} in {len(rows)} trials: lowest, "
        f"{best['loss']:.3f}, at {best['value']}."
    )
    return Figure.of([points], _SMALL, text, rows, title=name)
