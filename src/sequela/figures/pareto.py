"""The test-set number of models against their operations."""

import math
from collections.abc import Sequence

import altair as alt

from sequela.evaluation.number import number as written
from sequela.evaluation.number import within
from sequela.figures.figure import FIRST, INK, PAPER, Figure, Row, chart_of

_ROW = 20  # height of a model in pixels, as are the other lengths
_LETTER = 6.3  # mean width of a letter of a name
_GAP = 14  # distance of the two panels
_LEAST_WIDTH = 90  # least width of a panel
_COLUMNS = ("model", "operations", "accuracy", "low", "high", "front")


def front(rows: Sequence[Row]) -> list[str]:
    """Return models that no other beats in accuracy with as few operations, cheapest first.

    Example:
        >>> front([{"model": "a", "operations": 1, "accuracy": 0.5},
        ...        {"model": "b", "operations": 2, "accuracy": 0.4},
        ...        {"model": "c", "operations": 3, "accuracy": 0.6}])
        ['a', 'c']
    """
    best, names = float("-inf"), []
    # From cheap to expensive, a model is on the front if it beats all before it.
    for row in sorted(rows, key=_cost):
        if row["accuracy"] > best:
            best = row["accuracy"]
            names.append(row["model"])
    return names


def accuracy_against_operations(
    rows: Sequence[Row],
    *,
    number: str = "accuracy",
    example: str = "segment",
    width: int = 420,
) -> Figure:
    """Draw test-set accuracy with its 95 % interval, and operations per example, model by model.

    The models are rows, the cheapest first, so that each name is beside its own points. A point is
    filled where no model with as few operations is better. A model without operations is at 0,
    which a logarithmic axis does not have; one that is not counted has a word in place of a point.

    Args:
        rows: Each with ``model``, ``operations`` (``None`` where they are not counted),
            ``accuracy``, ``low``, ``high``.
        number: The metric of the key ``accuracy``: ``accuracy``, or for example ``AUROC``.
        example: The unit of data that the operations are for.
        width: Width of the picture in pixels; each of the two panels is at least 90 pixels wide.
    """
    share = "accuracy" in number
    form = ".1%" if share else ".2f"
    counted = sorted((r for r in rows if r["operations"] is not None), key=_cost)
    names = front(counted)
    ordered = [*counted, *(r for r in rows if r["operations"] is None)]
    least = min((r["operations"] for r in counted if r["operations"]), default=4)
    data = [
        {
            **row,
            # Zero has no place on a logarithmic axis: it is drawn at a quarter of the fewest.
            "at": None if row["operations"] is None else row["operations"] or least / 4,
            "front": row["model"] in names,
            "hover": _hover(row, form),
        }
        for row in ordered
    ]
    names_width = _LETTER * max(len(row["model"]) for row in data)
    size = max((width - _GAP - names_width) / 2, _LEAST_WIDTH), _ROW * len(data)
    score = alt.X(
        "low:Q",
        title=f"test-set {number}",
        axis=alt.Axis(format=".0%" if share else ".2f", tickCount=int(size[0] / 40)),
        scale=alt.Scale(zero=False, nice=False, padding=6),
    )
    fill = alt.FillValue(PAPER, condition={"test": "datum.front", "value": FIRST})
    hover = alt.Description("hover:N")
    style = {"fill": fill, "color": alt.ColorValue(FIRST), "description": hover}
    panels = []
    for x, axis in ((score, alt.Axis(grid=True)), (_operations(data, example), None)):
        y = alt.Y("model:N", sort=[row["model"] for row in data], title=None, axis=axis)
        base = chart_of(data).encode(y=y)
        points = base.mark_point(size=70, opacity=1, aria=True)
        if x is score:
            bars = base.mark_rule(strokeWidth=1.5, color=FIRST).encode(x=x, x2=alt.X2("high:Q"))
            layers = [bars, points.encode(x=alt.X("accuracy:Q"), **style)]
        else:
            uncounted = base.transform_filter("!isValid(datum.at)").encode(x=alt.XValue(4))
            words = uncounted.mark_text(text="not counted", align="left", fontSize=11, color=INK)
            layers = [points.transform_filter("isValid(datum.at)").encode(x=x, **style), words]
        panels.append(alt.LayerChart(layer=layers, width=size[0], height=size[1]))
    table = [{name: row[name] for name in _COLUMNS} for row in data]
    chart = alt.HConcatChart(hconcat=panels, spacing=_GAP)
    return Figure(chart, _alt(number, data, names), table)


def _cost(row: Row) -> tuple[float, float]:
    return row["operations"], -row["accuracy"]


def _operations(data: Sequence[Row], example: str) -> alt.X:
    at = [row["at"] for row in data if row["at"]] or [1.0]
    ends = [min(at) / 2, max(at) * 2]
    zero = [row["at"] for row in data if row["operations"] == 0][:1]
    label = f"indexof({zero}, datum.value) >= 0 ? '0' : datum.label"
    values = [*zero, *_ticks([row["operations"] for row in data if row["operations"]])]
    return alt.X(
        "at:Q",
        title=["operations", f"for one {example}"],
        scale=alt.Scale(type="log", domain=ends, nice=False),
        axis=alt.Axis(format=".2~s", values=values, labelExpr=label),
    )


def _alt(number: str, data: Sequence[Row], names: Sequence[str]) -> str:
    numbers = "; ".join(row["hover"] for row in data)
    best = f" No model with fewer operations beats: {', '.join(names)}." if names else ""
    return f"Test-set {number} against operations. {numbers}.{best}"


def _hover(row: Row, form: str) -> str:
    score = f"{written(row['accuracy'], form)} {within(row['low'], row['high'], form)}"
    count = row["operations"]
    cost = "operations not counted" if count is None else f"{count:,} operations"
    return f"{row['model']}: {score}, {cost}"


def _ticks(counts: Sequence[int]) -> list[float]:
    """Return two powers of ten among the operations, or the fewest if they are close."""
    if not counts:
        return []
    least, most = (math.log10(end) for end in (min(counts), max(counts)))
    powers = range(math.ceil(least), math.floor(most) + 1)
    return [10.0 ** powers[0], 10.0 ** powers[-1]] if len(powers) > 1 else [min(counts)]
