"""The commands of the page on tuning run, and leave what it says."""

import json
from pathlib import Path

import pytest
from tests.docs.conftest import DOCS
from tests.test_docs import call, commands

PAGE = DOCS / "models.md"


@pytest.mark.slow
def test_its_commands_run(here: Path) -> None:
    shown = [
        words
        for words in commands(PAGE, "Tuning")
        if "--out" in words or (words[:1] == ["evaluate"] and words[1:])
    ]
    assert [words[0] for words in shown] == ["tune", "evaluate", "tune"]
    for words in shown:
        fewer = {"--trials": "3", "--epochs": "1"}
        call([fewer.get(before, word) for before, word in zip(["", *words], words, strict=False)])
    searched = json.loads((here / "runs/mlp-searched/search.json").read_text("utf-8"))
    assert set(searched["space"]) == {"learning_rate", "hidden", "class_weights"}
    assert (here / "runs/mlp-tuned/search.html").exists()
