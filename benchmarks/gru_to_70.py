"""How soon the report's improved GRU reaches 70 % by recording: a plain script against sequela.

Both run here, one after the other, on the same split by recording of the same data, on one CPU
thread; the scaling is the same, too. The plain script is what one writes first: ``nn.GRU`` with the
batch first, shuffled batches of 64, Adam at a constant rate of 0.001, the epoch with the lowest
tuning loss kept, an end after 20 epochs without a lower one or after 150. Sequela's is
``sequela.training.fit`` with the settings of the seizure study.

Seconds are of CPU time, evaluation of the tuning part after each epoch included, reading of the
data and the check on the held-out part left out.

Run: ``python benchmarks/gru_to_70.py --seed 0``
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sequela.config import RunSettings
from sequela.models.registry import lookup_network
from sequela.runs import signals
from sequela.runs.data import Examples
from sequela.runs.model import config_of, entry_for
from sequela.studies import seizure
from sequela.training.fit import fit
from sequela.training.history import History, best_epoch
from sequela.training.totals import correct

MODEL = "gru-improved"
GOAL = 0.70
PATIENCE = 20
MOST_EPOCHS = 150
TUNING_BATCH = 1024
OUT_OF_TIME = "out of time"


@dataclass(frozen=True)
class Course:
    """What one way of training took and reached.

    Attributes:
        to_goal: Seconds until the tuning accuracy first was at the goal; ``None`` if it never was.
        goal_epoch: That epoch.
        total: Seconds until the end.
        epochs: Epochs until the end.
        chosen_epoch: The epoch with the lowest tuning loss.
        tuning_accuracy: In the chosen epoch.
        held_out_accuracy: Of the weights of the chosen epoch; ``None`` if it ran out of time.
        ended: Why it ended.
    """

    to_goal: float | None
    goal_epoch: int | None
    total: float
    epochs: int
    chosen_epoch: int
    tuning_accuracy: float
    held_out_accuracy: float | None
    ended: str


class PlainGRU(nn.Module):
    """The same network as the study's, written the first way that comes to mind."""

    def __init__(self, hidden: int, layers: int, fc: int, classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(1, hidden, layers, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, fc), nn.ReLU(), nn.Linear(fc, classes))

    def forward(self, signal: Tensor) -> Tensor:
        """Logits (batch, class) of segments (batch, n_times, 1)."""
        states, _ = self.gru(signal)  # (batch, n_times, hidden)
        logits: Tensor = self.head(states[:, -1])
        return logits


class OutOfTimeError(Exception):
    """The minutes that were allowed are over."""


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).double().mean().item()


def predict(model: nn.Module, signal: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(signal, TUNING_BATCH)])


def scaled(data: Examples, rows: slice | NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(data.scaling.apply(data.arrays.signal[rows]))


def train_plainly(data: Examples, seed: int, limit: float) -> Course:
    """The plain script."""
    torch.manual_seed(seed)
    signal = scaled(data, slice(None)).transpose(1, 2)  # (segment, n_times, 1)
    labels = torch.from_numpy(data.labels)
    train, tuning, held_out = (data.rows(part) for part in ("train", "tuning", "held_out"))
    config = lookup_network(MODEL).config()
    model = PlainGRU(config.hidden, config.layers, config.fc, config.n_outputs)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(signal[train], labels[train]), batch_size=64, shuffle=True)
    best, best_tuning, chosen, weights = float("inf"), 0.0, 0, model.state_dict()
    to_goal, goal_epoch, ended = None, None, f"{MOST_EPOCHS} epochs"
    started = time.process_time()
    for epoch in range(1, MOST_EPOCHS + 1):
        model.train()
        for batch, target in loader:
            adam.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(batch), target))
            adam.step()
        logits = predict(model, signal[tuning])
        loss = nn.functional.cross_entropy(logits, labels[tuning]).item()
        reached = accuracy(logits, labels[tuning])
        seconds = time.process_time() - started
        print(
            f"plain: epoch {epoch}: tuning loss {loss:.4f}, accuracy {reached:.4f}, {seconds:.1f} s"
        )
        if to_goal is None and reached >= GOAL:
            to_goal, goal_epoch = seconds, epoch
        if loss < best:
            best, best_tuning, chosen = loss, reached, epoch
            weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if epoch - chosen >= PATIENCE:
            ended = f"{PATIENCE} epochs without a lower tuning loss"
            break
        if seconds > limit:
            ended = OUT_OF_TIME
            break
    model.load_state_dict(weights)
    found = accuracy(predict(model, signal[held_out]), labels[held_out])
    return Course(
        to_goal=to_goal,
        goal_epoch=goal_epoch,
        total=seconds,
        epochs=epoch,
        chosen_epoch=chosen,
        tuning_accuracy=best_tuning,
        held_out_accuracy=None if ended == OUT_OF_TIME else found,
        ended=ended,
    )


def train_by_sequela(data: Examples, seed: int, limit: float) -> Course:
    """The study's way."""
    settings = RunSettings(
        model=MODEL, data=data.data_set.name, seed=seed, training=seizure.TRAINING[MODEL]
    )
    torch.manual_seed(seed)
    _, reads = entry_for(settings)
    given = data.inputs(reads, standardise=True)
    entry = lookup_network(MODEL)
    model = entry.build(config_of(entry, settings, given))
    seconds: list[float] = []
    seen: History = []

    def after_epoch(history: History) -> None:
        nonlocal seen
        seen = history
        seconds.append(time.process_time() - started)
        last = history[-1]
        print(
            f"sequela: epoch {last.epoch}: tuning loss {last.loss:.4f}, "
            f"accuracy {last.metrics['accuracy']:.4f}, {seconds[-1]:.1f} s"
        )
        if seconds[-1] > limit:
            raise OutOfTimeError

    order = torch.Generator().manual_seed(seed)
    train = given.loader("train", settings.training.batch_size, order)
    tuning = given.loader("tuning", TUNING_BATCH)
    ended = "the end of its schedule"
    started = time.process_time()
    try:
        fit(
            model,
            train,
            tuning,
            settings.training,
            metrics={"accuracy": correct},
            on_epoch=after_epoch,
        )
    except OutOfTimeError:
        ended = OUT_OF_TIME
    rows = data.rows("held_out")
    reached = [record.metrics["accuracy"] for record in seen if record.part == "tuning"]
    goal_epoch = next((i for i, a in enumerate(reached, start=1) if a >= GOAL), None)
    chosen = best_epoch(seen)
    found = accuracy(predict(model, scaled(data, rows)), torch.from_numpy(data.labels[rows]))
    return Course(
        to_goal=None if goal_epoch is None else seconds[goal_epoch - 1],
        goal_epoch=goal_epoch,
        total=seconds[-1],
        epochs=len(seconds),
        chosen_epoch=chosen,
        tuning_accuracy=reached[chosen - 1],
        held_out_accuracy=None if ended == OUT_OF_TIME else found,
        ended=ended,
    )


def describe(name: str, course: Course) -> None:
    goal = f"never reached {GOAL:.0%} on the tuning part"
    if course.to_goal is not None:
        when = f"{course.to_goal:.1f} s (epoch {course.goal_epoch})"
        goal = f"{GOAL:.0%} on the tuning part after {when}"
    held_out = course.held_out_accuracy
    print(
        f"{name}: {goal}; end after {course.total:.1f} s (epoch {course.epochs}: {course.ended}); "
        f"chosen epoch {course.chosen_epoch}: tuning {course.tuning_accuracy:.4f}, "
        f"held-out {'not judged' if held_out is None else format(held_out, '.4f')}"
    )


def compare(ours: Course, plain: Course) -> None:
    if ours.to_goal is not None and plain.to_goal is not None:
        print(f"to {GOAL:.0%}: sequela takes {ours.to_goal / plain.to_goal:.3f} of the plain time")
    if plain.ended == OUT_OF_TIME:
        print("the plain script ran out of time: its end is not known")
        return
    if ours.ended != OUT_OF_TIME:
        print(f"to the end: sequela takes {ours.total / plain.total:.3f} of the plain time")
    if ours.to_goal is not None:
        whole = ours.to_goal / plain.total
        print(f"sequela to {GOAL:.0%} against plain to its end: {whole:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0, help="of the split, weights and order")
    parser.add_argument(
        "--max-minutes", type=float, default=60.0, help="CPU minutes that each way may take"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = signals.load(RunSettings(model=MODEL, data=seizure.DATA[0], seed=options.seed), None)
    print(f"data: {data.data_set.name}, {data.origin}; split by recording, seed {options.seed}")
    limit = options.max_minutes * 60
    ours = train_by_sequela(data, options.seed, limit)
    plain = train_plainly(data, options.seed, limit)
    print()
    describe("sequela", ours)
    describe("plain", plain)
    compare(ours, plain)


if __name__ == "__main__":
    main()
