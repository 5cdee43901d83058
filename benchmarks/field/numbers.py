"""Training of a network on visits, and intervals of metrics."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.field.measure import Work, begin

if TYPE_CHECKING:
    from torch import Tensor, nn

PATIENTS, SEVERAL, VISITS, CODES, N_CODES = 46_520, 7_537, 58_976, 651_047, 6_985
UNITS, BATCH = 128, 64
EXAMPLES, GROUPS, RESAMPLES = 10_000, 1_000, 2_000


def make_visits(folder: Path, scale: float) -> None:
    """Write patients of MIMIC-III's number, visits and codes; codes follow a Zipf law."""
    from sequela.sequences.flat import writing_sequences

    rng = np.random.default_rng(0)
    n_patients, n_several, total, n_codes = (
        round(n * scale) for n in (PATIENTS, SEVERAL, VISITS, CODES)
    )
    n_visits = np.ones(n_patients, np.int64)
    several = rng.choice(n_patients, n_several, replace=False)
    n_visits[several] += 1
    weight = 1 / np.arange(1, len(several) + 1) ** 0.6
    n_visits[several] += rng.multinomial(total - n_visits.sum(), weight / weight.sum())
    share = rng.gamma(3.0, 1.0, total)
    visit = np.repeat(np.arange(total), rng.multinomial(n_codes, share / share.sum()))
    zipf = 1 / np.arange(1, N_CODES) ** 1.05
    code = 1 + rng.choice(N_CODES - 1, n_codes, p=zipf / zipf.sum())
    key = np.unique(visit * N_CODES + code)  # sorted, distinct in a visit
    header = {"digest": "", "parts": ["train"], "vocabulary": [""] * N_CODES, "channels": []}
    with writing_sequences(folder, header) as writer:
        writer.append(
            examples={
                "subject_id": np.arange(n_patients),
                "prediction_time": np.zeros(n_patients, "M8[us]"),
                "label": rng.random(n_patients) < 0.1,
                "part": np.zeros(n_patients),
                "age": np.zeros(n_patients),
            },
            steps_per_example=n_visits,
            step_time=np.zeros(total, "M8[us]"),
            codes_per_step=np.bincount(key // N_CODES, minlength=total),
            codes=(key % N_CODES).astype(np.int32),
            values_per_step=np.zeros(total, np.int64),
            channels=np.empty(0, np.int32),
            values=np.empty(0, np.float32),
        )


def trained(root: Path, _out: Path) -> str:
    """Train an epoch on our batches."""
    import torch
    from torch import nn

    from sequela.models.visits import MultiHotLinear
    from sequela.sequences.flat import open_sequences
    from sequela.sequences.visit_batches import VisitDataset, visit_loader

    class FlatGRU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = MultiHotLinear(N_CODES, UNITS)
            self.gru = nn.GRU(UNITS, UNITS)
            self.head = nn.Linear(UNITS, 2)

        def forward(self, codes: "Tensor", offsets: "Tensor", batch_sizes: "Tensor") -> "Tensor":
            visits = self.embed(codes, offsets)
            packed = nn.utils.rnn.PackedSequence(visits, batch_sizes)
            logits: Tensor = self.head(self.gru(packed)[1][-1])
            return logits

    torch.manual_seed(0)
    data = VisitDataset(open_sequences(root))
    loader = visit_loader(data, batch_size=BATCH, generator=torch.Generator().manual_seed(0))
    return _epoch(FlatGRU(), ((batch.inputs, batch.labels) for batch in loader))


def trained_by_torch(root: Path, _out: Path) -> str:
    """Train an epoch as tutorials do: lists of lists, padded in visits and in codes."""
    import torch
    from torch import nn

    from sequela.sequences.flat import open_sequences

    class PaddedGRU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(N_CODES, UNITS, padding_idx=0)
            self.gru = nn.GRU(UNITS, UNITS, batch_first=True)
            self.head = nn.Linear(UNITS, 2)

        def forward(self, codes: "Tensor", lengths: "Tensor") -> "Tensor":
            visits = self.embed(codes).sum(2)  # (patient, visit, unit)
            states, _ = self.gru(visits)
            logits: Tensor = self.head(states[torch.arange(len(codes)), lengths - 1])
            return logits

    torch.manual_seed(0)
    found = open_sequences(root)
    visits = np.split(found.codes, found.code_offsets[1:-1])
    patients = [
        [visit.tolist() for visit in visits[a:b]]
        for a, b in zip(found.step_offsets, found.step_offsets[1:], strict=False)
    ]
    return _epoch(PaddedGRU(), _padded(patients, torch.from_numpy(found.label.astype(np.int64))))


def _padded(patients: list[list[list[int]]], labels: "Tensor") -> Iterator[Any]:
    """Yield shuffled batches, padded with 0 to their longest patient and fullest visit."""
    import torch

    drawn = torch.randperm(len(patients), generator=torch.Generator().manual_seed(0))
    for rows in drawn.split(BATCH):
        chosen = [patients[i] for i in rows.tolist()]
        n_visits = [len(patient) for patient in chosen]
        fullest = max(len(visit) for patient in chosen for visit in patient)
        codes = torch.zeros(len(chosen), max(n_visits), fullest, dtype=torch.int64)
        for i, patient in enumerate(chosen):
            for j, visit in enumerate(patient):
                codes[i, j, : len(visit)] = torch.tensor(visit, dtype=torch.int64)
        yield (codes, torch.tensor(n_visits)), labels[rows]


def _epoch(model: "nn.Module", batches: Iterator[Any]) -> str:
    """Train one epoch on one thread; the clock starts here."""
    import torch

    torch.set_num_threads(1)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    total, n = 0.0, 0
    begin()
    for inputs, labels in batches:
        loss = torch.nn.functional.cross_entropy(model(*inputs), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        total, n = total + loss.item() * len(labels), n + len(labels)
    return f"{n:,} patients, mean loss {total / n:.4f}"


def make_scores(folder: Path, scale: float) -> None:
    """Write labels and scores of examples in groups."""
    rng, examples = np.random.default_rng(0), round(EXAMPLES * scale)
    label = (rng.random(examples) < 0.1).astype(np.int64)
    score = 1 / (1 + np.exp(2 - rng.normal(size=examples) - 1.5 * label))
    folder.mkdir(parents=True)
    np.savez(
        folder / "scores.npz",
        group=np.arange(examples) % round(GROUPS * scale),
        label=label,
        score=score.astype(np.float32),
    )


def intervals(root: Path, _out: Path) -> str:
    """Compute intervals by our bootstrap."""
    from sequela.evaluation.intervals import Bootstrap, metric_interval
    from sequela.evaluation.predictions import Predictions

    found = np.load(root / "scores.npz")
    group, label, score = (found[name] for name in ("group", "label", "score"))
    made = Predictions(
        example_id=np.arange(len(label)).astype(np.str_),
        group_id=group.astype(np.str_),
        subject_id=group.astype(np.str_),
        split=np.full(len(label), "held_out"),
        label=label,
        probabilities=np.stack([1 - score, score], axis=1),
        classes=("no", "yes"),
    )
    how = Bootstrap(resamples=RESAMPLES)
    begin()
    said = {}
    for name in ("accuracy", "auroc", "average_precision", "log_loss"):
        bounds = metric_interval(name, made, np.random.default_rng(0), how)
        said[name] = f"{bounds.low:.3f} to {bounds.high:.3f}"
    return f"AUROC {said['auroc']}"


def intervals_of_loop(root: Path, _out: Path) -> str:
    """Compute intervals by a loop that draws groups and calls scikit-learn."""
    from sklearn import metrics

    found = np.load(root / "scores.npz")
    group, label, score = (found[name] for name in ("group", "label", "score"))
    functions = {
        "accuracy": lambda a, b: metrics.accuracy_score(a, b > 0.5),
        "auroc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "log_loss": metrics.log_loss,
    }
    begin()
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    said = {}
    for name, metric in functions.items():
        rng, values = np.random.default_rng(0), []
        for _ in range(RESAMPLES):
            rows = np.concatenate(
                [members[i] for i in rng.integers(len(members), size=len(members))]
            )
            values.append(metric(label[rows], score[rows]))
        low, high = np.quantile(values, [0.025, 0.975])
        said[name] = f"{low:.3f} to {high:.3f}"
    return f"AUROC {said['auroc']}"


WORKS = {
    "epoch": Work(
        f"An epoch of a GRU of {UNITS} units on {PATIENTS:,} patients, without the start",
        make_visits,
        0.05,
        {"sequela": trained, "torch": trained_by_torch},
    ),
    "intervals": Work(
        f"{RESAMPLES:,} resamples of {EXAMPLES:,} predictions for four metrics, without the start",
        make_scores,
        0.1,
        {"sequela": intervals, "scikit-learn": intervals_of_loop},
    ),
}
