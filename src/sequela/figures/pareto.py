"""The test-set number of models against their operations."""

import math
from collections.abc import Sequence
from itertools import product

import altair as alt
import numpy as np

from sequela.evaluation.number import number as written
from sequela.evaluation.number import within
from sequela.figures.figure import FAINT, FIRST, INK, PAPER, SECOND, Figure, Row, chart_of
from sequela.figures.marks import haloed

_HEIGHT = 260  # least height of the picture in pixels, as are the other lengths
_LINE = 14.0  # height of a name
_LETTER = 6.3  # mean width of a letter of a name
_GAP = 12.0  # distance of the names from the plot
_LEAST_WIDTH = 150  # least width of the plot without the names
_STRIP = 1.0  # width of the strip for models that are not counted, in decades of operations
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
    for row in sorted(rows, key=lambda r: (r["operations"], -r["accuracy"])):
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
    """Draw test-set accuracy with its 95 % interval against operations per example.

    Models whose operations are not counted are in a separate strip left of the others. Next to it
    are models without operations, above a 0, which a logarithmic axis does not have.

    Args:
        rows: Each with ``model``, ``operations`` (``None`` where they are not counted),
            ``accuracy``, ``low``, ``high``.
        number: The metric of the key ``accuracy``: ``accuracy``, or for example ``AUROC``.
        example: The unit of data that the operations are for.
        width: Width of the picture without its axis, in pixels. Names of models are right of the
            plot, which is at least 150 pixels wide.
    """
    share = "accuracy" in number
    form = ".1%" if share else ".2f"
    uncounted = [r for r in rows if r["operations"] is None]
    counted = sorted((r for r in rows if r not in uncounted), key=lambda row: row["operations"])
    names = front(counted)
    data = [
        {**r, "at": at, "front": r["model"] in names, "hover": _hover(r, form)}
        for r, at in zip([*uncounted, *counted], _places(len(uncounted), counted), strict=True)
    ]
    zero = [r["at"] for r in data if r["operations"] == 0][:1]
    scales = _scales(data)
    names_width = _LETTER * max(len(row["model"]) for row in data)
    size = max(width - _GAP - names_width, _LEAST_WIDTH), max(_HEIGHT, _LINE * len(data))
    x = _operations(zero, counted, scales["at"], example)
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
    leaders, margin = _names(data, scales, x, size)
    layers: list[alt.Chart | alt.LayerChart] = [bars, leaders, line, points, margin]
    if uncounted:
        at = {"x": alt.XValue(4), "y": alt.YValue(size[1] - 8)}
        layers.append(haloed([{"text": "operations not counted"}], at, align="left"))
    table = [{name: row[name] for name in _COLUMNS} for row in data]
    return Figure.of(layers, size, _alt(number, data, names), table)


def _operations(
    zero: Sequence[float], counted: Sequence[Row], ends: tuple[float, float], example: str
) -> alt.X:
    return alt.X(
        "at:Q",
        title=f"operations for one {example} (logarithmic)",
        scale=alt.Scale(type="log", domain=list(ends), nice=False),
        axis=alt.Axis(
            format=".2~s",
            values=[*zero, *_decades([r for r in counted if r["operations"]])],
            labelExpr=f"indexof({zero}, datum.value) < 0 ? datum.label : '0'",
        ),
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


def _places(uncounted: int, counted: Sequence[Row]) -> list[float]:
    fewest = min((r["operations"] for r in counted if r["operations"]), default=10)
    at = [float(r["operations"] or fewest / 4) for r in counted]
    # Zero has no place on a logarithmic axis: it is drawn at a quarter of the fewest operations.
    least = math.log10(min(at, default=10.0))
    strip = [least - 0.3 - _STRIP * (1 - (i + 0.5) / uncounted) for i in range(uncounted)]
    return [*(10**place for place in strip), *at]


def _scales(data: Sequence[Row]) -> dict[str, tuple[float, float]]:
    at = [math.log10(r["at"]) for r in data]
    ends = min(r["low"] for r in data), max(r["high"] for r in data)
    margin = 0.08 * (ends[1] - ends[0] or 1)
    return {
        "at": (10 ** (min(at) - 0.15), 10 ** (max(at) + 0.15)),
        "accuracy": (ends[0] - margin, ends[1] + margin),
    }


def _decades(counted: Sequence[Row]) -> list[float]:
    """Return round numbers about the counted operations: powers of ten, or also 2 and 5 times."""
    if not counted:
        return []
    least, most = (math.log10(r["operations"]) for r in (counted[0], counted[-1]))
    powers = range(math.floor(least), math.ceil(most) + 1)
    ends = least - 0.1, most + 0.1
    # The coarsest steps that give two labels: one label alone shows no scale.
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        numbers = [step * 10.0**power for power, step in product(powers, steps)]
        numbers = [n for n in numbers if ends[0] <= math.log10(n) <= ends[1]]
        if len(numbers) > 1:
            break
    return numbers


def _names(
    data: Sequence[Row],
    scales: dict[str, tuple[float, float]],
    x: alt.X,
    size: tuple[float, float],
) -> list[alt.Chart]:
    """Write the names right of the plot, in the order of the points, each with a line to its own.

    A name is as high as its point, or as near as the other names let it.
    """
    (first, last), (low, high) = scales["at"], scales["accuracy"]
    width, height = size
    ordered = sorted(data, key=lambda row: -row["accuracy"])
    pixels = [height * (high - row["accuracy"]) / (high - low) for row in ordered]
    # A name is as high as its point but below the name before it, then the last ones move up into
    # the picture: in coordinates less the heights of the names above, both are running extremes.
    above = _LINE * np.arange(len(ordered))
    spaced = np.maximum.accumulate(pixels - above)
    spaced = np.minimum(spaced, height - above[-1]) + above
    margin = last * (last / first) ** (_GAP / width)
    rows = [
        {**row, "margin": margin, "height": high - pixel * (high - low) / height}
        for row, pixel in zip(ordered, spaced.tolist(), strict=True)
    ]
    base, at_name = chart_of(rows), {"x": alt.X("margin:Q"), "y": alt.Y("height:Q")}
    lines = base.mark_rule(color=FAINT, strokeWidth=1).encode(
        x=x, y=alt.Y("accuracy:Q"), x2=alt.X2("margin:Q"), y2=alt.Y2("height:Q")
    )
    names = base.mark_text(color=INK, fontSize=11, align="left", dx=3)
    return [lines, names.encode(**at_name, text=alt.Text("model:N"))]
