"""Predictions of two classes, and what every picture must keep."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
import vl_convert
from tests.evaluation.conftest import two_classes

from sequela.evaluation.predictions import Predictions
from sequela.figures.figure import Figure

LARGEST = 60_000  # bytes of an SVG
DRAW = vl_convert.vegalite_to_svg


@pytest.fixture(autouse=True)
def drawn_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the fixture ``drawings``: here, the drawing is what is tested."""
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", DRAW)


def _make(*, n_examples: int = 400, per_group: int = 2, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    label = (rng.random(n_examples) < 0.2).astype(np.int64)
    risk = 1 / (1 + np.exp(1.5 - label - rng.normal(size=n_examples)))
    group = np.arange(n_examples) // per_group
    return two_classes(risk, label, group, classes=("alive", "died"))


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    """A factory."""
    return _make


def _check(figure: Figure) -> list[str]:
    figure.chart.to_dict()  # raises an error where Vega-Lite's schema does not allow something
    svg = figure.svg("one")
    assert len(svg.encode()) < LARGEST
    root = ET.fromstring(svg)  # noqa: S314 - drawn here, not received
    assert root.get("role") == "img"
    assert root.get("aria-label") == figure.alt
    assert all(e.get("id", "one-").startswith("one-") for e in root.iter())
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    assert not re.search(r"https?:|href|url\((?!#one-)|<script|<image", outside)
    # Colours are the page's: none of its own, but as what stands in for a variable.
    assert not re.search(r'="#[0-9a-f]{3,8}"', svg)
    assert figure.frame().num_rows == len(figure.rows)
    return [e.text for e in root.iter() if e.text and not e.tag.endswith("title")]


@pytest.fixture
def checked() -> Callable[[Figure], list[str]]:
    """Checks what holds for every picture, and gives its texts."""
    return _check
