"""Texts of pictures, measured in a browser: none covers another one, or a point."""

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.evaluation.conftest import two_classes

from sequela.evaluation.curves import roc_curve
from sequela.evaluation.intervals import Bootstrap
from sequela.figures.figure import Figure
from sequela.figures.leak import leak
from sequela.figures.pareto import accuracy_against_operations
from sequela.figures.ranking import ranking

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHONE = 358
"""Pixels of a picture on a phone of 390 pixels."""
STUDY = (
    ("MLP baseline", 5920, 0.515, 0.447, 0.578),
    ("MLP improved", 487936, 0.608, 0.542, 0.668),
    ("CNN baseline", 263014, 0.628, 0.551, 0.695),
    ("CNN improved", 278822, 0.632, 0.548, 0.705),
    ("GRU baseline", 353312, 0.653, 0.572, 0.727),
    ("GRU improved", 3566896, 0.622, 0.54, 0.691),
    ("Most frequent class", 0, 0.166, 0.097, 0.263),
    ("Logistic regression", 2150, 0.222, 0.188, 0.257),
    ("Spectral logistic regression", 20431, 0.727, 0.657, 0.787),
    ("Spectral boosting", 26807, 0.709, 0.625, 0.777),
)
"""Models of the reproduced study on recordings: operations, and accuracy with its interval."""
MEASURE = """() => [...document.querySelectorAll('svg text, svg .mark-symbol path')]
    .map(e => [e.tagName, e.textContent, e.getBoundingClientRect()])
    .filter(([tag, text, box]) => box.width > 0 && (tag != 'text' || text.trim()))
    .map(([tag, text, b]) => [tag == 'text' ? text : '', b.left, b.top, b.right, b.bottom])"""
Boxes = list[tuple[str, float, float, float, float]]


def study(rows: int) -> list[dict[str, Any]]:
    """Return that many models: those of the study, then others as close to each other."""
    names = ("model", "operations", "accuracy", "low", "high")
    more = [(f"Another model {n}", None if n % 3 else 10 * n, 0.6, 0.5, 0.7) for n in range(10, 29)]
    return [dict(zip(names, row, strict=True)) for row in (*STUDY, *more)[:rows]]


def leaks(rows: int) -> Figure:
    return leak(
        [
            {"model": row["model"], "leak": kind, "difference": 0.1, "low": 0.0, "high": 0.2}
            for row in study(rows)
            for kind in ("by row", "by recording")
        ]
    )


def ranked(models: int) -> Figure:
    label = np.arange(80) % 3 == 0
    rng = np.random.default_rng(0)
    scores = [0.3 + 0.3 * label + 0.4 * rng.random(80) - 0.1 for _ in range(models)]
    curves = {
        f"Logistic regression {n}": roc_curve(
            two_classes(score, label), rng, Bootstrap(resamples=20)
        )
        for n, score in enumerate(scores)
    }
    return ranking(curves, event="death", chosen=dict.fromkeys(curves, 0.4))


DRAWN: dict[str, Callable[[int], Figure]] = {
    "operations": lambda rows: accuracy_against_operations(study(rows), width=PHONE),
    "leak": leaks,
    "ranking": ranked,
}


@pytest.mark.parametrize(
    ("name", "rows"),
    [(name, rows) for name in DRAWN for rows in (1, 2, 10, 19) if name != "ranking" or rows < 3],
)
def test_no_text_covers_a_text_or_a_point(browser: "Browser", name: str, rows: int) -> None:
    with browser.new_page(viewport={"width": 390, "height": 844}) as page:
        page.set_content(f"<body style='margin:16px'>{DRAWN[name](rows).svg('one')}</body>")
        boxes: Boxes = [*{tuple(box) for box in page.evaluate(MEASURE)}]  # a halo is the same text
    texts = [box for box in boxes if box[0]]
    assert len(texts) > 3
    if name != "differences":  # whose words are above the bars, and as wide as they need
        assert max(right for *_, right, _ in texts) <= 390
    points = [box for box in boxes if not box[0]]
    assert points
    for first, second in [*combinations(texts, 2), *((t, p) for t in texts for p in points)]:
        assert not overlap(first, second), (first, second)


def overlap(
    first: tuple[str, float, float, float, float], second: tuple[str, float, float, float, float]
) -> bool:
    """Return whether two boxes share more than a pixel in both directions."""
    _, left, top, right, bottom = first
    _, other_left, other_top, other_right, other_bottom = second
    across = min(right, other_right) - max(left, other_left)
    down = min(bottom, other_bottom) - max(top, other_top)
    return across > 1 and down > 3  # a line of text is higher than its letters
