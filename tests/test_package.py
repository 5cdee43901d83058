"""What `import sequela` offers, and that it loads nothing before it is asked for."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sequela


def test_each_public_name_is_there_and_named_by_dir() -> None:
    for name in sequela.__all__:
        assert getattr(sequela, name).__doc__ or name == "__version__"
        assert name in dir(sequela)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="'sequela' has no attribute 'SingalClassifier'"):
        _ = sequela.SingalClassifier


def test_importing_loads_neither_torch_nor_scikit_learn() -> None:
    heavy = ["torch", "sklearn", "numpy", "pyarrow", "altair", "duckdb"]
    code = f"import sequela, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_place_names_the_same_version() -> None:
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    cited = re.search(r"^version: (.*)$", (root / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    listed = re.findall(r"^## (\d\S*)", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert cited
    assert {project["version"], cited[1], listed[0]} == {sequela.__version__}
