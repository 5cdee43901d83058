import re
from dataclasses import asdict

import pytest

from sequela.cohort.flow import Flow
from sequela.errors import SettingError
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


def test_every_class_of_the_diagram_has_a_style_and_no_link() -> None:
    html = cohort_flow(FLOW, PARTS, event="died").html()
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    assert {f".{name}" for name in used} <= set(re.findall(r"\.[a-z][a-z-]*", css()))
    assert "url(" not in css()
    assert "http" not in html


@pytest.mark.parametrize("count", ["examples", "positives"])
def test_parts_of_another_cohort_are_refused(count: str) -> None:
    counts = {**asdict(PARTS[0]), count: 30}
    other = SplitSet(**counts)
    with pytest.raises(SettingError, match=f"{count}, the cohort's flow leaves"):
        cohort_flow(FLOW, (other, *PARTS[1:]), event="died")


def test_an_empty_cohort_has_no_share() -> None:
    empty = Flow.of("hospital stays", {"minor": ("younger than 18", 3, 0)}, counts=(0, 0, 0))
    assert "%" not in cohort_flow(empty, event="died").html()
