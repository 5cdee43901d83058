"""What `import sequela` offers, and that it loads nothing before it is asked for."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran

import sequela
from sequela.errors import SettingError, UnknownNameError


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


@pytest.mark.slow
def test_the_functions_do_what_the_commands_do(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"root": synthetic, "epochs": 2, "split": "recording"}
    runs = [
        sequela.train(
            "mlp-baseline", "bonn", out=tmp_path / str(seed), seed=seed, split_seed=0, **settings
        )
        for seed in (0, 1)
    ]
    options = ["--root", str(synthetic), "--epochs", "2", "--split", "recording"]
    ran(
        "train",
        "mlp-baseline",
        "--data",
        "bonn",
        "--out",
        tmp_path / "by command",
        *options,
        "--split-seed",
        "0",
    )
    ours, theirs = ((tmp_path / name / "predictions.parquet") for name in ("0", "by command"))
    assert ours.read_bytes() == theirs.read_bytes()

    found = sequela.compare(*runs, out=tmp_path / "compared.html")
    ran("compare", *(run.path for run in runs), "--json", "--out", tmp_path / "compared too.html")
    printed = capsys.readouterr().out.split("page:")[0]
    assert json.loads(printed[printed.index("{\n") :])["runs"] == list(found.to_dict()["runs"])

    page = sequela.report(*(run.path for run in runs), out=tmp_path / "page.html")
    ran("report", *(run.path for run in runs), "--out", tmp_path / "page too.html")
    assert page.read_bytes() == (tmp_path / "page too.html").read_bytes()

    counted = sequela.predict(runs[0].path, synthetic, data="bonn", out=tmp_path / "said.parquet")
    ran(
        "predict", runs[0].path, synthetic, "--data", "bonn", "--out", tmp_path / "said too.parquet"
    )
    assert counted.report["scored"] == 1150
    assert pq.read_table(counted.out).equals(pq.read_table(tmp_path / "said too.parquet"))


def test_a_setting_that_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting 'epoch': did you mean 'epochs'"):
        sequela.train("mlp-baseline", "bonn", epoch=3)
    with pytest.raises(SettingError, match="--data is missing"):
        sequela.train("mlp-baseline")
