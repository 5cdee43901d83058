"""A fit in two processes on the CPU, started as a user would."""

import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calls import refusal
from tests.runs.challenge import write_set
from tests.runs.folders import after

from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SettingError
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.studies.settings import run_settings

SCRIPT = """
import json
import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from sequela.config import TrainingSettings
from sequela.sequences.signal_batches import SignalBatch, signal_loader
from sequela.training.fit import fit

torch.manual_seed(0)
labels = torch.arange(75) % 3
signal = torch.randn(75, 1, 12) + labels[:, None, None]
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
history = fit(
    model,
    signal_loader(SignalBatch(signal[:48], labels[:48]), batch_size=6, generator=torch.Generator()),
    signal_loader(SignalBatch(signal[48:], labels[48:]), batch_size=10),  # 27: not even
    TrainingSettings(epochs=3, learning_rate=0.05),
    metrics={},
)
answer = {
    "processes": PartialState().num_processes,
    "tuning": [r.loss for r in history if r.part == "tuning"],
    "expected": torch.nn.functional.cross_entropy(model(signal[48:]), labels[48:]).item(),
    "train": [r.loss for r in history if r.part == "train"],
    "weights": model.state_dict()["1.weight"].tolist(),
}
path = Path(sys.argv[1]) / f"{PartialState().process_index}.json"
path.write_text(json.dumps(answer), encoding="utf-8")
PartialState().wait_for_everyone()
# torch's threads have aborted now and then as they were taken down after all was done.
os._exit(0)
"""


@pytest.mark.slow
def test_two_processes_learn_one_model_and_judge_each_example_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    together = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
            str(script),
            str(tmp_path),
        ],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert together.returncode == 0, together.stderr
    first, second = (json.loads((tmp_path / f"{i}.json").read_text("utf-8")) for i in range(2))
    assert first["processes"] == 2
    assert first == second
    assert min(first["tuning"]) == pytest.approx(first["expected"], rel=1e-5)
    # One process with batches of twice the size takes the same steps.
    (tmp_path / "alone").mkdir()
    alone_script = SCRIPT.replace("batch_size=6", "batch_size=12").replace("os._exit(0)", "")
    script.write_text(alone_script, encoding="utf-8")
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path / "alone")])
    runpy.run_path(str(script))
    alone = json.loads((tmp_path / "alone" / "0.json").read_text("utf-8"))
    assert alone["processes"] == 1
    assert first["tuning"] == pytest.approx(alone["tuning"], rel=1e-4)
    assert first["train"] == pytest.approx(alone["train"], rel=1e-4)


def read_history(run: RunFolder) -> list[dict[str, Any]]:
    lines = (run.path / "history.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def forked() -> list[Any]:
    """Return the processes of a fit; a server in an earlier test may have left others."""
    children = multiprocessing.active_children()
    return [each for each in children if type(each).__name__ == "ForkProcess"]


def test_any_number_of_processes_takes_the_same_steps(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, in two processes, and begun in two and continued alone; there is no dropout."""
    monkeypatch.setattr("sequela.training.fit.CHECKPOINT_SECONDS", 0.0)
    settings = RunSettings(
        model="mlp-baseline", data="bonn", split="recording", training=TrainingSettings(epochs=3)
    )

    def tuning_losses(name: str, **options: Any) -> list[float]:
        run = fit.train(settings, tmp_path / name, root=synthetic, **options)
        return [epoch["loss"] for epoch in read_history(run) if epoch["part"] == "tuning"]

    alone = tuning_losses("alone")
    together = tuning_losses("together", processes=2)
    assert len(together) == 3
    assert together == pytest.approx(alone, rel=0.02)  # a last, smaller batch is filled up
    with pytest.raises(KeyboardInterrupt):
        tuning_losses("resumed", processes=2, on_epoch=after(2))
    resumed = tuning_losses("resumed", resume=True)
    assert resumed[:2] == together[:2]
    assert resumed == pytest.approx(alone, rel=0.02)
    assert not forked()


@pytest.mark.slow
def test_records_in_two_processes(tmp_path: Path) -> None:
    """The network has a second output without a loss, whose layer gets no gradient alone."""
    options = {"epochs": 1, "second_target": 0.0, "distil": 0.0, "refit": False}
    few = {"min_subjects": 3}
    settings = run_settings("values-lstm", "physionet2012", records=few, training=options)
    root = write_set(tmp_path / "a", "a", range(132_000, 132_240), seed=0)
    more: dict[str, Any] = {"root": root, "work": tmp_path / "work"}
    runs = [fit.train(settings, tmp_path / str(n), processes=n, **more) for n in (1, 2)]
    alone, together = ([each["loss"] for each in read_history(run)] for run in runs)
    assert together == pytest.approx(alone, rel=0.1)


def test_a_process_that_is_killed_ends_the_others(synthetic: Path, tmp_path: Path) -> None:
    def kill() -> None:
        pid = forked()[-1].pid
        assert pid
        os.kill(pid, signal.SIGKILL)

    settings = RunSettings(model="mlp-baseline", data="bonn", split="recording")
    options: dict[str, Any] = {"root": synthetic, "processes": 2, "on_epoch": after(1, kill)}
    with pytest.raises(RunError, match="a training process was killed"):
        fit.train(settings, tmp_path / "run", **options)
    assert not forked()


def test_processes_that_cannot_share_a_batch(
    synthetic: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training = TrainingSettings(batch_size=8192)
    settings = RunSettings(model="mlp-baseline", data="bonn", training=training)
    with pytest.raises(SettingError, match="--processes is 8192, and the training set has"):
        fit.train(settings, tmp_path / "run", root=synthetic, processes=8192)
    assert not list(tmp_path.iterdir())
    wrong = refusal(capfd, "train", "mlp-baseline", "--data", "bonn", "--processes", "3")
    assert "--processes 3 cannot share batches of 64 equally" in wrong
    few = refusal(capfd, "train", "mlp-baseline", "--data", "bonn", "--processes", "0")
    assert "--processes is 0; expected 1 or more" in few
    negative = refusal(capfd, "train", "mlp-baseline", "--data", "bonn", "--processes", "-2")
    assert "--processes is -2; expected 1 or more" in negative
    none = refusal(capfd, "train", "majority-class", "--data", "bonn", "--processes", "2")
    assert "--processes is for networks" in none
