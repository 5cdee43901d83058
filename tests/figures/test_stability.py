from collections.abc import Callable

import pytest

from sequela.figures.figure import Figure
from sequela.figures.stability import instability

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
