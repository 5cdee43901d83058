"""Log loss over the number of new people that a model is fitted on."""

from collections.abc import Mapping, Sequence

import altair as alt

from sequela.errors import SettingError
from sequela.evaluation.external import Learnt
from sequela.figures.figure import Channels, Figure, Row
from sequela.figures.marks import Series

_SIDE = 300  # width and height of the curves over people, in pixels


def curves_of_people(curves: Mapping[str, Sequence[Learnt]]) -> Figure:
    """Draw a learning curve for each way of learning, over a logarithmic number of people.

    Each curve is from few people to many; empty curves are left out.
    """
    nonempty = {name: curve for name, curve in curves.items() if curve}
    if not nonempty:
        raise SettingError("no learning curve to draw: expected at least one number of people")
    series = Series(list(nonempty), "way")
    rows: list[Row] = []
    for name, curve in nonempty.items():
        rows += [
            {"way": name, "people": at.people, "loss": at.loss, "low": at.low, "high": at.high}
            for at in curve
        ]
    sizes = sorted({row["people"] for row in rows})
    scale = alt.Scale(type="log", nice=False)
    axis = alt.Axis(values=sizes, format=",d", labelOverlap=True)
    people = alt.X("people:Q", title="people used for fitting", scale=scale, axis=axis)

    def axes(column: str) -> Channels:
        loss = alt.Y(f"{column}:Q", title="log loss", scale=alt.Scale(zero=False))
        return {"x": people, "y": loss}

    layers = [*series.bands(rows, axes("low")), series.lines(rows, axes("loss"))]
    ends = "; ".join(
        f"{name} from {curve[0].loss:.3f} with {curve[0].people:,} people to {curve[-1].loss:.3f} "
        f"with {curve[-1].people:,}"
        for name, curve in nonempty.items()
    )
    text = f"Log loss over people used for fitting: {ends}."
    return Figure.of(layers, (_SIDE, _SIDE), text, rows)
