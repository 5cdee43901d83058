from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sequela.analysis.stability import Stability
from sequela.figures.figure import Figure
from sequela.figures.stability import instability
from sequela.report.sections.part import StudyPart
from sequela.report.sections.section import BLOCKS

BINS = [
    {"risk": 0.05, "low": 0.02, "middle": 0.06, "high": 0.11},
    {"risk": 0.3, "low": 0.18, "middle": 0.27, "high": 0.42},
]


@pytest.mark.parametrize("bins", [BINS, BINS[:1], BINS[:1] * 2])
def test_the_picture_holds_its_bins(
    bins: list[dict[str, float]], checked: Callable[[Figure], list[str]]
) -> None:
    figure = instability(bins)
    assert figure.rows == bins
    texts = checked(figure)
    assert {"no change", "risk: model", "risk: refits"} <= set(texts)
    assert figure.alt.startswith(
        "Risk, with the middle 95 % of refits: 5.0% by the model, 6.0% (2.0% to"
    )
    assert f"{100 * (0.5 if len(bins) > 1 and bins[1]['risk'] > 0.2 else 0.2):.0f}%" in texts


def test_the_page_shows_it_for_a_model_that_was_refitted() -> None:
    content = {"source": "refits", "models": 200, "difference": 0.02, "changed": 0.1, "bins": BINS}
    entry = SimpleNamespace(members=[], stability=[Stability.model_validate(content)])
    part: Any = SimpleNamespace(entry=entry, study=SimpleNamespace(name="mortality"))
    draw: Any = StudyPart.stability.fget  # type: ignore[attr-defined]
    shown = draw(part)
    assert shown.name == "mortality-stability"
    assert "no change" in shown.drawing
    assert "0.05,0.02,0.06,0.11" in shown.data
    (block,) = (block for block in BLOCKS if block.name == "stability")
    assert block.show(part) is part
    entry.members = ["of an ensemble"]
    assert not block.show(part)
    entry.stability = []
    assert draw(part) is None
