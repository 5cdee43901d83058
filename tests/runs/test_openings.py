"""Evaluations on a test set are counted: by several processes, for all that see it."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from sequela.analysis.compare import compare
from sequela.analysis.evaluate import evaluate_run
from sequela.config import RunSettings
from sequela.errors import OutputError
from sequela.integrity.openings import (
    LEDGER,
    VARIABLE,
    Command,
    ledgers,
    open_held_out,
    openings,
    read,
)
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.runs import fit
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate

MODELS = ("majority-class", "logistic-regression")


@pytest.fixture(scope="module")
def made(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with one seed, one of them with two more, and as folds."""
    out = tmp_path_factory.mktemp("openings")
    first, second = (RunSettings(model=model, data="bonn") for model in MODELS)
    others = {f"seed-{seed}": first.model_copy(update={"seed": seed}) for seed in (1, 2)}
    for name, settings in {MODELS[0]: first, MODELS[1]: second, **others}.items():
        fit.train(settings, out / name, root=synthetic)
    cross_validate(first, out / "folds", folds=2, root=synthetic)
    return out


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs, which nobody has opened yet."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "user" / LEDGER))
    return Path(shutil.copytree(made, tmp_path / "runs"))


def counts(run: Path) -> tuple[int, int, int, int]:
    found = openings(open_run(run))
    assert found.damage == ()
    return found.times, found.models, found.parts, found.seeds


def test_an_unopened_part(runs: Path) -> None:
    assert counts(runs / MODELS[0]) == (0, 0, 0, 0)
    assert not (runs / LEDGER).exists()


def test_each_model_and_command_counts_once(runs: Path) -> None:
    one, other = (RunFolder(runs / model) for model in MODELS)
    assert open_held_out(one, "report").sentences == (
        "This test set was evaluated once, with 1 model.",
    )
    before = (runs / LEDGER).read_bytes()
    open_held_out(RunFolder(one.path), "report")
    assert (runs / LEDGER).read_bytes() == before
    open_held_out(one, "card")
    assert open_held_out(other, "report").sentences == (
        "This test set was evaluated 3 times, with 2 models.",
    )
    assert (runs / LEDGER).read_bytes().startswith(before)
    told = {"command": "report", "data": "bonn", "unit": "recording", "seed": 0}
    assert json.loads(before).items() >= {**told, "model": MODELS[0], "run": MODELS[0]}.items()


def test_all_that_shows_held_out_numbers_opens(runs: Path, tmp_path: Path) -> None:
    one, other = (open_run(runs / model) for model in MODELS)
    evaluate_run(one.path)
    assert counts(one.path) == (1, 1, 1, 1)
    found = compare([one, other])
    assert found.opened == ("This test set was evaluated 3 times, with 2 models.",)
    assert found.best == f"{MODELS[1]} is the best of 2 runs, selected on this test set"
    pages = [build([one, other], tmp_path / f"{n}.html").read_text("utf-8") for n in range(2)]
    text = pages[0]
    assert pages[1] == text
    assert "This test set was evaluated 5 times, with 2 models." in text
    assert "Best of 2, chosen on the test set" in text
    card = build_card(one, tmp_path / "card.md").read_text("utf-8")
    assert "This test set was evaluated 6 times, with 2 models." in card
    commands = [entry.command for entry in read(runs / LEDGER)[0]]
    assert commands == ["evaluate", "compare", "compare", "report", "report", "card"]


def test_seeds_that_were_tried_are_said(runs: Path, tmp_path: Path) -> None:
    for name in (MODELS[0], "seed-1", "seed-2"):
        evaluate_run(runs / name)
    assert counts(runs / "seed-2") == (1, 1, 3, 3)
    sentence = "Evaluations on these data used 3 test sets from 3 seeds."
    card = build_card(open_run(runs / "seed-2"), tmp_path / "card.md")
    assert sentence in card.read_text("utf-8")


def test_runs_in_folders_of_their_own_are_seen(runs: Path, tmp_path: Path) -> None:
    for name in (MODELS[0], "seed-1"):
        elsewhere = tmp_path / f"of-{name}"
        shutil.move(runs / name, elsewhere / name)
        evaluate_run(elsewhere / name)
        assert len(read(elsewhere / LEDGER)[0]) == 1
    assert counts(elsewhere / "seed-1") == (1, 1, 2, 2)


def test_another_user_sees_what_was_opened_beside_the_run(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_run(runs / MODELS[0])
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other" / LEDGER))
    assert counts(runs / MODELS[0]) == (1, 1, 1, 1)
    evaluate_run(runs / MODELS[1])
    assert counts(runs / MODELS[0]) == (2, 2, 1, 1)


def test_folds_are_one_part(runs: Path) -> None:
    folds = runs / "folds"
    for path in (folds, folds / "fold-00"):
        assert ledgers(open_run(path))["next to the runs"] == runs / LEDGER
    assert evaluate_run(folds)["openings"]["sentences"] == [
        "These folds were evaluated once, with 1 model."
    ]
    evaluate_run(folds / "fold-00")
    assert counts(folds)[:2] == (1, 1)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda line: line[:40],
    "another value": lambda line: line.replace(b'"seed": 0', b'"seed": []'),
    "no text": lambda _: b"\xff\xfe",
}
"""What is done to the second line."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_log_with_a_damaged_line(name: str, runs: Path, tmp_path: Path) -> None:
    run = RunFolder(runs / MODELS[0])
    commands: list[Command] = ["evaluate", "report", "card"]
    for command in commands:
        open_held_out(run, command)
    path = runs / LEDGER
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], CHANGES[name](lines[1]), *lines[2:]]) + b"\n")
    sentence = "The log next to the runs has a line that cannot be read (line 2): "
    assert openings(run).damage == (f"{sentence}evaluations may be missing here.",)
    if name == "cut":
        text = build([run], tmp_path / "page.html").read_text("utf-8")
        assert text.index(sentence) < text.index("<h3")
    open_held_out(run, "compare")  # it is written on, and still said
    assert sentence in open_held_out(run, "train").sentences[-1]
    assert read(path)[0][-1].command == "train"


def test_a_place_that_cannot_be_written(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(runs / MODELS[0])
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / LEDGER))
    found = open_held_out(run, "evaluate")
    assert found.times == 1
    assert found.sentences[-1] == "This evaluation could not be added to the log of this user."
    (runs / LEDGER).unlink()
    (runs / LEDGER).mkdir()
    with pytest.raises(OutputError):
        open_held_out(run, "evaluate")
    assert "The log next to the runs cannot be read (Is a directory)" in openings(run).damage[0]


def test_half_a_line_of_a_killed_process(runs: Path) -> None:
    run = RunFolder(runs / MODELS[0])
    open_held_out(run, "evaluate")
    path = runs / LEDGER
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])
    open_held_out(run, "report")
    assert [entry.command for entry in read(path)[0]] == ["evaluate", "report"]
    assert "line 2" in openings(run).damage[0]


SLOWLY = """
import os, time
from sequela.integrity import openings
os.environ["{}"] = "{}"
openings._lines = lambda path, read=openings._lines, wait=time.sleep: (read(path), wait(0.02))[0]
begin.wait(60)
"""
"""Between what a process reads of a ledger and what it writes, others have time to write."""


def test_several_processes_lose_nothing(runs: Path, processes: ForkServerContext) -> None:
    commands: list[Command] = ["train", "evaluate", "compare", "report", "card"]
    several = [RunFolder(runs / name) for name in (*MODELS, "seed-1", "seed-2")]
    told = SLOWLY.format(VARIABLE, os.environ[VARIABLE])
    begin = {"begin": processes.Barrier(2)}  # or the first may do it all
    with ProcessPoolExecutor(2, processes, exec, (told, begin)) as pool:
        work = [pool.submit(open_held_out, run, command) for run in several for command in commands]
        for done in work:
            done.result()
    beside, own = ledgers(several[0]).values()
    entries, damage = read(beside)
    assert damage == ""
    assert len(entries) == 4 * len(commands)
    assert {entry.key for entry in entries} == {entry.key for entry in read(own)[0]}
