"""The commands of docs/one-row.md run as it says."""

import re
import runpy
from pathlib import Path

import pytest
from tests.docs.conftest import DOCS, run

TEXT = (DOCS / "one-row.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = blocks("python")
    (here / "make.py").write_text(script, "utf-8")
    runpy.run_path("make.py")
    training, predicting = blocks("sh")
    run(training)
    printed = capsys.readouterr().out
    command = training.splitlines()[1].partition(" --out")[0]
    assert f"\n{command}\n" in printed  # as describe proposes it
    assert "not read: remark (nearly all texts differ, as in free text or ids)" in printed
    run(predicting)
    assert (here / "predicted.csv").read_text("utf-8").count("\n") == 401
