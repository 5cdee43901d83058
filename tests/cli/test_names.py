"""Mistyped names: one line, before heavy modules are imported."""

import json
import subprocess
import sys
from typing import Any

import pytest

HEAVY = ("torch", "sklearn", "duckdb", "pyarrow", "scipy", "pandas", "polars", "meds")
CASES = [
    ("trian bonn", 'Did you mean "train"?'),
    ("train bonnn", "unknown model 'bonnn'"),
    ("train bonn", "bonn is a data set, not a model: name it with --data, as in `sequela t"),
    ("train mlp-baseline", "--data is missing"),
    ("train bonn --model spectral-mpl", "Unknown option: --model"),
    ("train", "MODEL is missing: name a model, or auto for the default of the data, and a"),
    ("train auto", "--data is missing: name a model, or auto for the default of the data, and"),
    ("train --resume --out run", "MODEL is missing: --resume continues a run by the whole command"),
    ("train auto --out run", "or --data table for a file with one row per patient"),
    ("train loogistic --data bonn", "did you mean 'logistic-regression'?"),
    ("train spectral-mpl --data bonn", "did you mean 'spectral-mlp'?"),
    ("train auto --data bonnn", "unknown data set 'bonnn': did you mean 'bonn'?"),
    ("tune auto --data bonnn --trials 2", "did you mean 'bonn'?"),
    ("cost nothing", "unknown model 'nothing'"),
    ("reproduce mortalty", "error: unknown study 'mortalty': did you mean 'mortality'?"),
    ("evaluate run --data bonnn", "error: unknown data set 'bonnn': did you mean 'bonn'?"),
    ("predict run x --data bonnn --out y.parquet", "did you mean 'bonn'?"),
    ("data check bonnn", "did you mean 'bonn'?"),
    ("data get bonnn", "did you mean 'bonn'?"),
    ("build omp --out x", "did you mean 'omop'?"),
]
COMMANDS = """
import contextlib, io, json, sys
from sequela.cli.app import main

ended = {}
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            main(arguments.split())
        except SystemExit as error:
            ended[arguments] = [error.code, said.getvalue(), sorted(sys.modules)]
json.dump(ended, sys.stdout)
"""
MISSPELT = "train auto --data signals --root s.csv --label z --samples X* --rate 64"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Status, standard error and imports of each command, all in one process of its own."""
    folder, names = tmp_path_factory.mktemp("names"), [*(f"X{n}" for n in range(1, 21)), "y"]
    rows = [",".join(["1.5"] * 20 + ["ab"[k % 2]]) for k in range(8)]
    (folder / "s.csv").write_text("\n".join([",".join(names), *rows]), "utf-8")
    given, command = json.dumps([*dict(CASES), MISSPELT]), [sys.executable, "-c", COMMANDS]
    done = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(("arguments", "message"), CASES)
def test_a_mistyped_name_loads_nothing_heavy(arguments: str, message: str, ended: Any) -> None:
    status, said, imported = ended[arguments]
    assert status == 2
    (line,) = said.splitlines()
    assert line.startswith("sequela: error: ")
    assert message in line
    assert not {*HEAVY} & {*imported}


def test_a_misspelt_column_is_found_before_torch_is_imported(ended: Any) -> None:
    status, said, imported = ended[MISSPELT]
    assert status == 2
    assert "no column 'z'" in said
    assert "torch" not in imported
