"""The training loop against a plain one, written out."""

import copy
import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from sequela.config import TrainingSettings
from sequela.listeners import Listener
from sequela.sequences.signal_batches import SignalBatch, signal_loader
from sequela.training import fit as training
from sequela.training.checkpoint import Checkpoint
from sequela.training.fit import _schedule, fit
from sequela.training.history import History, best_epoch

N_TRAIN, N_TUNING, BATCH = 50, 23, 16  # neither part is a whole number of batches


class Heard(Listener):
    """Calls a function after each epoch."""

    def __init__(self, function: Callable[[History], object]) -> None:
        self.function = function

    def on_epoch_end(self, history: History) -> None:
        self.function(history)


def parts() -> tuple[Tensor, Tensor]:
    """Segments whose two classes differ in their mean, with noise that can be over-fitted."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(N_TRAIN + N_TUNING) % 7 // 5  # 5 to 2
    signal = torch.randn(len(labels), 1, 12, generator=generator) + 0.4 * labels[:, None, None]
    return signal, labels


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 2))


def fitted(settings: TrainingSettings, **options: Any) -> tuple[nn.Module, History]:
    signal, labels = parts()
    model = network()
    history = fit(
        model,
        signal_loader(
            SignalBatch(signal[:N_TRAIN], labels[:N_TRAIN]),
            batch_size=settings.batch_size,
            generator=torch.Generator().manual_seed(5),
        ),
        signal_loader(SignalBatch(signal[N_TRAIN:], labels[N_TRAIN:]), batch_size=BATCH),
        settings,
        metrics={"accuracy": lambda logits, labels: (logits.argmax(1) == labels).double()},
        **options,
    )
    return model, history


def plain(
    settings: TrainingSettings, class_weight: Tensor | None = None
) -> tuple[list[nn.Module], list[float], list[float]]:
    """A plain loop: the averaged model, the training loss and the tuning loss of each epoch."""
    signal, labels = parts()
    model = network()
    batches = signal_loader(
        SignalBatch(signal[:N_TRAIN], labels[:N_TRAIN]),
        batch_size=settings.batch_size,
        generator=torch.Generator().manual_seed(5),
    )
    averaged = copy.deepcopy(model)
    criterion = nn.CrossEntropyLoss(class_weight, label_smoothing=settings.label_smoothing)
    adam = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    n_steps = settings.epochs * -(-N_TRAIN // settings.batch_size)
    cycle = OneCycleLR(
        adam, settings.learning_rate, n_steps, pct_start=0.1, cycle_momentum=False
    ) if settings.schedule == "one-cycle" else None  # fmt: skip
    models, train_losses, tuning_losses = [], [], []
    first = True
    for _ in range(settings.epochs):
        total = weights = 0.0
        for batch in batches:
            logits = model(batch.signal)
            loss = criterion(logits, batch.labels)
            with torch.no_grad():
                each = nn.functional.cross_entropy(
                    logits, batch.labels, class_weight, reduction="none"
                )
            total += float(each.sum())
            weights += (
                len(batch.labels)
                if class_weight is None
                else float(class_weight[batch.labels].sum())
            )
            adam.zero_grad()
            loss.backward()
            if settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            adam.step()
            if cycle is not None:
                cycle.step()
            with torch.no_grad():
                for mean, now in zip(averaged.parameters(), model.parameters(), strict=True):
                    decay = 0.0 if first else settings.average
                    mean.mul_(decay).add_((1 - decay) * now)
            first = False
        models.append(copy.deepcopy(averaged))
        train_losses.append(total / weights)
        with torch.no_grad():
            tuning = nn.functional.cross_entropy(
                averaged(signal[N_TRAIN:]), labels[N_TRAIN:], class_weight
            )
        tuning_losses.append(float(tuning))
    return models, train_losses, tuning_losses


def losses(history: History, part: str) -> list[float]:
    return [r.loss for r in history if r.part == part]


BASE = TrainingSettings(epochs=6, batch_size=BATCH, learning_rate=0.02, patience=6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_norm": 0.05},
        {"weight_decay": 0.5},
        {"schedule": "one-cycle"},
        {"average": 0.8},
        {"label_smoothing": 0.3},
        {"batch_size": 50},
        {"clip_norm": 0.2, "weight_decay": 0.1, "schedule": "one-cycle", "average": 0.9},
    ],
    ids=lambda changes: "+".join(changes) or "plain",
)
def test_equals_a_plain_loop(changes: dict[str, Any]) -> None:
    settings = BASE.model_copy(update=changes)
    model, history = fitted(settings)
    models, train_losses, tuning_losses = plain(settings)
    assert losses(history, "train") == pytest.approx(train_losses, rel=1e-4)
    assert losses(history, "tuning") == pytest.approx(tuning_losses, rel=1e-4)
    best = models[best_epoch(history) - 1].state_dict()
    torch.testing.assert_close(dict(model.state_dict()), dict(best), rtol=1e-3, atol=1e-5)
    if changes:  # the change has an effect
        assert losses(history, "tuning") != losses(fitted(BASE)[1], "tuning")


def test_class_weights() -> None:
    weight = torch.tensor([0.7, 1.75])
    _, history = fitted(BASE, class_weight=weight)
    _, train_losses, tuning_losses = plain(BASE, weight)
    assert losses(history, "train") == pytest.approx(train_losses, rel=1e-4)
    assert losses(history, "tuning") == pytest.approx(tuning_losses, rel=1e-4)


def test_the_accuracy_is_over_examples() -> None:
    signal, labels = parts()
    model, history = fitted(BASE)
    accuracy = history[2 * best_epoch(history) - 1].metrics["accuracy"]
    found = (model(signal[N_TRAIN:]).argmax(1) == labels[N_TRAIN:]).double().mean()
    assert accuracy == pytest.approx(float(found))
    assert (accuracy * N_TUNING) % 1 == pytest.approx(0, abs=1e-9)


def test_ends_with_the_best_epoch_and_stops_when_it_does_not_improve() -> None:
    settings = BASE.model_copy(update={"epochs": 200, "learning_rate": 0.05, "patience": 7})
    seen: list[int] = []
    model, history = fitted(settings, listeners=[Heard(lambda h: seen.append(len(h)))])
    best = best_epoch(history)
    assert history[-1].epoch == best + 7 < 200  # over-fits, and is stopped
    assert seen == [2 * epoch for epoch in range(1, best + 8)]
    signal, labels = parts()
    assert not model.training
    loss = nn.functional.cross_entropy(model(signal[N_TRAIN:]), labels[N_TRAIN:]).item()
    assert loss == pytest.approx(min(losses(history, "tuning")), rel=1e-5)


def test_one_cycle_rises_for_a_tenth_and_falls_to_nearly_zero() -> None:
    settings = BASE.model_copy(update={"epochs": 20, "patience": 20, "schedule": "one-cycle"})
    _, history = fitted(settings)
    rates = [r.learning_rate for r in history if r.part == "train"]
    assert rates[0] < rates[1] == max(rates)
    assert rates[1] == pytest.approx(0.02, rel=0.01)
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert rates[-1] < 0.02 / 1000
    _, constant = fitted(BASE)
    assert {r.learning_rate for r in constant} == {0.02}


@pytest.mark.parametrize("steps", range(1, 31))
def test_one_cycle_of_few_steps(steps: int) -> None:
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    schedule = _schedule(adam, BASE.model_copy(update={"schedule": "one-cycle"}), steps=steps)
    for _ in range(steps - 1):
        adam.step()
        schedule.step()
    assert 0 < schedule.get_last_lr()[0] <= 0.02


def test_a_checkpoint_is_written_after_some_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, _: saved.append(len(self.history)))
    fitted(BASE.model_copy(update={"epochs": 3}), checkpoint=tmp_path)
    assert saved == [6]
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    fitted(BASE.model_copy(update={"epochs": 2}), checkpoint=tmp_path)
    assert saved == [6, 2, 4, 4]


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    settings = BASE.model_copy(update={"average": 0.7, "schedule": "one-cycle"})

    def interrupt(history: History) -> None:
        if len(history) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(settings, checkpoint=tmp_path, listeners=[Heard(interrupt)])
    assert [r.epoch for r in Checkpoint.load(tmp_path).history] == [1, 1, 2, 2, 3, 3]
    model, history = fitted(settings, checkpoint=tmp_path, resume=True)
    whole, expected = fitted(settings)
    assert losses(history, "tuning") == losses(expected, "tuning")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    # Resuming what is finished trains nothing more.
    again, unchanged = fitted(settings, checkpoint=tmp_path, resume=True)
    assert unchanged == history
    assert torch.equal(again.state_dict()["1.weight"], whole.state_dict()["1.weight"])


def test_resume_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="needs the folder of a checkpoint"):
        fitted(BASE, resume=True)


class Two(nn.Module):
    """Logits, and while it trains a second number."""

    def __init__(self) -> None:
        super().__init__()
        self.answer, self.second = nn.Linear(12, 2), nn.Linear(12, 1)

    def forward(self, signal: Tensor) -> Any:
        logits = self.answer(signal.flatten(1))
        return (logits, self.second(signal.flatten(1))[:, 0]) if self.training else logits


class WithSecond(SignalBatch):
    """Segments whose sum is a second target."""

    @property
    def second(self) -> Tensor:
        return self.signal.sum((1, 2))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_second_target_is_learnt_where_it_has_a_weight(weight: float) -> None:
    signal, labels = parts()
    torch.manual_seed(0)
    model = Two()
    before = model.second.weight.detach().clone()
    loader = signal_loader(
        WithSecond(signal, labels), batch_size=16, generator=torch.Generator().manual_seed(0)
    )
    changes = {"epochs": 200, "patience": 200, "learning_rate": 0.05, "second_target": weight}
    history = fit(model, loader, None, BASE.model_copy(update=changes), metrics={})
    assert {record.part for record in history} == {"train"}
    expected = torch.ones(1, 12) if weight else before
    torch.testing.assert_close(model.second.weight, expected, atol=0.02, rtol=0)
    # The loss that is shown is that of the labels alone.
    logits = model(signal)
    loss = nn.functional.cross_entropy(logits, labels).item()
    assert history[-1].loss == pytest.approx(loss, abs=0.05)


def test_the_last_epoch_is_kept_where_it_is_asked_for() -> None:
    settings = TrainingSettings(
        epochs=12, batch_size=BATCH, patience=1, learning_rate=0.1, keep="last"
    )
    model, history = fitted(settings)
    assert max(record.epoch for record in history) == 12  # no patience stops it
    assert best_epoch(history) < 12
    signal, labels = parts()
    loss = nn.functional.cross_entropy(model(signal[N_TRAIN:]), labels[N_TRAIN:])
    assert loss.item() == pytest.approx(history[-1].loss, rel=1e-5)


class Members(nn.Module):
    """Two networks that answer each for itself while they train, and together afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList(network() for _ in range(2))
        nn.init.normal_(next(self.each[1].parameters()))

    def forward(self, signal: Tensor) -> Tensor:
        said = torch.stack([one(signal) for one in self.each])
        return said if self.training else said.log_softmax(-1).logsumexp(0)


def test_members_learn_each_by_itself() -> None:
    """Half the gradient for each: at a constant rate Adam makes the same steps as alone."""
    settings = TrainingSettings(epochs=3, batch_size=BATCH)
    signal, labels = parts()

    def trained(model: nn.Module) -> nn.Module:
        batch = SignalBatch(signal[:N_TRAIN], labels[:N_TRAIN])
        order = torch.Generator().manual_seed(5)
        train = signal_loader(batch, batch_size=BATCH, generator=order)
        history = fit(model, train, None, settings, metrics={})
        assert history[-1].loss < history[0].loss
        return model

    together, apart = Members(), Members()
    trained(together)
    for i, alone in enumerate(apart.each):
        expected = trained(alone).state_dict()
        for name, found in together.each[i].state_dict().items():
            torch.testing.assert_close(found, expected[name], rtol=1e-3, atol=1e-4)


def test_the_average_has_the_buffers_of_the_model() -> None:
    signal, labels = parts()
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 2))
    batches = signal_loader(
        SignalBatch(signal, labels), batch_size=BATCH, generator=torch.Generator().manual_seed(5)
    )
    fit(model, batches, None, TrainingSettings(epochs=3, average=0.9), metrics={})
    assert int(model.state_dict()["1.num_batches_tracked"]) == 3 * len(batches)


def test_a_step_looks_for_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = importlib.util.find_spec

    def counted(name: str, package: str | None = None) -> Any:
        looked.append(name)
        return real(name, package)

    fitted(BASE)  # imports what is imported once
    monkeypatch.setattr(importlib.util, "find_spec", counted)
    counts = []
    for epochs in (1, 4):
        looked.clear()
        fitted(BASE.model_copy(update={"epochs": epochs, "patience": 9}))
        counts.append(len(looked))
    assert counts[0] == counts[1]
