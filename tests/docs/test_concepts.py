"""The committed pictures of the concepts and of the house are those of the script."""

import html

import pytest
from scripts import concept_pictures


@pytest.mark.parametrize("name", ["concept-time", "concept-verdicts", "house"])
def test_the_picture_is_that_of_the_script(name: str) -> None:
    said = (concept_pictures.PICTURES / f"{name}.svg").read_text("utf-8")
    figure = concept_pictures.DRAWN[name]()
    assert html.escape(figure.alt) in said, "run python scripts/concept_pictures.py"


def test_the_picture_of_splits_is_that_of_the_split() -> None:
    figure = concept_pictures.splits()
    kinds: dict[tuple[str, int], set[str]] = {}
    for row in figure.rows:
        kinds.setdefault((row["way"], row["recording"]), set()).add(row["kind"])
    assert all(len(some) == 1 for (way, _), some in kinds.items() if way == "by recording")
    assert all(len(some) > 1 for (way, _), some in kinds.items() if way != "by recording")
    said = (concept_pictures.PICTURES / "concept-splits.svg").read_text("utf-8")
    for kind, colour in concept_pictures.PARTS.items():
        drawn = said.count(f'fill="{colour}"') - 1  # one stands in the legend
        assert drawn == sum(row["kind"] == kind for row in figure.rows), kind
