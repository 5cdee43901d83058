"""The base installation, without torch: baseline models are trained, evaluated and used."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

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
"""
"""Runs commands, one a line, in a process that finds no torch; a status and the command follow."""
NETWORK = "train gru-improved --data bonn --root nowhere --out run"
EXPORT = "export {at}/a --out a.onnx"
TRY = "try --out first"
"""Trains the model of signals/a, and writes its page."""
OF_DATA = """train {other} {data} --out {at}/b
ensemble {at}/a {at}/b --out {at}/c
report {at}/a {at}/b --out {at}/page.html
card {at}/a --out {at}/card.md
audit {at}/a
predict {at}/a {data} --out {at}/a.parquet
predict {at}/c {data} --out {at}/c.parquet"""
"""What differs between signals and records."""
OF_RUNS = """evaluate signals/a
compare signals/a signals/b
verify signals/c
share signals/a --out signals/shared
cost signals/a"""
"""What reads the files of a run, whatever its data."""


# CI runs the first case in environments that have no torch; serving has a usual test without.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["signals", "records"])
def finished(
    request: pytest.FixtureRequest,
    synthetic: Path,
    excerpt_events: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """The folder of runs of baseline models, and what the process wrote to standard error."""
    folder, records = tmp_path_factory.mktemp("without-torch"), excerpt_events("mimic3")
    (folder / "data").mkdir()
    (folder / "data" / "bonn").symlink_to(synthetic)
    (folder / request.param).mkdir()
    if request.param == "signals":
        (folder / "signals" / "a").symlink_to("../first/spectral-logistic-regression")
        other, data, first = "majority-class", f"--data bonn --root {synthetic}", TRY
    else:
        other, data = "logistic-regression", f"--data mimic3 --root {records}"
        first = f"train boosting {data} --out records/a"
    of_data = OF_DATA.format(at=request.param, other=other, data=data)
    of_runs = OF_RUNS.splitlines() if request.param == "signals" else []
    export = EXPORT.format(at=request.param)
    lines = [NETWORK, first, *of_data.splitlines(), *of_runs, export]
    command = [sys.executable, "-c", ABSENT, "\n".join(lines)]
    environment = {**os.environ, "SEQUELA_DATA": str(folder / "data")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    ended = [line for line in done.stdout.splitlines() if line[:3] in ("0: ", "1: ", "2: ")]
    good = [f"0: {line}" for line in lines[1:-1]]
    assert ended == [f"2: {NETWORK}", *good, f"2: {export}"], done.stderr[-1000:]
    return folder / request.param, done.stderr


@pytest.fixture
def place(finished: tuple[Path, str]) -> Path:
    """Two runs of baseline models, an ensemble, and all that is made from them."""
    return finished[0]


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


def test_a_network_names_the_extra_before_data_are_read(finished: tuple[Path, str]) -> None:
    folder, errors = finished
    line, _ = errors.splitlines()
    assert line.startswith("sequela: error: reading or training a network needs an extra")
    assert "'sequela[train]'" in line
    assert "baseline models need no extra" in line
    assert not (folder.parent / "run").exists()


def test_an_export_of_a_baseline_model_is_refused_without_an_extra(
    finished: tuple[Path, str],
) -> None:
    folder, errors = finished
    model = {"signals": "spectral-logistic-regression", "records": "boosting"}[folder.name]
    said = f"sequela: error: {folder.name}/a has the baseline model {model}, but"
    assert errors.splitlines()[1].startswith(said)
    assert not (folder.parent / "a.onnx").exists()
