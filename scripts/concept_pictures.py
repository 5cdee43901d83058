"""The pictures of the concepts in ``docs`` and of the house in ``CONTRIBUTING.md``.

    python scripts/concept_pictures.py

The picture of splits is of the Bonn recordings in the package; those of time and of verdicts are
made up, as their pages say. The house is drawn from the layers in ``pyproject.toml``.
"""

import importlib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

import sequela
from sequela.cohort.split import draw
from sequela.datasets.catalog import EXCERPTS
from sequela.figures.figure import FAINT, FIRST, INK, PAPER, SECOND, THIRD, Figure

if TYPE_CHECKING:
    from sequela.config import SplitUnit

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
RECORDINGS = 16
PARTS = {"training set": FIRST, "validation set": THIRD, "test set": SECOND}

Rows = list[dict[str, Any]]


def base(rows: Rows) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))


def colours(of: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(of), range=list(of.values()))
    return alt.Color("kind:N", title=None, scale=scale, legend=alt.Legend(orient="top"))


def time() -> Figure:
    """When the facts of a stay happened, and when they were known."""
    asked = 48
    facts = [
        ("admission", 0, 0),
        ("laboratory value, first day", 6, 8),
        ("heart rate", 30, 30),
        ("laboratory value, second day", 44, 52),
        ("discharge", 96, 96),
        ("diagnosis codes of the stay", 0, 96),
    ]
    may, must_not = "may be read", "must not be read"
    rows: Rows = [
        {"fact": fact, "from": begin, "known": known, "kind": may if known <= asked else must_not}
        for fact, begin, known in facts
    ]
    y_axis = alt.Axis(minExtent=190)  # the browser's font may be wider than that of the drawing
    y = alt.Y("fact:N", title=None, axis=y_axis, sort=[fact for fact, _, _ in facts])
    x_axis = alt.Axis(values=[0, 24, 48, 72, 96], tickCount=5)
    x = alt.X("from:Q", title="hours since admission", axis=x_axis)
    colour = colours({may: FIRST, must_not: SECOND})
    lines = base(rows).mark_rule(strokeWidth=2).encode(y=y, x=x, x2="known:Q", color=colour)
    points = base(rows).mark_point(filled=True, size=90, opacity=1)
    shapes = alt.Scale(domain=[may, must_not], range=["circle", "diamond"])
    points = points.encode(
        y=y, x="known:Q", color=colour, shape=alt.Shape("kind:N", scale=shapes, legend=None)
    )
    at: Rows = [{"x": asked, "text": "prediction"}]
    rule = base(at).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="x:Q")
    word = base(at).mark_text(align="left", dx=4, baseline="top")
    word = word.encode(x="x:Q", y=alt.value(2), text="text:N")
    chart = alt.LayerChart(layer=[rule, word, lines, points]).properties(width=480, height=190)
    told = "; ".join(f"{r['fact']}: known at {r['known']} h, {r['kind']}" for r in rows)
    return Figure(chart, f"A stay with a prediction at {asked} hours. {told}.", rows)


def splits() -> Figure:
    """The same recordings split by recording and by row."""
    data = sequela.load("bonn", root=EXCERPTS / "bonn.parquet")
    ways: dict[SplitUnit, str] = {"recording": "by recording", "row": "by row: leaks"}
    shown = np.unique(data.segments.recording_id)[::25][:RECORDINGS].tolist()
    rows: Rows = []
    for by, title in ways.items():
        _, parts = draw(label=data.label, ids=data.ids(), unit=by, seed=0)
        for segment, part in zip(data.segments.segment_id.tolist(), parts.tolist(), strict=True):
            recording, _, second = segment.partition("/")
            if recording in shown:
                place, kind = shown.index(recording), list(PARTS)[part]
                rows.append({"way": title, "recording": place, "second": int(second), "kind": kind})
    y = alt.Y("recording:O", title="recording", axis=alt.Axis(labels=False, ticks=False))
    x_axis = alt.Axis(values=[1, 5, 10, 15, 20], labelAngle=0)
    x = alt.X("second:O", axis=x_axis, title="second of the recording")
    squares = base(rows).mark_rect(stroke=PAPER).encode(x=x, y=y, color=colours(PARTS))
    chart = squares.properties(width=276, height=192).facet(
        alt.Column("way:N", title=None, sort=list(ways.values()))
    )
    text = f"{len(shown)} recordings, split by recording and by row."
    return Figure(chart, text, rows)


def verdicts() -> Figure:
    """Four intervals against a claim."""
    claimed, margin = 70, 5
    measured = [
        ("supported", 71, 68, 74),
        ("contradicted", 60, 57, 63),
        ("open", 73, 69, 77),
        ("open", 70, 61, 79),
    ]
    rows: Rows = [
        {"place": place, "kind": kind, "value": value, "low": low, "high": high}
        for place, (kind, value, low, high) in enumerate(measured)
    ]
    band: Rows = [{"from": claimed - margin, "to": claimed + margin}]
    ground = base(band).mark_rect(color=FAINT, opacity=0.35)
    ground = ground.encode(
        x=alt.X(
            "from:Q",
            title="accuracy in %",
            axis=alt.Axis(tickCount=8),
            scale=alt.Scale(domain=[50, 85]),
        ),
        x2="to:Q",
    )
    y = alt.Y("place:O", axis=None)
    marks = base(rows).encode(y=y)
    lines = marks.mark_rule(color=FIRST, strokeWidth=2).encode(x="low:Q", x2="high:Q")
    points = marks.mark_point(filled=True, color=FIRST, size=80, opacity=1).encode(x="value:Q")
    words = marks.mark_text(align="left", dx=10, fontSize=12).encode(x="high:Q", text="kind:N")
    middle: Rows = [{"x": claimed, "text": "claimed: 70 %, within 5 points"}]
    word = base(middle).mark_text(baseline="bottom", fontSize=12)
    word = word.encode(x="x:Q", y=alt.value(-4), text="text:N")
    layers = [ground, lines, points, words, word]
    chart = alt.LayerChart(layer=layers).properties(width=480, height=150)
    told = "; ".join(f"{r['value']} % ({r['low']} to {r['high']}): {r['kind']}" for r in rows)
    return Figure(chart, f"Claimed: {claimed} %, within {margin} points. {told}.", rows)


def layers() -> list[list[str]]:
    """The rooms of the package, those that may import the most first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    rooms: list[str] = contract["layers"]
    return [re.findall(r"\w+", line) for line in rooms]


def house() -> Figure:
    """The rooms of the package by layer, each with the first line of what it says of itself."""
    rows: Rows = []
    for storey, layer in enumerate(layers()):
        for room in layer:
            try:
                said = importlib.import_module(f"sequela.{room}").__doc__ or ""
            except ModuleNotFoundError:
                continue  # a room in brackets need not exist
            line = said.partition("\n")[0].rstrip(".").replace("`", "")
            rows.append({"place": len(rows), "room": room, "line": line, "even": storey % 2 == 0})
    order = [row["place"] for row in rows]
    y = alt.Y("place:O", sort=order, axis=None, scale=alt.Scale(paddingInner=0))
    boxes = base(rows).mark_rect(color=FIRST)
    boxes = boxes.encode(
        y=y,
        x=alt.value(0),
        x2=alt.value(720),
        opacity=alt.condition("datum.even", alt.value(0.2), alt.value(0.08)),
    )
    names = base(rows).mark_text(align="left", fontSize=12, fontWeight="bold")
    names = names.encode(y=y, x=alt.value(8), text="room:N")
    lines = base(rows).mark_text(align="left", fontSize=12)
    lines = lines.encode(y=y, x=alt.value(100), text="line:N")
    chart = alt.LayerChart(layer=[boxes, names, lines])
    chart = chart.properties(width=720, height=22 * len(rows))
    told = "; ".join(f"{row['room']}: {row['line']}" for row in rows)
    return Figure(chart, f"The rooms of the package. {told}.", rows)


DRAWN = {"concept-time": time, "concept-splits": splits, "concept-verdicts": verdicts,
         "house": house}  # fmt: skip


def main() -> None:
    for name, draws in DRAWN.items():
        print(f"written: {draws().save(PICTURES / f'{name}.svg')}")


if __name__ == "__main__":
    main()
