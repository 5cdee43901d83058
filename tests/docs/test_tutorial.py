"""The tutorial's code runs, from top to bottom, and prints what the page says it prints."""

import re
from pathlib import Path
from typing import Any

import pytest

import sequela
from sequela.api.evaluation import Evaluation

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(python|text)\n(?!>>>)(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+")


@pytest.mark.slow
def test_the_tutorial(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    printed = ""
    for kind, text in blocks:
        if kind == "python":
            exec(text, names)  # noqa: S102 - our own page
            printed = capsys.readouterr().out
        else:
            assert NUMBER.sub("0.0", text) == NUMBER.sub("0.0", printed)
            for shown, seen in zip(NUMBER.findall(text), NUMBER.findall(printed), strict=True):
                assert float(seen) == pytest.approx(float(shown), abs=0.2)
    first = blocks[0][1]
    assert len([line for line in first.splitlines() if line]) <= 10
    found = names["found"]
    assert isinstance(found, Evaluation)
    assert found.numbers["accuracy"] > 0.6
    assert isinstance(names["again"], sequela.SignalClassifier)


def test_the_readme_shows_the_same_lines() -> None:
    shown, walked = (
        [line.split("  #")[0] for line in BLOCK.findall(text)[0][1].splitlines() if line]
        for text in (README.read_text("utf-8"), PAGE.read_text("utf-8"))
    )
    assert shown == walked
