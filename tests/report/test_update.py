"""A model that is adapted to another hospital, from the command to page and card."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran, refusal
from tests.conftest import Once, meds
from tests.report.hospitals import hospital
from tests.runs.folders import edit

from sequela.analysis.evaluate import evaluate_run
from sequela.evaluation.predictions import Predictions
from sequela.integrity.openings import LEDGER
from sequela.integrity.verify import verify, verify_run
from sequela.report.card import build_card
from sequela.report.commands import commands
from sequela.report.entry import Entry
from sequela.report.pages.build import build
from sequela.report.share import share
from sequela.runs.folder import UNCHANGED, RunFolder
from sequela.runs.manifest import seal
from sequela.runs.model import open_model
from sequela.serving import load
from sequela.serving.export import write_export

FORM = "--id name --subject subject --label label --samples X* --rate 64 --unit uV"
SAMPLES = ",".join(f"X{n}" for n in range(64))


@pytest.fixture(scope="module")
def updated(run: Path, places: dict[str, Path], once: Once) -> RunFolder:
    at = (home, *form, "--epochs", "4", "--out", tmp_path / "net")
    ran("train", "mlp-baseline", *data, *at)
    ran("update", tmp_path / "net", *data, away, "--out", tmp_path / "here")
    made = RunFolder(tmp_path / "here")
    record = made.metrics.update
    assert record is not None
    assert (record.patients, record.events, record.needed) == (36, 12, {"vector scaling": 50})
    assert not made.metrics.leaks
    # The file has the same probabilities as the run.
    assert "differ by" in write_export(made.path, tmp_path / "here.onnx")[0]
    numbers = evaluate_run(made.path, data="signals", root=home)
    assert numbers["subjects_set_aside_as_trained_or_tuned_on"] == 48


def only_seen(run: Path, root: Path, out: Path) -> Path:
    """Copy the records of the patients of a run's training set."""
    predictions = RunFolder(run).predictions
    ids = np.unique(predictions.part("train").subject_id).astype(np.int64)
    shutil.copytree(root, out)
    for path in out.rglob("*.parquet"):
        table = pq.read_table(path)
        if "subject_id" in table.column_names:
            pq.write_table(table.filter(pc.is_in(table["subject_id"], pa.array(ids))), path)
    return out


def test_mistakes_get_one_line(
    run: Path, places: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, damaged = tmp_path / "out", tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (damaged / "model.safetensors").write_bytes(b"no model")
    alive = hospital(meds, tmp_path / "alive", people=60, dead=0.0, seed=5)
    seen = only_seen(run, places["home"], tmp_path / "seen")
    for words, message in (
        ((tmp_path / "none",), "expected a run folder"),
        ((damaged, "--root", places["away"]), "model.safetensors"),
        ((run, "--root", places["few"]), "4 new subjects of the rarest class, of whom 2 would be"),
        ((run, "--root", alive), "labels of one class only"),
        ((run, "--root", seen), "in the training or validation set of this model"),
        ((run, "--root", tmp_path / "nowhere"), "does not exist"),
        ((run, "--data", "bonn"), "bonn holds"),
        ((run, "--data", "mids"), "mids"),
        ((run, "--root", places["away"], "--share", "1"), "between 0 and 1"),
        ((run, "--root", places["away"], "--labels", places["away"]), "leave --labels out"),
    ):
        line = refusal(capsys, "update", *words, "--out", out, silent=False)
        assert message in line, line
        assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    line = refusal(capsys, "update", run, "--root", places["away"], "--out", out)
    assert "is not empty" in line
