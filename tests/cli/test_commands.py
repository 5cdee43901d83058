"""What a user sees: help, refusals in one line, and runs on a small data set."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from tests.cli.calls import Output, Refused, ran, status

from sequela import plugins
from sequela.cli.app import build_app, main
from sequela.cli.options import default_of
from sequela.config import RunSettings, TrainingSettings
from sequela.datasets.catalog import lookup
from sequela.integrity.openings import LEDGER, read
from sequela.models.registry import MODELS, title_of
from sequela.runs.find import SIMPLE, find_runs, open_run
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal
from sequela.studies.registry import training_of

COMMANDS = [
    *("train", "tune", "serve", "evaluate", "audit", "compare", "report", "card", "explain"),
    *("verify", "reproduce", "try", "build", "data list", "data get", "data check"),
]


def test_starting_up_loads_nothing_heavy_and_the_help_of_train_no_engine() -> None:
    engines = ["torch", "jax", "duckdb", "sklearn", "altair", "pandas", "pyarrow", "scipy"]
    engines += ["polars"]
    heavy = [*engines, "accelerate", "pydantic", "numpy", "urllib.request"]
    code = (
        "import sys, sequela, sequela.cli.app\n"
        f"for words, heavy in ('', {heavy}), ('data', {heavy}), ('train', {engines}):\n"
        "    try:\n        sequela.cli.app.main([*words.split(), '--help'])\n"
        "    except SystemExit:\n        pass\n"
        "    print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "reproduce" in done.stdout
    assert "Usage: sequela data COMMAND" in done.stdout
    assert "Usage: sequela train" in done.stdout
    assert done.stderr.splitlines() == ["[]"] * 3


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, output_of: Output) -> None:
    printed = output_of(*command.split(), "--help")
    assert f"Usage: sequela {command}" in printed
    assert "Example:" in printed
    assert f"sequela {command}" in printed.split("Example:")[1]


def test_help_lists_all_commands(output_of: Output) -> None:
    printed = output_of("--help") + output_of("data", "--help")
    assert all(f"│ {word} " in printed for command in COMMANDS for word in command.split())
    assert "Train one model and write a run folder." in printed
    places = [printed.index(f"│ {word} ") for word in ("data", "train", "tune", "report", "share")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("command", "most_used"),
    [
        ("train", {"--data", "--root", "--folds", "--epochs", "--task", "--out"}),
        ("tune", {"--data", "--trials", "--search", "--root", "--task", "--out"}),
    ],
)
def test_six_options_come_first(command: str, most_used: set[str], output_of: Output) -> None:
    first = re.split("╭─ ", output_of(command, "--help"))[2]
    assert first.startswith("Most used options")
    assert set(re.findall(r"^│ [ *]* *(--[a-z-]+)", first, re.MULTILINE)) == most_used


def test_ten_options_of_the_named_data_come_first(output_of: Output) -> None:
    def options(section: str) -> list[str]:
        return re.findall(r"^│ [ *]* *(--[a-z-]+)", section, re.MULTILINE)

    usual = output_of("train", "--help")
    for data, most_used in (
        ("--data table", {"--folds", "--horizons", "--id", "--label", "--classes", "--omit"}),
        ("--data=signals", {"--subject", "--label", "--channels", "--window", "--events"}),
        ("--data eicu", {"--task", "--hours", "--horizons", "--inputs", "--epochs"}),
        ("--data bonn", {"--split", "--segment", "--seed", "--batch-size", "--learning-rate"}),
    ):
        printed = output_of("train", "auto", *data.split(), "--help")
        first = options(re.split("╭─ ", printed)[2])
        assert len(first) == 10
        assert most_used | {"--data", "--root", "--out", "--folds"} <= {*first}
        assert sorted(options(printed)) == sorted(options(usual))  # each once, under its heading
    assert (
        output_of("train", "--data", "unknown", "--help") == output_of("train", "--help") == usual
    )


def test_defaults_are_those_of_the_models() -> None:
    fields = TrainingSettings.model_fields
    epochs = {training_of(name, {}).epochs for name in MODELS} - {60}
    said = f"60; {', '.join(map(str, sorted(epochs)))} for some models"
    assert default_of("epochs", fields["epochs"]) == said
    assert default_of("class_weights", fields["class_weights"]) is None
    assert default_of("keep", fields["keep"]) == "best; last for some models"
    assert default_of("folds", RunSettings.model_fields["folds"]) is None  # in its sentence


def test_help_on_an_option_is_one_sentence() -> None:
    for command in COMMANDS:
        found = reduce(lambda within, word: within[word], command.split(), build_app())
        for argument in found.assemble_argument_collection(parse_docstring=True):
            said = " ".join(str(argument.parameter.help or "").split())
            if argument.show:
                assert re.fullmatch(r"[A-Z].*\.", said), (command, argument.name, said)
                assert not re.search(r"[.!?] [A-Z-]", said), (command, argument.name, said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train mlp-baseline --data bonn --epoch 3", "--epochs"),
        ("train mlp-baseline --data bonn --epochs many", "many"),
        ("train mlp-baseline --data bonn --split patient", "patient"),
        (
            "train mlp-baseline --data bonn --split subject",
            "its people are not identified; use --split s",
        ),
        ("train mlp-baseline --data bonn --seed=-1", "setting seed = -1 cannot be used"),
        ("train mlp-baseline --data mimic4", "has hospital records"),
        (
            "train visits-baseline --data bonn",
            "visits-baseline reads codes, but data set 'bonn' has",
        ),
        ("train auto --data mimic4", "mimic4"),
        ("train ensemble --data bonn", "is made of finished runs: sequela ensemble RUN RUN"),
        ("tune mlp-baseline --data bonn --trials 0", "--trials 0 cannot be used"),
        ("tune mlp-baseline --data bonn --trials 2 --folds 5", "--folds is not for a search"),
        ("tune logistic-regression --data bonn --trials 2", "regression is a baseline model"),
        ("tune auto --data bonn --trials 2", "auto"),
        ("cost auto", "the data that `sequela train` reads: spectral-mlp for recordings"),
        ("evaluate nowhere", "config.toml"),
        ("reproduce seizure --processes 0", "--processes is 0; expected 1 or more"),
        ("data check bon1234567890", "unknown data set 'bon1234567890' (known"),
    ],
)
# A mistyped name is in test_names.py.
def test_refused_in_one_line(
    arguments: str,
    message: str,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_data: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments.split())
    assert list(tmp_path.iterdir()) == []


def test_train_says_what_it_reached(synthetic: Path, tmp_path: Path, output_of: Output) -> None:
    out = tmp_path / "run"
    words = ("--data", "bonn", "--root", synthetic, "--out", out, "--epochs", "2", "--split", "row")
    lines = output_of("train", "mlp-baseline", *words).splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1", "epoch 2"]
    parts = RunFolder(out).metrics["parts"]
    assert lines[2].startswith("mlp-baseline, bonn by row: validation set")
    accuracy = parts["tuning"]["accuracy"]
    assert any(line.startswith(f"accuracy  {accuracy:.3f} (") for line in squeezed(lines))
    assert "leaks by design" in lines
    assert f"test set: not evaluated; to evaluate: sequela evaluate {out}" in lines
    assert str(out) in lines[-1]
    assert not (tmp_path / LEDGER).exists()
    lines = output_of("train", "mlp-baseline", *words, "--resume", "--open").splitlines()
    assert lines[0].startswith("mlp-baseline, bonn by row: test set")
    accuracy = parts["held_out"]["accuracy"]
    assert any(line.startswith(f"accuracy  {accuracy:.3f} (") for line in squeezed(lines))
    assert any(line.startswith("This test set was evaluated") for line in lines)
    assert [entry.command for entry in read(tmp_path / LEDGER)[0]] == ["train"]


def squeezed(lines: list[str]) -> list[str]:
    """Lines of a table, their columns two blanks apart."""
    return [re.sub(r" {2,}", "  ", line).rstrip() for line in lines]


def test_evaluate_prints_a_table(network_run: Path, synthetic: Path, output_of: Output) -> None:
    lines = squeezed(output_of("evaluate", network_run).splitlines())
    test = RunFolder(network_run).metrics["parts"]["held_out"]
    low, high = test["accuracy_ci"]
    assert lines[0] == "mlp-baseline, bonn by session: test set"
    assert "examples  230 of 10 sessions" in lines
    assert f"accuracy  {test['accuracy']:.3f} ({low:.3f} to {high:.3f})" in lines
    assert f"recall of seizure  {test['per_class_recall'][0]:.3f}" in lines
    assert f"log loss  {test['loss']:.3f}" in lines
    assert "leaks: none found" in lines
    data = ("--data", "bonn", "--root", synthetic)
    lines = squeezed(output_of("evaluate", network_run, *data).splitlines())
    assert lines[0] == "mlp-baseline, bonn by session: applied to bonn"
    assert "set aside: 40 sessions in the model's training or validation set" in lines


def test_evaluate_gives_the_numbers_of_the_run(network_run: Path, output_of: Output) -> None:
    printed = json.loads(output_of("evaluate", network_run, "--json"))
    held_out = RunFolder(network_run).metrics["parts"]["held_out"]
    assert printed.pop("openings")["times"] >= 1
    assert printed == {"run": "run", "data": "bonn", "leaks": False, **held_out}


def test_the_page_of_a_run_compares_it_with_a_simple_model(
    network_run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(network_run, tmp_path / "runs" / "one")
    assert [run.path for run in find_runs([tmp_path / "runs"])] == [copy]
    assert status("report", copy, "--out", tmp_path / "page.html") == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    title = title_of(open_run(copy).settings.model)
    assert f'<h2 id="seizure">{title}</h2>' in text
    assert "<span>Spectral logistic regression <small>simple</small></span>" in text
    assert "best of" not in text
    assert 'id="claims"' not in text


def test_verify_computes_all_numbers_again(
    network_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output_of: Output
) -> None:
    copy = shutil.copytree(network_run, tmp_path / "run")
    first, *said = output_of("verify", copy).splitlines()
    assert first == "verifying; a run or release is printed once all of it is checked"
    assert said == [
        f"{path}: all {what}"
        for path in (copy, copy / SIMPLE)
        for what in ("files match manifest.json", "numbers match the predictions")
    ]
    assert not (tmp_path / LEDGER).exists()
    metrics = json.loads((copy / "metrics.json").read_text("utf-8"))
    metrics["parts"]["held_out"]["accuracy_ci"][0] = 0.9
    (copy / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    for what in ("was changed after the folder was finished", "has held_out accuracy_ci[0] = 0.9"):
        assert status("verify", copy) == 2
        printed = capsys.readouterr()
        assert what in printed.out
        assert printed.err == (
            "sequela: error: 1 finding: not everything is as it was when finished\n"
        )
        seal(copy)


def test_evaluate_sets_aside_what_the_model_has_seen(
    network_run: Path, synthetic: Path, output_of: Output
) -> None:
    data = ("--data", "bonn", "--root", synthetic)
    printed = json.loads(output_of("evaluate", network_run, *data, "--json"))
    assert printed["sessions_set_aside_as_trained_or_tuned_on"] == 40
    held_out = RunFolder(network_run).metrics["parts"]["held_out"]
    assert {name: printed[name] for name in held_out} == held_out  # the same model and segments
    own = output_of("evaluate", network_run, "--root", synthetic, "--json")  # its own data set
    assert json.loads(own) == printed


def test_evaluate_reads_other_recordings_of_the_same_names(
    network_run: Path, tmp_path: Path, output_of: Output
) -> None:
    lines = [",".join(["recording", "label", *(f"X{n}" for n in range(1, 179))])]
    rng = np.random.default_rng(0)
    for letter in "ZONFS":
        for number in range(1, 11):
            samples = ",".join(f"{value:.1f}" for value in rng.normal(0, 50, 178))
            lines.append(f"{letter}{number:03d},{letter},{samples}")
    (tmp_path / "other.csv").write_text("\n".join(lines) + "\n", "utf-8")
    names = zip(lookup("bonn").recordings.classes, "SFNOZ", strict=True)
    classes = ", ".join(f"'{name}' = '{letter}'" for name, letter in names)
    (tmp_path / "signals.toml").write_text(
        "recording = 'recording'\nlabel = 'label'\nsamples = 'X*'\nrate = 173.61\nunit = 'µV'\n"
        f"classes = {{{classes}}}\n",
        "utf-8",
    )
    data = ("--data", "signals", "--root", tmp_path / "other.csv")
    printed = json.loads(output_of("evaluate", network_run, *data, "--json"))
    assert printed["recordings_set_aside_as_trained_or_tuned_on"] == 0
    assert printed["examples"] == 50


@pytest.mark.slow
def test_interrupted_by_the_user_and_resumed(synthetic: Path, tmp_path: Path) -> None:
    arguments = ["train", "mlp-baseline", "--data", "bonn", "--epochs", "25", "--root"]

    def command(out: Path, *more: str) -> list[str]:
        return [
            sys.executable, "-m", "sequela", *arguments, str(synthetic), "--out", str(out), *more
        ]  # fmt: skip

    cut, whole = tmp_path / "cut", tmp_path / "whole"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command(cut), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 2:"):
                process.send_signal(signal.SIGINT)
                break
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == (
        "sequela: interrupted; run the same command again to continue (sequela train: with "
        "--resume)\n"
    )
    assert not (cut / "metrics.json").exists()
    ran(*command(cut, "--resume")[3:])
    ran(*command(whole)[3:])
    for name in ("model.safetensors", "predictions.parquet"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = (
        "import os, sys; from sequela.cli.app import main\n"
        "end, out = os.pipe(); os.close(end); os.dup2(out, 1)\n"
        "main(['data', 'list', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-u", "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_auto_trains_the_default_and_is_called_by_its_name(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_of: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ("--data", "bonn", "--root", synthetic)
    printed = output_of("train", "auto", *data, "--epochs", "1")
    assert printed.startswith("auto: spectral-mlp, the default for recordings of a signal\n")
    run = RunFolder(tmp_path / "runs" / "spectral-mlp")
    assert run.metrics["model"] == run.settings.model == "spectral-mlp"
    assert run.settings.training.crops  # it is trained as its entry says
    assert run.settings.training.epochs == 1
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["spectral-mlp"]
    counted = json.loads(output_of("cost", str(run.path), "--json"))
    assert counted["operations"] == run.metrics["operations"]


def test_what_a_run_cannot_be_counted_by(run: Path, network_run: Path, refused: Refused) -> None:
    assert "is a run, counted when it was made" in refused("cost", network_run, "--steps", "9")
    assert "leave out all but" in refused("cost", run, "--codes", "3")


@pytest.mark.parametrize("command", plugins.COMMANDS.values(), ids=plugins.COMMANDS)
def test_the_list_has_the_first_sentence_of_each_help(command: plugins.Command) -> None:
    words = build_app()[command.name].help.partition("\n\n")[0]
    assert " ".join(words.split()) == command.summary


def test_a_registered_command_is_listed_and_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    added = {
        **plugins.COMMANDS,
        "path": plugins.Command("path", "posixpath:basename", "Print the last part."),
    }
    monkeypatch.setattr("sequela.cli.app.COMMANDS", added)
    for words in (["--help"], ["path", "a/b"]):
        with suppress(SystemExit):  # with which cyclopts ends
            main(words)
    printed = capsys.readouterr().out
    assert "Print the last part." in printed
    assert printed.endswith("b\n")
