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
from sequela.analysis.update import update_run
from sequela.evaluation import recalibration
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
    at = ("--root", str(places["away"]))
    folder = once("report-updated", lambda out: ran("update", str(run), *at, "--out", out / "here"))
    return RunFolder(folder / "here")


def test_more_die_here_so_the_level_is_changed(updated: RunFolder, run: Path) -> None:
    record = updated.metrics.update
    assert record is not None
    assert record.level in ("intercept", "intercept and slope")
    assert record.p_values["none"] < 0.05
    assert record.before["o_e_ci"][0] > 1 > record.after["o_e_ci"][0]
    assert record.before["auroc"] == pytest.approx(record.after["auroc"])
    assert record.patients == 130
    before = Predictions.read(updated.path / UNCHANGED)
    local = before.where(before.split != "held_out")
    assert record.events == np.bincount(local.label).min()
    assert record.needed == {"refit": 10 * RunFolder(run).metrics.parameters}
    ids = [set(before.part(part).subject_id.tolist()) for part in ("train", "tuning", "held_out")]
    assert [len(part) for part in ids] == [65, 65, 130]
    assert not ids[0] & ids[2]
    verify(updated, intervals=True)


def test_the_stored_model_gives_its_predictions(
    updated: RunFolder, run: Path, places: dict[str, Path]
) -> None:
    numbers = evaluate_run(updated.path, data="meds", root=places["home"])
    # The parent has seen 400 of the 500 people of the other hospital, and so has the update.
    assert numbers["subjects_set_aside_as_trained_or_tuned_on"] == 400
    here = evaluate_run(updated.path, data="meds", root=places["away"])
    assert here["subjects_set_aside_as_trained_or_tuned_on"] == 130
    assert here["auroc"] == pytest.approx(updated.test["auroc"])
    assert here["loss"] == pytest.approx(updated.test["loss"])
    served = load(updated.path)
    table = np.zeros((1, int(served.inputs["features:presence"][1])), np.float32)
    assert served.probabilities({"features:presence": table}).sum() == pytest.approx(1)
    assert sum(served.facts.fingerprint.seen) > 0
    assert len(served.facts.fingerprint.seen) == 400 + 130


def test_page_card_and_ledger_name_the_parent(
    updated: RunFolder, run: Path, tmp_path: Path
) -> None:
    parent, entry = RunFolder(run), Entry(updated, hide_below=10)
    assert entry.title.startswith("Logistic regression, updated (intercept")
    words = (
        f"from run (SHA-256 of its model {entry.members[0].sha256[:12]}), chosen on 130 subjects"
    )
    page = build([updated], tmp_path / "page.html", 10).read_text("utf-8")
    assert words in page
    card = build_card(updated, tmp_path / "card.md", 10).read_text("utf-8")
    assert words in card
    assert entry.members[0].sha256 in card
    assert re.search(
        r"Results of updating \| Observed / expected on the test set: 1\.\d\d before", card
    )
    assert "was not updated" not in card + page
    assert "built from the parent's training set only" in card + page.replace("&#39;", "'")
    assert "--seeds 5" not in page
    assert re.search(r"AUROC has a width of 0\.\d{3} in place of 0\.\d{3}", card)
    log = [json.loads(line) for line in (updated.path.parent / LEDGER).read_text().splitlines()]
    assert log[0]["command"] == "update"
    assert words in log[0]["model"]
    train, last = commands([updated])
    assert train.startswith(f"sequela train {parent.settings.model} ")
    assert last == "sequela update runs/1-run --data meds --share 0.5 --seed 0 --out here"
    share(updated, tmp_path / "shared")
    assert words in (tmp_path / "shared" / "card.md").read_text("utf-8")


def test_few_local_events_are_hidden(updated: RunFolder) -> None:
    most = max(sum(row) for row in updated.metrics.parts.held_out.confusion)
    hidden = Entry(updated, hide_below=most + 1).metrics.update
    assert hidden is not None
    assert str(hidden.events) == "hidden"
    assert not any((hidden.before, hidden.after, hidden.everybody))
    shown = Entry(updated, hide_below=10).metrics.update
    assert shown is not None
    assert shown.before


def test_a_changed_number_is_detected(updated: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(updated.path, copy)
    edit(copy / "metrics.json", lambda record: record["update"]["before"].update(o_e=1.0))
    seal(copy)
    (wrong,) = verify_run(RunFolder(copy)).wrong
    assert "before o_e" in wrong


@pytest.mark.slow
def test_a_refit_replaces_the_model(
    run: Path, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalibration, "EVENTS_PER_PARAMETER", 1)
    monkeypatch.setattr(recalibration, "ALPHA", 1.0)  # so that a refit is always taken
    made = update_run(run, tmp_path / "here", root=places["away"])
    record = made.metrics.update
    assert record is not None
    assert record.level == "refit"
    (old,), (new,) = (open_model(folder).leaves for folder in (RunFolder(run), made))
    assert old.tensors["weight"].shape == new.tensors["weight"].shape
    assert not np.allclose(old.tensors["weight"], new.tensors["weight"])
    numbers = evaluate_run(made.path, data="meds", root=places["away"])
    assert numbers["auroc"] == pytest.approx(record.after["auroc"])
    assert numbers["auroc"] != pytest.approx(record.before["auroc"])
    verify(made, intervals=True)


def test_an_update_of_an_update_changes_nothing_more(
    updated: RunFolder, places: dict[str, Path], tmp_path: Path
) -> None:
    """The test set of the first update is new to it."""
    ran("update", str(updated.path), "--root", str(places["away"]), "--out", tmp_path / "again")
    again = RunFolder(tmp_path / "again")
    assert again.metrics.update is not None
    assert again.metrics.update.level == "none"
    assert again.data.examples == 130
    assert len(open_model(again).leaves) == 1
    assert again.split.parent is not None
    assert again.split.parent.parent is not None


def segments(path: Path, first: int, people: int) -> Path:
    """Segments of EEG of three classes: rhythms of three frequencies, two of each person."""
    rng, lines = np.random.default_rng(first), [f"name,subject,label,{SAMPLES}"]
    for person in range(first, first + people):
        for row in range(2):
            rhythm = 15 * np.sin(np.arange(64) * (3 + 3 * (person % 3)) / 10)
            samples = ",".join(f"{x:.1f}" for x in rhythm + rng.normal(0, 20, 64))
            lines.append(f"r{person}-{row},s{person},{'abc'[person % 3]},{samples}")
    path.write_text("\n".join(lines))
    return path


def test_a_network_of_eeg_is_updated_and_exported(tmp_path: Path) -> None:
    home, away = segments(tmp_path / "a.csv", 0, 60), segments(tmp_path / "b.csv", 500, 72)
    data, run = ("--data", "signals", "--root"), tmp_path / "net"
    ran("train", "mlp-baseline", *data, home, *FORM.split(), "--epochs", "4", "--out", run)
    ran("update", run, *data, away, "--out", tmp_path / "here")
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
    mistakes: list[tuple[tuple[str | Path, ...], str]] = [
        ((tmp_path / "none",), "expected a run folder"),
        ((damaged, "--root", places["away"]), "model.safetensors"),
        ((run, "--root", places["few"]), "4 new subjects of the rarest class, of which 2 would be"),
        ((run, "--root", alive), "labels of one class only"),
        ((run, "--root", seen), "in the training or validation set of this model"),
        ((run, "--root", tmp_path / "nowhere"), "does not exist"),
        ((run, "--data", "bonn"), "bonn holds"),
        ((run, "--data", "mids"), "mids"),
        ((run, "--root", places["away"], "--share", "1"), "between 0 and 1"),
        ((run, "--root", places["away"], "--labels", places["away"]), "leave --labels out"),
    ]
    for words, message in mistakes:
        line = refusal(capsys, "update", *words, "--out", out, silent=False)
        assert message in line, line
        assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    line = refusal(capsys, "update", run, "--root", places["away"], "--out", out)
    assert "is not empty" in line
