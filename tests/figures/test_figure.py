"""A figure in each form it can be had in."""

import base64
import json
import re
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import vl_convert

from sequela.errors import SettingError
from sequela.figures.figure import FIRST, PAPER, THIRD, Figure
from sequela.figures.marks import haloed

ROWS: list[dict[str, Any]] = [{"x": 1, "y": 2.123456}, {"x": 3, "y": 4.5, "name": "<b>"}]


@pytest.fixture
def figure() -> Figure:
    points = alt.Chart({"values": ROWS}).mark_point(color=FIRST).encode(x="x:Q", y="y:Q")
    line = alt.Chart({"values": ROWS}).mark_line(color=THIRD).encode(x="x:Q", y="y:Q")
    return Figure(chart=points + line, alt='Two points, y < "x" & y > 0.', rows=ROWS)


def size(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_the_table_has_each_column(figure: Figure) -> None:
    assert figure.frame().to_pydict() == {"x": [1, 3], "y": [2.123456, 4.5], "name": [None, "<b>"]}


@pytest.mark.parametrize("value", [np.float32(1.5), np.int64(3), np.bool_(1), date(2026, 1, 2)])
def test_values_of_other_types_are_drawn(value: Any) -> None:
    chart = alt.Chart({"values": [{"x": 1, "y": value}]}).mark_point().encode(x="x:Q", y="y:O")
    drawn = Figure(alt.LayerChart(layer=[chart]), "A point.", [])
    assert str(value).lower() in drawn.svg("point").lower()
    assert json.dumps(drawn.vega_lite())


def test_the_png_has_a_size_by_scale(figure: Figure) -> None:
    one, two, three = (size(figure.png(scale)) for scale in (1, 2, 3))
    assert size(figure.png()) == two
    assert two == pytest.approx((2 * one[0], 2 * one[1]), abs=2)
    assert three == pytest.approx((3 * one[0], 3 * one[1]), abs=3)


def test_a_text_with_a_ground_stands_in_the_svg_once() -> None:
    named = haloed([{"text": "one <model>", "x": 1, "y": 2}], {"x": "x:Q", "y": "y:Q"})
    drawn = Figure(chart=named, alt="A name.", rows=[]).svg("named")
    assert drawn.count("one &lt;model&gt;") == 1
    assert 'stroke="var(--paper)"' in drawn
    assert 'paint-order="stroke"' in drawn
    ET.fromstring(drawn)  # noqa: S314 - drawn here, not received


def test_the_specification_draws_by_itself(figure: Figure) -> None:
    specification = json.loads(json.dumps(figure.vega_lite()))
    assert specification["description"] == figure.alt
    assert specification["config"]["background"] == PAPER
    assert specification["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    drawn = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    assert drawn.count("<path") > 3


def test_the_page_s_colours_and_the_words_are_in_the_svg(figure: Figure) -> None:
    svg = figure.svg("name")
    assert '"var(--first)"' in svg
    assert f'"var(--third, {THIRD})"' in svg
    root = ET.fromstring(svg)  # noqa: S314 - drawn here, not received
    assert root.get("aria-label") == figure.alt
    assert not re.search(r"\d\.\d{3}", " ".join(re.findall(r'(?:d|transform)="[^"]*"', svg)))


def test_a_picture_drawn_again_has_the_same_bytes() -> None:
    """Although Vega counts the ids of clipped marks on from picture to picture."""
    line = alt.Chart({"values": ROWS}).mark_line(clip=True).encode(x="x:Q", y="y:Q")
    clipped = Figure(alt.LayerChart(layer=[line]), "A line.", ROWS)
    first, second = (vl_convert.vegalite_to_svg(clipped.vega_lite()) for _ in range(2))
    assert first != second
    assert clipped.svg("name") == clipped.svg("name")


@pytest.mark.parametrize("name", ["a.svg", "folder/a.SVG"])
def test_a_saved_svg_needs_no_page(figure: Figure, tmp_path: Path, name: str) -> None:
    saved = figure.save(tmp_path / name).read_text("utf-8")
    assert "var(" not in saved
    assert FIRST in saved
    assert PAPER in saved
    root = ET.fromstring(saved)  # noqa: S314 - drawn here, not received
    assert root.get("aria-label") == figure.alt


def test_saved_in_each_form_and_read_back(figure: Figure, tmp_path: Path) -> None:
    assert figure.save(tmp_path / "a.png").read_bytes() == figure.png()
    specification = json.loads(figure.save(str(tmp_path / "a.json")).read_text("utf-8"))
    assert specification == figure.vega_lite()
    assert pq.read_table(figure.save(tmp_path / "a.parquet")) == figure.frame()
    table: pa.Table = pa_csv.read_csv(figure.save(tmp_path / "a.csv"))
    assert table["y"].to_pylist() == [2.123456, 4.5]


@pytest.mark.parametrize("name", ["a.pdf", "a", ".svg"])
def test_another_suffix_is_refused(figure: Figure, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=r"expected one of \.svg, \.png, \.json, \.csv"):
        figure.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_notebook_gets_picture_and_words(figure: Figure) -> None:
    bundle = figure._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == figure.alt
    assert base64.b64decode(bundle["image/png"]) == figure.png()
    assert "var(" not in bundle["text/html"]
    assert "<figure><svg" in bundle["text/html"]
