import re
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from sequela.cohort.flow import Flow
from sequela.errors import DataError, SettingError
from sequela.evaluation.predictions import Predictions
from sequela.figures.flow import SplitSet, cohort_flow, css

FLOW = Flow.of(
    "hospital stays",
    {
        "minor": ("younger than 18 & <admitted>", 1_100, 7),
        "donor": ("admitted as a donor", 0, 0),
    },
    counts=(400, 200, 80),
    notes=("Ages above 89 count as 90.",),
)
PARTS = (
    SplitSet("train", 240, 120, 48),
    SplitSet("tuning", 80, 40, 16),
    SplitSet("held_out", 80, 40, 16),
)


def test_each_step_and_part_stands_in_the_diagram() -> None:
    diagram = cohort_flow(FLOW, PARTS, event="died in this stay")
    text = re.sub(r"<[^>]+>", "", diagram.html())
    for shown in (
        "1,500 hospital stays",
        "\N{MINUS SIGN}1,100 minor: younger than 18 &amp; &lt;admitted&gt;",
        "&lt;admitted&gt; (died in this stay: 7) 400 left",
        "0 donor: admitted as a donor 400 left",
        "400 examples of 200 subjects; died in this stay: 80 (20.0 %)",
        "240 examples, 120 subjects",
        "Ages above 89 count as 90.",
    ):
        assert shown in text
    assert "\N{MINUS SIGN}0" not in text
    assert [row["left"] for row in diagram.rows] == [1_500, 400, 400, 400, 240, 80, 80]
    assert "1,100 removed: minor (400 left)" in diagram.alt
    assert "test set: 80 examples, 40 subjects, 16 with the event" in diagram.alt


def test_every_class_of_the_diagram_has_a_style_and_no_link() -> None:
    html = cohort_flow(FLOW, PARTS, event="died").html()
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    assert {f".{name}" for name in used} <= set(re.findall(r"\.[a-z][a-z-]*", css()))
    assert "url(" not in css()
    assert "http" not in html


def test_parts_are_counted_from_predictions(make_predictions: Callable[..., Predictions]) -> None:
    predictions = make_predictions(n_examples=10)
    part = np.array(["train"] * 4 + ["tuning"] * 2 + ["held_out"] * 4)
    predictions = replace(predictions, split=part, label=np.array([1, 0, 0, 1, 0, 0, 1, 0, 0, 0]))
    expected = [
        SplitSet("train", 4, 2, 2),
        SplitSet("tuning", 2, 1, 0),
        SplitSet("held_out", 4, 2, 1),
    ]
    assert SplitSet.of(predictions) == expected
    nobody = replace(predictions, subject_id=np.full(10, ""))
    assert SplitSet.of(nobody) == expected
    with pytest.raises(DataError, match="3 classes"):
        SplitSet.of(
            replace(predictions, classes=("a", "b", "c"), probabilities=np.full((10, 3), 1 / 3))
        )


@pytest.mark.parametrize("count", ["examples", "positives"])
def test_parts_of_another_cohort_are_refused(count: str) -> None:
    counts = {**asdict(PARTS[0]), count: 30}
    other = SplitSet(**counts)
    with pytest.raises(SettingError, match=f"{count}, the cohort's flow leaves"):
        cohort_flow(FLOW, (other, *PARTS[1:]), event="died")


def test_an_empty_cohort_has_no_share() -> None:
    empty = Flow.of("hospital stays", {"minor": ("younger than 18", 3, 0)}, counts=(0, 0, 0))
    assert "%" not in cohort_flow(empty, event="died").html()
