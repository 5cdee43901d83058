"""A fit in two processes on the CPU, started as a user would."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

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


class Model(torch.nn.Sequential):  # its second output in training has no gradient by the loss
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(12, 3))
        self.second = torch.nn.Linear(12, 1)

    def forward(self, signal):
        logits = self[1](self[0](signal))
        return (logits, self.second(signal.flatten(1))[:, 0]) if self.training else logits


model = Model()
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
