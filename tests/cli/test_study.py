"""The table at the end of ``sequela reproduce``."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.cli.calls import ran

from sequela.cli.commands.study import say_studies
from sequela.runs.find import named_runs

MODELS = ("mlp-baseline", "mlp-improved", "majority-class")


@pytest.fixture(scope="module")
def runs(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models by recording, one of them by row too."""
    out = tmp_path_factory.mktemp("runs")
    more: list[str | Path] = ["--data", "bonn", "--root", synthetic, "--epochs", "1"]
    for model in MODELS:
        ran("train", model, *more, "--out", out / model)
    ran("train", MODELS[0], *more, "--split", "row", "--out", out / "by-row")
    return [out / name for name in (*MODELS, "by-row")]


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_answers_the_question(runs: list[Path], width: int) -> None:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True, highlight=False)
    found = named_runs(runs)
    say_studies(console, found)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[1].startswith("bonn by session, test set of 230 examples of 10 sessions")
    assert lines[2].split("  ")[0] == "model"
    assert lines[2].split()[-2:] == ["operations", "leaking"]
    baseline, improved, majority = lines[3:6]
    test = found[0].test
    low, high = test["accuracy_ci"]
    number = f"{test['accuracy']:.3f} ({low:.3f} to {high:.3f})"
    leak = f"{found[3].test['accuracy']:.3f}"
    assert baseline.startswith(f"mlp-baseline    {number}  0.25")
    assert baseline.split()[-2:] == ["5,920", leak]
    assert "0.65" in improved
    assert improved.split()[-1].replace(",", "").isdigit()
    assert majority.split()[0] == "majority-class"
    assert lines[6].startswith("MLP improved is ")
    assert "MLP baseline, its baseline: " in lines[6]
    assert lines[6].endswith("times its operations.")
    assert all(len(line) <= 80 for line in lines[1:6])
