"""The notebooks run from top to bottom, and are stored without what they printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.docs.conftest import DOCS

NOTEBOOKS = DOCS / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def code(name: str) -> list[str]:
    cells = json.loads((NOTEBOOKS / name).read_text("utf-8"))["cells"]
    found = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in found)
    return ["".join(cell["source"]) for cell in found]


@pytest.mark.slow(but="count-a-model.ipynb")
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for cell in code(name):
        exec(cell, names)  # noqa: S102 - our own notebook
    if name == "what-a-leak-is-worth.ipynb":
        assert names["gain"] > 0  # as its text says
    if name == "count-a-model.ipynb":
        assert "operations without a counting rule: aten::linalg_inv" in capsys.readouterr().out
