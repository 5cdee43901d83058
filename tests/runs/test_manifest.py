"""What was edited after a run was finished is noticed, also where a forger writes the manifest."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.calls import status
from tests.runs.conftest import Train
from tests.runs.folders import edit, short

from sequela.analysis.evaluate import evaluate_run
from sequela.analysis.explain import explain
from sequela.config import RunSettings
from sequela.errors import OutputError, RunError, SplitError
from sequela.evaluation.predictions import Predictions
from sequela.integrity.verify import verify_folder, verify_run
from sequela.report.card import build_card
from sequela.runs import fit
from sequela.runs.find import SIMPLE, find_runs, named_runs, open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate
from sequela.runs.manifest import MANIFEST, NOTICE, Manifest, adding, changes, seal, unseal
from sequela.runs.model import open_model


@pytest.fixture(scope="module")
def folds(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "folds"
    cross_validate(RunSettings(model="majority-class", data="bonn"), out, folds=2, root=synthetic)
    return out


@pytest.fixture
def copied(trained: Train, folds: Path, tmp_path: Path) -> Path:
    """A run, another one to compare it with, and folds."""
    run, other = (trained(short(model)).path for model in ("mlp-baseline", "majority-class"))
    for name, path in {"run": run, "other": other, "folds": folds}.items():
        shutil.copytree(path, tmp_path / "runs" / name)
    return tmp_path / "runs"


def test_a_simple_model_that_is_not_yet_listed(copied: Path) -> None:
    run, simple = copied / "run", copied / "run" / SIMPLE
    shutil.copytree(copied / "other", simple)  # and then comes an interruption
    assert changes(run) == []
    assert [verified.wrong for verified in verify_folder(run)] == [(), ()]
    inflated(simple)
    (change,) = changes(run)
    assert (change.path, change.harmful) == (simple / "metrics.json", True)
    shutil.rmtree(simple)
    simple.symlink_to(copied / "other")
    assert str(changes(run)[0]).startswith(f"{simple}: was added after")


def inflated(run: Path) -> None:
    edit(run / "metrics.json", lambda r: r["parts"]["held_out"].update(accuracy=0.999))


def perfect(run: Path) -> None:
    path = run / "predictions.parquet"
    found = Predictions.read(path)
    sure = np.full((found.n_examples, 5), 0.001, np.float32)
    sure[np.arange(found.n_examples), found.label] = 0.996
    replace(found, probabilities=sure).write(path)


def dropped(run: Path) -> None:
    path = run / "predictions.parquet"
    found = Predictions.read(path)
    recording = found.group_id[found.split == "held_out"][0]
    keep = np.ones(found.n_examples, np.bool_)
    keep[np.flatnonzero(found.group_id == recording)[:3]] = False
    found.where(keep).write(path)


def reseeded(run: Path) -> None:
    config = run / "config.toml"
    config.write_text(config.read_text("utf-8").replace("seed = 0", "seed = 7"), "utf-8")


Edit = Callable[[Path], None]


def of_metrics(change: Callable[[Any], object]) -> Edit:
    return lambda run: edit(run / "metrics.json", change)


EDITS: dict[str, Edit] = {
    "inflated": inflated,
    "perfect": perfect,
    "dropped": dropped,
    "reseeded": reseeded,
    "quicker": of_metrics(lambda r: r.update(train_seconds=0.001)),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edit_is_refused_by_all_that_reads_a_run(
    change: Edit, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = copied / "run", copied / "other"
    change(run)
    assert [c.what for c in changes(run)] == ["changed"]
    for command in (
        ["report", run, "--out", copied / "page.html"],
        ["card", run, "--out", copied / "card.md"],
        ["compare", other, run],
        ["evaluate", run],
        ["explain", run, "--out", copied / "explanation.html"],
        ["verify", run],
    ):
        assert status(*map(str, command)) == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1
        assert "was changed after the folder was finished" in said.err + said.out
    assert {path.name for path in copied.iterdir()} == {"run", "other", "folds"}
    with pytest.raises(RunError, match="was changed"):
        open_model(RunFolder(run))


@pytest.mark.parametrize("name", ["inflated", "perfect", "dropped", "reseeded", "quicker"])
def test_a_forger_writes_the_manifest_anew(name: str, copied: Path) -> None:
    run = copied / "run"
    EDITS[name](run)
    seal(run)
    assert not changes(run)
    found = verify_run(open_run(run))
    assert found.wrong
    assert all("\n" not in line for line in found.wrong)


def test_runs_are_verified_one_after_the_other(copied: Path) -> None:
    found = verify_folder(copied)
    assert not next(found).wrong
    for path in copied.glob("*/predictions.parquet"):
        path.write_bytes(b"")
    assert next(found).wrong


def test_missing_and_added_files_are_named(copied: Path) -> None:
    run = copied / "run"
    (run / "cost.json").unlink()
    (run / "attributes.parquet").write_bytes(b"")
    (run / "notes.txt").write_text("mine")
    named = {(change.path.name, change.what): change.harmful for change in changes(run)}
    assert named == {
        ("cost.json", "missing"): True,
        ("attributes.parquet", "added"): True,
        ("notes.txt", "added"): False,
    }
    (found,) = verify_folder(run)
    assert len(found.wrong) == 3
    with pytest.raises(RunError, match=r"cost\.json: is missing.*and 1 more"):
        named_runs([run])


def test_notes_in_a_run_are_no_harm(copied: Path) -> None:
    (copied / "run/notes.txt").write_text("mine")
    (copied / "run/.DS_Store").write_text("the system's")
    assert evaluate_run(copied / "run")["accuracy"] > 0


def test_links_are_not_followed(copied: Path, tmp_path: Path) -> None:
    run = copied / "run"
    shutil.move(run / "metrics.json", tmp_path / "metrics.json")
    (run / "metrics.json").symlink_to(tmp_path / "metrics.json")
    with pytest.raises(RunError, match=r"metrics\.json: is a link"):
        named_runs([run])
    assert [change.what for change in changes(run)] == ["changed"]
    shutil.move(run / "manifest.json", tmp_path / "manifest.json")
    (run / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(RunError, match=r"manifest\.json: it is a link"):
        changes(run)


@pytest.mark.parametrize("file", ["folds.json", "fold-00/split.json", "fold-01/manifest.json"])
def test_folds(file: str, copied: Path) -> None:
    path = copied / "folds" / file
    path.write_text(path.read_text("utf-8").replace("0", "1", 1), "utf-8")
    with pytest.raises(RunError, match=r"was changed|is missing"):
        named_runs([copied / "folds"])


def test_a_fold_that_was_forged_alone(copied: Path) -> None:
    inflated(copied / "folds/fold-01")
    seal(copied / "folds/fold-01")
    with pytest.raises(RunError, match=r"fold-01/manifest\.json: was changed"):
        named_runs([copied / "folds"])


def test_examples_that_the_split_does_not_count(copied: Path) -> None:
    dropped(copied / "run")
    seal(copied / "run")
    with pytest.raises(SplitError, match=r"[0-9]+ examples of held_out, but split\.json counts"):
        evaluate_run(copied / "run")


def test_without_a_manifest_a_run_is_not_finished(copied: Path, synthetic: Path) -> None:
    run = copied / "run"
    inflated(run)
    (run / MANIFEST).unlink()
    for look in (lambda: named_runs([run]), lambda: find_runs([copied]), lambda: evaluate_run(run)):
        with pytest.raises(RunError, match=r"not finished .*continue it with --resume"):
            look()
    (found,) = verify_folder(run)
    assert "not found: the folder is not finished" in found.wrong[0]
    # To resume it computes again what was there: what was edited does not become part of it.
    settings = RunFolder(run).settings
    fit.train(settings, run, root=synthetic, resume=True)
    assert named_runs([run])[0].test["accuracy"] < 0.999
    assert not verify_run(open_run(run)).wrong


def test_a_finished_run_that_was_edited_is_not_resumed(copied: Path, synthetic: Path) -> None:
    run = copied / "run"
    inflated(run)
    with pytest.raises(RunError, match="was changed"):
        fit.train(RunFolder(run).settings, run, root=synthetic, resume=True)


def test_a_page_in_a_run_is_listed(copied: Path) -> None:
    run = copied / "run"
    for _ in range(2):
        build_card(open_run(run), run / "card.md")
        assert not changes(run)
        assert "card.md" in Manifest.read(run).added
    (run / "card.md").write_text("better")
    assert [(c.what, c.harmful) for c in changes(run)] == [("changed", False)]
    named_runs([run])
    with pytest.raises(OutputError, match="name another file"):
        build_card(open_run(run), run / "metrics.json")
    assert len(changes(run)) == 1


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_killed_while_a_page_is_added(
    writes: int, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied / "run"
    with adding(run / "card.md") as partial:
        partial.write_text("first")
    done = 0
    replace_file = Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == writes:
            raise KeyboardInterrupt
        return replace_file(self, target)

    def add() -> None:
        with adding(run / "card.md") as partial:
            partial.write_text("second")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            add()
    named_runs([run])
    assert all(change.what == "added" for change in changes(run))
    add()
    assert not changes(run)
    assert (run / "card.md").read_text() == "second"


def test_a_page_of_a_folder_that_is_finished_once_more_can_be_made_anew(copied: Path) -> None:
    """A study or folds that go on are sealed again, with the page of the first time in them."""
    folder = copied / "folds"
    with adding(folder / "report.html") as partial:
        partial.write_text("first")
    unseal(folder)
    manifest = seal(folder)
    assert list(manifest.added) == ["report.html"]
    assert NOTICE in manifest.files
    with adding(folder / "report.html") as partial:
        partial.write_text("second")
    assert not changes(folder)


def test_explaining_changes_nothing(copied: Path, synthetic: Path) -> None:
    before = {p: p.read_bytes() for p in (copied / "run").rglob("*") if p.is_file()}
    explain(copied / "run", root=synthetic)
    evaluate_run(copied / "run")
    assert {p: p.read_bytes() for p in (copied / "run").rglob("*") if p.is_file()} == before
