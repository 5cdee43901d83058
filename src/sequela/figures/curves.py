"""Learning curves: one number over the epochs, on the training and the validation set."""

from collections.abc import Sequence
from typing import Literal

import altair as alt

from sequela.figures.figure import FIRST, INK, SECOND, Channels, Figure, chart_of
from sequela.training.history import EpochRecord, kept_epoch

_PARTS = ["train", "tuning"]
_NAMES = {"train": "training", "tuning": "validation"}
_MARKED = 10  # epochs whose numbers a hover shows


def learning_curve(
    history: Sequence[EpochRecord], number: str, keep: Literal["best", "last"] = "best"
) -> Figure:
    """Draw ``number`` (``loss``, or the name of a metric) over the epochs of one run.

    The training set is a dashed line and the validation set a full one. A vertical line marks the
    epoch that was kept, by the setting ``keep`` of the run.
    """
    final = kept_epoch(history, keep)
    values = [r.loss if number == "loss" else r.metrics[number] for r in history]
    rows = [
        {"epoch": r.epoch, "part": r.part, number: value}
        for r, value in zip(history, values, strict=True)
    ]
    last = max(r.epoch for r in history)
    scale = alt.Scale(zero=False)
    base = chart_of(rows)
    colours = alt.Scale(domain=_PARTS, range=[SECOND, FIRST])
    dashes = alt.Scale(domain=_PARTS, range=[[5, 3], [1, 0]])
    lines = base.mark_line(strokeWidth=2).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d", tickCount=6)),
        y=alt.Y(f"{number}:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)),
        color=alt.Color("part:N", scale=colours, legend=None),
        strokeDash=alt.StrokeDash("part:N", scale=dashes, legend=None),
    )
    step = max(1, last // _MARKED)
    marked = [
        {**row, "hover": f"{_NAMES[r.part]}, epoch {r.epoch}: {row[number]:.3f}"}
        for r, row in zip(history, rows, strict=True)
        if r.epoch % step == 0
    ]
    axes: Channels = {"x": alt.X("epoch:Q"), "y": alt.Y(f"{number}:Q")}
    points = chart_of(marked).encode(**axes, description=alt.Description("hover:N"))
    points = points.mark_point(size=80, opacity=0, filled=True, aria=True)
    rule = chart_of([{"epoch": final}]).encode(x=alt.X("epoch:Q"))
    rule = rule.mark_rule(color=INK, strokeDash=[1, 3])
    names = (
        base.transform_filter(alt.datum.epoch == last)
        .transform_calculate(name="datum.part == 'train' ? 'training' : 'validation'")
        .mark_text(align="left", dx=4, fontSize=11)
        .encode(**axes, text=alt.Text("name:N"), color=alt.Color("part:N", legend=None))
    )
    ends = {p: [r[number] for r in rows if r["part"] == p] for p in _PARTS}
    described = ", ".join(f"{_NAMES[p]} from {v[0]:.2f} to {v[-1]:.2f}" for p, v in ends.items())
    text = f"{number} over {last} epochs: {described}; epoch {final} was kept."
    return Figure.of([lines, rule, names, points], (215, 140), text, rows, title=number)
