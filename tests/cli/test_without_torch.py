"""The base installation, without torch: baseline models are trained, evaluated and used."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sequela.datasets.catalog import EXCERPTS
from sequela.evaluation.predictions import Predictions

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "accelerate", "onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from sequela.cli.app import main
for line in sys.argv[1].splitlines():
    try:
        main(line.split())
    except SystemExit as ended:
        print(f"{ended.code}: {line}")
        if ended.code:
            break
"""
"""Runs commands, one a line, in a process that finds no torch; a status and the command follow."""
COMMANDS = """train {model} {data} --out a
train {other} {data} --out b
evaluate a
compare a b
ensemble a b --out c
report a b --out page.html
card a --out card.md
verify a
verify c {root}
share a --out shared
audit a
cost a
predict a {data} --out a.parquet
predict c {data} --out c.parquet"""


def run(lines: str, place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ABSENT, lines]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=["signals", "records"])
def place(request: pytest.FixtureRequest, synthetic: Path, tmp_path_factory: object) -> Path:
    """Two runs of baseline models, an ensemble, and all that is made from them."""
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    models, name, root = {
        "signals": (("majority-class", "spectral-logistic-regression"), "bonn", synthetic),
        "records": (("logistic-regression", "boosting"), "mimic3", EXCERPTS / "mimic3"),
    }[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    said = {"model": models[1], "other": models[0], "root": f"--root {root}"}
    lines = COMMANDS.format(data=f"--data {name} --root {root}", **said)
    done = run(lines, folder)
    ended = [line for line in done.stdout.splitlines() if line[:3] in ("0: ", "2: ")]
    assert ended == [f"0: {line}" for line in lines.splitlines()], done.stderr[-1000:]
    return folder


def test_it_predicts_what_its_run_did(place: Path) -> None:
    for run_name in "ac":
        of_run = Predictions.read(place / run_name / "predictions.parquet")
        table = pq.read_table(place / f"{run_name}.parquet").to_pydict()
        columns = [values for name, values in table.items() if name.startswith("p_")]
        found = dict(zip(table["id"], zip(*columns, strict=True), strict=True))
        assert set(found) == set(of_run.example_id.tolist())
        for id_, chances in zip(of_run.example_id.tolist(), of_run.probabilities, strict=True):
            assert found[id_] == pytest.approx(chances.tolist(), abs=1e-6)


def test_the_environment_names_no_torch(place: Path) -> None:
    assert "torch None" not in (place / "card.md").read_text("utf-8")


def test_a_network_names_the_extra_before_data_are_read(tmp_path: Path) -> None:
    done = run("train gru-improved --data bonn --root nowhere --out run", tmp_path)
    (line,) = done.stderr.splitlines()
    assert line.startswith("sequela: error: reading or training a network needs an extra")
    assert "'sequela[train]'" in line
    assert "baseline models need no extra" in line
    assert not (tmp_path / "run").exists()
