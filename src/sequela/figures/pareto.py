"""The test-set number of models against their operations."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from sequela.evaluation.number import number as written
from sequela.evaluation.number import within
from sequela.figures.chart.figure import FIRST, INK, PAPER, SECOND, Figure, chart_of
from sequela.figures.chart.labels import placed
from sequela.figures.chart.words import haloed

_HEIGHT = 260  # pixels
_STRIP = 1.0  # decades of operations: width of the strip for models that are not counted


def front(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return models that no other beats in accuracy with as few operations, cheapest first.

    Example:
        >>> front([{"model": "a", "operations": 1, "accuracy": 0.5},
        ...        {"model": "b", "operations": 2, "accuracy": 0.4},
        ...        {"model": "c", "operations": 3, "accuracy": 0.6}])
        ['a', 'c']
    """
    best, names = float("-inf"), []
    for row in sorted(rows, key=lambda r: (r["operations"], -r["accuracy"])):
        if row["accuracy"] > best:
            best = row["accuracy"]
            names.append(row["model"])
    return names


def accuracy_against_operations(
    rows: Sequence[dict[str, Any]],
    *,
    number: str = "accuracy",
    example: str = "segment",
    width: int = 420,
) -> Figure:
    """Draw test-set accuracy with its 95 % interval against operations per example.

    Models whose operations are not counted are in a separate strip left of the others. Next to it
    are models without operations, above a 0, which a logarithmic axis does not have.

    Args:
        rows: Each with ``model``, ``operations`` (``None`` where they are not counted),
            ``accuracy``, ``low``, ``high``.
        number: The metric of the key ``accuracy``: ``accuracy``, or for example ``AUROC``.
        example: The unit of data that the operations are for.
        width: Width of the picture without its axis, in pixels.
    """
    share = "accuracy" in number
    form = ".1%" if share else ".2f"
    others = [r for r in rows if r["operations"] is None]
    counted = sorted((r for r in rows if r not in others), key=lambda row: row["operations"])
    names = front(counted)
    ordered = [*others, *counted]
    data = [
        {**r, "at": at, "front": r["model"] in names, "hover": _hover(r, form)}
        for r, at in zip(ordered, _places(len(others), counted), strict=True)
    ]
    zero = [r["at"] for r in data if r["operations"] == 0][:1]
    scales = _scales(data)
    x = alt.X(
        "at:Q",
        title=f"operations for one {example} (logarithmic)",
        scale=alt.Scale(type="log", domain=list(scales["at"]), nice=False),
        axis=alt.Axis(
            format=".2~s",
            values=[*zero, *_decades([r for r in counted if r["operations"]])],
            labelExpr=f"indexof({zero}, datum.value) < 0 ? datum.label : '0'",
        ),
    )
    y = alt.Y(
        "low:Q",
        title=f"test-set {number}",
        axis=alt.Axis(format=".0%" if share else ".2f", tickCount=6),
        scale=alt.Scale(domain=list(scales["accuracy"]), nice=False),
    )
    base = chart_of(data).encode(x=x)
    is_counted = "isValid(datum.operations)"
    colour = alt.ColorValue(SECOND, condition={"test": is_counted, "value": FIRST})
    bars = base.mark_rule(strokeWidth=1.5).encode(y=y, y2=alt.Y2("high:Q"), color=colour)
    frontier = base.transform_filter("datum.front").encode(y=alt.Y("accuracy:Q"))
    line = frontier.mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1)
    points = base.mark_point(size=70, opacity=1, aria=True).encode(
        y=alt.Y("accuracy:Q"),
        color=colour,
        fill=alt.FillValue(PAPER, condition={"test": "datum.front", "value": FIRST}),
        shape=alt.ShapeValue("diamond", condition={"test": is_counted, "value": "circle"}),
        description=alt.Description("hover:N"),
    )
    layers = [bars, line, points, *_names(data, scales, x, width)]
    if others:
        at = {"x": alt.XValue(4), "y": alt.YValue(_HEIGHT - 8)}
        layers.append(haloed([{"text": "operations not counted"}], at, align="left"))
    said = "; ".join(r["hover"] for r in data)
    best = f" No model with fewer operations beats: {', '.join(names)}." if names else ""
    text = f"Test-set {number} against operations. {said}.{best}"
    columns = ("model", "operations", "accuracy", "low", "high", "front")
    table = [{name: row[name] for name in columns} for row in data]
    return Figure.of(layers, (width, _HEIGHT), text, table)


def _hover(row: dict[str, Any], form: str) -> str:
    found = f"{row['model']}: {written(row['accuracy'], form)} "
    found += within(row["low"], row["high"], form)
    many = row["operations"]
    return f"{found}, " + ("operations not counted" if many is None else f"{many:,} operations")


def _places(others: int, counted: Sequence[dict[str, Any]]) -> list[float]:
    """Return the position of each model on the axis; models that are not counted share a strip."""
    fewest = min((r["operations"] for r in counted if r["operations"]), default=10)
    at = [float(r["operations"] or fewest / 4) for r in counted]
    least = math.log10(min(at, default=10.0))
    strip = [least - 0.3 - _STRIP * (1 - (i + 0.5) / others) for i in range(others)]
    return [*(10**place for place in strip), *at]


def _scales(data: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    at = [math.log10(r["at"]) for r in data]
    ends = min(r["low"] for r in data), max(r["high"] for r in data)
    margin = 0.08 * (ends[1] - ends[0] or 1)
    return {
        "at": (10 ** (min(at) - 0.15), 10 ** (max(at) + 0.15)),
        "accuracy": (ends[0] - margin, ends[1] + margin),
    }


def _decades(counted: Sequence[dict[str, Any]]) -> list[float]:
    """Return round numbers about the counted operations: powers of ten, or also 2 and 5 times."""
    if not counted:
        return []
    least, most = (math.log10(r["operations"]) for r in (counted[0], counted[-1]))
    powers = range(math.floor(least), math.ceil(most) + 1)
    ends = least - 0.1, most + 0.1
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [s * 10.0**p for p in powers for s in steps]
        found = [n for n in found if ends[0] <= math.log10(n) <= ends[1]]
        if len(found) > 1:
            break
    return found


def _names(
    data: Sequence[dict[str, Any]], scales: dict[str, tuple[float, float]], x: alt.X, width: int
) -> list[alt.LayerChart]:
    left, right = (math.log10(end) for end in scales["at"])
    low, high = scales["accuracy"]
    points = [
        (
            width * (math.log10(r["at"]) - left) / (right - left),
            _HEIGHT * (high - r["accuracy"]) / (high - low),
        )
        for r in data
    ]
    labels = placed(points, [r["model"] for r in data], width)
    axes = {"x": x, "y": alt.Y("accuracy:Q")}
    return [
        haloed([{**r, "text": r["model"]}], axes, align=at.align, dx=at.dx, dy=at.dy)
        for r, at in zip(data, labels, strict=True)
    ]
