"""Mistyped names: one line, before heavy modules are imported."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "sklearn", "duckdb", "pyarrow", "scipy", "pandas", "polars", "meds")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trian bonn", 'Did you mean "train"?'),
        ("train bonnn", "unknown model 'bonnn'"),
        ("train bonn", "bonn is a data set, not a model: name it with --data, as in `sequela t"),
        ("train mlp-baseline", "--data is missing"),
        ("train bonn --model spectral-mpl", "Unknown option: --model"),
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
    ],
)
def test_a_mistyped_name_loads_nothing_heavy(arguments: str, message: str) -> None:
    code = (
        "import sys\nfrom sequela.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"finally:\n    print([name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("sequela: error: ")
    assert message in line
    assert done.stdout.strip() == "[]"
